//! Timers of a recorded process (setitimer(2), timer_create(2)). Along the notes there are none: their signals are noted. Where the
//! notes end they are put back as the newest process had them when it was left, and where another line begins as they were known to be
//! there: at a copy, or behind the last call that changed them, with which they are noted.

use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::super::Supervisor;
use super::line::Rule;
use super::locks::Locks;
use crate::inject::injector::Injector;
use crate::ptrace::Change;
use crate::raw::SigInfo;
use crate::signals::Deferred;
use crate::snapshot::signals;
use crate::snapshot::timers::{self, Timers};
use crate::syscalls::Row;

/// How long a thread that makes no call behind the end of the notes goes without its timers.
const PATIENCE: Duration = Duration::from_millis(50);

/// Whether a call may change timers.
pub(super) fn changes_timers(row: &Row) -> bool {
    matches!(row.name, "alarm" | "setitimer" | "timer_create" | "timer_settime" | "timer_delete")
}

/// What waits for the newest process when it is left.
#[derive(Debug)]
pub(super) struct Newest {
    timers: Rc<Timers>,
    /// Signals that threads have not got, and those of others that wait in the kernel.
    deferred: Deferred,
    /// Locks, if there may be any.
    locks: Option<Rc<Locks>>,
}

impl Newest {
    pub(super) fn has_signals(&self) -> bool {
        self.deferred.any()
    }
}

impl Supervisor {
    /// The timers of a process, with threads by the ids that the program knows.
    pub(in crate::supervisor) fn timers_of(&self, pid: Pid, tid: Pid) -> Option<Rc<Timers>> {
        let found = Injector::borrow(pid, tid).and_then(|mut injector| {
            let found = timers::capture(&mut injector);
            injector.finish().and(found)
        });
        match found {
            Ok(found) => Some(Rc::new(found.renamed(&|real| self.virtual_id(Pid::from_raw(real))))),
            Err(error) => {
                tracing::info!("timers are not known: {error}");
                None
            }
        }
    }

    /// The newest process is left.
    pub(super) fn keep_newest_timers(&mut self, leader: Pid) {
        let own = |task: &&mut super::super::tasks::Task| task.pid == leader;
        if self.tasks.values_mut().filter(own).any(|task| !task.is_stopped()) {
            return;
        }
        let Some(timers) = self.timers_of(leader, leader) else { return };
        let mut deferred = Deferred::default();
        for task in self.tasks.values().filter(|task| task.pid == leader) {
            deferred.extend(&task.deferred);
        }
        for (number, information) in self.waiting_for(leader) {
            deferred.push(number, information);
        }
        self.keep_contents();
        let locks = self.locks_of(leader);
        self.recording.mark.line.borrow_mut().newest = Some(Rc::new(Newest { timers, deferred, locks }));
    }

    /// The notes end here.
    pub(super) fn expect_timers(&mut self, newest: bool) {
        let line = Rc::clone(&self.recording.mark.line);
        let line = line.borrow();
        let newest = line.newest.as_ref().filter(|_| newest);
        self.recording.timers_due =
            newest.map(|newest| &newest.timers).or(self.recording.mark.timers.as_ref()).cloned();
        self.recording.locks_due =
            newest.map_or(self.recording.mark.locks.as_ref(), |newest| newest.locks.as_ref()).cloned();
        let leader = self.recorded_leader();
        let waiting = std::mem::take(&mut self.recording.mark.waiting);
        let Some(task) = leader.and_then(|leader| self.tasks.get_mut(&leader)) else { return };
        match newest {
            Some(newest) => task.deferred.extend(&newest.deferred),
            None => waiting.into_iter().for_each(|(number, information)| task.deferred.push(number, information)),
        }
    }

    /// Signals of others that wait for a stopped process.
    fn waiting_for(&self, leader: Pid) -> Vec<(i32, SigInfo)> {
        let found = Injector::borrow(leader, leader).and_then(|mut injector| {
            let found = signals::capture_process(&mut injector);
            injector.finish().and(found)
        });
        match found {
            Ok(found) => found.foreign(),
            Err(error) => {
                tracing::info!("signals that wait are not known: {error}");
                Vec::new()
            }
        }
    }

