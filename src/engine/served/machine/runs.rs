//! Runs and moves of a search's program, from a state to an end: without the debugger over statements, and with it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fred_checkpointer::wire::{CopyId, FrameRegister, Ran, Run, RunEnd, Spot};

use super::{Native, State};
use crate::backends::aide::{Answer, Question};
use crate::backends::symbols::{Rule, Statement};
use crate::engine::Failure;
use crate::engine::live::Woke;
use crate::engine::served::Replayed;
use crate::history::entry::{Reason, Stop};
use crate::search::native::{After, Level, Machine, Moved, Until};

/// Places that are met often, at most.
const FEW_PLACES: usize = 64;

/// Calls of which one is to return, when a loop is to be left.
const OUTER_FRAMES: usize = 4;

/// How long that may take, in microseconds: at least and at most.
pub(super) const LEAVE_US: (u64, u64) = (20, 2_000);

/// How long it is waited for a place that is to be met again, beside so many times what the program took to it.
const PATIENCE: (Duration, u32) = (Duration::from_secs(15), 64);

/// The same where several threads run that are not recorded: it is missed as often as not, and the program may never end.
const CHANCY: (Duration, u32) = (Duration::from_secs(2), 16);

/// Instructions, and the line of each.
pub(super) type Spots = (Vec<Spot>, Vec<u32>);

