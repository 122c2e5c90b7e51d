//! Tracer and tracees on one processor: stops that follow each other closely are 3.5 times as many a second as on two, because
//! nobody has to be woken on another one. Only while it pays: a program that runs has all processors that it had.

use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::Supervisor;
use crate::rsp::target::Motion;

/// How long a program of several threads may be kept on one processor while it is not stepped.
const MOST_PINNED: Duration = Duration::from_millis(5);

/// What was allowed before.
#[derive(Debug)]
pub(in crate::supervisor) struct Pinned {
    ours: CpuSet,
    threads: Vec<(Pid, CpuSet)>,
    /// Where everybody is now.
    one: CpuSet,
}

impl Supervisor {
    /// Puts ourselves and the threads of the program on one processor, and the debugger's first thread, which waits for our
    /// answers or for its user.
    pub(super) fn pin(&mut self) {
        self.pin_threads(self.served_threads().into_iter().chain(self.main).collect());
    }

    /// The same for a process of whose threads one runs at a time.
    pub(in crate::supervisor) fn pin_process(&mut self, pid: Pid) {
        let threads: Vec<Pid> = self.tasks.iter().filter(|(_, task)| task.pid == pid).map(|(tid, _)| *tid).collect();
        if threads.len() == 1 || self.takes_turns(pid) {
            self.pin_threads(threads);
        }
    }

    /// A thread has made another one, which is where it is itself.
    pub(in crate::supervisor) fn pin_newborn(&mut self, parent: Pid, newborn: Pid) {
        let process = |tid| self.tasks.get(&tid).map(|task| task.pid);
        if process(parent) != process(newborn) {
            return;
        }
        if let Some(pinned) = &mut self.pinned
            && let Some((_, set)) = pinned.threads.iter().find(|(known, _)| *known == parent).copied()
        {
            pinned.threads.push((newborn, set));
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
        self.pinned = Some(Pinned { ours, threads, one });
    }

    /// A thread has ended: its id may become another's.
    pub(in crate::supervisor) fn pinned_ended(&mut self, tid: Pid) {
        if let Some(pinned) = &mut self.pinned {
            pinned.threads.retain(|(known, _)| *known != tid);
        }
    }

    /// Gives everybody back what they had.
    pub(in crate::supervisor) fn unpin(&mut self) {
        let Some(pinned) = self.pinned.take() else { return };
        sched_setaffinity(Pid::from_raw(0), &pinned.ours).ok();
        for (tid, set) in &pinned.threads {
            sched_setaffinity(*tid, set).ok();
            // What it has started since is where it was.
            let (leader, others) = (self.tasks.get(tid).map(|task| task.pid), self.tasks.iter());
            for (other, _) in others.filter(|(other, task)| Some(task.pid) == leader && *other != tid) {
                let unknown = pinned.threads.iter().all(|(known, _)| known != other);
                if unknown && sched_getaffinity(*other) == Ok(pinned.one) {
                    sched_setaffinity(*other, set).ok();
                }
            }
        }
    }

    /// Gives a program that has been let go, and of which nothing is heard, what it had.
    pub(in crate::supervisor) fn unpin_what_runs(&mut self) {
        let goes = self.served.running || self.program.is_none();
        if goes && self.running.is_none() {
            self.unpin();
        }
    }

    /// The same for one whose threads want more than one processor, when it has run for a while, whatever is heard of it.
    pub(in crate::supervisor) fn unpin_what_computes(&mut self) {
        let Some(pinned) = &self.pinned else { return };
        let alone = self.recorded_leader().is_some_and(|leader| self.takes_turns(leader));
        let several = pinned.threads.len() > 2 && !alone;
        let stepped = self.served.threads.values().any(|control| {
            matches!(control.motion, Some(Motion::Step | Motion::Range { .. })) || control.lifted.is_some()
        });
        if several && !stepped && self.served.resumed.is_some_and(|since| since.elapsed() > MOST_PINNED) {
            self.unpin_what_runs();
        }
    }

    /// The processors that a thread would have without us; `None` if it has them.
    pub(in crate::supervisor) fn processors_of(&self, tid: Pid) -> Option<CpuSet> {
        let threads = &self.pinned.as_ref()?.threads;
        threads.iter().find(|(known, _)| *known == tid).map(|(_, set)| *set)
    }
}