    /// Puts timers back that are due, in a thread that stands outside any call.
    pub(in crate::supervisor) fn put_timers_back(&mut self, pid: Pid, tid: Pid) {
        let Some(due) = self.recording.timers_due.take() else { return };
        let done = Injector::borrow(pid, tid).and_then(|mut injector| {
            let real = |known: i32| self.real_id(known).as_raw();
            let warnings = timers::put_back(&due, &mut injector, &real)?;
            injector.finish()?;
            Ok(warnings)
        });
        match done {
            Ok(warnings) => warnings.iter().for_each(|warning| tracing::info!("not brought back: {warning}")),
            Err(error) => tracing::warn!("timers do not run: {error}"),
        }
    }

    /// Before a call that is made for the first time: whether timers have been put back, and the thread comes to the call again.
    pub(super) fn timers_come_first(&mut self, pid: Pid, tid: Pid) -> bool {
        if self.recording.timers_due.as_ref().is_none_or(|due| due.is_empty()) && self.recording.locks_due.is_none() {
            return false;
        }
        if self.back_out(tid) {
            if let Some(locks) = self.recording.locks_due.take() {
                self.take_locks(pid, tid, &locks);
            }
            self.put_timers_back(pid, tid);
        }
        true
    }

    /// How long a thread behind the end of the notes that makes no call goes without timers; for ever where there are none.
    pub(super) fn timers_patience(&mut self) -> Option<Duration> {
        let loose = self.recording.on && self.recording.has_loose_signals();
        let waits = loose || self.recording.on && !self.is_aside() && self.running.is_none();
        let leader = self.recorded_leader().filter(|_| waits)?;
        let runs = self.tasks.values().any(|task| task.pid == leader && !task.is_stopped());
        let mark = &self.recording.mark;
        let line = mark.line.borrow();
        let timers = line.newest.as_ref().map(|newest| &newest.timers).or(mark.timers.as_ref());
        let due = if mark.live { self.recording.timers_due.as_ref() } else { timers };
        // Dear where there have been many threads, and this is asked all the time.
        let ends = || match self.recording.rule() {
            Rule::Exact => line.ends_at(&mark.at),
            Rule::Shared | Rule::Told => line.has_only_queries_behind(&mark.at),
        };
        let ended = runs && due.is_some_and(|timers| !timers.is_empty()) && (mark.live || ends());
        let tick = mark.schedule.tick;
        drop(line);
        if !ended {
            self.recording.without_timers = None;
            return None;
        }
        let since = self.recording.without_timers.filter(|(then, _)| *then == tick);
        let (_, since) = *self.recording.without_timers.insert(since.unwrap_or((tick, Instant::now())));
        Some(PATIENCE.saturating_sub(since.elapsed()))
    }

    /// Puts timers back under a thread that makes no call.
    pub(super) fn put_overdue_timers_back(&mut self) {
        if self.timers_patience() != Some(Duration::ZERO) {
            return;
        }
        let Some(leader) = self.recorded_leader() else { return };
        let running = self.tasks.iter().find(|(_, task)| task.pid == leader && !task.is_stopped());
        let Some(tid) = running.map(|(tid, _)| *tid) else { return };
        let served = self.is_served(tid);
        if served {
            self.stop_served();
        } else if !self.stop_alone(tid) {
            return;
        }
        if self.recording.on && self.tasks.get(&tid).is_some_and(|task| task.is_stopped()) {
            self.sync_clocks();
            let ends = self.recording.mark.line.borrow().has_only_queries_behind(&self.recording.mark.at);
            if ends {
                self.recording.go_to_end();
                self.go_live();
                self.put_timers_back(leader, tid);
            }
        }
        self.recording.without_timers = None;
        if served { self.restart_served() } else { self.react(tid, Change::Interrupted) }
    }
}