impl Native<'_> {
    /// Steps one instruction.
    pub(in crate::engine::served) fn step_instruction(&mut self, until: &Until<State>) -> Result<Moved, Failure> {
        self.fenced(&Question::StepInstruction, until)
    }

    /// Runs on to where the debugger stops.
    pub(in crate::engine::served) fn go_on(&mut self, until: &Until<State>) -> Result<Moved, Failure> {
        self.fenced(&Question::Continue, until)
    }

    /// Runs the program from a state without its debugger.
    pub(in crate::engine::served) fn run(&mut self, from: &State, run: Run) -> Result<Ran, Failure> {
        self.exchange(from)?;
        self.run_on(run)
    }

    /// The same, from where it stands.
    fn run_on(&mut self, run: Run) -> Result<Ran, Failure> {
        let begun = self.at;
        self.engine.live.run(run).map_err(|error| self.engine.failed("running the program again", &error))?;
        let mut trouble = None;
        loop {
            let woke = self.engine.live.wait(self.console.interrupt_fd(), None);
            let woke = woke.map_err(|error| self.engine.failed("waiting for the program", &error))?;
            self.engine.live.take_output();
            self.engine.live.take_printed();
            self.engine.live.take_told();
            let failure = match woke {
                Woke::Ran(ran) => {
                    tracing::debug!("ran from {begun}: {} hits, {} us, {:?}", ran.hits, ran.ran_us, ran.end);
                    self.engine.cost.replayed += ran.hits;
                    self.at += ran.ran_us;
                    return trouble.map_or(Ok(ran), Err);
                }
                Woke::Reading { program: true, .. } => {
                    let mut replayed = Replayed { inputs: &self.inputs, read: self.read, deadline: None };
                    let fed = self.engine.feed_program(&mut replayed);
                    self.read = replayed.read;
                    fed.err()
                }
                Woke::News => self.engine.went_astray(self.console),
                Woke::Interrupt if self.console.interrupted() => {
                    Some(self.engine.failure("interrupted: the session is where it was"))
                }
                _ => None,
            };
            if let Some(failure) = failure {
                trouble = Some(failure);
                self.engine.live.end_run().map_err(|error| self.engine.failed("stopping the program", &error))?;
            }
        }
    }

    pub(super) fn until(until: &Until<State>) -> Option<CopyId> {
        match until {
            Until::State(state) => Some(state.0.copy),
            Until::End => None,
        }
    }

    /// Where the statements of a level are.
    pub(super) fn spots_of(&mut self, level: &Level) -> Rc<Spots> {
        if let Some(known) = self.spots.get(level) {
            return Rc::clone(known);
        }
        let Some(served) = &mut self.engine.served else { return Rc::default() };
        let mut spots: Vec<(Spot, u32)> = Vec::new();
        for (index, pc) in level.functions.iter().enumerate() {
            let Some(function) = served.symbols.function_at(*pc) else { continue };
            for statement in served.symbols.statements(&function) {
                if index == 0 && level.inlined != u32::MAX {
                    let inlined = served.symbols.inlined_at(statement.address);
                    if inlined.depth - inlined.beginning > level.inlined {
                        continue;
                    }
                }
                let line = number_in(&mut self.lines, &statement);
                if level.without == Some(line) || spots.iter().any(|(spot, _)| spot.address == statement.address) {
                    continue;
                }
                let frame = served.symbols.frame_rule(statement.address).map(|rule| match rule {
                    Rule::StackPointer(offset) => (FrameRegister::StackPointer, offset),
                    Rule::BasePointer(offset) => (FrameRegister::BasePointer, offset),
                });
                spots.push((Spot { address: statement.address, frame, at_least: level.at_least }, line));
            }
        }
        for address in &level.instructions {
            spots.push((Spot { address: *address, frame: None, at_least: 0 }, u32::MAX));
        }
        let made = Rc::new(spots.into_iter().unzip());
        self.spots.insert(level.clone(), Rc::clone(&made));
        made
    }

    pub(super) fn number_of(&mut self, statement: &Statement) -> u32 {
        number_in(&mut self.lines, statement)
    }

    /// A run to an end over statements of a level, with what must be known of the functions that these are in.
    pub(in crate::engine::served) fn run_until(&mut self, until: &Until<State>, level: &Level) -> Run {
        let fence = Native::until(until);
        // Among many places none is met often.
        let instructions = if level.instructions.len() > FEW_PLACES { &[] } else { &level.instructions[..] };
        let mut places = [&level.functions[..], instructions].concat();
        let at = fence.and_then(|copy| self.engine.live.registers(Some(copy)).ok());
        places.extend(at.map(|registers| registers.rip));
        let mut functions: Vec<Vec<(u64, u64)>> = Vec::new();
        for place in places {
            let symbols = self.engine.served.as_mut().map(|served| &mut served.symbols);
            let ranges = symbols.and_then(|symbols| symbols.function_at(place)).map(|function| function.ranges);
            functions.extend(ranges.filter(|ranges| !functions.contains(ranges)));
        }
        Run { fence, functions, ..Run::default() }
    }

    /// Frames are compared on the stack of one thread.
    pub(super) fn thread_of(&mut self, of: &State, level: &Level) -> Option<i32> {
        if level.at_least == 0 {
            return None;
        }
        let known = self.stacks.iter().find(|(_, low, high)| (*low..=*high).contains(&level.at_least));
        if let Some((thread, ..)) = known {
            return Some(*thread);
        }
        self.engine.live.registers(Some(of.0.copy)).ok().map(|registers| registers.tid)
    }

    /// Where the calls that are being made return, innermost first.
    fn returns(&mut self, most: usize) -> Result<Vec<Spot>, Failure> {
        let frames = self.stack(None, most)?;
        let Some(served) = &mut self.engine.served else { return Ok(Vec::new()) };
        // What is inlined where it stands has no return: an instruction that it is in the midst of would be broken.
        let innermost = frames.first().map(|(frame, _)| frame.address);
        let outer = frames.iter().skip_while(|(frame, _)| Some(frame.address) == innermost);
        let returns = outer.filter_map(|(frame, _)| {
            let address = frame.pc + 1;
            let frame_at = served.symbols.frame_rule(address).map(|rule| match rule {
                Rule::StackPointer(offset) => (FrameRegister::StackPointer, offset),
                Rule::BasePointer(offset) => (FrameRegister::BasePointer, offset),
            });
            Some(Spot { address, frame: Some(frame_at?), at_least: frame.address })
        });
        let mut spots: Vec<Spot> = returns.collect();
        spots.dedup_by_key(|spot| spot.address);
        Ok(spots)
    }
    /// Runs on to where one of the calls that are being made returns, if one does soon: such places are met less often than one in
    /// the middle of a loop. How a run to an end has ended.
    fn leave_loop(&mut self, until: &Until<State>, micros: u64) -> Result<RunEnd, Failure> {
        let spots = self.returns(OUTER_FRAMES)?;
        if spots.is_empty() {
            return Ok(RunEnd::Time);
        }
        let run = Run { spots, hits: Some(1), micros: Some(micros), ..self.run_until(until, &Level::default()) };
        Ok(self.run_on(run)?.end)
    }

    /// Runs for some time, and then, if it is to `leave` the loop that it is in, for as long as that to the return of a call.
    pub(super) fn for_some_time(
        &mut self,
        from: &State,
        micros: u64,
        until: &Until<State>,
        leave: Option<u64>,
    ) -> Result<After<State>, Failure> {
        let run = Run { micros: Some(micros), ..self.run_until(until, &Level::default()) };
        let ran = self.run(from, run)?;
        match (ran.end, until) {
            (RunEnd::Time, _) => {
                let end = match leave {
                    Some(micros) => self.leave_loop(until, micros)?,
                    None => RunEnd::Time,
                };
                if !matches!(end, RunEnd::Time | RunEnd::Hits) {
                    return Ok(After::End(ran.ran_us));
                }
                let mut kept = self.temporary()?;
                kept.on_the_way = true;
                Ok(After::At(State(Rc::new(kept), None)))
            }
            (RunEnd::Fence, _) | (RunEnd::Exited(_) | RunEnd::Killed(_) | RunEnd::Dying(_), Until::End) => {
                Ok(After::End(ran.ran_us))
            }
            (end, _) => Err(self.astray(&format!("a replay ended by {end:?}"))),
        }
    }

    /// What a movement of the debugger means.
    fn moved(&mut self, answer: (Answer, bool), until: &Until<State>) -> Result<Moved, Failure> {
        match answer {
            (_, true) => Ok(Moved::End),
            (Answer::Went { stop: Some(stop), .. }, _) if stop.reason != Reason::Exited => {
                let stack = self.stack(None, 1)?;
                match stack.first() {
                    Some((frame, function)) => {
                        let crate::search::native::Frame { pc, address, inlined, .. } = frame;
                        tracing::debug!("moved to {pc:x} in {function:?}, frame {address:x}, {inlined} inlined");
                        self.shown(*frame).map(Moved::Stop)
                    }
                    None => Err(self.engine.failure("the place where the program stopped has no frame")),
                }
            }
            (Answer::Went { .. }, _) if matches!(until, Until::End) => {
                self.bereft = true;
                Ok(Moved::End)
            }
            (Answer::Went { .. }, _) => Err(self.astray("the program ended before the place that was to be met again")),
            (Answer::Refused(why), _) => Err(self.engine.failure(format!("the debugger does not step: {why}"))),
            (other, _) => Err(self.engine.failure(format!("the debugger answered something else: {other:?}"))),
        }
    }

    /// How long it is waited for an end that the program came to in so many microseconds.
    pub(super) fn patience(&self, span: u64) -> Duration {
        let (least, times) = if self.chancy { CHANCY } else { PATIENCE };
        least + Duration::from_micros(span) * times
    }

    pub(super) fn fenced(&mut self, question: &Question, until: &Until<State>) -> Result<Moved, Failure> {
        self.check()?;
        self.mend()?;
        self.standing = None;
        let Run { fence, functions, .. } = self.run_until(until, &Level::default());
        let returning = match question {
            Question::Finish if self.quiet => self.returns(OUTER_FRAMES)?.into_iter().next(),
            _ => None,
        };
        self.engine
            .live
            .fence(fence, functions, returning)
            .map_err(|error| self.engine.failed("marking the end of a stretch", &error))?;
        let span = match until {
            Until::State(state) => state.0.at.saturating_sub(self.at),
            Until::End => 0,
        };
        let deadline = fence.is_some().then(|| Instant::now() + self.patience(span) + self.judges);
        let answer = self.ask_until(question, deadline);
        let is_watchpoint = |stop: &Stop| stop.reason == Reason::Watchpoint;
        self.watched_end = matches!(&answer, Ok((Answer::Went { stop: Some(stop), .. }, true)) if is_watchpoint(stop));
        self.engine
            .live
            .fence(None, Vec::new(), None)
            .map_err(|error| self.engine.failed("taking a mark away", &error))?;
        self.moved(answer?, until)
    }

    /// Makes the debugger of the copy fit for a search.
    pub(in crate::engine::served) fn be_quiet(&mut self) -> Result<(), Failure> {
        self.quiet = true;
        let questions = self.engine.served.as_ref().map(|served| served.aide.quiet()).unwrap_or_default();
        self.make_fit(questions)
    }

    /// Has steps of the copy let all threads go, whatever the user has set: in a search they take the turns that they took.
    pub(in crate::engine::served) fn free_threads(&mut self, several: bool) -> Result<(), Failure> {
        let free = self.engine.served.as_ref().and_then(|served| served.aide.lock(None));
        self.make_fit(free.filter(|_| several).into_iter().collect())
    }

    /// Makes it fit in this way, and whichever copy takes its place.
    pub(in crate::engine::served) fn make_fit(&mut self, questions: Vec<Question>) -> Result<(), Failure> {
        for question in questions {
            self.ask(&question)?;
            self.fit.push(question);
        }
        Ok(())
    }
}

/// The number that stands for the line of a statement.
fn number_in(lines: &mut HashMap<(PathBuf, u32), u32>, statement: &Statement) -> u32 {
    let count = u32::try_from(lines.len()).unwrap_or(u32::MAX);
    *lines.entry((statement.file.clone(), statement.line)).or_insert(count)
}
