//! Places for signals in what a served program computes. A thread that makes no call is let go on to where one of its functions
//! returns; of those on its stack to the outermost that does so soon, because that comes seldom. The place is named by the state there, of
//! which a copy is kept: along the notes a breakpoint is there, and each time it is met memory and registers are compared with the copy's.

use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::super::Supervisor;
use super::super::tasks::proc_text;
use super::line::{Entry, place};
use super::signals::{Noted, Place};
use crate::raw;
use crate::rsp::target::Motion;
use crate::wire::CopyId;

/// How long it is looked which functions return, and how long the one that was found is waited for.
const SEEK: (Duration, Duration) = (Duration::from_millis(3), Duration::from_millis(50));

/// So many times as long it is waited where the thread waits for a processor.
const MOST_WAITING: u32 = 20;

/// How long nobody looks, at least.
const LEAST_LOOK: Duration = Duration::from_micros(500);

/// So many of the functions on the stack are tried.
const MOST_FUNCTIONS: usize = 8;

/// Bytes of the stack in which they are looked for.
const STACK: usize = 4096;

/// So many copies are kept for such places.
pub(super) const MOST_PLACES: usize = 128;

/// Where a function returns to, and where on the stack that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Return {
    to: u64,
    stack: u64,
}

/// A place is looked for, for a signal to a thread.
#[derive(Debug)]
pub(in crate::supervisor) struct Sought {
    tid: Pid,
    begun: Instant,
    /// The thread's processor time then.
    ran: Duration,
    /// Those that have not returned, the innermost first.
    returns: Vec<Return>,
    /// The outermost that has.
    found: Option<Return>,
    /// It is not looked for others.
    last: bool,
}

impl Sought {
    /// How long nothing needs to be done. A thread that waits for a processor comes to no place.
    pub(super) fn patience(&self) -> Duration {
        let most = if self.last { SEEK.1 } else { SEEK.0 };
        if self.begun.elapsed() >= most * MOST_WAITING {
            return Duration::ZERO;
        }
        let left = most.saturating_sub(processor_time(self.tid).saturating_sub(self.ran));
        if left.is_zero() { left } else { left.max(LEAST_LOOK) }
    }
}

impl Supervisor {
    /// Goes on looking for a place for a signal to a stopped thread, or begins to. False if there is none.
    pub(super) fn seek_place(&mut self, tid: Pid) -> bool {
        let continues = matches!(self.motion_of(tid), Some(Motion::Continue));
        if !continues || self.recording.places.len() >= MOST_PLACES {
            return false;
        }
        match self.forget_sought() {
            Some(Sought { tid: then, found, last, .. }) if then == tid => match found {
                Some(found) if !last => self.look_out(tid, vec![found], true),
                _ => return false,
            },
            _ => {
                let returns = returns_of(tid);
                if returns.is_empty() {
                    return false;
                }
                self.look_out(tid, returns, false);
            }
        }
        true
    }

    fn look_out(&mut self, tid: Pid, returns: Vec<Return>, last: bool) {
        for one in &returns {
            self.seek_at(one.to, true);
        }
        self.recording.sought =
            Some(Sought { tid, begun: Instant::now(), ran: processor_time(tid), returns, found: None, last });
    }

    /// No place is looked for any more.
    pub(super) fn forget_sought(&mut self) -> Option<Sought> {
        let sought = self.recording.sought.take()?;
        for one in sought.returns.iter().chain(&sought.found) {
            self.seek_at(one.to, false);
        }
        Some(sought)
    }

    /// A function has returned to where a place is looked for. Whether the thread has been seen to.
    pub(in crate::supervisor) fn sought_met(&mut self, tid: Pid, at: u64) -> bool {
        let Some(mut sought) = self.forget_sought() else { return false };
        let free = self.recording.on && self.recording.is_live() && !self.is_aside();
        let held = self.tasks.get(&tid).is_some_and(|task| task.deferred.any());
        if !free || !held || sought.tid != tid {
            return false;
        }
        let stack = raw::registers(tid).map_or(0, |registers| registers.rsp);
        let met = sought.returns.iter().position(|one| one.to == at && one.stack + 8 == stack);
        let Some(met) = met else {
            for one in &sought.returns {
                self.seek_at(one.to, true);
            }
            self.recording.sought = Some(sought);
            return false;
        };
        let outer = sought.returns.split_off(met + 1);
        if !sought.last && !outer.is_empty() && !sought.patience().is_zero() {
            for one in &outer {
                self.seek_at(one.to, true);
            }
            let found = sought.returns.last().copied();
            self.recording.sought = Some(Sought { returns: outer, found, ..sought });
            return false;
        }
        self.deliver_here(tid, at)
    }

    /// The state is a place that can be found again: a signal comes here.
    fn deliver_here(&mut self, tid: Pid, at: u64) -> bool {
        self.sync_clocks();
        let copy = match self.keep_program_stopped() {
            Ok(copy) => copy,
            Err(error) => {
                tracing::info!("no place for a signal: {error}");
                return false;
            }
        };
        let kept = self.keep_for_notes(copy);
        self.deliver_at(tid, at, copy, kept);
        true
    }

