//! The recorder: runs a program and all that it starts, one thread at a time, and logs what came from outside.
//!
//! **The schedule is the order of the log.** A thread runs until it comes to a trapped call (or ends). While it is inside the
//! call in the kernel, others may run; what it learns there is logged when it is let go again. So a replay has to do
//! no more than to let the thread of the next event run up to that event.

mod calls;
pub(crate) mod life;
mod signals;

use std::collections::BTreeMap;
use std::fs::File;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::unistd::Pid;

use super::chaos::{self, Chaos};
use super::deadlock::{self, Waiting};
use super::log::{Entry, Log, What};
use super::pinning::Pinning;
use super::thread::Thread;
use super::{Trouble, epoch, reads, vdso};
use crate::ptrace::{Change, How, change};
use crate::raw::{self, Registers, SigInfo};
use crate::signals::Deferred;
use calls::Pending;

pub(super) use calls::RESTART_CODES;
pub(super) use life::{await_zombie, ids};

/// How long a thread may run from one trapped call to the next, and go on running, while others could run as well.
const SLICE: Duration = Duration::from_millis(20);

/// How many of these a thread may take that does not come to a trapped call at all.
const STARVED: u32 = 10;

/// The most copies that a recording keeps.
const MOST_COPIES: usize = 1000;

/// What a thread is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It is stopped at a recorded point.
    Ready,
    /// It runs the program.
    Running,
    /// It is inside a call.
    Inside,
    /// It is stopped at the end of a call that has not been logged yet.
    Finished,
    /// It is in a job-control stop.
    Halted,
    /// It is about to end, or has been let go to do so.
    Ending,
}

/// A thread and what is known of it.
#[derive(Debug)]
struct Task {
    thread: Thread,
    phase: Phase,
    /// The call that it is in.
    pending: Option<Pending>,
    /// The log says already that it is in that call.
    entered: bool,
    /// The registers of the last recorded point: while it has these nothing has been executed since.
    point: Option<Registers>,
    /// The code with which the kernel has interrupted the pending call.
    interrupted: Option<i64>,
    /// Signals from outside that came between two recorded points.
    deferred: Deferred,
    /// Its memory is that of a process with other descriptors.
    lent: bool,
    /// It has been asked to stop where it is.
    asked_to_stop: bool,
    /// It makes a step for that.
    stepping: bool,
    /// One of these, sent again.
    resent: Option<(i32, SigInfo)>,
}

/// A recorder at work.
pub(super) struct Recorder {
    tasks: BTreeMap<i32, Task>,
    log: Log,
    /// When it began, in nanoseconds since the epoch.
    began: i128,
    current: i32,
    /// Since when the current thread has had its turn.
    since: Instant,
    /// When the running thread was last let go.
    went: Instant,
    /// The first process, and how it ended.
    root: i32,
    status: Option<i32>,
    /// First stops of threads whose birth has not been reported yet.
    early: Vec<Pid>,
    /// Copies at places without a name.
    copies: Vec<Pid>,
    /// Programs that may be gone later, by device, inode and time of the last change.
    kept: BTreeMap<(u64, u64, i128), File>,
    /// The dice, if the schedule is to be another one each time.
    chaos: Option<Chaos>,
    /// The program has had timers, whose signals may end a wait.
    timers: bool,
    /// Who waits where, when all do.
    deadlock: Vec<Waiting>,
    pinning: Pinning,
}

/// A finished recording.
#[derive(Debug)]
pub(super) struct Recording {
    /// The log.
    pub log: Log,
    /// The wait status of the first process.
    pub status: i32,
    /// Copies that the log speaks of, by their real ids.
    pub copies: Vec<Pid>,
    /// Programs that the log names by their descriptors here.
    #[expect(dead_code, reason = "held open")]
    pub kept: Vec<File>,
    /// Who waits where, if it has ended in a deadlock.
    pub deadlock: Vec<Waiting>,
}

