//! Tracer and tracee on one processor: stops that follow each other closely are 3.5 times as many a second as on two, because
//! nobody has to be woken on another one. Only while it pays: a program that runs has all processors that it had.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::Supervisor;

/// What was allowed before.
#[derive(Debug)]
pub(in crate::supervisor) struct Pinned {
    ours: CpuSet,
    threads: Vec<(Pid, CpuSet)>,
}

impl Supervisor {
    /// Puts ourselves and the threads of the program on one processor.
    pub(super) fn pin(&mut self) {
        self.pin_threads(self.served_threads());
    }

    /// The same for a process with one thread.
    pub(in crate::supervisor) fn pin_process(&mut self, pid: Pid) {
        let threads: Vec<Pid> = self.tasks.iter().filter(|(_, task)| task.pid == pid).map(|(tid, _)| *tid).collect();
        if threads.len() == 1 {
            self.pin_threads(threads);
        }
    }

    fn pin_threads(&mut self, threads: Vec<Pid>) {
        if self.pinned.is_some() {
            return;
        }
        let Ok(ours) = sched_getaffinity(Pid::from_raw(0)) else { return };
        let threads: Vec<(Pid, CpuSet)> =
            threads.into_iter().filter_map(|tid| Some((tid, sched_getaffinity(tid).ok()?))).collect();
        let common = |cpu: &usize| {
            ours.is_set(*cpu).unwrap_or(false) && threads.iter().all(|(_, set)| set.is_set(*cpu).unwrap_or(false))
        };
        let Some(cpu) = (0..CpuSet::count()).rev().find(common) else { return };
        let mut one = CpuSet::new();
        if one.set(cpu).is_err() || sched_setaffinity(Pid::from_raw(0), &one).is_err() {
            return;
        }
        for (tid, _) in &threads {
            sched_setaffinity(*tid, &one).ok();
        }
        self.pinned = Some(Pinned { ours, threads });
    }

    /// Gives everybody back what they had.
    pub(in crate::supervisor) fn unpin(&mut self) {
        let Some(pinned) = self.pinned.take() else { return };
        sched_setaffinity(Pid::from_raw(0), &pinned.ours).ok();
        for (tid, set) in &pinned.threads {
            sched_setaffinity(*tid, set).ok();
        }
    }
}