    /// A thread gets the signal that is held for it where it stands, which is named by the state of a copy; the program goes on.
    pub(super) fn deliver_at(&mut self, tid: Pid, at: u64, copy: CopyId, kept: Rc<()>) {
        let tick = self.recording.schedule().tick;
        let taken = self.tasks.get_mut(&tid).and_then(|task| task.deferred.take());
        let Some((number, information)) = taken else { return self.restart_served() };
        let known = self.virtual_id(tid);
        tracing::debug!("signal {number} to {known} where it computes");
        let noted = Noted::at_copy(number, &information, Place::Here { tick, pc: at, copy }, kept);
        let fate = Rc::clone(&noted.fate);
        let mut entry = Entry::of_signal(&self.recording.store);
        entry.signal = Some(noted);
        self.push_entry(known, entry);
        self.inject_signal(tid, number, information, None);
        self.set_fate(tid, fate);
        self.keep_signal(tid, number);
        self.restart_served();
    }

    /// Where a signal is noted to come to the thread whose turn it is while it computes: in which state, and at which instruction.
    pub(in crate::supervisor) fn signal_awaited(&mut self) -> Option<(CopyId, u64)> {
        if !self.recording.on || self.recording.is_live() || self.is_aside() {
            return None;
        }
        let mark = &self.recording.mark;
        let known = mark.schedule.current?;
        let ahead = mark.line.borrow().signal_ahead(known, place(&mark.at, known))?;
        match ahead.signal.as_ref()?.place {
            Place::Here { tick, pc, copy } if tick == mark.schedule.tick => Some((copy, pc)),
            _ => None,
        }
    }

    /// Whether a stopped thread stands where a signal came while it computed; then it has been seen to.
    pub(in crate::supervisor) fn is_at_signal(&mut self, tid: Pid) -> bool {
        let Some((copy, wanted)) = self.signal_awaited() else { return false };
        let known = self.virtual_id(tid);
        let here = raw::registers(tid).is_ok_and(|registers| registers.rip == wanted);
        if !here || self.recording.schedule().current != Some(known) {
            return false;
        }
        let Some((index, entry)) = self.signal_next(known) else { return false };
        if index != place(&self.recording.mark.at, known) || !self.state_is(tid, copy) {
            return false;
        }
        self.advance(known, index + 1);
        self.expect_spin();
        self.put_signal(tid, &entry, None);
        true
    }

    /// Copies of places that no notes name any more.
    pub(in crate::supervisor) fn places_forgotten(&mut self) -> Vec<CopyId> {
        let (kept, gone) = std::mem::take(&mut self.recording.places)
            .into_iter()
            .partition::<Vec<(Weak<()>, CopyId)>, _>(|(kept, _)| kept.strong_count() > 0);
        self.recording.places = kept;
        gone.into_iter().map(|(_, copy)| copy).collect()
    }
}

/// What a thread has had of a processor (Documentation/scheduler/sched-stats.rst).
fn processor_time(tid: Pid) -> Duration {
    let text = proc_text(&format!("/proc/{tid}/schedstat")).unwrap_or_default();
    let ran = text.split_whitespace().next().and_then(|nanoseconds| nanoseconds.parse().ok());
    Duration::from_nanos(ran.unwrap_or(0))
}

/// Where functions on the stack of a stopped thread return to: words that are addresses behind calls.
fn returns_of(tid: Pid) -> Vec<Return> {
    let Ok(registers) = raw::registers(tid) else { return Vec::new() };
    let text = std::fs::read_to_string(format!("/proc/{tid}/maps")).unwrap_or_default();
    let code: Vec<(u64, u64)> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (start, end) = words.next()?.split_once('-')?;
            let executable = words.next()?.contains('x') && words.nth(3).is_some_and(|name| name.starts_with('/'));
            let number = |text: &str| u64::from_str_radix(text, 16).ok();
            executable.then_some((number(start)?, number(end)?))
        })
        .collect();
    let mut stack = vec![0u8; STACK];
    let read = raw::read_remote(tid, registers.rsp, &mut stack);
    let (words, _) = stack[..read].as_chunks::<8>();
    let mut found = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let to = u64::from_le_bytes(*word);
        if code.iter().any(|(start, end)| (start + 8..*end).contains(&to)) && is_behind_call(tid, to) {
            found.push(Return { to, stack: registers.rsp + 8 * index as u64 });
            if found.len() == MOST_FUNCTIONS {
                break;
            }
        }
    }
    found
}

/// Whether an instruction comes behind a call: `e8` with a distance, or `ff /2` with its operand.
fn is_behind_call(tid: Pid, address: u64) -> bool {
    let mut before = [0u8; 7];
    if raw::read_remote(tid, address - 7, &mut before) < before.len() {
        return false;
    }
    let indirect = |length: usize| {
        let at = 7 - length;
        before[at] == 0xff && before[at + 1] >> 3 & 7 == 2
    };
    before[2] == 0xe8 || [2, 3, 6, 7].into_iter().any(indirect)
}
