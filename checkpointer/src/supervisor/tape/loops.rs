//! Places in loops: where a thread of a served program is left for another one's turn, or gets a signal, although it makes no call and
//! returns from no function. Any instruction will do at which the program can be made to compare its state each time that it comes
//! there (`served/trampolines`), for in a loop that is often. The thread is brought to the next one by steps, preferably to where
//! its loop begins; the state there is kept in a copy, and names the place.

use std::rc::Rc;
use std::time::Duration;

use nix::unistd::Pid;

use super::super::Supervisor;
use super::super::served::Around;
use super::super::tasks::Activity;
use super::places::MOST_PLACES;
use super::schedule::{Cause, Left};
use crate::ptrace::{Change, How};
use crate::raw;
use crate::rsp::target::Motion;
use crate::wire::CopyId;

/// So many steps are made, and so many in search of the beginning of a loop.
const STEPS: (usize, usize) = (4096, 2048);

/// How long a thread goes on without a call while others could: at first, at least, and at most while few places are kept.
const TURN: (Duration, Duration, Duration) =
    (Duration::from_millis(100), Duration::from_millis(5), Duration::from_millis(500));

/// So many more places make that longer once more.
const FEW_PLACES: usize = 16;

/// How long threads are let go on that make no call.
#[derive(Debug)]
pub(in crate::supervisor) struct Patience {
    pub(in crate::supervisor) now: Duration,
    /// Who was left in a loop, and has not been seen outside of it.
    left: Option<i32>,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { now: TURN.0, left: None }
    }
}

impl Patience {
    /// A thread has come to a call. If it was left in a loop, it was waiting there for others.
    pub(in crate::supervisor) fn comes_to_call(&mut self, thread: i32) {
        if self.left.take_if(|left| *left == thread).is_some() {
            self.now = (self.now / 2).max(TURN.1);
        }
    }

    fn leaves(&mut self, thread: i32, places: usize) {
        if self.left == Some(thread) {
            // It computes.
            let most = TURN.2 * u32::try_from(1 + places / FEW_PLACES).unwrap_or(1);
            self.now = (self.now * 2).min(most);
        }
        self.left = Some(thread);
    }
}

/// Why a thread was not brought to a place.
enum Missed {
    /// It has come to something else first: a call, a breakpoint.
    Elsewhere,
    /// There is none.
    Nowhere,
}

impl Supervisor {
    /// Steps a stopped thread of the program, which was let go, on to an instruction that can name a place; where that is.
    fn step_to_place(&mut self, tid: Pid) -> Result<u64, Missed> {
        if self.recording.places.len() >= MOST_PLACES || !matches!(self.motion_of(tid), Some(Motion::Continue)) {
            tracing::debug!("no place: {} are kept, {:?}", self.recording.places.len(), self.motion_of(tid));
            return Err(Missed::Nowhere);
        }
        let at = |tid: Pid| raw::registers(tid).map(|registers| registers.rip).map_err(|_| Missed::Elsewhere);
        let mut around = Around::default();
        let mut before = at(tid)?;
        for step in 0..STEPS.0 {
            if !self.step_in_loop(tid, before) {
                return Err(Missed::Elsewhere);
            }
            let here = at(tid)?;
            // Where an instruction that repeats itself is in the middle of that nobody comes to it.
            let comes = here != before;
            let begins = here < before && around.range.contains(&before);
            if comes && self.can_compare_at(&mut around, here) && (begins || step >= STEPS.1) {
                return Ok(here);
            }
            before = here;
        }
        tracing::debug!("no place within {} steps, at {before:#x}", STEPS.0);
        Err(Missed::Nowhere)
    }

