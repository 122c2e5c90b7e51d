//! Copies come to life: a checkpoint is forked again and takes the place of what was live; what was put aside goes on.

use std::rc::Rc;

use nix::sched::sched_setaffinity;
use nix::unistd::Pid;

use super::{Copy, Part, Role, Snapshot};
use crate::inject::InjectError;
use crate::inject::injector::Injector;
use crate::rsp::target::{Stop, Why};
use crate::snapshot::fork;
use crate::snapshot::state;
use crate::snapshot::threads;
use crate::supervisor::Supervisor;
use crate::supervisor::served::{Memory, Program};
use crate::supervisor::tasks::{Task, Tasks};
use crate::wire::CopyId;

impl Supervisor {
    /// Runs a fresh copy of a stopped one.
    pub(in crate::supervisor) fn start(&mut self, id: CopyId) -> Result<Vec<String>, String> {
        self.unpin();
        // What is stopped can wait until the copy runs: taking its memory down would contend with the fork.
        self.keep_newest();
        let newest = self.newest_with_locks();
        let mut former = self.take_live();
        if former.values().any(|task| !task.is_stopped()) {
            self.kill_tasks(&former);
            former.clear();
        }
        let former = self.without_keeper(former, newest);
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
    pub(in crate::supervisor) fn exchange(&mut self, id: CopyId) -> Result<Vec<String>, String> {
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
        let newest = self.newest_with_locks();
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
        let former = self.without_keeper(former, newest);
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
        if self.recording.served == (role == Role::Program) {
            self.show_ends(pid, &mut leader)?;
        }
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
        // Along the notes signals of timers and of others come as they came.
        let recorded = self.recording.on && self.recording.served == (role == Role::Program);
        let noted = recorded && !self.recording.has_loose_signals();
        let warnings = state::put_back_all(&snapshot.state, &mut leader, &real, &only, noted)?;
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
    pub(in crate::supervisor) fn resume(&mut self, id: CopyId) -> Result<(), String> {
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
        if self.recording.is_live() {
            self.newest_is_back();
            self.end_keeper();
        }
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
}

const KILLED: &str = "cannot restore this checkpoint: its process was killed from outside; fred-list shows the others";
