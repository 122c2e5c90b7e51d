//! Searches in programs that run at the processor's speed: states are told apart by being equal, not by being counted.
//!
//! A second of native code is a billion instructions, and a command to a debugger takes a millisecond. So the program is
//! run without its debugger wherever that will do, with breakpoints on the statements of the functions in question
//! ([`Machine::pass`]); the debugger steps over the last few stops only, because what is a stop is for it to say.

mod chance;
mod change;
mod level;
mod levels;
mod narrow;
mod walks;
mod watch;

use super::probe::Value;

pub use level::{Frame, Level};
pub use walks::{Back, RUN_UP, back, last_hit, last_step, last_within, over_runs, set_out};
pub use watch::{Change, Watched, watch};

/// When a stretch is this short, in microseconds, hits in it are passed however many they are.
const SHORT_US: u64 = 1_000;

/// Hits in a stretch of so many microseconds are passed however many they are, if that takes no longer than this: they are
/// counted in the program itself, a hundred million a second, but for some that are not.
const PLENTY_US: u64 = 30_000;
const MANY_US: u64 = 1_000_000;

/// Stops that are stepped over at most, before it is believed that they do not end.
pub const MOST_STEPS: u32 = 20_000;

/// Where a run is to end.
#[derive(Debug, Clone)]
pub enum Until<S> {
    /// At a state equal to this.
    State(S),
    /// At the end of the program.
    End,
}

/// The execution of a statement's first instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// Its number in the run, from 1.
    pub number: u64,
    /// Its frame's address.
    pub frame: u64,
    /// Names the line.
    pub line: u32,
    /// The instruction.
    pub address: u64,
}

/// How a run over statements went.
#[derive(Debug, Clone)]
pub struct Passed {
    /// Hits, the end itself not among them.
    pub count: u64,
    /// The last of them, oldest first.
    pub last: Vec<Hit>,
    /// Whether the end was reached; otherwise there were too many hits.
    pub reached: bool,
    /// Time that the program ran, in microseconds.
    pub micros: u64,
    /// How often it became another thread's turn; 0 where that is not recorded.
    pub turns: u64,
    /// How often a handler was called for a signal.
    pub handled: u32,
}

/// Where running for some time has led.
#[derive(Debug, Clone)]
pub enum After<S> {
    /// To the end, in so many microseconds.
    End(u64),
    /// Somewhere before it, as far as is known.
    At(S),
}

/// Where a command of the debugger has led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// To the end, or over it.
    End,
    /// To a stop in this frame.
    Stop(Frame),
}

/// A program and its debugger, of which every state can be kept and given back.
pub trait Machine {
    /// Why a question could not be answered; ends the search. Ctrl-C is one.
    type Error;

    /// A state that is kept.
    type State: Clone;

    /// Whether the debugger has stopped there, or would; otherwise it is wherever the program was at some time, maybe in the middle
    /// of a loop that runs a million times, and no good end of a stretch: each time that its instruction is met the program is
    /// compared with it.
    fn is_stop(&self, at: &Self::State) -> bool;

    /// Whether a step stops behind each return to a place, though no line begins there.
    fn stops_after_return(&self) -> bool;

    /// The stack of a state, innermost first, up to the program's own outermost frame.
    ///
    /// # Errors
    /// As the trait says.
    fn frames(&mut self, at: &Self::State) -> Result<Vec<Frame>, Self::Error>;

    /// The same state, in the eyes of a debugger that has entered as many as `most` of the inlined calls that it is in. Only
    /// those that begin right there can be entered or not.
    ///
    /// # Errors
    /// As the trait says.
    fn entered(&mut self, at: &Self::State, most: u32) -> Result<Self::State, Self::Error>;

    /// Runs from a state to the end and notes where it meets statements of a level. The statement at which it begins is not
    /// met. Ends early after `most` hits, or `micros` of time.
    ///
    /// # Errors
    /// As the trait says; the end is not met and the program did not replay the same way.
    fn pass(
        &mut self,
        from: &Self::State,
        until: &Until<Self::State>,
        level: &Level,
        most: u64,
        micros: Option<u64>,
    ) -> Result<Passed, Self::Error>;

    /// The state at a hit of such a run, before the statement is executed.
    ///
    /// # Errors
    /// As the trait says.
    fn at_hit(&mut self, from: &Self::State, level: &Level, number: u64) -> Result<Self::State, Self::Error>;

    /// The state when it becomes another thread's turn for the so manyth time, from 1, before that thread does anything.
    ///
    /// # Errors
    /// As the trait says.
    fn at_turn(&mut self, _from: &Self::State, _number: u64) -> Result<Self::State, Self::Error> {
        Err(self.astray("threads take no turns"))
    }

    /// Whether the stacks of two states are one thread's.
    ///
    /// # Errors
    /// As the trait says.
    fn same_thread(&mut self, one: &Self::State, other: &Self::State) -> Result<bool, Self::Error>;

    /// Where the function begins that has an instruction, as far as can be said.
    fn function(&mut self, pc: u64) -> Option<u64>;

    /// Where functions with lines begin, for a stretch that begins and ends in code without.
    ///
    /// # Errors
    /// As the trait says.
    fn entries(&mut self, at: &Self::State) -> Result<Level, Self::Error>;

