//! Stopped copies: checkpoints (forked, one thread each) and suspended processes (whole), and how they come to life.

use std::rc::Rc;

use nix::unistd::Pid;

use super::Supervisor;
use super::tasks::{Activity, Task, Tasks, name_of};
use super::terminal::Modes;
use crate::inject::InjectError;
use crate::inject::injector::Injector;
use crate::ptrace::{Change, How};
use crate::raw;
use crate::snapshot::fork;
use crate::snapshot::state::{self, ProcessState};
use crate::snapshot::threads::{self, ThreadState};
use crate::wire::CopyId;

/// What a process was like at a moment, but for its memory, which the copy itself holds.
#[derive(Debug)]
pub(super) struct Snapshot {
    virtual_id: i32,
    /// The leader first.
    threads: Vec<ThreadState>,
    /// The ids that the threads really had, in the same order: what the kernel reported of timers and owners names these.
    real_ids: Vec<i32>,
    state: ProcessState,
    modes: Modes,
}

/// A stopped copy.
#[derive(Debug)]
pub(super) struct Copy {
    /// Real id of its leader.
    leader: Pid,
    snapshot: Rc<Snapshot>,
    /// For a suspended process: its own threads, as they were. Empty for a checkpoint.
    threads: Tasks,
    /// Killed from outside.
    dead: bool,
}

/// Takes back on a process what [`state::capture_all`] did to make it forkable.
fn as_before(pid: Pid, snapshot: &Snapshot) -> Result<(), InjectError> {
    let mut injector = Injector::borrow(pid, pid)?;
    state::after_fork(&snapshot.state, &mut injector)?;
    injector.finish()
}

impl Supervisor {
    /// Forks the running process and lets it go on.
    pub(super) fn checkpoint(&mut self) -> Result<(CopyId, Pid), String> {
        let main = self.held("take a checkpoint")?;
        let made = self.capture(main).and_then(|snapshot| {
            let forked = fork::fork(main, &snapshot.threads[0]);
            as_before(main, &snapshot)?;
            Ok((snapshot, forked?))
        });
        self.release();
        let (snapshot, leader) = made.map_err(|error| format!("cannot take a checkpoint: {error}"))?;
        let copy = Copy { leader, snapshot: Rc::new(snapshot), threads: Tasks::new(), dead: false };
        Ok((self.keep(copy), leader))
    }