/// Records one run of a program, to the end of all that it starts, or until all wait for each other.
pub(super) fn record(argv: &[Vec<u8>], limit: u64, chaos: bool) -> Result<Recording, Trouble> {
    let program = argv.first().map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default();
    let began = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128);
    let start = |source| Trouble::Start { program: program.clone(), source };
    let running = crate::launch::start_recorded(argv, false).map_err(start)?;
    let root = running.tid();
    super::thread::await_program(root).map_err(start)?;
    let mut recorder = Recorder {
        tasks: BTreeMap::new(),
        log: Log::new(limit),
        began,
        current: root.as_raw(),
        since: Instant::now(),
        went: Instant::now(),
        root: root.as_raw(),
        status: None,
        early: Vec::new(),
        copies: Vec::new(),
        kept: BTreeMap::new(),
        chaos: chaos.then(|| Chaos::new(began as u64)),
        timers: false,
        deadlock: Vec::new(),
        pinning: Pinning::new(),
    };
    let id = root.as_raw();
    recorder.tasks.insert(id, Task::new(Thread::stopped(id, id, root, root)));
    recorder.loaded(id)?;
    let outcome = recorder.run();
    super::thread::end(recorder.tasks.values().map(|task| &task.thread));
    if outcome.is_err() {
        recorder.copies.drain(..).for_each(epoch::forget);
    }
    outcome?;
    let (status, kept) = (recorder.status.unwrap_or(0), recorder.kept.into_values().collect());
    Ok(Recording { log: recorder.log, status, copies: recorder.copies, kept, deadlock: recorder.deadlock })
}

impl Task {
    fn new(thread: Thread) -> Task {
        Task {
            thread,
            phase: Phase::Ready,
            pending: None,
            entered: false,
            point: None,
            interrupted: None,
            deferred: Deferred::default(),
            lent: false,
            asked_to_stop: false,
            stepping: false,
            resent: None,
        }
    }

    /// The call that it is in.
    fn call(&self) -> Option<deadlock::InCall<'_>> {
        let pending = self.pending.as_ref().filter(|_| self.phase == Phase::Inside)?;
        Some((&self.thread, pending.row, pending.arguments))
    }

    fn can_run(&self) -> bool {
        matches!(self.phase, Phase::Ready | Phase::Finished)
    }
}

impl Recorder {
    fn run(&mut self) -> Result<(), Trouble> {
        while !self.tasks.is_empty() && self.deadlock.is_empty() {
            let outcome = match self.choose() {
                Some(id) => self.go(id),
                None => self.idle(),
            };
            self.unless_killed(outcome)?;
        }
        Ok(())
    }

    /// A thread that was killed while it was stopped ends by itself: that is an event of the program's, not a failure.
    fn unless_killed(&mut self, outcome: Result<(), Trouble>) -> Result<(), Trouble> {
        let Err(Trouble::Gone(id)) = outcome else { return outcome };
        let Some(task) = self.tasks.get_mut(&id) else { return outcome };
        if task.phase != Phase::Ending {
            // What it was doing will not be finished; its end is still to be reported.
            task.phase = Phase::Inside;
            task.pending = None;
            task.interrupted = None;
        }
        Ok(())
    }

    /// No thread can run: waits for a report, or finds that none will come.
    fn idle(&mut self) -> Result<(), Trouble> {
        let since = Instant::now();
        loop {
            let calls = self.tasks.values().map(Task::call).collect::<Option<Vec<_>>>();
            let Some(calls) = calls.filter(|calls| !self.timers && deadlock::is_possible(calls)) else {
                return self.wait(None);
            };
            if let Ok(Some((tid, status))) = raw::wait(None, false) {
                return self.dispatch(tid, change(status));
            }
            let left = deadlock::PATIENCE.saturating_sub(since.elapsed());
            if left.is_zero() && deadlock::is_reached(&calls) {
                self.deadlock = deadlock::describe(&calls, &deadlock::place);
                let waiting: Vec<i32> = self.tasks.keys().copied().collect();
                return waiting.into_iter().try_for_each(|id| self.enter(id));
            }
            raw::wait_for_news(left.max(Duration::from_millis(10)));
        }
    }

    /// Logs an event of a thread, and before it the clocks that it has read since the last one.
    fn push(&mut self, thread: i32, what: What) -> Result<(), Trouble> {
        if !matches!(what, What::Loaded(_)) {
            self.log_clocks(thread)?;
        }
        self.log.push(&Entry { thread, what })
    }

    /// Logs the clocks that a thread has read since its last event; whether there were any. What is in the buffer is that of
    /// the thread that runs, whatever is reported of others meanwhile.
    fn log_clocks(&mut self, thread: i32) -> Result<bool, Trouble> {
        let Some(task) = self.tasks.get(&thread).filter(|_| thread == self.current) else { return Ok(false) };
        let Some(clocks) = vdso::take(&task.thread)? else { return Ok(false) };
        self.log.push(&Entry { thread, what: What::Clocks(clocks) })?;
        Ok(true)
    }

    fn task(&mut self, id: i32) -> Result<&mut Task, Trouble> {
        self.tasks.get_mut(&id).ok_or(Trouble::Gone(id))
    }

