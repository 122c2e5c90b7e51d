//! Every thread of the session is brought to a stop outside of system calls, and let go again as it was.

use nix::unistd::Pid;

use crate::ptrace::{Change, How};
use crate::raw;
use crate::supervisor::Supervisor;
use crate::supervisor::tasks::{Activity, Task};

impl Supervisor {
    /// Brings every live thread to a stop.
    pub(super) fn hold(&mut self) {
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
    pub(in crate::supervisor) fn leave_birth(&mut self, tid: Pid) {
        if raw::resume(libc::PTRACE_SYSCALL, tid, 0).is_ok()
            && let Ok(Some((tid, status))) = raw::wait(Some(tid), true)
        {
            self.record(tid, status);
        }
    }

    /// A thread that was to be stopped is about to end: nothing can be done to it there, so it does.
    pub(in crate::supervisor) fn let_end(&mut self, tid: Pid) {
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

    pub(in crate::supervisor) fn back_out_if_entering(&mut self, tid: Pid) {
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
    pub(in crate::supervisor) fn await_newborn(&mut self, parent: Pid) -> Option<(Pid, Change)> {
        let born = nix::sys::ptrace::getevent(parent).ok()?;
        let born = Pid::from_raw(i32::try_from(born).ok()?);
        if self.early.remove(&born) {
            self.recorded_birth(parent, born);
            self.pin_newborn(parent, born);
            self.child_is_born(parent, born);
            return Some((born, Change::Interrupted));
        }
        // Its first stop may have been reported before its birth, and it may have come far since.
        if self.tasks.contains_key(&born) || self.is_stand_in(born) {
            return None;
        }
        let (tid, status) = raw::wait(Some(born), true).ok()??;
        let what = self.record(tid, status);
        self.recorded_birth(parent, tid);
        self.pin_newborn(parent, tid);
        self.child_is_born(parent, tid);
        Some((tid, what))
    }

    /// Lets every live thread go on that is not parked; those of the served program only if it runs.
    pub(in crate::supervisor) fn release(&mut self) {
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
}