    /// Stops the running process and puts it aside.
    pub(super) fn suspend(&mut self) -> Result<(CopyId, Pid), String> {
        let main = self.held("put the process aside")?;
        let snapshot = match self.capture(main) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                self.release();
                return Err(format!("cannot put the process aside: {error}"));
            }
        };
        let threads = std::mem::take(&mut self.tasks);
        self.main = None;
        self.virtual_ids.clear();
        let copy = Copy { leader: main, snapshot: Rc::new(snapshot), threads, dead: false };
        Ok((self.keep(copy), main))
    }

    fn keep(&mut self, copy: Copy) -> CopyId {
        let id = CopyId(self.next_copy);
        self.next_copy += 1;
        self.copies.insert(id, copy);
        id
    }

    /// Stops every live thread; refuses if there is more than the session's own process.
    fn held(&mut self, doing: &str) -> Result<Pid, String> {
        let main = self.main.ok_or_else(|| format!("cannot {doing}: no process is running"))?;
        self.hold();
        if self.main.is_none() {
            return Err(format!("cannot {doing}: the process has just ended"));
        }
        let others: Vec<String> = self
            .live_processes()
            .into_iter()
            .filter(|pid| *pid != main)
            .map(|pid| format!("{} ({pid})", name_of(pid)))
            .collect();
        if others.is_empty() {
            return Ok(main);
        }
        self.release();
        Err(format!(
            "cannot {doing} while other processes of the program are alive: {}; try again when they have ended",
            others.join(", ")
        ))
    }

    /// Brings every live thread to a stop.
    fn hold(&mut self) {
        loop {
            let running: Vec<Pid> =
                self.tasks.iter().filter(|(_, task)| !task.is_stopped()).map(|(tid, _)| *tid).collect();
            if running.is_empty() {
                break;
            }
            for tid in &running {
                if let Some(Task { activity: Some(Activity::Running(running)), .. }) = self.tasks.get(tid) {
                    running.interrupt().ok();
                }
            }
            for tid in running {
                self.await_stop(tid);
            }
            // Threads that were being born meanwhile have been recorded by their parent's stop.
        }
    }

    fn await_stop(&mut self, tid: Pid) {
        match raw::wait(Some(tid), true) {
            Ok(Some((tid, status))) => {
                let what = self.record(tid, status);
                match what {
                    // Right before a call: the call is made, or trapped again, when the thread goes on.
                    Change::Seccomp => {
                        self.back_out(tid);
                    }
                    Change::Syscall => {
                        let entering = self.tasks.get(&tid).is_some_and(|task| task.watched);
                        if entering {
                            self.back_out_if_entering(tid);
                        }
                    }
                    Change::Born => drop(self.await_newborn(tid)),
                    _ => {}
                }
            }
            _ => {
                self.tasks.remove(&tid);
            }
        }
    }

    fn back_out_if_entering(&mut self, tid: Pid) {
        #[allow(clippy::cast_possible_wrap)]
        let entering = raw::registers(tid).is_ok_and(|registers| registers.rax as i64 == -i64::from(libc::ENOSYS));
        if entering {
            self.back_out(tid);
        }
    }

    /// Brings a thread or process whose birth `parent` has just reported to its first stop, unless that has been seen already.
    ///
    /// Nobody may be held, put aside or killed before: the newborn would be missed, and its first stop, coming later, be taken
    /// for one of the process that runs then.
    pub(super) fn await_newborn(&mut self, parent: Pid) -> Option<(Pid, Change)> {
        let born = nix::sys::ptrace::getevent(parent).ok()?;
        let born = Pid::from_raw(i32::try_from(born).ok()?);
        if self.tasks.contains_key(&born) {
            return None;
        }
        let (tid, status) = raw::wait(Some(born), true).ok()??;
        Some((tid, self.record(tid, status)))
    }

    /// Lets every live thread go on that is not parked.
    pub(super) fn release(&mut self) {
        let stopped: Vec<Pid> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.is_stopped() && task.parked.is_none() && !task.group_stopped)
            .map(|(tid, _)| *tid)
            .collect();
        for tid in stopped {
            self.let_go(tid, How::Continue);
        }
    }

    fn capture(&mut self, main: Pid) -> Result<Snapshot, InjectError> {
        let mut captured = Vec::new();
        let ids: Vec<Pid> =
            std::iter::once(main).chain(self.tasks.keys().copied().filter(|tid| *tid != main)).collect();
        let real_ids = ids.iter().map(|tid| tid.as_raw()).collect();
        for tid in ids {
            let virtual_id = self.virtual_id(tid);
            let Some(task) = self.tasks.get_mut(&tid) else {
                return Err(InjectError::Unsupported(
                    "the main thread of the process has ended before the others".to_owned(),
                ));
            };
            let state = threads::capture(main, tid, virtual_id, task.restarting, tid == main, task.clear_tid)?;
            task.clear_tid = Some(state.clear_tid);
            captured.push(state);
        }
        let mut injector = Injector::borrow(main, main)?;
        let mut state = state::capture_all(&mut injector, &self.hints)?;
        injector.finish()?;
        // Those that ended before an earlier checkpoint still wait to be waited for.
        let mut waiting = self.zombies.waiting.clone();
        waiting.append(&mut state.zombies.waiting);
        state.zombies.waiting = waiting;
        let modes = self.terminal.modes();
        Ok(Snapshot { virtual_id: self.main_virtual, threads: captured, real_ids, state, modes })
    }

    /// Runs a fresh copy of a stopped one.
    pub(super) fn start(&mut self, id: CopyId) -> Result<Vec<String>, String> {
        // What is stopped can wait until the copy runs: taking its memory down would contend with the fork.
        let mut former = self.take_live();
        if former.values().any(|task| !task.is_stopped()) {
            self.kill_tasks(&former);
            former.clear();
        }
        let outcome = self.start_fresh(id);
        self.kill_tasks(&former);
        outcome
    }

    fn start_fresh(&mut self, id: CopyId) -> Result<Vec<String>, String> {
        let killed = "cannot restore this checkpoint: its process was killed from outside; fred-list shows the others";
        let (leader, snapshot) = match self.copies.get(&id) {
            Some(copy) if copy.dead => return Err(killed.to_owned()),
            Some(copy) => (copy.leader, Rc::clone(&copy.snapshot)),
            None => {
                return Err("cannot restore this checkpoint: it is gone; fred-list shows the others".to_owned());
            }
        };
        let outcome = fork::fork(leader, &snapshot.threads[0]).and_then(|pid| self.revive(pid, &snapshot));
        outcome.map_err(|error| {
            self.kill_live();
            match error {
                // Its end has not been reported yet.
                InjectError::Killed { tid } if tid == leader.as_raw() => killed.to_owned(),
                error => format!("cannot restore this checkpoint: {error}"),
            }
        })
    }

    /// Makes a forked copy the running process: its other threads, then everything that fork has not carried.
    fn revive(&mut self, pid: Pid, snapshot: &Rc<Snapshot>) -> Result<Vec<String>, InjectError> {
        self.main = Some(pid);
        self.main_virtual = snapshot.virtual_id;
        self.run += 1;
        self.tasks.insert(pid, Task::stopped(pid, pid));
        self.virtual_ids.insert(pid, snapshot.virtual_id);
        let mut leader = Injector::borrow(pid, pid)?;
        threads::mend_leader(&mut leader, &snapshot.threads[0])?;
        for state in &snapshot.threads[1..] {
            let tid = threads::recreate(&mut leader, state)?;
            let mut task = Task::stopped(pid, tid);
            task.clear_tid = Some(state.clear_tid);
            self.tasks.insert(tid, task);
            self.virtual_ids.insert(tid, state.virtual_id);
        }
        if let Some(task) = self.tasks.get_mut(&pid) {
            task.clear_tid = Some(snapshot.threads[0].clear_tid);
        }
        let ids = &self.virtual_ids;
        let real = |then: i32| {
            let index = snapshot.real_ids.iter().position(|id| *id == then);
            let known = index.and_then(|index| snapshot.threads.get(index)).map(|state| state.virtual_id);
            ids.iter().find(|(_, id)| Some(**id) == known).map_or(then, |(real, _)| real.as_raw())
        };
        let warnings = state::put_back_all(&snapshot.state, &mut leader, &real)?;
        leader.finish()?;
        self.zombies = snapshot.state.zombies.clone();
        self.terminal.set_modes(&snapshot.modes);
        self.release();
        Ok(warnings)
    }

    /// Runs a suspended process again.
    pub(super) fn resume(&mut self, id: CopyId) -> Result<(), String> {
        self.kill_live();
        let usable = self.copies.get(&id).is_some_and(|copy| !copy.dead && !copy.threads.is_empty());
        let Some(copy) = (if usable { self.copies.remove(&id) } else { None }) else {
            return Err("cannot go back to the process that was put aside: it was killed from outside".to_owned());
        };
        self.main = Some(copy.leader);
        self.main_virtual = copy.snapshot.virtual_id;
        self.run += 1;
        self.tasks = copy.threads;
        let ids: Vec<Pid> =
            std::iter::once(copy.leader).chain(self.tasks.keys().copied().filter(|tid| *tid != copy.leader)).collect();
        for (tid, state) in ids.iter().zip(&copy.snapshot.threads) {
            if tid.as_raw() != state.virtual_id {
                self.virtual_ids.insert(*tid, state.virtual_id);
            }
        }
        let put_back = Injector::borrow(copy.leader, copy.leader).and_then(|mut leader| {
            state::after_fork(&copy.snapshot.state, &mut leader)?;
            state::put_back_shared(&copy.snapshot.state, &mut leader, &|known| known)?;
            leader.finish()
        });
        self.zombies = copy.snapshot.state.zombies.clone();
        self.terminal.set_modes(&copy.snapshot.modes);
        // Parked threads look again whether something waits for them, so that the client hears of it.
        for task in self.tasks.values_mut() {
            task.parked = None;
        }
        self.release();
        put_back.map_err(|error| format!("cannot put everything back: {error}"))
    }

    /// Kills a stopped copy.
    pub(super) fn drop_copy(&mut self, id: CopyId) {
        let Some(copy) = self.copies.remove(&id) else {
            return;
        };
        if copy.dead {
            return;
        }
        crate::ptrace::kill(copy.leader).ok();
        self.dying.insert(copy.leader);
        self.dying.extend(copy.threads.keys());
    }

    /// Whether a thread belongs to a stopped copy.
    pub(super) fn is_copy(&self, tid: Pid) -> bool {
        self.copies.values().any(|copy| copy.leader == tid || copy.threads.contains_key(&tid))
    }

    /// A stopped copy can only be killed.
    pub(super) fn copy_changed(&mut self, tid: Pid, status: i32) {
        if libc::WIFSTOPPED(status) {
            // The stop before its end.
            raw::resume(libc::PTRACE_CONT, tid, 0).ok();
            return;
        }
        for copy in self.copies.values_mut() {
            if copy.leader == tid {
                copy.dead = true;
            }
            copy.threads.remove(&tid);
        }
    }
}