    /// One step. False if that is none that may be made here, or if something else has come.
    fn step_in_loop(&mut self, tid: Pid, pc: u64) -> bool {
        // Calls to the system are places of their own, and what pushes the flags would push the trap flag with them.
        let mut next = [0u8; 2];
        raw::read_remote(tid, pc, &mut next);
        let told = matches!(next, [0x0f, 0x05] | [0x0f, 0x34] | [0xcd, _] | [0x9c, _] | [0x66, 0x9c]);
        if told || self.has_breakpoint(pc) {
            return false;
        }
        let Some(task) = self.tasks.get_mut(&tid) else { return false };
        let Some(Activity::Stopped(stopped)) = task.activity.take() else { return false };
        if stopped.signal.is_some() {
            task.activity = Some(Activity::Stopped(stopped));
            return false;
        }
        task.activity = stopped.resume(How::Step).ok().map(Activity::Running);
        let Ok(Some((_, status))) = raw::wait(Some(tid), true) else { return false };
        let what = self.record(tid, status);
        if what == Change::Signal(libc::SIGTRAP) && self.has_stepped(tid) {
            self.deliver(tid, None);
            return true;
        }
        // Another signal that is held now has come before the step.
        if what == Change::Interrupted {
            return true;
        }
        self.keep_met(tid, what);
        false
    }

    /// Brings a stopped thread to a place and keeps the state there.
    fn keep_place(&mut self, tid: Pid) -> Result<Left, Missed> {
        let pc = self.step_to_place(tid)?;
        self.sync_clocks();
        match self.keep_program_stopped() {
            Ok(copy) => Ok(Left { pc, copy, kept: self.keep_for_notes(copy) }),
            Err(error) => {
                tracing::info!("no place in a loop: {error}");
                Err(Missed::Nowhere)
            }
        }
    }

    /// The copy is kept as long as what is given back.
    pub(super) fn keep_for_notes(&mut self, copy: CopyId) -> Rc<()> {
        let kept = Rc::new(());
        self.recording.places.push((Rc::downgrade(&kept), copy));
        kept
    }

    /// A stopped thread gets the signal that is held for it at the next place in its loop. False if there is none; then it is stopped.
    pub(super) fn deliver_in_loop(&mut self, tid: Pid) -> bool {
        match self.keep_place(tid) {
            Ok(Left { pc, copy, kept }) => self.deliver_at(tid, pc, copy, kept),
            // There are other places behind that.
            Err(Missed::Elsewhere) => self.restart_served(),
            Err(Missed::Nowhere) => return false,
        }
        true
    }

    /// It is another's turn, at the next place in the loop of a stopped thread. False if there is none; then it is stopped.
    pub(in crate::supervisor) fn leave_in_loop(&mut self, tid: Pid, known: i32) -> bool {
        if !self.others_can_go_on(known) {
            return false;
        }
        let Ok(left) = self.keep_place(tid) else { return false };
        let Some((next, late)) = self.choose_other(known) else { return false };
        self.leave_for(next, Cause::Computing(left), late);
        let places = self.recording.places.len();
        self.recording.patience.leaves(known, places);
        true
    }

    /// The state in which the thread whose turn it is is noted to be left, or to get a signal, and at which instruction.
    pub(in crate::supervisor) fn awaited_copy(&mut self) -> Option<(CopyId, u64)> {
        if let Some(awaited) = self.signal_awaited() {
            return Some(awaited);
        }
        if !self.recording.on || self.recording.is_live() || self.is_aside() {
            return None;
        }
        let turn = self.recording.next_turn()?;
        match &turn.cause {
            Cause::Computing(left) if turn.tick == self.recording.schedule().tick => Some((left.copy, left.pc)),
            _ => None,
        }
    }

    /// A stopped thread has come to the instruction of the awaited state, and not in it.
    pub(in crate::supervisor) fn pass_awaited(&mut self) {
        const OFTEN: u32 = 16;
        let Some((copy, _)) = self.awaited_copy() else { return };
        let missed = match self.recording.missed {
            Some((then, missed)) if then == copy => missed + 1,
            _ => 1,
        };
        self.recording.missed = Some((copy, missed));
        if missed >= OFTEN && missed.is_power_of_two() && !self.compares_with(copy) {
            self.put_up_trampolines();
        }
    }
}
