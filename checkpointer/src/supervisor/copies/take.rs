//! Taking copies: of debugger and program, of the program alone, by a fork or by putting the process itself aside.

use std::rc::Rc;

use nix::unistd::Pid;

use super::{Copy, Part, Role, Snapshot};
use crate::inject::InjectError;
use crate::inject::injector::Injector;
use crate::snapshot::fork;
use crate::snapshot::state;
use crate::snapshot::threads;
use crate::supervisor::Supervisor;
use crate::supervisor::tasks::{Tasks, name_of};
use crate::wire::CopyId;

impl Supervisor {
    /// Forks the running process, and the program that is served to it, and lets them go on.
    pub(in crate::supervisor) fn checkpoint(&mut self) -> Result<(CopyId, Pid), String> {
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
    pub(in crate::supervisor) fn checkpoint_program(&mut self) -> Result<(CopyId, Pid), String> {
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
    pub(in crate::supervisor) fn keep_program_stopped(&mut self) -> Result<CopyId, String> {
        let leader = self.program_leader().ok_or("there is none")?;
        self.stop_served();
        if self.program_leader() != Some(leader) {
            return Err("it has just ended".to_owned());
        }
        let made = self.forked(leader, Role::Program).map_err(|error| error.to_string())?;
        let copy = self.copy_of(None, Some(made));
        Ok(self.keep(copy))
    }

    /// A fork of one process that is held.
    pub(super) fn forked(&mut self, leader: Pid, role: Role) -> Result<Part, InjectError> {
        let snapshot = self.capture(leader, role)?;
        let forked = fork::fork(leader, &snapshot.threads[0]);
        as_before(leader, &snapshot)?;
        let forked = forked.and_then(|copy| self.without_ends(copy, role));
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
        let forked = self.without_ends(forked, Role::Main)?;
        let main = Part { leader: forked, snapshot: Rc::new(snapshot), threads: Tasks::new(), dead: false };
        match program {
            Ok(program) => Ok((main, Some(program))),
            Err(error) => {
                self.discard(main);
                Err(error)
            }
        }
    }

    /// The copy, without what others wait for to be closed.
    fn without_ends(&self, copy: Pid, role: Role) -> Result<Pid, InjectError> {
        if self.recording.served == (role == Role::Program) {
            self.hide_ends(copy)?;
        }
        Ok(copy)
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
        let waiting = recorded.as_ref().map(|part| part.snapshot.state.signals.foreign());
        let mark = self.recording.mark_of_copy(timers, waiting.unwrap_or_default());
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
    pub(in crate::supervisor) fn suspend(&mut self) -> Result<(CopyId, Pid), String> {
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

    /// Stops every live thread; refuses if there is more than the session's own processes.
    pub(super) fn held(&mut self, doing: &str) -> Result<Pid, String> {
        let main = self.main.ok_or_else(|| format!("cannot {doing}: no process is running"))?;
        // Before anything is stopped: the parent of a vfork'ed child cannot be until that has gone on (kernel/fork.c,
        // wait_for_vfork_done).
        self.refuse_others(main, doing)?;
        if self.program.is_some() {
            self.stop_served();
            self.leave_entries();
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

    fn capture(&mut self, leader: Pid, role: Role) -> Result<Snapshot, InjectError> {
        self.note_copy(leader);
        self.unpin();
        if role == Role::Program && self.running.is_none() {
            // What is left of those of a place in the notes is not the program's.
            self.take_down_trampolines();
        }
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
}

/// Takes back on a process what [`state::capture_all`] did to make it forkable.
fn as_before(pid: Pid, snapshot: &Snapshot) -> Result<(), InjectError> {
    let mut injector = Injector::borrow(pid, pid)?;
    state::after_fork(&snapshot.state, &mut injector)?;
    injector.finish()
}
