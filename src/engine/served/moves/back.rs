//! Going back by a debugger's own movements: to the stop of a `step`, `next`, `finish` or `continue` before the end of a field, or to a
//! share of the time that the program has run.

use fred_checkpointer::wire::{Run, RunEnd};

use super::field::Field;
use crate::backends::aide::{Answer, BreakpointFact, Question};
use crate::engine::Failure;
use crate::engine::reverse::{Motion, NO_EARLIER};
use crate::engine::served::machine::{Entered, Native, State};
use crate::search::native::{
    After, Back, Frame, Landing, Level, Machine, Moved, RUN_UP, Until, back, last_hit, over_runs,
};

/// What a reverse move has come to.
pub(super) struct Gone {
    pub(super) landing: Landing<State>,
    pub(super) done: u32,
    pub(super) fell_back: bool,
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
            Some(landing) => Ok(Gone { landing, done, fell_back: false }),
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
        let anchor = field.anchors.len() - 1;
        let Entered { now, least, .. } = self.inlined(&present)?;
        if now == least || !field.runs[anchor] {
            return Ok(None);
        }
        let outer = Landing { state: present.with_entered(Some(now - 1)), anchor };
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

    pub(super) fn breakpoints(&mut self) -> Result<Vec<BreakpointFact>, Failure> {
        match self.ask(&Question::Breakpoints)?.0 {
            Answer::Breakpoints(list) => Ok(list.into_iter().filter(|one| one.enabled).collect()),
            Answer::Refused(why) => Err(self.engine.failure(why)),
            _ => Ok(Vec::new()),
        }
    }

    fn continue_back(&mut self, field: &Field, n: u32) -> Result<Gone, Failure> {
        let breakpoints = self.breakpoints()?;
        let plain = breakpoints.iter().all(|one| one.plain && !one.conditional);
        let level = Level::at(breakpoints.iter().flat_map(|one| one.addresses.clone()).collect());
        let mut landing: Option<Landing<State>> = None;
        let mut done = 0;
        while done < n && !breakpoints.is_empty() {
            let seen = landing.as_ref().map(|landing| field.until(landing));
            let field = seen.as_ref().unwrap_or(field);
            let found = over_runs(self, &field.ground(), |search, from, until| {
                if !plain {
                    return search.last_debugger_stop(from, until, &breakpoints);
                }
                match last_hit(search, from, until, &level)? {
                    Some(state) => Ok(Some(state)),
                    None => {
                        let stop = search.stands_at(from, &level)? && !search.is_end(from, until)?;
                        Ok(stop.then(|| from.clone()))
                    }
                }
            })?;
            let Some(found) = found else { break };
            landing = Some(found);
            done += 1;
        }
        if done == n
            && let Some(landing) = landing
        {
            return Ok(Gone { landing, done, fell_back: false });
        }
        let start = field.anchors.iter().zip(&field.runs).position(|(_, runs)| *runs);
        match start {
            Some(anchor) => {
                let state = field.anchors[anchor].state.clone();
                let at_start = landing.as_ref().is_some_and(|landing| landing.state.copy() == state.copy());
                if at_start && let Some(landing) = landing {
                    return Ok(Gone { landing, done, fell_back: false });
                }
                Ok(Gone { landing: Landing { state, anchor }, done: done + 1, fell_back: true })
            }
            None => Err(self.engine.failure(NO_EARLIER)),
        }
    }

    /// Whether a copy that was taken on the way was taken right where it is to be gone back from.
    fn is_end(&mut self, from: &State, until: &Until<State>) -> Result<bool, Failure> {
        let run = Run { micros: Some(1), ..self.run_until(until, &Level::default()) };
        let ran = self.run(from, run)?;
        Ok(ran.end == RunEnd::Fence && !ran.let_go)
    }

    fn stands_at(&mut self, at: &State, level: &Level) -> Result<bool, Failure> {
        let found = self.engine.live.registers(Some(at.copy()));
        let found = found.map_err(|error| self.engine.failed("reading the registers", &error))?;
        Ok(level.instructions.contains(&found.rip))
    }

    /// The last stop at a breakpoint that the debugger itself makes: it judges conditions and watches.
    fn last_debugger_stop(
        &mut self,
        from: &State,
        until: &Until<State>,
        breakpoints: &[BreakpointFact],
    ) -> Result<Option<State>, Failure> {
        let level = Level::at(breakpoints.iter().flat_map(|one| one.addresses.clone()).collect());
        let at_one = self.stands_at(from, &level)? && !self.is_end(from, until)?;
        self.stand(from)?;
        let mut last = None;
        // Where it stands it has stopped before, if it has a condition that holds.
        if at_one && self.stops_here(from, breakpoints)? {
            last = Some(from.clone());
            self.stand(from)?;
        }
        while self.go_on(until)? != Moved::End {
            last = Some(self.here()?);
        }
        Ok(last)
    }

    fn stops_here(&mut self, at: &State, breakpoints: &[BreakpointFact]) -> Result<bool, Failure> {
        let found = self.engine.live.registers(Some(at.copy()));
        let rip = found.map_err(|error| self.engine.failed("reading the registers", &error))?.rip;
        for one in breakpoints.iter().filter(|one| one.addresses.contains(&rip)) {
            let Some(condition) = &one.condition else { return Ok(true) };
            let expression = format!("({condition}) != 0");
            if let Answer::Text(text) = self.ask(&Question::Evaluate { expression, frame: 0 })?.0
                && matches!(text.as_str(), "1" | "true")
            {
                return Ok(true);
            }
        }
        Ok(false)
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