    fn refused(&self, thread: i32, what: impl Into<String>) -> Trouble {
        Trouble::Refused { thread, what: what.into() }
    }

    /// The thread that is to run: the one that ran last, unless its time is up; else the next one in turn.
    fn choose(&mut self) -> Option<i32> {
        let able = |task: &Task| task.can_run();
        let turn = self.chaos.as_ref().map_or(SLICE, Chaos::turn);
        let fresh = self.since.elapsed() < turn;
        if fresh && self.tasks.get(&self.current).is_some_and(able) {
            return Some(self.current);
        }
        if let Some(chaos) = &mut self.chaos {
            let able: Vec<i32> = self.tasks.iter().filter(|(_, task)| able(task)).map(|(id, _)| *id).collect();
            let found = Some(able).filter(|able| !able.is_empty()).and_then(|able| chaos.pick(&able, self.current))?;
            self.current = found;
            self.since = Instant::now();
            return Some(found);
        }
        let mut after = self.tasks.range(self.current + 1..).chain(self.tasks.range(..=self.current));
        let found = after.find(|(_, task)| able(task)).map(|(id, _)| *id)?;
        self.current = found;
        self.since = Instant::now();
        Some(found)
    }

    /// Whether a thread other than this one could run.
    fn others_can_run(&self, id: i32) -> bool {
        self.tasks.iter().any(|(other, task)| *other != id && task.can_run())
    }

    /// Lets a thread run from one recorded point to the next stop.
    fn go(&mut self, id: i32) -> Result<(), Trouble> {
        if self.tasks.len() > 1 {
            // What they did before they came to their calls was before what this one does now.
            let called = |task: &Task| matches!(task.phase, Phase::Inside | Phase::Finished);
            let others: Vec<i32> =
                self.tasks.iter().filter(|(other, task)| **other != id && called(task)).map(|(id, _)| *id).collect();
            for other in others {
                self.enter(other)?;
            }
        }
        if self.task(id)?.phase == Phase::Finished {
            self.log_call(id)?;
        }
        self.send_deferred(id)?;
        let task = self.task(id)?;
        task.phase = Phase::Running;
        task.thread.resume(How::Continue)?;
        self.went = Instant::now();
        while self.tasks.get(&id).is_some_and(|task| task.phase == Phase::Running) {
            self.wait(Some(id))?;
        }
        Ok(())
    }

    /// Takes one report, of any thread.
    fn wait(&mut self, running: Option<i32>) -> Result<(), Trouble> {
        let urgent = running
            .is_some_and(|id| self.others_can_run(id) || self.tasks.get(&id).is_some_and(|task| task.deferred.any()));
        if let Some(id) = running.filter(|_| urgent) {
            return self.wait_a_slice(id);
        }
        match raw::wait(None, true) {
            Ok(Some((tid, status))) => self.dispatch(tid, change(status)),
            Ok(None) => Ok(()),
            Err(_) => {
                // Nothing is left to be waited for.
                self.tasks.clear();
                Ok(())
            }
        }
    }

    /// Takes one report like [`Recorder::wait`], but not for longer than others (or signals) are made to wait.
    fn wait_a_slice(&mut self, running: i32) -> Result<(), Trouble> {
        let deferred = self.tasks.get(&running).and_then(|task| task.deferred.since());
        let mut longest = SLICE * STARVED;
        if let (Some(chaos), Some(task)) = (&self.chaos, self.tasks.get(&running))
            && self.copies.len() < chaos::MOST_COPIES
            && epoch::is_possible(&task.thread, &self.others(task.thread.pid))
        {
            longest = chaos.turn();
        }
        let deadline = deferred.map_or(self.went + longest, |since| since + SLICE.min(longest));
        loop {
            if let Ok(Some((tid, status))) = raw::wait(None, false) {
                return self.dispatch(tid, change(status));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return self.preempt(running);
            }
            raw::wait_for_news(left);
        }
    }

    /// The processes that there are besides this one.
    fn others(&self, pid: Pid) -> Vec<Pid> {
        let mut found: Vec<Pid> =
            self.tasks.values().map(|task| task.thread.pid).filter(|other| *other != pid).collect();
        found.dedup();
        found
    }

    /// A thread has run for long without coming to an event: it is asked to stop where it is. It may come to an event before.
    fn preempt(&mut self, id: i32) -> Result<(), Trouble> {
        if !std::mem::replace(&mut self.task(id)?.asked_to_stop, true) {
            nix::sys::ptrace::interrupt(Pid::from_raw(id)).map_err(|_| Trouble::Gone(id))?;
        }
        self.wait_for(id)
    }

