//! Signals that the user gives a thread at a stop (`signal SIGUSR1`): neither the world's doing nor the program's, and part of what has
//! happened. The state of the stop names the place. A debugger that is at that stop again decides anew; without one the signal comes
//! as it came.

use nix::unistd::Pid;

use super::super::Supervisor;
use super::line::{Entry, place};
use super::places::MOST_PLACES;
use super::signals::{Noted, Place};
use crate::raw::{self, SigInfo};

impl Supervisor {
    /// A stopped thread of the program is let go by its debugger, and gets a signal at which it did not stand, or none.
    pub(in crate::supervisor) fn note_given(&mut self, tid: Pid, given: Option<(i32, SigInfo)>) {
        if !self.takes_turns(tid) || self.is_aside() || self.recording.schedule().ending {
            return;
        }
        let known = self.virtual_id(tid);
        self.sync_clocks();
        if !self.recording.is_live() {
            let noted = self.given_here(tid, known);
            match (noted, given) {
                (Some((index, number)), Some((given, _))) if number == given => return self.advance(known, index + 1),
                // A search goes along, and so does what is typed again.
                (Some(_), None) if !self.recording.heard => return,
                (Some((_, number)), _) => self.part(&format!("signal {number}, given by hand"), "none"),
                (None, None) => return,
                (None, Some(_)) if self.recording.is_at_end() => self.go_live(),
                (None, Some((given, _))) => self.part("no signal that is given by hand", &format!("signal {given}")),
            }
        }
        let Some((number, information)) = given.filter(|_| !self.recording.is_lost()) else { return };
        let its_turn = self.recording.schedule().current == Some(known);
        if !its_turn || self.recording.places.len() >= MOST_PLACES {
            return self
                .stop_recording(&format!("nothing names the place where thread {known} is given signal {number}"));
        }
        let Ok(registers) = raw::registers(tid) else { return };
        let copy = match self.keep_program_stopped() {
            Ok(copy) => copy,
            Err(error) => return self.stop_recording(&format!("the place of signal {number} cannot be kept: {error}")),
        };
        let kept = self.keep_for_notes(copy);
        let at = Place::Here { tick: self.recording.schedule().tick, pc: registers.rip, copy };
        tracing::debug!("signal {number} is given to {known} at {:#x}", registers.rip);
        let noted = Noted::given(number, &information, at, kept);
        noted.fate.set(Some(number));
        let mut entry = Entry::of_signal(&self.recording.store);
        entry.signal = Some(noted);
        self.push_entry(known, entry);
    }

    /// The signal that is noted to have been given to a stopped thread where it stands: its place in the notes, and its number.
    fn given_here(&mut self, tid: Pid, known: i32) -> Option<(usize, i32)> {
        if !self.awaits_given() {
            return None;
        }
        let (copy, at) = self.signal_awaited()?;
        let (index, entry) = self.signal_next(known)?;
        let here = raw::registers(tid).is_ok_and(|registers| registers.rip == at)
            && index == place(&self.recording.mark.at, known)
            && self.state_is(tid, copy);
        entry.signal.as_ref().filter(|_| here).map(|signal| (index, signal.number))
    }

    /// Whether the signal that is noted next for the thread whose turn it is was given by hand: where it stops for its debugger, too, it
    /// stops first.
    pub(in crate::supervisor) fn awaits_given(&mut self) -> bool {
        let Some(current) = self.recording.schedule().current.filter(|_| self.signal_awaited().is_some()) else {
            return false;
        };
        let mark = &self.recording.mark;
        let ahead = mark.line.borrow().signal_ahead(current, place(&mark.at, current));
        ahead.is_some_and(|entry| entry.signal.as_ref().is_some_and(|signal| signal.given))
    }
}
