//! Stopped copies: checkpoints (forked, one thread each) and suspended processes (whole), and how they come to life.

use std::rc::Rc;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use super::Supervisor;
use super::connection::Connection;
use super::served::{Memory, Program, Served};
use super::tape::Mark;
use super::tasks::{Activity, Task, Tasks, name_of};
use super::terminal::Modes;
use crate::inject::InjectError;
use crate::inject::injector::Injector;
use crate::ptrace::{Change, How};
use crate::raw;
use crate::rsp::Server;
use crate::rsp::target::{Stop, Why};
use crate::snapshot::fork;
use crate::snapshot::state::{self, ProcessState};
use crate::snapshot::threads::{self, ThreadState};
use crate::wire::{CopyId, ProgramRegisters};

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
    attached: bool,
    /// On which processors the leader may run, if it had been put on one by us: a forked copy inherits that.
    processors: Option<CpuSet>,
}

impl Snapshot {
    pub(super) fn threads(&self) -> &[ThreadState] {
        &self.threads
    }
}

/// Which of the session's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The session's own: what was launched.
    Main,
    /// The program that is served to it.
    Program,
}

/// A stopped copy of a process.
#[derive(Debug)]
pub(super) struct Part {
    /// Real id of its leader.
    pub(super) leader: Pid,
    pub(super) snapshot: Rc<Snapshot>,
    /// For a suspended process: its own threads, as they were. Empty for a checkpoint.
    threads: Tasks,
    /// Killed from outside.
    pub(super) dead: bool,
}

/// A stopped copy: of the session's process, of the program that is served to it, or of both.
#[derive(Debug)]
pub(super) struct Copy {
    main: Option<Part>,
    pub(super) program: Option<Part>,
    pub(super) served: Served,
    server: Option<Server>,
    connection: Option<Connection>,
    /// Where its recorded process is in the notes.
    pub(super) mark: Option<Mark>,
    /// Taken in the middle of a command of the debugger, which is to end at once where a fresh copy is started.
    pub(super) on_the_way: bool,
}

impl Copy {
    fn parts(&self) -> impl Iterator<Item = &Part> {
        [&self.main, &self.program].into_iter().flatten()
    }

    fn parts_mut(&mut self) -> impl Iterator<Item = &mut Part> {
        [&mut self.main, &mut self.program].into_iter().flatten()
    }
}

/// Takes back on a process what [`state::capture_all`] did to make it forkable.
fn as_before(pid: Pid, snapshot: &Snapshot) -> Result<(), InjectError> {
    let mut injector = Injector::borrow(pid, pid)?;
    state::after_fork(&snapshot.state, &mut injector)?;
    injector.finish()
}

impl Supervisor {
    /// Forks the running process, and the program that is served to it, and lets them go on.
    pub(super) fn checkpoint(&mut self) -> Result<(CopyId, Pid), String> {
        let main = self.held("take a checkpoint")?;
        let made = match self.program_leader() {
            Some(leader) => self.forked_both(main, leader),
            None => self.forked(main, Role::Main).map(|main| (main, None)),
        };
        let copy = made.map(|(main, program)| self.copy_of(Some(main), program));
        self.release();
        let copy = copy.map_err(|error| format!("cannot take a checkpoint: {error}"))?;
        Ok((self.keep(copy), self.pid_of_last))
    }

    /// Forks the served program alone; it goes on as it was.
    pub(super) fn checkpoint_program(&mut self) -> Result<(CopyId, Pid), String> {
        let leader = self.program_leader().ok_or("cannot keep the program: there is none")?;
        let running = self.served_runs();
        if running {
            self.stop_served();
            if self.program_leader() != Some(leader) {
                return Err("cannot keep the program: it has just ended".to_owned());
            }
        }
        let made = self.forked(leader, Role::Program);
        let copy = made.map(|program| self.copy_of(None, Some(program)));
        if running {
            self.restart_served();
        }
        let copy = copy.map_err(|error| format!("cannot keep the program: {error}"))?;
        Ok((self.keep(copy), self.pid_of_last))
    }

