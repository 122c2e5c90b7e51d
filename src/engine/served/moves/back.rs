//! Going back by a debugger's own movements: to the stop of a `step`, `next`, `finish` or `continue` before the end of a field, or to a
//! share of the time that the program has run.

use super::field::Field;
use super::stops::Spent;
use crate::engine::Failure;
use crate::engine::reverse::{Motion, NO_EARLIER};
use crate::engine::served::machine::{Entered, Native, State};
use crate::search::native::{After, Back, Frame, Landing, Level, Machine, Moved, RUN_UP, Until, back, over_runs};

/// What a reverse move has come to.
pub(super) struct Gone {
    pub(super) landing: Landing<State>,
    pub(super) done: u32,
    pub(super) fell_back: bool,
    /// What the user's breakpoints have become by being hit.
    pub(super) spent: Spent,
}

impl Native<'_> {
    pub(super) fn go_back(&mut self, field: &Field, motion: Motion, n: u32) -> Result<Gone, Failure> {
        if motion == Motion::Continue {
            return self.continue_back(field, n);
        }
        let mut landing: Option<Landing<State>> = None;
        let mut done = 0;
        while done < n {
            let seen = landing.as_ref().map(|landing| field.until(landing));
            let field = seen.as_ref().unwrap_or(field);
            if field.anchors.is_empty() {
                break;
            }
            let Some(next) = self.one_back(field, motion, done == 0)? else { break };
            landing = Some(next);
            done += 1;
        }
        match landing {
            Some(landing) => Ok(Gone { landing, done, fell_back: false, spent: Spent::default() }),
            None => Err(self.engine.failure(NO_EARLIER)),
        }
    }

    fn one_back(&mut self, field: &Field, motion: Motion, first: bool) -> Result<Option<Landing<State>>, Failure> {
        if motion == Motion::Instruction {
            return self.instruction_back(field);
        }
        let mut frames = self.frames_at_end(field)?;
        if Level::of(&frames, 0).is_none() {
            // Behind the end of main: as if the program had ended.
            frames = self.outermost(field)?;
        }
        let Some(here) = Level::of(&frames, 0) else {
            return Err(self.engine.failure("cannot go back by lines: there is no line information for this place"));
        };
        let how = match motion {
            Motion::Step => Back::Step,
            Motion::Next => Back::Within(here.clone()),
            _ => match Level::of(&frames, 1) {
                Some(caller) => Back::Within(caller),
                None if !first => return Ok(None),
                None => return Err(self.engine.failure(
                    "cannot go to the caller: this is the outermost frame of the program; fred-reverse-step goes back in it",
                )),
            },
        };
        if let Some(found) = self.out_of_inlined(field, &here)? {
            return Ok(Some(found));
        }
        back(self, &field.ground(), &how, &here)
    }

    /// To the call of an inlined function that begins where the program stands and that the debugger has entered: a stop of its
    /// own, though the program stands where it does.
    fn out_of_inlined(&mut self, field: &Field, here: &Level) -> Result<Option<Landing<State>>, Failure> {
        let Until::State(present) = field.present.clone() else { return Ok(None) };
        let Entered { now, least, .. } = self.inlined(&present)?;
        if now == least {
            return Ok(None);
        }
        let (mut anchor, mut before_changes) = (field.anchors.len() - 1, present.clone());
        while !field.runs[anchor] {
            // The user has given a command that may have changed something, where the program stands.
            let before = field.anchors[anchor].state.clone();
            if anchor == 0 || !self.same_registers(&before, &present)? {
                return Ok(None);
            }
            (anchor, before_changes) = (anchor - 1, before);
        }
        let outer = Landing { state: before_changes.with_entered(Some(now - 1)), anchor };
        if now - 1 > least {
            return Ok(Some(outer));
        }
        // A step from the same line goes into the call at once.
        let Some(before) = back(self, &field.ground(), &Back::Step, here)? else { return Ok(None) };
        self.stand(&before.state)?;
        let Moved::Stop(frame) = self.step(&Until::End)? else { return Ok(None) };
        let arrived = self.here()?;
        let same = frame.inlined == least && self.same_registers(&arrived, &present)?;
        Ok(same.then_some(outer))
    }

    /// To the instruction before.
    fn instruction_back(&mut self, field: &Field) -> Result<Option<Landing<State>>, Failure> {
        let frames = self.frames_at_end(field)?;
        let level = Level::of(&frames, 0);
        over_runs(self, &field.ground(), |search, from, until| match &level {
            Some(level) => {
                let from = crate::search::native::last_step(search, from, until, level)?;
                search.before_end(&from, until)
            }
            None => search.before_end(from, until),
        })
    }

    /// Steps by instructions to an end; the state one before it.
    fn before_end(&mut self, from: &State, until: &Until<State>) -> Result<Option<State>, Failure> {
        self.stand(from)?;
        let mut count = 0u64;
        while self.step_instruction(until)? != Moved::End {
            count += 1;
            if count > 200_000 {
                return Err(self.engine.failure("the instruction before is too far from the line before"));
            }
        }
        self.stand(from)?;
        for _ in 0..count {
            self.step_instruction(until)?;
        }
        if count == 0 { Ok(Some(from.clone())) } else { self.here().map(Some) }
    }

    /// The frames that the program stood in at the end of a field; for its end, those of main.
    fn frames_at_end(&mut self, field: &Field) -> Result<Vec<Frame>, Failure> {
        match &field.present {
            Until::State(state) => self.frames(&state.clone()),
            Until::End => self.outermost(field),
        }
    }

    /// The outermost frame where a field was last kept: whatever that called has returned by the end, or ends the program.
    fn outermost(&mut self, field: &Field) -> Result<Vec<Frame>, Failure> {
        let Some(anchor) = field.anchors.last() else { return Ok(Vec::new()) };
        let state = anchor.state.clone();
        let frames = self.frames(&state)?;
        Ok(frames.last().copied().into_iter().collect())
    }

    /// The stop at or before a share of the running time.
    pub(super) fn at_share(&mut self, field: &Field, share: f64) -> Result<Landing<State>, Failure> {
        self.be_quiet()?;
        let end = match &field.present {
            Until::State(state) => state.at(),
            Until::End => field.anchors.last().map_or(0, |anchor| anchor.state.at()),
        };
        let begin = field.anchors[0].state.at();
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let wanted = begin + (end.saturating_sub(begin) as f64 * share) as u64;
        let index = field.anchors.iter().rposition(|anchor| anchor.state.at() <= wanted).unwrap_or(0);
        let state = field.anchors[index].state.clone();
        let ahead = wanted.saturating_sub(state.at());
        if ahead == 0 || !field.runs[index] {
            return Ok(Landing { state, anchor: index });
        }
        let until = match self.after(&state, ahead, &field.ground().end(index))? {
            After::At(there) => match self.stop_after(&there, &field.ground().end(index))? {
                Some(state) => return Ok(Landing { state, anchor: index }),
                None => Until::State(there),
            },
            After::End(_) => field.ground().end(index),
        };
        let frames = match &until {
            Until::State(there) => self.frames(&there.clone())?,
            Until::End => self.frames_at_end(field)?,
        };
        let Some(level) = Level::of(&frames, 0) else { return Ok(Landing { state, anchor: index }) };
        let state = crate::search::native::last_step(self, &state, &until, &level)?;
        Ok(Landing { state, anchor: index })
    }

    /// A stop soon after a place: what comes before it would have to be looked for, and the place may be in the middle of a loop,
    /// where it is met again a million times. Not before the third step the stops are those that a forward run makes.
    fn stop_after(&mut self, there: &State, until: &Until<State>) -> Result<Option<State>, Failure> {
        let Moved::Stop(_) = crate::search::native::set_out(self, there, until)? else { return Ok(None) };
        for _ in 0..RUN_UP {
            if !matches!(self.step(until)?, Moved::Stop(frame) if frame.lands) {
                return Ok(None);
            }
        }
        self.here().map(Some)
    }
}
