//! The served program and its debugger as searches see them: a machine whose states can be kept.

mod runs;
mod stack;

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fred_checkpointer::wire::{CopyId, Run, RunEnd};

use super::{MISSED, Replayed, branches};
use crate::backends::aide::{Answer, Question};
use crate::backends::dialect::Prompt;
use crate::backends::symbols::Function;
use crate::engine::core::Engine;
use crate::engine::{Console, Failure};
use crate::search::native::{After, Frame, Hit, Level, MOST_STEPS, Machine, Moved, Passed, Until};
use crate::search::probe::Value;
use runs::{LEAVE_US, Spots};
pub(super) use stack::Entered;

/// Instructions of a jump from function to function (longjmp), at most: it may restore the signal mask.
const MOST_OF_JUMP: u32 = 500;

/// How long so many hits may take.
const HIT_US: u64 = 500;

/// Steps to an end where several threads run that are not recorded.
const CHANCY_STEPS: u32 = 256;

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

    /// The copy, if nobody needs it after this state and its search.
    pub(super) fn into_dropped(self) -> Option<CopyId> {
        (self.0.temporary && Rc::strong_count(&self.0) == 1).then_some(self.0.copy)
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
    /// Whether it was made fit for a search in which none of the user's breakpoints stops.
    pub(super) quiet: bool,
    /// What has made it fit.
    pub(super) fit: Vec<Question>,
    /// How long it may judge, beside what the program takes, which hits of breakpoints are stops.
    pub(super) judges: Duration,
    /// Whether the end that was met last is a stop at a watchpoint of the user's.
    pub(super) watched_end: bool,
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
        engine.note_turns();
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
            fit: Vec::new(),
            judges: Duration::ZERO,
            watched_end: false,
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
        self.engine.live.fence(None, Vec::new(), None).ok();
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
}

impl Machine for Native<'_> {
    type Error = Failure;
    type State = State;

    fn is_stop(&self, at: &State) -> bool {
        !at.0.on_the_way
    }

    fn stops_after_return(&self) -> bool {
        self.engine.served.as_ref().is_some_and(|served| served.aide.stops_after_return())
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
            return Ok(Passed { count: 0, last: Vec::new(), reached: true, micros: 0, turns: 0, handled: 0 });
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
        let address_of = |spot: u32| spots.0.get(spot as usize).map_or(0, |spot| spot.address);
        let line_of = |spot: u32| spots.1.get(spot as usize).copied().unwrap_or(u32::MAX);
        let last = ran
            .last
            .iter()
            .map(|hit| Hit {
                number: hit.number,
                frame: hit.frame,
                line: line_of(hit.spot),
                address: address_of(hit.spot),
            })
            .collect();
        Ok(Passed { count: ran.hits, last, reached, micros: ran.ran_us, turns: ran.turns, handled: ran.handled })
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

    fn function(&mut self, pc: u64) -> Option<u64> {
        let function = self.engine.served.as_mut()?.symbols.function_at(pc)?;
        function.ranges.first().map(|range| range.0)
    }

    fn entries(&mut self, at: &State) -> Result<Level, Failure> {
        // They are looked up in what is mapped there.
        self.unwound(at)?;
        let entries = self.engine.served.as_mut().map(|served| served.symbols.entries()).unwrap_or_default();
        Ok(Level::at(entries))
    }

    fn jumps(&mut self, at: &State) -> Result<Level, Failure> {
        self.unwound(at)?;
        let jumps = self.engine.served.as_mut().map(|served| served.symbols.jumps()).unwrap_or_default();
        Ok(Level::at(jumps))
    }

    fn landed(&mut self, jump: &State, until: &Until<State>) -> Result<Option<State>, Failure> {
        self.stand(jump)?;
        let file = |search: &Self, pc: u64| {
            let served = search.engine.served.as_ref();
            served.and_then(|served| served.symbols.file_at(pc)).map(std::path::Path::to_owned)
        };
        let Some(begin) = self.frames(jump)?.first().copied() else { return Ok(None) };
        let library = file(self, begin.pc);
        for _ in 0..MOST_OF_JUMP {
            match self.step_instruction(until)? {
                Moved::End => return Ok(None),
                Moved::Stop(frame) if frame.lines && file(self, frame.pc) != library => return self.here().map(Some),
                Moved::Stop(_) => {}
            }
        }
        Ok(None)
    }

    fn line(&mut self, pc: u64) -> Option<u32> {
        let (statement, _) = self.engine.served.as_mut()?.symbols.line_around(pc)?;
        Some(self.number_of(&statement))
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
            for question in self.fit.clone() {
                self.ask(&question)?;
            }
        }
        self.engine.look_at_leader(&mut *self.console)?;
        let held = if self.quiet { Vec::new() } else { self.engine.hold_breakpoints(at.0.copy, &mut *self.console)? };
        self.exchange(at)?;
        tracing::debug!("stands at {}", at.0.at);
        let stepped = self.ask(&Question::StepInstruction)?.0;
        self.engine.switch_breakpoints(&held, true, &mut *self.console)?;
        match stepped {
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
        let pc = self.engine.live.registers(None).ok().map(|registers| registers.rip);
        let served = self.engine.served.as_mut().filter(|served| !served.aide.stops_after_return());
        let symbols = served.map(|served| &mut served.symbols);
        // From code without lines a step goes to the end of the function, but gdb makes none where it knows no function.
        let nameless = pc.zip(symbols).is_some_and(|(pc, symbols)| !symbols.is_named(pc));
        self.fenced(if nameless { &Question::Finish } else { &Question::Step }, until)
    }

    fn step_on(&mut self, until: &Until<State>) -> Result<Moved, Failure> {
        let pc = self.engine.live.registers(None).ok().map(|registers| registers.rip);
        let symbols = self.engine.served.as_mut().map(|served| &mut served.symbols);
        let begins = pc.zip(symbols).map(|(pc, symbols)| symbols.beginnings_of_moved(pc)).unwrap_or_default();
        if begins.is_empty() {
            return self.step(until);
        }
        let returned = self.here()?;
        let moved = self.step(until)?;
        let end = match moved {
            Moved::End => until.clone(),
            Moved::Stop(_) => Until::State(self.here()?),
        };
        let level = Level::at(begins);
        let first = if self.pass(&returned, &end, &level, 1, None)?.count > 0 {
            self.at_hit(&returned, &level, 1)?
        } else {
            match end {
                Until::State(state) if moved != Moved::End => state,
                _ => return Ok(Moved::End),
            }
        };
        self.stand(&first)?;
        let frame = self.frames(&first)?.first().copied();
        frame.map(Moved::Stop).ok_or_else(|| self.astray("the place behind a call has no frame"))
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

    fn most_steps(&self) -> u32 {
        if self.chancy { CHANCY_STEPS } else { MOST_STEPS }
    }

    fn missed(&self) -> Failure {
        self.engine.failure(MISSED)
    }

    fn astray(&self, what: &str) -> Failure {
        self.engine.failure(format!("the program did not replay the same way: {what}"))
    }
}
