//! The served program and its debugger as searches see them: a machine whose states can be kept.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fred_checkpointer::wire::{CopyId, FrameRegister, Ran, Run, RunEnd, Spot};

use super::{MISSED, Replayed, branches};
use crate::backends::aide::{Answer, Question};
use crate::backends::dialect::Prompt;
use crate::backends::symbols::{Function, Registers, Rule, Statement};
use crate::engine::core::Engine;
use crate::engine::live::Woke;
use crate::engine::{Console, Failure};
use crate::history::entry::Reason;
use crate::search::native::{After, Frame, Hit, Level, MOST_STEPS, Machine, Moved, Passed, Until};
use crate::search::probe::Value;

/// Frames that are looked at most.
const MOST_FRAMES: usize = 512;

/// Calls of which one is to return, when a loop is to be left.
const OUTER_FRAMES: usize = 4;

/// How long that may take, in microseconds: at least and at most.
const LEAVE_US: (u64, u64) = (20, 2_000);

/// How long it is waited for a place that is to be met again, beside so many times what the program took to it.
const PATIENCE: (Duration, u32) = (Duration::from_secs(15), 64);

/// The same where several threads run that are not recorded: it is missed as often as not, and the program may never end.
const CHANCY: (Duration, u32) = (Duration::from_secs(2), 16);
const CHANCY_STEPS: usize = 256;

/// Places that are met often, at most.
const FEW_PLACES: usize = 64;

/// How long so many hits may take.
const HIT_US: u64 = 500;

/// Bytes of a stack that are fetched at once.
const STACK_CHUNK: u64 = 16 * 1024;

/// A state of the program: a copy, of the program alone or with its debugger; and, where inlined calls begin right there, how
/// many of all those that it is in a debugger has entered. If that is not known, none that begins there.
#[derive(Clone)]
pub(in crate::engine) struct State(Rc<Kept>, Option<u32>);

struct Kept {
    copy: CopyId,
    /// Ours to be dropped.
    temporary: bool,
    gone: Rc<RefCell<Vec<CopyId>>>,
    /// How much of its input the program has read.
    read: usize,
    /// About how long the program had run, in microseconds.
    at: u64,
    /// With all inlined calls entered; and how many of the innermost frame begin right there.
    frames: RefCell<Option<(Vec<Frame>, u32)>>,
    /// The debugger would not have stopped there.
    on_the_way: bool,
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

    /// How many inlined calls the debugger has entered, if that is known and some begin right there.
    pub(super) fn entered(&self) -> Option<u32> {
        self.1
    }