    /// Forks the served program, and leaves it stopped.
    pub(super) fn keep_program_stopped(&mut self) -> Result<CopyId, String> {
        let leader = self.program_leader().ok_or("there is none")?;
        self.stop_served();
        if self.program_leader() != Some(leader) {
            return Err("it has just ended".to_owned());
        }
        let made = self.forked(leader, Role::Program).map_err(|error| error.to_string())?;
        let copy = self.copy_of(None, Some(made));
        Ok(self.keep(copy))
    }

    fn program_leader(&self) -> Option<Pid> {
        self.program.as_ref().map(|program| program.leader)
    }

    /// A fork of one process that is held.
    fn forked(&mut self, leader: Pid, role: Role) -> Result<Part, InjectError> {
        let snapshot = self.capture(leader, role)?;
        let forked = fork::fork(leader, &snapshot.threads[0]);
        as_before(leader, &snapshot)?;
        Ok(Part { leader: forked?, snapshot: Rc::new(snapshot), threads: Tasks::new(), dead: false })
    }

    /// Forks of the two processes of a session, at the same time.
    fn forked_both(&mut self, main: Pid, leader: Pid) -> Result<(Part, Option<Part>), InjectError> {
        let snapshot = self.capture(main, Role::Main)?;
        let program = match fork::begin(main, &snapshot.threads[0]) {
            Ok(forking) => {
                let program = self.forked(leader, Role::Program);
                match (forking.finish(), program) {
                    (Ok(forked), program) => Ok((forked, program)),
                    (Err(error), program) => {
                        if let Ok(program) = program {
                            self.discard(program);
                        }
                        Err(error)
                    }
                }
            }
            Err(error) => Err(error),
        };
        as_before(main, &snapshot)?;
        let (forked, program) = program?;
        let main = Part { leader: forked, snapshot: Rc::new(snapshot), threads: Tasks::new(), dead: false };
        match program {
            Ok(program) => Ok((main, Some(program))),
            Err(error) => {
                self.discard(main);
                Err(error)
            }
        }
    }

    fn discard(&mut self, part: Part) {
        crate::ptrace::kill(part.leader).ok();
        self.dying.insert(part.leader);
    }

    fn copy_of(&mut self, main: Option<Part>, program: Option<Part>) -> Copy {
        let pid = main.as_ref().or(program.as_ref()).map(|part| part.leader);
        self.pid_of_last = pid.unwrap_or(Pid::from_raw(0));
        // At a stop there is nothing of ours in memory; while it runs there was until it was held.
        if self.served.running {
            self.note_turn_of_stop();
        }
        let mut served = self.served_of_copy();
        served.breakpoints.forget_inserted();
        let recorded = if self.recording.served { &program } else { &main };
        let timers = recorded.as_ref().map(|part| {
            let known = |real: i32| {
                let index = part.snapshot.real_ids.iter().position(|id| *id == real);
                index.and_then(|index| part.snapshot.threads.get(index)).map_or(real, |state| state.virtual_id)
            };
            part.snapshot.state.timers.renamed(&known)
        });
        let mark = self.recording.mark_of_copy(timers);
        Copy {
            main,
            program,
            served,
            server: self.server.clone(),
            connection: self.connection.clone(),
            mark,
            on_the_way: false,
        }
    }

