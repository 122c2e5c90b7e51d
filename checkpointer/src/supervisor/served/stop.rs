//! Stops of the served program: bringing all its threads to one, and telling the debugger.

use nix::unistd::Pid;

use super::Supervisor;
use crate::ptrace::Change;
use crate::raw;
use crate::rsp::target::{Stop, Why};
use crate::supervisor::tasks::{Activity, Task};
use crate::wire::{Event, ProgramChange};

impl Supervisor {
    /// Something that the debugger is to be told. Brings everything to a stop.
    pub(in crate::supervisor) fn happened(&mut self, tid: Pid, why: Why) {
        self.stop_served();
        let thread = self.virtual_id(tid);
        self.tell_stop(&Stop::Thread { tid: thread, why });
    }

    /// Tells the debugger, and then the client.
    pub(in crate::supervisor) fn tell_stop(&mut self, stop: &Stop) {
        self.served.running = false;
        self.served.interrupting = None;
        if let Stop::Thread { tid, .. } = stop {
            self.served.current = *tid;
        }
        for control in self.served.threads.values_mut() {
            control.motion = None;
        }
        self.tell_server(stop);
        let gone = !matches!(stop, Stop::Thread { .. });
        self.tell(Event::Program(if gone { ProgramChange::Gone } else { ProgramChange::Stopped }));
    }

    /// Brings every thread of the program to a stop and takes the breakpoints out of its memory. What the others have met on
    /// their way is kept for later.
    pub(in crate::supervisor) fn stop_served(&mut self) {
        loop {
            let threads = self.served_threads();
            let running: Vec<Pid> =
                threads.into_iter().filter(|tid| self.tasks.get(tid).is_some_and(|task| !task.is_stopped())).collect();
            if running.is_empty() {
                break;
            }
            for tid in &running {
                if let Some(Task { activity: Some(Activity::Running(running)), .. }) = self.tasks.get(tid) {
                    running.interrupt().ok();
                }
            }
            for tid in running {
                self.await_served(tid);
            }
        }
        for tid in self.served_threads() {
            self.leave_trampoline(tid, true);
        }
        if self.running.is_none() {
            // What its debugger does next may be a step.
            self.do_without_trampolines();
        }
        self.remove_breakpoints();
    }

    /// Waits for a stop of a thread that has been interrupted, and keeps what it has to tell.
    fn await_served(&mut self, tid: Pid) {
        let Ok(Some((tid, status))) = raw::wait(Some(tid), true) else {
            self.tasks.remove(&tid);
            return;
        };
        let what = self.record(tid, status);
        self.keep_met(tid, what);
    }

    /// Keeps what a thread has met while the program was being stopped.
    pub(in crate::supervisor) fn keep_met(&mut self, tid: Pid, what: Change) {
        match what {
            Change::Seccomp => {
                self.back_out(tid);
            }
            Change::Syscall => {
                self.stopped_behind_call(tid);
                self.back_out_if_entering(tid);
            }
            Change::Ending => self.let_end(tid),
            Change::Born => {
                let newborn = self.await_newborn(tid);
                let thread = newborn.is_some_and(|(newborn, _)| self.is_served(newborn));
                self.control(tid).pending = self.served_birth(tid, newborn);
                if thread {
                    self.leave_birth(tid);
                }
            }
            Change::VforkDone if std::mem::take(&mut self.served.vforked) => {
                self.control(tid).pending = Some(Why::VforkDone);
            }
            Change::Signal(number) => self.keep_signal(tid, number),
            // The kernel reports an interrupt before a trap that the thread has just run into (6 of 100 traps in a loop of them,
            // Linux 6.18): it stands behind a breakpoint, inside of an instruction when that is put back, and a copy of it
            // would not get the trap.
            Change::Interrupted if trap_waits(tid) => {
                tracing::debug!("{tid} was interrupted in a trap");
                if raw::resume(libc::PTRACE_CONT, tid, 0).is_ok() {
                    self.await_served(tid);
                }
            }
            _ => {}
        }
    }

    /// The debugger is told of a stop without a reason instead of the end of a step.
    pub(in crate::supervisor) fn halt(&mut self) {
        self.served.exchanged = true;
        self.served.halting = true;
    }

    /// A stop that was asked for.
    pub(super) fn tell_if_interrupted(&mut self) {
        let Some(signal) = self.served.interrupting.take() else { return };
        if !self.served.running || self.running.is_some() {
            return;
        }
        let current = self.real_id(self.served.current);
        let threads = self.served_threads();
        let Some(tid) = threads.iter().copied().find(|tid| *tid == current).or(threads.first().copied()) else {
            return;
        };
        self.happened(tid, Why::Signal(signal));
    }
}

/// Whether a stopped thread has run into a trap, by a breakpoint or a step, that has not been reported yet.
fn trap_waits(tid: Pid) -> bool {
    let mut waiting = [[0; raw::SIGINFO_SIZE]; 4];
    let count = raw::peek_siginfo(tid.as_raw(), false, 0, &mut waiting).unwrap_or(0);
    // si_signo, si_errno, si_code
    let word = |info: &[u8], index: usize| info[index * 4..].first_chunk().map(|bytes| i32::from_le_bytes(*bytes));
    waiting[..count]
        .iter()
        .any(|info| word(info, 0) == Some(libc::SIGTRAP) && word(info, 2).is_some_and(|code| code > 0))
}
