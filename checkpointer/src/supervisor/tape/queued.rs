//! Signals that a process has sent itself, and that wait because they are blocked. They are sent again along the notes, and wait in the
//! kernel there, too; but the calls that take them, or that open the mask for them, are answered and not made. So they are taken off then.

use nix::unistd::Pid;
use syscalls::Sysno;

use super::super::Supervisor;
use super::super::events::waiting_signals;
use super::line::Entry;
use super::signals::Place;
use crate::inject::injector::Injector;
use crate::inject::{InjectError, Remote};
use crate::raw;

impl Supervisor {
    /// Whether a signal has been let in by the mask of the call in which a thread stands, and would wait without it.
    pub(super) fn is_let_in_by_call(&self, tid: Pid, number: i32, at: Option<Place>) -> bool {
        // The mask is that of before the call (kernel/ptrace.c, PTRACE_GETSIGMASK).
        let blocked = || raw::signal_mask(tid).is_ok_and(|mask| mask & 1 << (number - 1) != 0);
        self.recording.is_live() && !self.is_aside() && at == Some(Place::Inside) && blocked()
    }

    /// The signal that a noted call has taken from those that wait, if it waits now.
    pub(super) fn taken_by(&self, tid: Pid, entry: &Entry) -> Option<i32> {
        if entry.asked.number != Sysno::rt_sigtimedwait.id() as u32 {
            return None;
        }
        i32::try_from(entry.result).ok().filter(|number| *number > 0 && waits(tid, *number))
    }

    /// Takes a signal off those that wait for a thread or its process; the thread stands outside of any call.
    pub(super) fn take_off(&mut self, tid: Pid, number: i32) {
        if !waits(tid, number) {
            return;
        }
        let pid = self.tasks.get(&tid).map_or(tid, |task| task.pid);
        let taken = || -> Result<(), InjectError> {
            let mut injector = Injector::borrow(pid, tid)?;
            let set = injector.scratch();
            // The set, and a timeout of nothing.
            let words = [1u64 << (number - 1), 0, 0].map(u64::to_ne_bytes);
            injector.write(set, words.as_flattened())?;
            injector.call(Sysno::rt_sigtimedwait, [set, 0, set + 8, 8, 0, 0])?;
            injector.finish()
        };
        if let Err(error) = taken() {
            tracing::warn!("signal {number} still waits for {tid}: {error}");
        }
    }
}

fn waits(tid: Pid, number: i32) -> bool {
    waiting_signals(tid).is_some_and(|(waiting, _)| waiting & 1 << (number - 1) != 0)
}