    /// The same, with another number of them.
    pub(super) fn with_entered(&self, entered: Option<u32>) -> State {
        State(Rc::clone(&self.0), entered)
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

/// Inlined calls around an instruction.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entered {
    /// Those that the debugger has entered.
    pub(super) now: u32,
    /// All.
    pub(super) all: u32,
    /// Those that do not begin right there.
    pub(super) least: u32,
}

/// What is watched.
pub(super) struct Watched {
    pub(super) expression: String,
    /// The function in whose innermost frame it means something; `None` if it names no variable of a function.
    pub(super) scope: Option<String>,
    /// The thread that runs it, by the id that the program knows; `None` if there is only one.
    pub(super) thread: Option<i32>,
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
    /// How many inlined calls it has entered where it stands, if some begin there.
    entered: Option<u32>,
    gone: Rc<RefCell<Vec<CopyId>>>,
    /// What the debugger is a copy of, for another one when it has seen the program end.
    debugger: (CopyId, Prompt),
    /// It has.
    bereft: bool,
    /// The state in which the program stands, if that is kept.
    standing: Option<State>,
    /// What the program was before the debugger changed it; it is put back when it matters.
    spoilt: Option<State>,
    /// Whether it was made fit for a search.
    pub(super) quiet: bool,
    pub(super) watched: Option<Watched>,
    /// Numbers of lines, for telling them apart.
    lines: HashMap<(PathBuf, u32), u32>,
    /// Addresses of the statements of a level, and the line of each.
    spots: HashMap<Level, Rc<Spots>>,
    /// Stacks of threads that were looked at: the thread, and the addresses of its innermost and outermost frame.
    stacks: Vec<(i32, u64, u64)>,
    /// Whether several threads run that are not recorded.
    chancy: bool,
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
            entered: None,
            gone: Rc::default(),
            debugger,
            bereft: false,
            standing: None,
            spoilt: None,
            quiet: false,
            watched: None,
            lines: HashMap::new(),
            spots: HashMap::new(),
            stacks: Vec::new(),
            chancy: false,
        }
    }

    /// A state that somebody else keeps.
    pub(super) fn known(&self, copy: CopyId, read: usize, at: u64) -> State {
        State(Rc::new(self.kept(copy, read, at)), None)
    }

    /// The same, taken while the program ran.
    pub(super) fn known_on_the_way(&self, copy: CopyId, read: usize, at: u64) -> State {
        let mut kept = self.kept(copy, read, at);
        kept.on_the_way = true;
        State(Rc::new(kept), None)
    }

    fn kept(&self, copy: CopyId, read: usize, at: u64) -> Kept {
        let gone = Rc::clone(&self.gone);
        Kept { copy, temporary: false, gone, read, at, frames: RefCell::default(), on_the_way: false }
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
        self.engine.live.fence(None, Vec::new()).ok();
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
        self.entered = None;
        (self.standing, self.spoilt) = (None, None);
        Ok(())
    }

    /// Puts the program back as it was before an expression has changed it.
    fn mend(&mut self) -> Result<(), Failure> {
        match self.spoilt.take() {
            Some(state) => self.stand(&state),
            None => Ok(()),
        }
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
        self.mend()?;
        let kept = self.temporary()?;
        Ok(State(Rc::new(kept), self.entered))
    }

    fn temporary(&mut self) -> Result<Kept, Failure> {
        let copy = self.engine.live.checkpoint_program();
        let copy = copy.map_err(|error| self.engine.failed("keeping a state of the program", &error))?;
        self.engine.cost.checkpoints += 1;
        let mut kept = self.kept(copy.id, self.read, self.at);
        kept.temporary = true;
        Ok(kept)
    }

    fn until(until: &Until<State>) -> Option<CopyId> {
        match until {
            Until::State(state) => Some(state.0.copy),
            Until::End => None,
        }
    }

    /// Asks the debugger of the copy.
    pub(super) fn ask(&mut self, question: &Question) -> Result<(Answer, bool), Failure> {
        self.ask_until(question, None)
    }

    fn ask_until(&mut self, question: &Question, deadline: Option<Instant>) -> Result<(Answer, bool), Failure> {
        self.mend()?;
        let mut replayed = Replayed { inputs: &self.inputs, read: self.read, deadline };
        let answer = self.engine.ask_served(question, Some(&mut replayed), &mut *self.console);
        self.read = replayed.read;
        answer
    }

    /// The stack of the program as it stands, or of a copy, with all inlined calls.
    pub(super) fn stack(&mut self, of: Option<CopyId>, most: usize) -> Result<Vec<(Frame, Option<String>)>, Failure> {
        if of.is_none() {
            self.mend()?;
        }
        let live = &mut self.engine.live;
        let found = live.registers(of);
        let registers = match found {
            Ok(registers) => registers,
            Err(error) => return Err(self.engine.failed("reading the registers", &error)),
        };
        self.chancy = registers.threads > 1 && registers.turns.is_none();
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
            let inlined = served.symbols.inlined_at(pc).depth;
            for inlined in (0..=inlined).rev() {
                stack.push((Frame { pc, address: frame.cfa, lines, begins, lands, inlined }, frame.function.clone()));
            }
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

    fn number_of(&mut self, statement: &Statement) -> u32 {
        number_in(&mut self.lines, statement)
    }

    /// A run to an end over statements of a level, with what must be known of the functions that these are in.
    pub(super) fn run_until(&mut self, until: &Until<State>, level: &Level) -> Run {
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
    fn thread_of(&mut self, of: &State, level: &Level) -> Option<i32> {
        if level.at_least == 0 {
            return None;
        }
        let known = self.stacks.iter().find(|(_, low, high)| (*low..=*high).contains(&level.at_least));
        if let Some((thread, ..)) = known {
            return Some(*thread);
        }
        self.engine.live.registers(Some(of.0.copy)).ok().map(|registers| registers.tid)
    }

    /// Runs on to where one of the calls that are being made returns, if one does soon: such places are met less often than one in
    /// the middle of a loop. How a run to an end has ended.
    fn leave_loop(&mut self, until: &Until<State>, micros: u64) -> Result<RunEnd, Failure> {
        let frames = self.stack(None, OUTER_FRAMES)?;
        let Some(served) = &mut self.engine.served else { return Ok(RunEnd::Time) };
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
        if spots.is_empty() {
            return Ok(RunEnd::Time);
        }
        let run = Run { spots, hits: Some(1), micros: Some(micros), ..self.run_until(until, &Level::default()) };
        Ok(self.run_on(run)?.end)
    }

    /// Runs for some time, and then, if it is to `leave` the loop that it is in, for as long as that to the return of a call.
    fn for_some_time(
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
                        tracing::debug!("moved to {:x} in {function:?}, frame {:x}", frame.pc, frame.address);
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

    /// The innermost frame as the debugger shows it, which may not have entered inlined calls that begin there.
    pub(super) fn shown(&mut self, frame: Frame) -> Result<Frame, Failure> {
        let symbols = self.engine.served.as_mut().map(|served| &mut served.symbols);
        let all = symbols.map(|symbols| symbols.inlined_at(frame.pc)).unwrap_or_default();
        self.entered = None;
        if all.beginning == 0 {
            return Ok(frame);
        }
        let Answer::Frames(frames) = self.ask(&Question::Frames { most: all.depth + 1 })?.0 else { return Ok(frame) };
        let here = frames.iter().take_while(|one| one.pc == frame.pc).count();
        let entered = u32::try_from(here).unwrap_or(u32::MAX).saturating_sub(1).min(all.depth);
        self.entered = Some(entered);
        Ok(Frame { inlined: entered, ..frame })
    }

    /// What a debugger that comes to a state shows of its innermost frame: the inlined calls that it has entered, all that it
    /// can enter there, and those that it has entered whatever it shows.
    pub(super) fn inlined(&mut self, at: &State) -> Result<Entered, Failure> {
        self.unwound(at)?;
        let cached = at.0.frames.borrow();
        let Some((frames, beginning)) = &*cached else { return Ok(Entered::default()) };
        let all = frames.first().map_or(0, |frame| frame.inlined);
        let least = all.saturating_sub(*beginning);
        Ok(Entered { now: at.1.unwrap_or(least).clamp(least, all), all, least })
    }

    /// How many inlined calls the debugger has entered where it stands, if some begin there.
    pub(super) fn entered_here(&mut self) -> Result<Option<u32>, Failure> {
        if let Some((frame, _)) = self.stack(None, 1)?.first().cloned() {
            self.shown(frame)?;
        }
        Ok(self.entered)
    }

    /// Unwinds the stack of a state, once.
    fn unwound(&mut self, at: &State) -> Result<(), Failure> {
        if at.0.frames.borrow().is_none() {
            let stack = self.stack(Some(at.0.copy), MOST_FRAMES)?;
            let frames: Vec<Frame> = stack.into_iter().map(|(frame, _)| frame).collect();
            let symbols = self.engine.served.as_mut().map(|served| &mut served.symbols);
            let beginning = match (frames.first(), symbols) {
                (Some(frame), Some(symbols)) => symbols.inlined_at(frame.pc).beginning,
                _ => 0,
            };
            let addresses = || frames.iter().map(|frame| frame.address);
            if let (Some(low), Some(high)) = (addresses().min(), addresses().max())
                && let Ok(registers) = self.engine.live.registers(Some(at.0.copy))
            {
                match self.stacks.iter_mut().find(|(thread, ..)| *thread == registers.tid) {
                    Some(known) => (known.1, known.2) = (known.1.min(low), known.2.max(high)),
                    None => self.stacks.push((registers.tid, low, high)),
                }
            }
            *at.0.frames.borrow_mut() = Some((frames, beginning));
        }
        Ok(())
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

    /// How long it is waited for an end that the program came to in so many microseconds.
    fn patience(&self, span: u64) -> Duration {
        let (least, times) = if self.chancy { CHANCY } else { PATIENCE };
        least + Duration::from_micros(span) * times
    }

    fn fenced(&mut self, question: &Question, until: &Until<State>) -> Result<Moved, Failure> {
        self.check()?;
        self.mend()?;
        self.standing = None;
        let Run { fence, functions, .. } = self.run_until(until, &Level::default());
        self.engine
            .live
            .fence(fence, functions)
            .map_err(|error| self.engine.failed("marking the end of a stretch", &error))?;
        let span = match until {
            Until::State(state) => state.0.at.saturating_sub(self.at),
            Until::End => 0,
        };
        let deadline = fence.is_some().then(|| Instant::now() + self.patience(span));
        let answer = self.ask_until(question, deadline);
        self.engine.live.fence(None, Vec::new()).map_err(|error| self.engine.failed("taking a mark away", &error))?;
        self.moved(answer?, until)
    }
}

/// The number that stands for the line of a statement.
fn number_in(lines: &mut HashMap<(PathBuf, u32), u32>, statement: &Statement) -> u32 {
    let count = u32::try_from(lines.len()).unwrap_or(u32::MAX);
    *lines.entry((statement.file.clone(), statement.line)).or_insert(count)
}

impl Machine for Native<'_> {
    type Error = Failure;
    type State = State;

    fn is_stop(&self, at: &State) -> bool {
        !at.0.on_the_way
    }

    fn frames(&mut self, at: &State) -> Result<Vec<Frame>, Failure> {
        let Entered { now, all, .. } = self.inlined(at)?;
        let cached = at.0.frames.borrow();
        Ok(cached.iter().flat_map(|(frames, _)| frames).skip((all - now) as usize).copied().collect())
    }

    fn entered(&mut self, at: &State, most: u32) -> Result<State, Failure> {
        let Entered { all, least, .. } = self.inlined(at)?;
        Ok(at.with_entered((all > least).then_some(most.clamp(least, all))))
    }

    fn pass(
        &mut self,
        from: &State,
        until: &Until<State>,
        level: &Level,
        most: u64,
        micros: Option<u64>,
    ) -> Result<Passed, Failure> {
        if let Until::State(state) = until
            && state.0.copy == from.0.copy
        {
            return Ok(Passed { count: 0, last: Vec::new(), reached: true, micros: 0, turns: 0 });
        }
        // Their statements are looked up in what is mapped there.
        self.frames(from)?;
        let spots = self.spots_of(level);
        let thread = self.thread_of(from, level);
        let longest = Native::until(until).map(|_| self.longest(from, until));
        let run = Run {
            spots: spots.0.clone(),
            hits: (most != u64::MAX).then_some(most),
            thread,
            micros: micros.or(longest),
            ..self.run_until(until, level)
        };
        let ran = self.run(from, run)?;
        let reached = match (ran.end, until) {
            (RunEnd::Fence, _) | (RunEnd::Exited(_) | RunEnd::Killed(_) | RunEnd::Dying(_), Until::End) => true,
            (RunEnd::Hits, _) => false,
            (RunEnd::Time, _) if micros.is_some() => false,
            (RunEnd::Time, _) => return Err(self.missed()),
            (RunEnd::Exited(_) | RunEnd::Killed(_), Until::State(_)) => {
                return Err(self.astray("the program ended before the place that was to be met again"));
            }
            (end, _) => return Err(self.astray(&format!("a replay ended by {end:?}"))),
        };
        let line_of = |spot: u32| spots.1.get(spot as usize).copied().unwrap_or(u32::MAX);
        let last =
            ran.last.iter().map(|hit| Hit { number: hit.number, frame: hit.frame, line: line_of(hit.spot) }).collect();
        Ok(Passed { count: ran.hits, last, reached, micros: ran.ran_us, turns: ran.turns })
    }

    fn at_hit(&mut self, from: &State, level: &Level, number: u64) -> Result<State, Failure> {
        if number == 0 {
            return Ok(from.clone());
        }
        let spots = self.spots_of(level);
        let thread = self.thread_of(from, level);
        let longest = u64::try_from(self.patience(0).as_micros()).unwrap_or(u64::MAX).saturating_add(number * HIT_US);
        let run = Run {
            spots: spots.0.clone(),
            hits: Some(number),
            thread,
            micros: Some(longest),
            ..self.run_until(&Until::End, level)
        };
        let ran = self.run(from, run)?;
        if ran.end != RunEnd::Hits {
            return Err(self.astray("a statement was met less often than before"));
        }
        self.keep()
    }

    fn at_turn(&mut self, from: &State, number: u64) -> Result<State, Failure> {
        let micros = u64::try_from(self.patience(0).as_micros()).ok();
        let ran = self.run(from, Run { turns: Some(number), micros, ..Run::default() })?;
        if ran.end != RunEnd::Turn {
            return Err(self.astray("threads took fewer turns than before"));
        }
        let mut kept = self.temporary()?;
        kept.on_the_way = true;
        Ok(State(Rc::new(kept), None))
    }

    fn same_thread(&mut self, one: &State, other: &State) -> Result<bool, Failure> {
        let mut look = |of: &State| self.engine.live.registers(Some(of.0.copy)).ok();
        // Without turns it is chance which thread was looked at last.
        let (Some(one), Some(other)) = (look(one), look(other)) else { return Ok(true) };
        Ok(one.tid == other.tid || one.turns.is_none() && other.turns.is_none())
    }

    fn entries(&mut self, at: &State) -> Result<Level, Failure> {
        // They are looked up in what is mapped there.
        self.unwound(at)?;
        let entries = self.engine.served.as_mut().map(|served| served.symbols.entries()).unwrap_or_default();
        Ok(Level::at(entries))
    }

    fn closed_line(&mut self, at: &State) -> Result<Option<u32>, Failure> {
        let Entered { all: 0, .. } = self.inlined(at)? else { return Ok(None) };
        let frame = at.0.frames.borrow().as_ref().and_then(|(frames, _)| frames.first().copied());
        let Some(frame) = frame else { return Ok(None) };
        let Some(served) = &mut self.engine.served else { return Ok(None) };
        // One that stops after every return has more stops than lines begin.
        if served.aide.stops_after_return() {
            return Ok(None);
        }
        let Some(Function { ranges, .. }) = served.symbols.function_at(frame.pc) else { return Ok(None) };
        let (Some((statement, code)), &[whole]) = (served.symbols.line_around(frame.pc), ranges.as_slice()) else {
            return Ok(None);
        };
        for (from, to) in code {
            // An instruction may be looked at that begins in the line and ends behind it: there is none.
            let bytes = self.engine.live.memory(Some(at.0.copy), from, to - from).unwrap_or_default();
            if bytes.len() as u64 != to - from || branches::may_lead_out(&bytes, from, whole) {
                return Ok(None);
            }
        }
        Ok(Some(self.number_of(&statement)))
    }

    fn after(&mut self, from: &State, micros: u64, until: &Until<State>) -> Result<After<State>, Failure> {
        self.for_some_time(from, micros, until, Some((micros / 2).clamp(LEAVE_US.0, LEAVE_US.1)))
    }

    fn part_way(&mut self, from: &State, micros: u64, until: &Until<State>) -> Result<After<State>, Failure> {
        self.for_some_time(from, micros, until, None)
    }

    fn reaches(&mut self, from: &State, micros: u64, until: &Until<State>) -> Result<Option<u64>, Failure> {
        let run = Run { micros: Some(micros), ..self.run_until(until, &Level::default()) };
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

    fn longest(&self, from: &State, until: &Until<State>) -> u64 {
        u64::try_from(self.patience(self.span(from, until)).as_micros()).unwrap_or(u64::MAX)
    }

    fn stand(&mut self, at: &State) -> Result<(), Failure> {
        if std::mem::take(&mut self.bereft) {
            let (copy, prompt) = self.debugger.clone();
            self.engine.start_copy(copy, &prompt)?;
            if self.quiet {
                self.be_quiet()?;
            }
        }
        self.engine.look_at_leader(&mut *self.console)?;
        self.exchange(at)?;
        tracing::debug!("stands at {}", at.0.at);
        match self.ask(&Question::StepInstruction)?.0 {
            Answer::Went { stop: Some(_), .. } => {
                let looked = self.engine.look_at_turn(&mut *self.console).map(|_| ());
                self.standing = Some(at.clone());
                looked
            }
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
        let here = self.keep()?;
        self.standing = Some(here.clone());
        Ok(here)
    }

    fn value(&mut self) -> Result<Value, Failure> {
        let Some(watched) = &self.watched else { return Err(self.engine.failure("nothing is watched")) };
        let (expression, scope, thread) = (watched.expression.clone(), watched.scope.clone(), watched.thread);
        self.engine.cost.evaluations += 1;
        let back = match thread.filter(|_| scope.is_some()) {
            Some(thread) => match self.engine.look_from(thread, &mut *self.console)? {
                Some(back) => back,
                None => return Ok(Value::Unknown(format!("thread {thread} is not running"))),
            },
            None => None,
        };
        let value = self.value_there(&expression, scope.as_deref());
        if let Some(back) = back {
            self.engine.look_at_thread(back, &mut *self.console)?;
        }
        value
    }

    fn most_steps(&self) -> usize {
        if self.chancy { CHANCY_STEPS } else { MOST_STEPS }
    }

    fn missed(&self) -> Failure {
        self.engine.failure(MISSED)
    }

    fn astray(&self, what: &str) -> Failure {
        self.engine.failure(format!("the program did not replay the same way: {what}"))
    }
}

impl Native<'_> {
    /// The value of an expression in the innermost frame of a function (`None`: the innermost of all) of the thread that the
    /// debugger looks at.
    fn value_there(&mut self, expression: &str, scope: Option<&str>) -> Result<Value, Failure> {
        let mut frame = 0;
        if let Some(scope) = scope {
            match self.ask(&Question::Frames { most: 256 })?.0 {
                Answer::Frames(frames) => match frames.iter().find(|frame| frame.function.as_deref() == Some(scope)) {
                    Some(found) => frame = found.level,
                    None => return Ok(Value::Unknown(format!("{scope} is not running"))),
                },
                Answer::Refused(why) => return Ok(Value::Unknown(why)),
                _ => {}
            }
        }
        // A function that is called may change anything: what goes on afterwards is the program as it was. Whether one is called
        // the debugger knows (operators, members and printers can be functions), and its server sees.
        let (entered, read, at) = (self.entered, self.read, self.at);
        let standing = self.standing.clone();
        self.engine
            .live
            .guard(standing.is_none())
            .map_err(|error| self.engine.failed("guarding the program", &error))?;
        let answer = self.ask(&Question::Evaluate { expression: expression.to_owned(), frame });
        let before = self.engine.live.end_guard();
        let answer = answer?.0;
        let (changed, copy) = before.map_err(|error| self.engine.failed("keeping the program as it was", &error))?;
        if let Some(copy) = copy {
            self.engine.cost.checkpoints += 1;
            let mut kept = self.kept(copy, read, at);
            kept.temporary = true;
            self.spoilt = Some(State(Rc::new(kept), entered));
        } else if changed {
            self.spoilt = standing.map(|state| state.with_entered(entered));
        }
        tracing::debug!("the value is {answer:?}");
        Ok(match answer {
            Answer::Text(text) => Value::Known { digest: crate::engine::reverse::fold(&text), text },
            Answer::Refused(why) => Value::Unknown(why),
            _ => Value::Unknown("the debugger does not say".to_owned()),
        })
    }
}