    /// Where functions begin that lead to another place though nobody calls it there and nobody returns (longjmp), as they are mapped at a
    /// state.
    ///
    /// # Errors
    /// As the trait says.
    fn jumps(&mut self, _at: &Self::State) -> Result<Level, Self::Error> {
        Ok(Level::default())
    }

    /// From the beginning of such a function to where it has led, if that is code with lines and before the end.
    ///
    /// # Errors
    /// As the trait says.
    fn landed(&mut self, _jump: &Self::State, _until: &Until<Self::State>) -> Result<Option<Self::State>, Self::Error> {
        Ok(None)
    }

    /// The line of an instruction, as a hit names it; `None` where code is not in the order of its lines (optimised, inlined), so that
    /// steps do not stop at all of its statements.
    fn line(&mut self, pc: u64) -> Option<u32>;

    /// The line, as a hit names it, in which a state stands, if its code neither calls anything nor leads out of its function in
    /// another way, as far as can be said.
    ///
    /// # Errors
    /// As the trait says.
    fn closed_line(&mut self, at: &Self::State) -> Result<Option<u32>, Self::Error>;

    /// Runs from a state for some time, or to the end if that comes first.
    ///
    /// # Errors
    /// As the trait says.
    fn after(
        &mut self,
        from: &Self::State,
        micros: u64,
        until: &Until<Self::State>,
    ) -> Result<After<Self::State>, Self::Error>;

    /// The same, as exactly as it can be had, for a place from which something else begins: it may be in the middle of a loop,
    /// and none that can be met again soon.
    ///
    /// # Errors
    /// As the trait says.
    fn part_way(
        &mut self,
        from: &Self::State,
        micros: u64,
        until: &Until<Self::State>,
    ) -> Result<After<Self::State>, Self::Error>;

    /// Whether the end is met within about this time.
    ///
    /// # Errors
    /// As the trait says.
    fn reaches(
        &mut self,
        from: &Self::State,
        micros: u64,
        until: &Until<Self::State>,
    ) -> Result<Option<u64>, Self::Error>;

    /// About how long the program ran between two states, in microseconds.
    fn span(&self, from: &Self::State, until: &Until<Self::State>) -> u64;

    /// After how many microseconds an end counts as missed.
    fn longest(&self, from: &Self::State, until: &Until<Self::State>) -> u64;

    /// Brings the debugger to a state.
    ///
    /// # Errors
    /// As the trait says.
    fn stand(&mut self, at: &Self::State) -> Result<(), Self::Error>;

    /// Steps: to the next stop that the debugger's `step` makes.
    ///
    /// # Errors
    /// As the trait says.
    fn step(&mut self, until: &Until<Self::State>) -> Result<Moved, Self::Error>;

    /// The same from where a call has returned to, as a step goes on that comes out of it.
    ///
    /// # Errors
    /// As the trait says.
    fn step_on(&mut self, until: &Until<Self::State>) -> Result<Moved, Self::Error> {
        self.step(until)
    }

    /// Runs until the frame that the debugger stands in has returned.
    ///
    /// # Errors
    /// As the trait says.
    fn finish(&mut self, until: &Until<Self::State>) -> Result<Moved, Self::Error>;

    /// Keeps the state in which the debugger stands.
    ///
    /// # Errors
    /// As the trait says.
    fn here(&mut self) -> Result<Self::State, Self::Error>;

    /// The value of the watched expression where the debugger stands.
    ///
    /// # Errors
    /// As the trait says; an expression that cannot be evaluated is [`Value::Unknown`].
    fn value(&mut self) -> Result<Value, Self::Error>;

    /// How many steps an end may be away that is believed to be near.
    fn most_steps(&self) -> u32 {
        MOST_STEPS
    }

    /// An end was not met again.
    fn missed(&self) -> Self::Error;

    /// The program did not replay the same way: what was expected is told in words.
    fn astray(&self, what: &str) -> Self::Error;
}

/// What is searched: anchors from the start on, and the place from which it is searched.
#[derive(Debug, Clone)]
pub struct Ground<S> {
    /// States in the order of time. The stretch between two is either run by the program or made by a command of the user.
    pub anchors: Vec<S>,
    /// For each anchor, whether the program ran from it to the next; otherwise the user changed something there.
    pub runs: Vec<bool>,
    /// Where it ends: the present.
    pub present: Until<S>,
}

impl<S: Clone> Ground<S> {
    /// The end of the stretch that begins at an anchor.
    pub fn end(&self, index: usize) -> Until<S> {
        self.anchors.get(index + 1).map_or_else(|| self.present.clone(), |next| Until::State(next.clone()))
    }

    /// The first anchor behind one at which the debugger has stopped; the number of anchors stands for the present.
    pub fn next_stop<M: Machine<State = S>>(&self, machine: &M, index: usize) -> usize {
        let mut behind = index + 1..self.anchors.len();
        behind.find(|at| machine.is_stop(&self.anchors[*at])).unwrap_or(self.anchors.len())
    }

    /// The last anchor at or before one at which the debugger has stopped.
    fn stop_before<M: Machine<State = S>>(&self, machine: &M, index: usize) -> usize {
        (0..=index).rev().find(|at| machine.is_stop(&self.anchors[*at])).unwrap_or(0)
    }
}

/// A place that was found, and the anchor at or before it.
#[derive(Debug, Clone)]
pub struct Landing<S> {
    /// The state.
    pub state: S,
    /// Index of the anchor.
    pub anchor: usize,
}