    /// Stops the running process and puts it aside, with the program that is served to it.
    pub(super) fn suspend(&mut self) -> Result<(CopyId, Pid), String> {
        self.unpin();
        let main = self.held("put the process aside")?;
        let captured = self.capture(main, Role::Main).and_then(|first| match self.program_leader() {
            Some(leader) => Ok((first, Some(self.capture(leader, Role::Program)?))),
            None => Ok((first, None)),
        });
        let (first, second) = match captured {
            Ok(captured) => captured,
            Err(error) => {
                self.release();
                return Err(format!("cannot put the process aside: {error}"));
            }
        };
        self.keep_newest();
        let leader = self.program.take().map(|program| program.leader);
        let (own, threads): (Tasks, Tasks) =
            std::mem::take(&mut self.tasks).into_iter().partition(|(_, task)| Some(task.pid) == leader);
        let program = second.zip(leader).map(|(snapshot, leader)| Part {
            leader,
            snapshot: Rc::new(snapshot),
            threads: own,
            dead: false,
        });
        self.main = None;
        self.virtual_ids.clear();
        let main = Part { leader: main, snapshot: Rc::new(first), threads, dead: false };
        let copy = self.copy_of(Some(main), program);
        Ok((self.keep(copy), self.pid_of_last))
    }

    fn keep(&mut self, copy: Copy) -> CopyId {
        let id = CopyId(self.next_copy);
        self.next_copy += 1;
        self.copies.insert(id, copy);
        id
    }

    /// Whether the served program has been let go.
    fn served_runs(&self) -> bool {
        self.served.running
    }

    /// Stops every live thread; refuses if there is more than the session's own processes.
    fn held(&mut self, doing: &str) -> Result<Pid, String> {
        let main = self.main.ok_or_else(|| format!("cannot {doing}: no process is running"))?;
        // Before anything is stopped: the parent of a vfork'ed child cannot be until that has gone on (kernel/fork.c,
        // wait_for_vfork_done).
        self.refuse_others(main, doing)?;
        if self.program.is_some() {
            self.stop_served();
        }
        let parked: Vec<Pid> =
            self.tasks.iter().filter(|(_, task)| task.parked.is_some()).map(|(tid, _)| *tid).collect();
        for tid in parked {
            self.wind_back_parked(tid);
        }
        self.hold();
        if self.main.is_none() {
            return Err(format!("cannot {doing}: the process has just ended"));
        }
        let refused = self.refuse_others(main, doing);
        if refused.is_err() {
            self.release();
        }
        refused.map(|()| main)
    }

