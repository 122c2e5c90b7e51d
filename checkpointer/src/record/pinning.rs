//! Tracer and threads on one processor while stops follow each other closely: nobody has to be woken on another one then. Only
//! one thread runs at a time in any case; a program that seldom stops has all processors that it had.

use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Stops that are looked at together.
const STOPS: u32 = 32;

/// They are close when they take no longer than this.
const CLOSE: Duration = Duration::from_millis(8);

/// Who is where.
#[derive(Debug)]
pub(super) struct Pinning {
    /// What the tracer may use.
    allowed: Option<CpuSet>,
    pinned: bool,
    stops: u32,
    since: Instant,
}

impl Pinning {
    /// Everybody is where they like.
    pub fn new() -> Pinning {
        let allowed = sched_getaffinity(Pid::from_raw(0)).ok();
        Pinning { allowed, pinned: false, stops: 0, since: Instant::now() }
    }

    /// A thread has stopped. `threads` are all threads, by their real ids.
    pub fn note_stop(&mut self, threads: impl Iterator<Item = Pid>) {
        self.stops += 1;
        if self.stops < STOPS {
            return;
        }
        let close = self.since.elapsed() <= CLOSE * if self.pinned { 4 } else { 1 };
        self.stops = 0;
        self.since = Instant::now();
        if close != self.pinned {
            if close { self.pin(threads) } else { self.unpin(threads) }
        }
    }

    fn pin(&mut self, threads: impl Iterator<Item = Pid>) {
        let Some(allowed) = &self.allowed else { return };
        let here = nix::sched::sched_getcpu().ok().filter(|cpu| allowed.is_set(*cpu).unwrap_or(false));
        let Some(here) = here else { return };
        let mut one = CpuSet::new();
        if one.set(here).is_err() || sched_setaffinity(Pid::from_raw(0), &one).is_err() {
            return;
        }
        for tid in threads {
            sched_setaffinity(tid, &one).ok();
        }
        self.pinned = true;
    }

    /// Everybody may be anywhere again.
    pub fn unpin(&mut self, threads: impl Iterator<Item = Pid>) {
        let Some(allowed) = self.allowed.as_ref().filter(|_| self.pinned) else { return };
        sched_setaffinity(Pid::from_raw(0), allowed).ok();
        for tid in threads {
            sched_setaffinity(tid, allowed).ok();
        }
        self.pinned = false;
    }

    /// The program is about to ask where it may run, or to decide it: from here on that is its own affair.
    pub fn give_up(&mut self, threads: impl Iterator<Item = Pid>) {
        self.unpin(threads);
        self.allowed = None;
    }
}

impl Drop for Pinning {
    fn drop(&mut self) {
        self.unpin(std::iter::empty());
    }
}
