//! The served program and its debugger as searches see them: a machine whose states can be kept.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use fred_checkpointer::wire::{CopyId, FrameRegister, Ran, Run, RunEnd, Spot};

use super::Replayed;
use crate::backends::aide::{Answer, Question};
use crate::backends::dialect::Prompt;
use crate::backends::symbols::{Registers, Rule};
use crate::engine::core::Engine;
use crate::engine::live::Woke;
use crate::engine::{Console, Failure};
use crate::history::entry::Reason;
use crate::search::native::{After, Frame, Hit, Level, Machine, Moved, Passed, Until};
use crate::search::probe::Value;

/// Frames that are looked at most.
const MOST_FRAMES: usize = 512;

/// Bytes of a stack that are fetched at once.
const STACK_CHUNK: u64 = 16 * 1024;

/// A state of the program: a copy, of the program alone or with its debugger.
#[derive(Clone)]
pub(in crate::engine) struct State(Rc<Kept>);

struct Kept {
    copy: CopyId,
    /// Ours to be dropped.
    temporary: bool,
    gone: Rc<RefCell<Vec<CopyId>>>,
    /// How much of its input the program has read.
    read: usize,
    /// About how long the program had run, in microseconds.
    at: u64,
    frames: RefCell<Option<Vec<Frame>>>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.temporary {
            self.gone.borrow_mut().push(self.copy);
        }
    }
}

impl State {
    pub(super) fn copy(&self) -> CopyId {
        self.0.copy
    }

    pub(super) fn read(&self) -> usize {
        self.0.read
    }

    /// About how long the program had run there, in microseconds.
    pub(super) fn at(&self) -> u64 {
        self.0.at
    }
}

/// Instructions, and the line of each.
type Spots = (Vec<Spot>, Vec<u32>);

/// What is watched.
pub(super) struct Watched {
    pub(super) expression: String,
    /// The function in whose innermost frame it means something; `None` if it names no variable of a function.
    pub(super) scope: Option<String>,
}

/// A search that is going on. The debugger that runs is a throw-away copy.
pub(in crate::engine) struct Native<'e> {
    pub(super) engine: &'e mut Engine,
    pub(super) console: &'e mut dyn Console,
    /// All that the program has read since it was started.
    inputs: Vec<String>,
    /// How much of it had been read where the debugger stands.
    read: usize,
    /// When that was.
    at: u64,
    gone: Rc<RefCell<Vec<CopyId>>>,
    /// What the debugger is a copy of, for another one when it has seen the program end.
    debugger: (CopyId, Prompt),
    /// It has.
    bereft: bool,
    /// Whether it was made fit for a search.
    pub(super) quiet: bool,
    pub(super) watched: Option<Watched>,
    /// Numbers of lines, for telling them apart.
    lines: HashMap<(std::path::PathBuf, u32), u32>,
    /// Addresses of the statements of a level, and the line of each.
    spots: HashMap<Level, Rc<Spots>>,
}

impl<'e> Native<'e> {
    pub(super) fn new(
        engine: &'e mut Engine,
        console: &'e mut dyn Console,
        inputs: Vec<String>,
        debugger: (CopyId, Prompt),
    ) -> Self {
        Native {
            engine,
            console,
            inputs,
            read: 0,
            at: 0,
            gone: Rc::default(),
            debugger,
            bereft: false,
            quiet: false,
            watched: None,
            lines: HashMap::new(),
            spots: HashMap::new(),
        }
    }

    /// A state that somebody else keeps.
    pub(super) fn known(&self, copy: CopyId, read: usize, at: u64) -> State {
        self.state(copy, false, read, at)
    }

    fn state(&self, copy: CopyId, temporary: bool, read: usize, at: u64) -> State {
        State(Rc::new(Kept { copy, temporary, gone: Rc::clone(&self.gone), read, at, frames: RefCell::default() }))
    }

    /// Drops what nobody refers to any more.
    fn sweep(&mut self) {
        let gone = std::mem::take(&mut *self.gone.borrow_mut());
        for copy in gone {
            self.engine.live.drop_copy(copy).ok();
        }
    }

    /// Ends the search: all that it kept is dropped.
    pub(super) fn finish_search(mut self) {
        self.spots.clear();
        self.engine.live.fence(None).ok();
        self.sweep();
    }

    fn check(&mut self) -> Result<(), Failure> {
        self.sweep();
        if self.console.interrupted() {
            return Err(self.engine.failure("interrupted: the session is where it was"));
        }
        let cost = self.engine.spent();
        self.console.progress(&cost, None);
        Ok(())
    }

