//! What both recorders, of whole programs ([`crate::record`]) and of sessions, know of signals: which ones recur by themselves, what one
//! does to a process, and how those wait that a thread is still to get.

use std::collections::VecDeque;
use std::time::Instant;

use nix::unistd::Pid;

use crate::raw::SigInfo;

/// Whether a signal comes from the thread's own instruction, and so recurs by itself (sigaction(2), `si_code`).
pub(crate) fn is_fault(number: i32, information: &SigInfo) -> bool {
    const BUS_MCEERR_AO: i32 = 5;
    let code = information.0.si_code;
    matches!(number, libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL | libc::SIGTRAP | libc::SIGSYS)
        && code > 0
        && !(number == libc::SIGBUS && code == BUS_MCEERR_AO)
}

/// Where the frame of a handler that is about to run keeps the mask (arch/x86/include/asm/sigframe.h, `struct rt_sigframe`:
/// a return address, then `struct ucontext` with the mask behind 40 bytes and the 256 of `struct sigcontext_64`).
pub(crate) fn saved_mask(stack: u64) -> u64 {
    stack + 8 + 40 + 256
}

/// What a signal does to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// It has a handler.
    Caught,
    Ignored,
    Stops,
    Ends,
}

/// What a signal does to the process of a thread.
pub(crate) fn disposition(tid: Pid, number: i32) -> Disposition {
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).unwrap_or_default();
    disposition_in(&status, number)
}

/// The same, from the text of /proc/PID/status; the default actions are those of signal(7).
fn disposition_in(status: &str, number: i32) -> Disposition {
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok()).unwrap_or(0)
    };
    let bit = 1u64 << (number - 1);
    match number {
        _ if mask("SigCgt:") & bit != 0 => Disposition::Caught,
        _ if mask("SigIgn:") & bit != 0 => Disposition::Ignored,
        libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH | libc::SIGCONT => Disposition::Ignored,
        libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => Disposition::Stops,
        _ => Disposition::Ends,
    }
}

/// Signals that a thread is still to get.
#[derive(Debug, Default)]
pub(crate) struct Deferred {
    signals: VecDeque<(i32, SigInfo)>,
    since: Option<Instant>,
}

impl Deferred {
    /// One more.
    pub(crate) fn push(&mut self, number: i32, information: SigInfo) {
        // One of the old kind that waits already is not queued again (signal(7)).
        if number >= libc::SIGRTMIN() || self.signals.iter().all(|(waiting, _)| *waiting != number) {
            self.signals.push_back((number, information));
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// Those of another one, behind its own.
    pub(crate) fn extend(&mut self, others: &Deferred) {
        for (number, information) in &others.signals {
            self.push(*number, *information);
        }
    }

    /// Whether there are any.
    pub(crate) fn any(&self) -> bool {
        !self.signals.is_empty()
    }

    /// Since when there have been some.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// The one that comes next to a thread with this mask: one that is blocked goes back to the kernel, and keeps nobody waiting.
    pub(crate) fn take_next(&mut self, mask: u64) -> Option<(i32, SigInfo)> {
        let blocked = |number: i32| mask & 1 << (number - 1) != 0;
        let first = self.signals.iter().position(|(number, _)| blocked(*number)).unwrap_or(0);
        self.take_at(first)
    }

    /// The one that has waited longest.
    pub(crate) fn take(&mut self) -> Option<(i32, SigInfo)> {
        self.take_at(0)
    }

    fn take_at(&mut self, index: usize) -> Option<(i32, SigInfo)> {
        let taken = self.signals.remove(index);
        self.since = self.since.filter(|_| !self.signals.is_empty());
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw;

    fn information() -> SigInfo {
        raw::signal_of_bytes(&[])
    }

    #[test]
    fn one_of_the_old_kind_is_not_queued_twice() {
        let mut deferred = Deferred::default();
        let queued = libc::SIGRTMIN() + 1;
        for number in [libc::SIGALRM, queued, libc::SIGALRM, queued, libc::SIGUSR1] {
            deferred.push(number, information());
        }
        let since = deferred.since();
        assert!(since.is_some());
        let taken: Vec<i32> = std::iter::from_fn(|| deferred.take()).map(|(number, _)| number).collect();
        assert_eq!(taken, [libc::SIGALRM, queued, queued, libc::SIGUSR1]);
        assert!(deferred.since().is_none() && !deferred.any());
    }

    #[test]
    fn what_is_blocked_goes_back_first() {
        let mut deferred = Deferred::default();
        for number in [libc::SIGALRM, libc::SIGUSR1, libc::SIGUSR2] {
            deferred.push(number, information());
        }
        let blocked = 1 << (libc::SIGUSR2 - 1);
        let taken = [blocked, blocked, 0].map(|mask| deferred.take_next(mask).map(|(number, _)| number));
        assert_eq!(taken, [libc::SIGUSR2, libc::SIGALRM, libc::SIGUSR1].map(Some));
        assert!(deferred.take_next(0).is_none());
    }

    #[test]
    fn a_handler_comes_before_the_default() {
        let bit = |number: i32| 1u64 << (number - 1);
        let (ignored, caught) = (bit(libc::SIGUSR1), bit(libc::SIGCHLD) | bit(libc::SIGTSTP));
        let status = format!("Name:\tx\nSigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\n");
        let of = |number| disposition_in(&status, number);
        assert_eq!(of(libc::SIGCHLD), Disposition::Caught);
        assert_eq!(of(libc::SIGTSTP), Disposition::Caught);
        assert_eq!(of(libc::SIGUSR1), Disposition::Ignored);
        assert_eq!(of(libc::SIGWINCH), Disposition::Ignored);
        assert_eq!(of(libc::SIGTTIN), Disposition::Stops);
        assert_eq!(of(libc::SIGUSR2), Disposition::Ends);
    }
}