    /// It has stopped. A copy tells where that was.
    fn preempted(&mut self, id: i32) -> Result<(), Trouble> {
        let task = self.task(id)?;
        let here = task.thread.registers()?.rip;
        if vdso::is_inside(here) || reads::is_inside(here) {
            // In the middle of an entry of the buffer.
            task.stepping = true;
            task.thread.resume(How::Step)?;
            return self.wait_for(id);
        }
        let others = {
            let pid = task.thread.pid;
            self.others(pid)
        };
        let tid = self.task(id)?.thread.tid;
        let mut descriptors = epoch::descriptors(tid)?;
        // What another thread has been given is logged before, if it counts.
        while let Ok(Some((other, status))) = raw::wait(None, false) {
            self.dispatch(other, change(status))?;
            descriptors = epoch::descriptors(tid)?;
        }
        let task = self.task(id)?;
        let copy = epoch::copy(&task.thread, &others)?;
        task.phase = Phase::Ready;
        task.point = Some(task.thread.registers()?);
        self.push(id, What::Preempted { copy: copy.as_raw(), descriptors })?;
        self.copies.push(copy);
        if self.copies.len() > MOST_COPIES {
            return Err(self.refused(id, "threads were stopped too often where nothing names the place"));
        }
        // Its turn is over.
        self.since -= SLICE;
        Ok(())
    }

    /// Whether a trap is the end of a step that [`Recorder::preempted`] has made: nothing of the program's runs meanwhile.
    fn is_stepped(&mut self, id: i32) -> bool {
        self.tasks.get_mut(&id).is_some_and(|task| std::mem::take(&mut task.stepping))
    }

    /// Takes the next report of this thread.
    fn wait_for(&mut self, id: i32) -> Result<(), Trouble> {
        match raw::wait(Some(Pid::from_raw(id)), true) {
            Ok(Some((tid, status))) => self.dispatch(tid, change(status)),
            _ => Err(Trouble::Gone(id)),
        }
    }

    /// Acts on one report.
    fn dispatch(&mut self, tid: Pid, what: Change) -> Result<(), Trouble> {
        let id = tid.as_raw();
        if !self.tasks.contains_key(&id) {
            match what {
                Change::Interrupted => self.early.push(tid),
                Change::Ending => {
                    // Killed before its birth was reported.
                    self.early.retain(|early| *early != tid);
                    raw::resume(libc::PTRACE_CONT, tid, 0).ok();
                }
                _ => {}
            }
            return Ok(());
        }
        self.pinning.note_stop(self.tasks.values().map(|task| task.thread.tid));
        if !matches!(what, Change::Exited(_) | Change::Killed(_)) {
            let task = self.task(id)?;
            task.thread.stopped = Some(crate::ptrace::Stopped::reported(tid));
        }
        let stepped = self.is_stepped(id);
        let outcome = match what {
            Change::Signal(libc::SIGTRAP) if stepped => self.preempted(id),
            Change::Seccomp => self.entering(id),
            Change::Syscall => self.leaving(id),
            Change::Signal(number) => self.signalled(id, number),
            Change::Born => self.born(id),
            Change::Exec => self.executed(id),
            Change::Ending => self.ending(id),
            Change::Exited(status) => self.ended(id, status << 8),
            Change::Killed(signal) => self.ended(id, signal),
            Change::GroupStop(_) => {
                let task = self.task(id)?;
                task.phase = Phase::Halted;
                match task.thread.stopped.take() {
                    Some(stopped) => stopped.listen().map(|_| ()).map_err(|_| Trouble::Gone(id)),
                    None => Ok(()),
                }
            }
            Change::Interrupted if self.task(id)?.phase == Phase::Halted => {
                self.task(id)?.phase = Phase::Ready;
                Ok(())
            }
            Change::Interrupted if std::mem::take(&mut self.task(id)?.asked_to_stop) => {
                let task = self.task(id)?;
                // Not if that has interrupted a call, which is made again.
                let between = task.phase == Phase::Running && task.interrupted.is_none();
                if between { self.preempted(id) } else { self.go_on(id) }
            }
            Change::Interrupted | Change::VforkDone | Change::Counter | Change::Other(_) => self.go_on(id),
        };
        self.unless_killed(outcome)
    }

    /// Lets a thread go on as it was going.
    fn go_on(&mut self, id: i32) -> Result<(), Trouble> {
        let task = self.task(id)?;
        let how = if task.phase == Phase::Inside { How::ToSyscall } else { How::Continue };
        task.thread.resume(how)
    }
}