    /// An error if there are other live processes than the session's own and the served program.
    fn refuse_others(&self, main: Pid, doing: &str) -> Result<(), String> {
        let program = self.program_leader();
        let others: Vec<String> = self
            .live_processes()
            .into_iter()
            .filter(|pid| *pid != main && Some(*pid) != program)
            .map(|pid| format!("{} ({pid})", name_of(pid)))
            .collect();
        if others.is_empty() {
            return Ok(());
        }
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
                    Change::Born => {
                        let own = self.tasks.get(&tid).map(|task| task.pid);
                        let newborn = self.await_newborn(tid).map(|(newborn, _)| newborn);
                        if newborn.is_some_and(|newborn| self.tasks.get(&newborn).map(|task| task.pid) == own) {
                            self.leave_birth(tid);
                        }
                    }
                    Change::Ending => self.let_end(tid),
                    _ => {}
                }
            }
            _ => {
                self.tasks.remove(&tid);
            }
        }
    }

    /// A thread has made another one and is still in that call, whose result would overwrite what is done to its registers: it
    /// leaves the call.
    pub(super) fn leave_birth(&mut self, tid: Pid) {
        if raw::resume(libc::PTRACE_SYSCALL, tid, 0).is_ok()
            && let Ok(Some((tid, status))) = raw::wait(Some(tid), true)
        {
            self.record(tid, status);
        }
    }

    /// A thread that was to be stopped is about to end: nothing can be done to it there, so it does.
    pub(super) fn let_end(&mut self, tid: Pid) {
        const EXIT: u64 = 60;
        let leads = self.tasks.get(&tid).is_none_or(|task| task.pid == tid);
        if leads || !raw::registers(tid).is_ok_and(|registers| registers.orig_rax == EXIT) {
            return;
        }
        if raw::resume(libc::PTRACE_CONT, tid, 0).is_ok()
            && let Ok(Some((tid, status))) = raw::wait(Some(tid), true)
        {
            self.record(tid, status);
        }
    }

    pub(super) fn back_out_if_entering(&mut self, tid: Pid) {
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
        if self.early.remove(&born) {
            self.recorded_birth(parent, born);
            return Some((born, Change::Interrupted));
        }
        // Its first stop may have been reported before its birth, and it may have come far since.
        if self.tasks.contains_key(&born) || self.is_stand_in(born) {
            return None;
        }
        let (tid, status) = raw::wait(Some(born), true).ok()??;
        let what = self.record(tid, status);
        self.recorded_birth(parent, tid);
        Some((tid, what))
    }

    /// Lets every live thread go on that is not parked; those of the served program only if it runs.
    pub(super) fn release(&mut self) {
        let stopped: Vec<Pid> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.is_stopped() && task.parked.is_none() && !task.group_stopped)
            .map(|(tid, _)| *tid)
            .filter(|tid| !self.is_served(*tid) && self.held.is_none_or(|held| held.pid != *tid))
            .collect();
        for tid in stopped {
            self.let_go(tid, How::Continue);
        }
        if self.program.is_some() && self.served_runs() {
            self.restart_served();
        }
    }

    fn capture(&mut self, leader: Pid, role: Role) -> Result<Snapshot, InjectError> {
        self.note_copy(leader);
        self.unpin();
        let mut captured = Vec::new();
        let others = self.tasks.iter().filter(|(tid, task)| task.pid == leader && **tid != leader);
        let ids: Vec<Pid> = std::iter::once(leader).chain(others.map(|(tid, _)| *tid)).collect();
        let real_ids = ids.iter().map(|tid| tid.as_raw()).collect();
        for tid in ids {
            let virtual_id = self.virtual_id(tid);
            let at_signal = role == Role::Program && self.stands_at_noted_signal(tid);
            let Some(task) = self.tasks.get_mut(&tid) else {
                return Err(InjectError::Unsupported(
                    "the main thread of the process has ended before the others".to_owned(),
                ));
            };
            let (original, known) = (task.restarting, task.clear_tid);
            let state = threads::capture(leader, tid, virtual_id, original, tid == leader, known, at_signal)?;
            task.clear_tid = Some(state.clear_tid);
            captured.push(state);
        }
        let mut injector = Injector::borrow(leader, leader)?;
        let mut state = state::capture_all(&mut injector, &self.hints)?;
        injector.finish()?;
        // Those that ended before an earlier checkpoint still wait to be waited for.
        let before = match (&self.program, role) {
            (Some(program), Role::Program) => &program.zombies,
            _ => &self.zombies,
        };
        let mut waiting = before.waiting.clone();
        waiting.append(&mut state.zombies.waiting);
        state.zombies.waiting = waiting;
        let terminal = match (&self.program_terminal, role) {
            (Some(terminal), Role::Program) => terminal,
            _ => &self.terminal,
        };
        let attached = role == Role::Program && self.program.as_ref().is_some_and(|program| program.attached);
        let virtual_id = self.virtual_id(leader);
        let (modes, processors) = (terminal.modes(), self.processors_of(leader));
        Ok(Snapshot { virtual_id, threads: captured, real_ids, state, modes, attached, processors })
    }

    /// Runs a fresh copy of a stopped one.
    pub(super) fn start(&mut self, id: CopyId) -> Result<Vec<String>, String> {
        self.unpin();
        // What is stopped can wait until the copy runs: taking its memory down would contend with the fork.
        self.keep_newest();
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
        let Some(copy) = self.copies.get(&id) else {
            return Err("cannot restore this checkpoint: it is gone; fred-list shows the others".to_owned());
        };
        let Some(main) = &copy.main else {
            return Err("cannot restore this checkpoint: it is of the program alone".to_owned());
        };
        let (leader, snapshot) = (main.leader, Rc::clone(&main.snapshot));
        let program = copy.program.as_ref().map(|part| (part.leader, Rc::clone(&part.snapshot)));
        if copy.parts().any(|part| part.dead) {
            return Err(KILLED.to_owned());
        }
        let on_the_way = copy.on_the_way;
        self.served = copy.served.clone();
        self.server = copy.server.clone();
        self.connection = copy.connection.clone();
        self.recording.begin_from(copy.mark.clone());
        let made = fork::fork(leader, &snapshot.threads[0]).and_then(|pid| self.revive(pid, &snapshot, Role::Main));
        let outcome = made.and_then(|mut warnings| {
            if let Some((leader, snapshot)) = program {
                let pid = fork::fork(leader, &snapshot.threads[0])?;
                warnings.extend(self.revive(pid, &snapshot, Role::Program)?);
            }
            Ok(warnings)
        });
        match outcome {
            Ok(warnings) => {
                self.run += 1;
                if on_the_way && self.served_runs() {
                    let tid = self.served.current;
                    self.tell_stop(&Stop::Thread { tid, why: Why::Signal(libc::SIGINT) });
                }
                self.release();
                Ok(warnings)
            }
            Err(error) => {
                self.kill_live();
                Err(self.restore_failed(error))
            }
        }
    }

    fn restore_failed(&self, error: InjectError) -> String {
        match error {
            // Its end has not been reported yet.
            InjectError::Killed { tid }
                if self.copies.values().flat_map(Copy::parts).any(|part| part.leader.as_raw() == tid) =>
            {
                KILLED.to_owned()
            }
            error => format!("cannot restore this checkpoint: {error}"),
        }
    }

    /// Puts a fresh copy of the program of a stopped copy in the place of the served program. The debugger stays as it is.
    pub(super) fn exchange(&mut self, id: CopyId) -> Result<Vec<String>, String> {
        if self.running.is_some() {
            return Err("cannot exchange the program while it is being run".to_owned());
        }
        self.unpin();
        let Some(copy) = self.copies.get(&id) else {
            return Err("cannot restore this state of the program: it is gone".to_owned());
        };
        let Some(part) = &copy.program else {
            return Err("cannot restore this state: there was no program".to_owned());
        };
        if part.dead {
            return Err(KILLED.to_owned());
        }
        let (leader, snapshot) = (part.leader, Rc::clone(&part.snapshot));
        let served = copy.served.with_settings_of(&self.served);
        let mark = copy.mark.clone();
        let blocks = self.debugger_blocks();
        // The threads of the present are taken down when the others stand: that would contend with the fork.
        let mut former = Tasks::new();
        self.keep_newest();
        if let Some(program) = self.program.take() {
            let own: Vec<Pid> =
                self.tasks.iter().filter(|(_, task)| task.pid == program.leader).map(|(tid, _)| *tid).collect();
            for tid in own {
                former.extend(self.tasks.remove(&tid).map(|task| (tid, task)));
                self.virtual_ids.remove(&tid);
            }
        }
        if former.values().any(|task| !task.is_stopped()) {
            self.kill_tasks(&former);
            former.clear();
        }
        self.served = served;
        self.recording.begin_from(mark);
        let made = fork::fork(leader, &snapshot.threads[0]).and_then(|pid| self.revive(pid, &snapshot, Role::Program));
        self.kill_tasks(&former);
        if made.is_ok() {
            self.put_blocks(&blocks);
        }
        made.map_err(|error| {
            self.kill_served();
            self.restore_failed(error)
        })
    }

    /// Makes a forked copy a live process: its other threads, then everything that fork has not carried.
    fn revive(&mut self, pid: Pid, snapshot: &Rc<Snapshot>, role: Role) -> Result<Vec<String>, InjectError> {
        self.take_role(pid, snapshot, role)?;
        self.tasks.insert(pid, Task::stopped(pid, pid));
        self.virtual_ids.insert(pid, snapshot.virtual_id);
        if let Some(processors) = &snapshot.processors {
            // Before its other threads are made, which inherit it.
            sched_setaffinity(pid, processors).ok();
        }
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
        let only = self.put_back_only(role);
        // Along the notes timers' signals come as they came.
        let recorded = self.recording.on && self.recording.served == (role == Role::Program);
        let noted = recorded && !self.recording.has_loose_signals();
        let warnings = state::put_back_all(&snapshot.state, &mut leader, &real, &only, !noted)?;
        leader.finish()?;
        if self.recording.served == (role == Role::Program) {
            self.set_clocks_up();
        }
        self.put_modes_back(snapshot, role);
        Ok(warnings)
    }

    /// Of which descriptors what they stand for is put back in a process that is about to run.
    fn put_back_only(&self, role: Role) -> impl Fn(i32) -> bool + use<> {
        let recorded = self.recording.served == (role == Role::Program);
        let mark = self.recording.mark().filter(|_| recorded);
        move |number| mark.as_ref().is_none_or(|mark| mark.puts_back(number))
    }

    fn take_role(&mut self, pid: Pid, snapshot: &Snapshot, role: Role) -> Result<(), InjectError> {
        match role {
            Role::Main => {
                self.main = Some(pid);
                self.main_virtual = snapshot.virtual_id;
                self.zombies = snapshot.state.zombies.clone();
            }
            Role::Program => {
                let memory = Memory::open(pid).map_err(|source| InjectError::Io {
                    what: "opening the memory",
                    pid: pid.as_raw(),
                    source,
                })?;
                self.program = Some(Program {
                    leader: pid,
                    virtual_id: snapshot.virtual_id,
                    zombies: snapshot.state.zombies.clone(),
                    memory,
                    attached: snapshot.attached,
                });
            }
        }
        Ok(())
    }

    fn put_modes_back(&mut self, snapshot: &Snapshot, role: Role) {
        match (&mut self.program_terminal, role) {
            (Some(terminal), Role::Program) => terminal.set_modes(&snapshot.modes),
            _ => self.terminal.set_modes(&snapshot.modes),
        }
    }

    /// Runs a suspended process again.
    pub(super) fn resume(&mut self, id: CopyId) -> Result<(), String> {
        self.kill_live();
        let usable = self
            .copies
            .get(&id)
            .is_some_and(|copy| copy.main.is_some() && copy.parts().all(|part| !part.dead && !part.threads.is_empty()));
        let Some(copy) = (if usable { self.copies.remove(&id) } else { None }) else {
            return Err("cannot go back to the process that was put aside: it was killed from outside".to_owned());
        };
        self.served = copy.served;
        self.server = copy.server;
        self.connection = copy.connection;
        self.recording.go_to(copy.mark);
        self.run += 1;
        let mut put_back = Ok(());
        for (part, role) in [(copy.main, Role::Main), (copy.program, Role::Program)] {
            let Some(part) = part else { continue };
            let again = self.take_up(part, role);
            put_back = put_back.and(again);
        }
        // Parked threads look again whether something waits for them, so that the client hears of it.
        for task in self.tasks.values_mut() {
            task.parked = None;
        }
        self.release();
        put_back.map_err(|error| format!("cannot put everything back: {error}"))
    }

    /// Takes a process up again that was put aside.
    fn take_up(&mut self, part: Part, role: Role) -> Result<(), InjectError> {
        self.take_role(part.leader, &part.snapshot, role)?;
        let others = part.threads.keys().copied().filter(|tid| *tid != part.leader);
        let ids: Vec<Pid> = std::iter::once(part.leader).chain(others).collect();
        self.tasks.extend(part.threads);
        for (tid, state) in ids.iter().zip(&part.snapshot.threads) {
            if tid.as_raw() != state.virtual_id {
                self.virtual_ids.insert(*tid, state.virtual_id);
            }
        }
        let only = self.put_back_only(role);
        let put_back = Injector::borrow(part.leader, part.leader).and_then(|mut leader| {
            state::after_fork(&part.snapshot.state, &mut leader)?;
            state::put_back_shared(&part.snapshot.state, &mut leader, &|known| known, &only)?;
            leader.finish()
        });
        self.put_modes_back(&part.snapshot, role);
        self.tune_clocks();
        put_back
    }

    /// Kills a stopped copy.
    pub(super) fn drop_copy(&mut self, id: CopyId) {
        let Some(copy) = self.copies.remove(&id) else {
            return;
        };
        for part in copy.parts().filter(|part| !part.dead) {
            crate::ptrace::kill(part.leader).ok();
            self.dying.insert(part.leader);
            self.dying.extend(part.threads.keys());
        }
        let of_notes = self.recording.copies_of_notes();
        let needed = self.copies.iter().filter(|(id, _)| !of_notes.contains(id));
        self.recording.forget(needed.filter_map(|(_, copy)| copy.mark.as_ref()));
        for gone in self.places_forgotten() {
            self.drop_copy(gone);
        }
    }

    /// Whether a thread belongs to a stopped copy.
    pub(super) fn is_copy(&self, tid: Pid) -> bool {
        let mut parts = self.copies.values().flat_map(Copy::parts);
        parts.any(|part| part.leader == tid || part.threads.contains_key(&tid))
    }

    /// A stopped copy can only be killed.
    pub(super) fn copy_changed(&mut self, tid: Pid, status: i32) {
        if libc::WIFSTOPPED(status) {
            // The stop before its end.
            raw::resume(libc::PTRACE_CONT, tid, 0).ok();
            return;
        }
        for part in self.copies.values_mut().flat_map(Copy::parts_mut) {
            if part.leader == tid {
                part.dead = true;
            }
            part.threads.remove(&tid);
        }
    }

    /// Registers of the thread of the program that was told of last, or of that of a copy.
    pub(super) fn program_registers(&self, of: Option<CopyId>) -> Result<ProgramRegisters, String> {
        let none = "there is no program to be looked at";
        let (pid, tid, found, turns, threads) = match of {
            None => {
                let program = self.program.as_ref().ok_or(none)?;
                let real = self.real_id(self.served.current);
                let real = if self.is_served(real) { real } else { program.leader };
                let found = raw::registers(real).map_err(|error| format!("cannot read the registers: {error}"))?;
                (program.leader, self.virtual_id(real), found, self.leader_in_turn(), self.served_threads().len())
            }
            Some(id) => {
                let copy = self.copies.get(&id).ok_or(none)?;
                let part = copy.program.as_ref().ok_or(none)?;
                let threads = &part.snapshot.threads;
                let thread = threads.iter().find(|state| state.virtual_id == copy.served.current).or(threads.first());
                let thread = thread.ok_or(none)?;
                let turns = (copy.mark.is_some() && threads.len() > 1).then_some(part.snapshot.virtual_id);
                (part.leader, thread.virtual_id, thread.registers, turns, threads.len())
            }
        };
        Ok(ProgramRegisters {
            pid: pid.as_raw(),
            tid,
            turns,
            threads,
            rip: found.rip,
            general: [
                found.rax, found.rdx, found.rcx, found.rbx, found.rsi, found.rdi, found.rbp, found.rsp, found.r8,
                found.r9, found.r10, found.r11, found.r12, found.r13, found.r14, found.r15,
            ],
        })
    }

    /// Memory of the program, or of that of a copy; what cannot be read is cut off.
    pub(super) fn program_memory(&self, of: Option<CopyId>, address: u64, length: u64) -> Result<Vec<u8>, String> {
        const MOST: u64 = 16 << 20;
        let none = "there is no program to be looked at";
        let pid = match of {
            None => self.program_leader().ok_or(none)?,
            Some(id) => self.copies.get(&id).and_then(|copy| copy.program.as_ref()).ok_or(none)?.leader,
        };
        let mut bytes = vec![0u8; usize::try_from(length.min(MOST)).unwrap_or(0)];
        let read = raw::read_remote(pid, address, &mut bytes);
        bytes.truncate(read);
        Ok(bytes)
    }
}

const KILLED: &str = "cannot restore this checkpoint: its process was killed from outside; fred-list shows the others";