    /// Puts the program into a state.
    fn exchange(&mut self, at: &State) -> Result<(), Failure> {
        self.check()?;
        let lost = self.engine.live.exchange(at.0.copy);
        lost.map_err(|error| self.engine.failed("restoring a state of the program", &error))?;
        self.engine.cost.restores += 1;
        (self.read, self.at) = (at.0.read, at.0.at);
        Ok(())
    }

    /// What the program read between two places.
    pub(super) fn inputs_between(&self, from: usize, to: usize) -> Vec<String> {
        self.inputs.get(from..to).map(<[String]>::to_vec).unwrap_or_default()
    }

    /// Steps one instruction.
    pub(super) fn step_instruction(&mut self, until: &Until<State>) -> Result<Moved, Failure> {
        self.fenced(&Question::StepInstruction, until)
    }

    /// Runs on to where the debugger stops.
    pub(super) fn go_on(&mut self, until: &Until<State>) -> Result<Moved, Failure> {
        self.fenced(&Question::Continue, until)
    }

    /// Runs the program from a state without its debugger.
    pub(super) fn run(&mut self, from: &State, run: Run) -> Result<Ran, Failure> {
        self.exchange(from)?;
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
                    self.engine.cost.replayed += ran.hits;
                    self.at += ran.ran_us;
                    return trouble.map_or(Ok(ran), Err);
                }
                Woke::Reading { program: true, .. } => {
                    let mut replayed = Replayed { inputs: &self.inputs, read: self.read };
                    let fed = self.engine.feed_program(&mut replayed);
                    self.read = replayed.read;
                    fed.err()
                }
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

    /// Keeps the state in which the program stands.
    pub(super) fn keep(&mut self) -> Result<State, Failure> {
        let kept = self.engine.live.checkpoint_program();
        let kept = kept.map_err(|error| self.engine.failed("keeping a state of the program", &error))?;
        self.engine.cost.checkpoints += 1;
        Ok(self.state(kept.id, true, self.read, self.at))
    }

    fn until(until: &Until<State>) -> Option<CopyId> {
        match until {
            Until::State(state) => Some(state.0.copy),
            Until::End => None,
        }
    }

    /// Asks the debugger of the copy.
    pub(super) fn ask(&mut self, question: &Question) -> Result<(Answer, bool), Failure> {
        let mut replayed = Replayed { inputs: &self.inputs, read: self.read };
        let answer = self.engine.ask_served(question, Some(&mut replayed), &mut *self.console);
        self.read = replayed.read;
        answer
    }

    /// The stack of the program as it stands, or of a copy.
    pub(super) fn stack(&mut self, of: Option<CopyId>, most: usize) -> Result<Vec<(Frame, Option<String>)>, Failure> {
        let live = &mut self.engine.live;
        let found = live.registers(of);
        let registers = match found {
            Ok(registers) => registers,
            Err(error) => return Err(self.engine.failed("reading the registers", &error)),
        };
        let Some(served) = &mut self.engine.served else { return Ok(Vec::new()) };
        if let Ok(maps) = std::fs::read_to_string(format!("/proc/{}/maps", registers.pid)) {
            served.symbols.set_maps(&maps);
        }
        let mut chunks: HashMap<u64, Vec<u8>> = HashMap::new();
        let mut read = |address: u64, buffer: &mut [u8]| {
            for (offset, byte) in (0u64..).zip(buffer.iter_mut()) {
                let at = address.wrapping_add(offset);
                let base = at - at % STACK_CHUNK;
                let chunk =
                    chunks.entry(base).or_insert_with(|| live.memory(of, base, STACK_CHUNK).unwrap_or_default());
                #[allow(clippy::cast_possible_truncation)]
                let Some(found) = chunk.get((at - base) as usize) else { return false };
                *byte = *found;
            }
            true
        };
        let registers = Registers { pc: registers.rip, general: registers.general };
        let frames = served.symbols.unwind(&registers, &mut read, most);
        let stops_anywhere = served.aide.stops_after_return();
        let mut stack = Vec::new();
        for frame in frames {
            // The program's own outermost frame is main; what started it is nobody's.
            let outermost = frame.function.as_deref() == Some("main");
            // A return address can be the first one behind its function.
            let pc = if stack.is_empty() { frame.pc } else { frame.pc.saturating_sub(1) };
            let lines = served.symbols.has_lines(pc);
            let begins = stack.is_empty() && (stops_anywhere || served.symbols.begins_line(pc));
            let lands = lines || !stops_anywhere;
            stack.push((Frame { pc, address: frame.cfa, lines, begins, lands }, frame.function));
            if outermost {
                break;
            }
        }
        Ok(stack)
    }

    /// Where the statements of a level are.
    fn spots_of(&mut self, level: &Level) -> Rc<Spots> {
        if let Some(known) = self.spots.get(level) {
            return Rc::clone(known);
        }
        let Some(served) = &mut self.engine.served else { return Rc::default() };
        let mut spots: Vec<(Spot, u32)> = Vec::new();
        for pc in &level.functions {
            let Some(function) = served.symbols.function_at(*pc) else { continue };
            for statement in served.symbols.statements(&function) {
                let count = u32::try_from(self.lines.len()).unwrap_or(u32::MAX);
                let line = *self.lines.entry((statement.file.clone(), statement.line)).or_insert(count);
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

    /// Frames are compared on the stack of one thread.
    fn thread_of(&mut self, of: &State, level: &Level) -> Option<i32> {
        if level.at_least == 0 {
            return None;
        }
        self.engine.live.registers(Some(of.0.copy)).ok().map(|registers| registers.tid)
    }

    /// What a movement of the debugger means.
    fn moved(&mut self, answer: (Answer, bool), until: &Until<State>) -> Result<Moved, Failure> {
        match answer {
            (_, true) => Ok(Moved::End),
            (Answer::Went { stop: Some(stop), .. }, _) if stop.reason != Reason::Exited => {
                let stack = self.stack(None, 1)?;
                match stack.first() {
                    Some((frame, _)) => Ok(Moved::Stop(*frame)),
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

    /// Makes the debugger of the copy fit for a search.
    pub(super) fn be_quiet(&mut self) -> Result<(), Failure> {
        self.quiet = true;
        let questions = self.engine.served.as_ref().map(|served| served.aide.quiet()).unwrap_or_default();
        for question in questions {
            self.ask(&question)?;
        }
        Ok(())
    }

    fn fenced(&mut self, question: &Question, until: &Until<State>) -> Result<Moved, Failure> {
        self.check()?;
        let fence = Native::until(until);
        self.engine.live.fence(fence).map_err(|error| self.engine.failed("marking the end of a stretch", &error))?;
        let answer = self.ask(question);
        self.engine.live.fence(None).map_err(|error| self.engine.failed("taking a mark away", &error))?;
        self.moved(answer?, until)
    }
}

impl Machine for Native<'_> {
    type Error = Failure;
    type State = State;

    fn frames(&mut self, at: &State) -> Result<Vec<Frame>, Failure> {
        if let Some(known) = &*at.0.frames.borrow() {
            return Ok(known.clone());
        }
        let stack = self.stack(Some(at.0.copy), MOST_FRAMES)?;
        let frames: Vec<Frame> = stack.into_iter().map(|(frame, _)| frame).collect();
        *at.0.frames.borrow_mut() = Some(frames.clone());
        Ok(frames)
    }

    fn pass(&mut self, from: &State, until: &Until<State>, level: &Level, most: u64) -> Result<Passed, Failure> {
        if let Until::State(state) = until
            && state.0.copy == from.0.copy
        {
            return Ok(Passed { count: 0, last: Vec::new(), reached: true, micros: 0 });
        }
        // Their statements are looked up in what is mapped there.
        self.frames(from)?;
        let spots = self.spots_of(level);
        let thread = self.thread_of(from, level);
        let run = Run {
            spots: spots.0.clone(),
            fence: Native::until(until),
            hits: (most != u64::MAX).then_some(most),
            thread,
            ..Run::default()
        };
        let ran = self.run(from, run)?;
        let reached = match (ran.end, until) {
            (RunEnd::Fence, _) | (RunEnd::Exited(_) | RunEnd::Killed(_) | RunEnd::Dying(_), Until::End) => true,
            (RunEnd::Hits, _) => false,
            (RunEnd::Exited(_) | RunEnd::Killed(_), Until::State(_)) => {
                return Err(self.astray("the program ended before the place that was to be met again"));
            }
            (end, _) => return Err(self.astray(&format!("a replay ended by {end:?}"))),
        };
        let line_of = |spot: u32| spots.1.get(spot as usize).copied().unwrap_or(u32::MAX);
        let last =
            ran.last.iter().map(|hit| Hit { number: hit.number, frame: hit.frame, line: line_of(hit.spot) }).collect();
        Ok(Passed { count: ran.hits, last, reached, micros: ran.ran_us })
    }

    fn at_hit(&mut self, from: &State, level: &Level, number: u64) -> Result<State, Failure> {
        if number == 0 {
            return Ok(from.clone());
        }
        let spots = self.spots_of(level);
        let thread = self.thread_of(from, level);
        let run = Run { spots: spots.0.clone(), hits: Some(number), thread, ..Run::default() };
        let ran = self.run(from, run)?;
        if ran.end != RunEnd::Hits {
            return Err(self.astray("a statement was met less often than before"));
        }
        self.keep()
    }

    fn after(&mut self, from: &State, micros: u64, until: &Until<State>) -> Result<After<State>, Failure> {
        let run = Run { fence: Native::until(until), micros: Some(micros), ..Run::default() };
        let ran = self.run(from, run)?;
        match (ran.end, until) {
            (RunEnd::Time, _) => Ok(After::At(self.keep()?)),
            (RunEnd::Fence, _) | (RunEnd::Exited(_) | RunEnd::Killed(_) | RunEnd::Dying(_), Until::End) => {
                Ok(After::End(ran.ran_us))
            }
            (end, _) => Err(self.astray(&format!("a replay ended by {end:?}"))),
        }
    }

    fn reaches(&mut self, from: &State, micros: u64, until: &Until<State>) -> Result<Option<u64>, Failure> {
        let run = Run { fence: Native::until(until), micros: Some(micros), ..Run::default() };
        let ran = self.run(from, run)?;
        let reached = match (ran.end, until) {
            (RunEnd::Fence, _) => true,
            (RunEnd::Exited(_) | RunEnd::Killed(_) | RunEnd::Dying(_), Until::End) => true,
            // Behind the place the program may do anything.
            _ => false,
        };
        Ok(reached.then_some(ran.ran_us))
    }

    fn span(&self, from: &State, until: &Until<State>) -> u64 {
        match until {
            Until::State(state) => state.0.at.saturating_sub(from.0.at),
            Until::End => 1_000_000,
        }
    }

    fn stand(&mut self, at: &State) -> Result<(), Failure> {
        if std::mem::take(&mut self.bereft) {
            let (copy, prompt) = self.debugger.clone();
            self.engine.start_copy(copy, &prompt)?;
            if self.quiet {
                self.be_quiet()?;
            }
        }
        self.exchange(at)?;
        match self.ask(&Question::StepInstruction)?.0 {
            Answer::Went { stop: Some(_), .. } => Ok(()),
            Answer::Refused(why) => {
                Err(self.engine.failure(format!("the debugger does not take the program up: {why}")))
            }
            _ => Err(self.engine.failure("the debugger does not see the program any more")),
        }
    }

    fn step(&mut self, until: &Until<State>) -> Result<Moved, Failure> {
        self.engine.cost.replayed += 1;
        self.fenced(&Question::Step, until)
    }

    fn finish(&mut self, until: &Until<State>) -> Result<Moved, Failure> {
        self.fenced(&Question::Finish, until)
    }

    fn here(&mut self) -> Result<State, Failure> {
        self.keep()
    }

    fn value(&mut self) -> Result<Value, Failure> {
        let Some(watched) = &self.watched else { return Err(self.engine.failure("nothing is watched")) };
        let (expression, scope) = (watched.expression.clone(), watched.scope.clone());
        self.engine.cost.evaluations += 1;
        let mut frame = 0;
        if let Some(scope) = scope {
            match self.ask(&Question::Frames { most: 256 })?.0 {
                Answer::Frames(frames) => {
                    match frames.iter().find(|frame| frame.function.as_deref() == Some(&*scope)) {
                        Some(found) => frame = found.level,
                        None => return Ok(Value::Unknown(format!("{scope} is not running"))),
                    }
                }
                Answer::Refused(why) => return Ok(Value::Unknown(why)),
                _ => {}
            }
        }
        // A function that is called may change anything: what goes on afterwards is the program as it was.
        let before = if expression.contains(['(', '=']) { Some(self.keep()?) } else { None };
        let answer = self.ask(&Question::Evaluate { expression, frame })?.0;
        if let Some(before) = before {
            self.stand(&before)?;
        }
        Ok(match answer {
            Answer::Text(text) => Value::Known { digest: crate::engine::reverse::fold(&text), text },
            Answer::Refused(why) => Value::Unknown(why),
            _ => Value::Unknown("the debugger does not say".to_owned()),
        })
    }

    fn astray(&self, what: &str) -> Failure {
        self.engine.failure(format!("the program did not replay the same way: {what}"))
    }
}
