//! Searches in programs that run at the processor's speed: states are told apart by being equal, not by being counted.
//!
//! A second of native code is a billion instructions, and a command to a debugger takes a millisecond. So the program is
//! run without its debugger wherever that will do, with breakpoints on the statements of the functions in question
//! ([`Machine::pass`]); the debugger steps over the last few stops only, because what is a stop is for it to say.

use super::chance::{self, Verdict};
use super::probe::Value;

/// How many changes of line before the wanted place the debugger begins to step. The first stop after an arbitrary place need
/// not be one that a forward run makes (it can be in the middle of a line); after one or two, the stops are the same.
pub const RUN_UP: usize = 3;

/// Hits that are passed at most in one run before time is used to come closer: about a tenth of a second of them.
const MOST_HITS: u64 = 4_096;

/// When a stretch is this short, in microseconds, hits in it are passed however many they are.
const SHORT_US: u64 = 1_000;

/// The same where time can still come closer: so many hits, and so many microseconds with what else has been stopped for.
const MANY_HITS: u64 = 16_384;
const MANY_US: u64 = 1_000_000;

/// How often twice the time that a stretch is believed to take is tried, when it takes longer: on a busy machine.
const LONGER: u32 = 16;

/// How often a stretch is narrowed by time again: the clock errs, and what is left can be longer than believed.
const CLOSER: u32 = 6;

/// Stretches are not halved by time when they are shorter than this, in microseconds: a run cannot be ended as exactly.
const SHORTEST_US: u64 = 20;

/// Stops that are stepped over at most, before it is believed that they do not end.
const MOST_STEPS: u32 = 20_000;

/// Up to this many hits are stepped over by the debugger; among more, the change is found by bisection first.
const FEW: u64 = 4;

/// A frame of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The instruction pointer in it.
    pub pc: u64,
    /// Its canonical address: the larger, the nearer to the outermost frame.
    pub address: u64,
    /// Whether the debugger knows lines for it.
    pub lines: bool,
    /// Whether a step that comes out of a call stops there: because a line begins exactly there, or because the debugger always
    /// does.
    pub begins: bool,
    /// Whether a move can lead there. A step of lldb's can stop in code without lines, behind main or in a library that has called
    /// back; gdb's never does.
    pub lands: bool,
    /// How many inlined calls it is inside of the function whose stack it shares.
    pub inlined: u32,
}

/// Frames at an address or above, in some functions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Level {
    /// Frames at this address or above count.
    pub at_least: u64,
    /// In the frame at that very address, what is inside more inlined calls does not count.
    pub inlined: u32,
    /// An address in each function whose statements count.
    pub functions: Vec<u64>,
    /// A line that does not count, named by a hit on it.
    pub without: Option<u32>,
    /// These instructions count instead of statements of functions.
    pub instructions: Vec<u64>,
}

impl Level {
    /// That of a frame: its own function and the next one outwards that has lines too, from which it was called.
    pub fn of(frames: &[Frame], index: usize) -> Option<Level> {
        let Frame { address: at_least, inlined, .. } = *frames.get(index)?;
        let mut with_lines: Vec<Frame> = frames[index..].iter().filter(|frame| frame.lines).copied().collect();
        with_lines.dedup_by_key(|frame| frame.address);
        let functions: Vec<u64> = with_lines.iter().take(2).map(|frame| frame.pc).collect();
        (!functions.is_empty()).then_some(Level { at_least, inlined, functions, ..Level::default() })
    }

    /// With all that is inlined.
    #[must_use]
    pub fn whole(self) -> Level {
        Level { inlined: u32::MAX, ..self }
    }

    /// Whether a frame is at it, or further out.
    pub fn has(&self, frame: &Frame) -> bool {
        frame.address > self.at_least || frame.address == self.at_least && frame.inlined <= self.inlined
    }

    /// Whether a frame is in a call, not an inlined one, that was made from here.
    fn called(&self, frame: &Frame) -> bool {
        frame.address < self.at_least
    }

    /// How many inlined calls count in a frame.
    fn most_inlined(&self, frame: &Frame) -> u32 {
        if frame.address == self.at_least { self.inlined } else { u32::MAX }
    }

    /// Some instructions, in whatever frame.
    pub fn at(instructions: Vec<u64>) -> Level {
        Level { instructions, ..Level::default() }
    }
}

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

    /// Where functions with lines begin, for a stretch that begins and ends in code without.
    ///
    /// # Errors
    /// As the trait says.
    fn entries(&mut self, at: &Self::State) -> Result<Level, Self::Error>;

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
    fn next_stop<M: Machine<State = S>>(&self, machine: &M, index: usize) -> usize {
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

/// The last stop before the end of a stretch at a level or further out; its beginning counts, if it is one.
///
/// # Errors
/// As the machine's.
pub fn last_within<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
) -> Result<Option<M::State>, M::Error> {
    let (mut nearer, mut passed) = approach(machine, from, until, level)?;
    loop {
        let near = nearer.pop();
        let found = last_of(machine, near.as_ref().unwrap_or(from), until, level, &passed)?;
        if found.is_some() || near.is_none() {
            return Ok(found);
        }
        // That was in the middle of the last statement: from further back.
        passed = machine.pass(nearer.last().unwrap_or(from), until, level, u64::MAX, None)?;
    }
}

/// The last stop of a stretch on which statements of the level were passed.
fn last_of<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
    passed: &Passed,
) -> Result<Option<M::State>, M::Error> {
    let Some(first) = passed.last.first() else {
        // No line begins in between.
        return counted(machine, from, level);
    };
    let changes = changes_of(&passed.last);
    let whole = passed.count == passed.last.len() as u64;
    // Where a function is one line, there are fewer stops than changes of line: its entry and the stop behind its prologue are one.
    let mut run_up = RUN_UP;
    while let Some(&number) = changes.len().checked_sub(run_up).and_then(|index| changes.get(index)) {
        let begin = machine.at_hit(from, level, number)?;
        if let Some(found) = walk(machine, &begin, None, until, level, Around::Once)? {
            return Ok(Some(found));
        }
        run_up *= 2;
    }
    let begin = if whole && machine.is_stop(from) {
        return walk_from(machine, from, until, level, Around::Once);
    } else if whole {
        // Steps from there on might go through a long loop; the first statement that was met need not be a stop.
        machine.at_hit(from, level, first.number)?
    } else if changes.len() >= RUN_UP {
        return walk_from(machine, from, until, level, Around::Often);
    } else {
        // One line, over and over: what was before it?
        let other = Level { without: passed.last.last().map(|hit| hit.line), ..level.clone() };
        let passed = machine.pass(from, until, &other, MOST_HITS, None)?;
        let changes = changes_of(&passed.last);
        match changes.len().checked_sub(RUN_UP - 1).and_then(|index| changes.get(index)) {
            Some(&number) if passed.reached => machine.at_hit(from, &other, number)?,
            _ => return walk_from(machine, from, until, level, Around::Often),
        }
    };
    let around = if whole { Around::Once } else { Around::Often };
    walk(machine, &begin, None, until, level, around)
}

/// How often the last line of a stretch is gone round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Around {
    /// No more often than can be stepped over.
    Once,
    /// Maybe a million times, each instruction of which a step would go over one by one.
    Often,
}

/// Whether a stop is the last one of a stretch: from its line nothing is called, and no other line of it or of its callers is
/// met before the end. The debugger then need not step over it.
fn is_last<M: Machine>(machine: &mut M, at: &M::State, until: &Until<M::State>) -> Result<bool, M::Error> {
    let Some(line) = machine.closed_line(at)? else { return Ok(false) };
    let frames = machine.frames(at)?;
    let Some(level) = Level::of(&frames, 0) else { return Ok(false) };
    let others = Level { without: Some(line), ..level.whole() };
    let passed = machine.pass(at, until, &others, 1, None)?;
    Ok(passed.reached && passed.count == 0)
}

/// A beginning, if it is a stop at a level, with all inlined calls entered that are of the level.
fn counted<M: Machine>(machine: &mut M, from: &M::State, level: &Level) -> Result<Option<M::State>, M::Error> {
    match machine.frames(from)?.first().filter(|frame| level.has(frame)) {
        Some(frame) if machine.is_stop(from) => machine.entered(from, level.most_inlined(frame)).map(Some),
        _ => Ok(None),
    }
}

/// The numbers of the hits at which another line, or the same in another frame, begins.
fn changes_of(hits: &[Hit]) -> Vec<u64> {
    let same = |pair: &&[Hit]| (pair[0].frame, pair[0].line) != (pair[1].frame, pair[1].line);
    hits.windows(2).filter(same).map(|pair| pair[1].number).collect()
}

/// States after `from`, nearer and nearer to the end, and the hits from the last of them (or from `from`, if there are none) to
/// the end, which are not too many.
fn approach<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
) -> Result<(Vec<M::State>, Passed), M::Error> {
    let mut nearer: Vec<M::State> = Vec::new();
    let passed = machine.pass(from, until, level, MOST_HITS, None)?;
    if passed.reached {
        return Ok((nearer, passed));
    }
    let mut span = match machine.after(from, machine.span(from, until) * 2 + 10_000, until)? {
        After::End(micros) => micros,
        After::At(_) => machine.span(from, until),
    };
    while span > SHORT_US {
        // Close before the end, with room for the clock's error.
        let ahead = span - (span / 4).max(SHORT_US / 2);
        match machine.part_way(nearer.last().unwrap_or(from), ahead, until)? {
            After::End(micros) => span = micros.min(ahead),
            After::At(middle) => match machine.reaches(&middle, (span - ahead) * 4 + 20_000, until)? {
                Some(micros) => {
                    span = micros.min(span - 1);
                    let passed = machine.pass(&middle, until, level, MOST_HITS, None)?;
                    nearer.push(middle);
                    if passed.reached {
                        return Ok((nearer, passed));
                    }
                }
                None => span = ahead,
            },
        }
    }
    if ends_at_stop(machine, until) {
        let begin = nearer.last().unwrap_or(from).clone();
        let found = chance::nearer(machine, begin, until, span, |_, _| Ok(Verdict::Nearer))?;
        nearer.extend(found.moved.then_some(found.from));
    }
    let passed = machine.pass(nearer.last().unwrap_or(from), until, level, u64::MAX, None)?;
    Ok((nearer, passed))
}

/// Whether a stretch ends where the debugger has stopped, and not wherever the program was at some time.
fn ends_at_stop<M: Machine>(machine: &M, until: &Until<M::State>) -> bool {
    match until {
        Until::State(state) => machine.is_stop(state),
        Until::End => true,
    }
}

/// Steps from a state, which counts if the debugger stops there, to the end; the last stop before that at a level.
fn walk_from<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
    around: Around,
) -> Result<Option<M::State>, M::Error> {
    let last = counted(machine, from, level)?;
    if around == Around::Often && last.is_some() && is_last(machine, from, until)? {
        return Ok(last);
    }
    walk(machine, from, last, until, level, around)
}

/// Steps from a state to the end, over what is deeper than the level; the last stop before the end that is not, or `last`.
fn walk<M: Machine>(
    machine: &mut M,
    from: &M::State,
    mut last: Option<M::State>,
    until: &Until<M::State>,
    level: &Level,
    around: Around,
) -> Result<Option<M::State>, M::Error> {
    let mut first = Some(set_out(machine, from, until)?);
    for _ in 0..MOST_STEPS {
        let mut moved = match first.take() {
            Some(moved) => moved,
            None => machine.step(until)?,
        };
        while let Moved::Stop(frame) = moved
            && !(level.has(&frame) && frame.lands)
        {
            if frame.lands && !level.called(&frame) {
                // In an inlined call.
                moved = machine.step(until)?;
                continue;
            }
            moved = machine.finish(until)?;
            // gdb goes on from the middle of a line after a call; where a row of the line table begins, be it of the same line,
            // it stops. lldb always does.
            if let Moved::Stop(frame) = moved
                && !level.called(&frame)
                && !frame.begins
            {
                moved = machine.step(until)?;
            }
        }
        match moved {
            Moved::End => return Ok(last),
            Moved::Stop(_) => {
                let here = machine.here()?;
                if around == Around::Often {
                    if is_last(machine, &here, until)? {
                        return Ok(Some(here));
                    }
                    machine.stand(&here)?;
                }
                last = Some(here);
            }
        }
    }
    Err(machine.astray("stepping does not come to the end of the stretch"))
}

/// The first step from a state. Where that is in code without lines it is left first.
///
/// # Errors
/// As the machine's.
pub fn set_out<M: Machine>(machine: &mut M, from: &M::State, until: &Until<M::State>) -> Result<Moved, M::Error> {
    let frames = machine.frames(from)?;
    machine.stand(from)?;
    let mut moved = Moved::End;
    for frame in frames.iter().take_while(|frame| !frame.lines).take(frames.len().saturating_sub(1)) {
        moved = match moved {
            Moved::Stop(now) if now.address > frame.address => continue,
            _ => machine.finish(until)?,
        };
        match moved {
            Moved::Stop(frame) if frame.lines && frame.begins => return Ok(moved),
            Moved::Stop(frame) if frame.lines => break,
            Moved::Stop(_) => {}
            Moved::End => return Ok(moved),
        }
    }
    machine.step(until)
}

/// The stop before the end of a stretch that `step` would have made, whatever its depth; the beginning of the stretch
/// if there is none.
///
/// # Errors
/// As the machine's.
pub fn last_step<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
) -> Result<M::State, M::Error> {
    Ok(step_within(machine, from, until, level)?.unwrap_or_else(|| from.clone()))
}

/// The same; `None` if there is no stop in the stretch, and its beginning is none.
fn step_within<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
) -> Result<Option<M::State>, M::Error> {
    let level = level.clone().whole();
    let mut found = last_within(machine, from, until, &level)?;
    if found.is_none() {
        // It begins inside a call that returns before the end: from its outermost frame inwards.
        let frames = machine.frames(from)?;
        for index in (0..frames.len()).rev().filter(|index| frames[*index].address < level.at_least) {
            let Some(level) = Level::of(&frames, index).filter(|_| frames[index].lines) else { continue };
            found = last_within(machine, from, until, &level.whole())?;
            if found.is_some() {
                break;
            }
        }
    }
    let Some(mut found) = found.or_else(|| machine.is_stop(from).then(|| from.clone())) else { return Ok(None) };
    loop {
        if is_last(machine, &found, until)? {
            return Ok(Some(found));
        }
        machine.stand(&found)?;
        if machine.step(until)? == Moved::End {
            return Ok(Some(found));
        }
        // It goes into a call that is over when the end comes: the stop is in there.
        let inside = machine.here()?;
        let frames = machine.frames(&inside)?;
        found = match Level::of(&frames, 0) {
            Some(level) => last_within(machine, &inside, until, &level.whole())?.unwrap_or(inside),
            None if frames.first().is_some_and(|frame| !frame.lands) => return Ok(Some(found)),
            None => inside,
        };
    }
}

/// The last hit of a level in a stretch.
///
/// # Errors
/// As the machine's.
pub fn last_hit<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
) -> Result<Option<M::State>, M::Error> {
    let (nearer, passed) = approach(machine, from, until, level)?;
    match passed.last.last() {
        Some(hit) => machine.at_hit(nearer.last().unwrap_or(from), level, hit.number).map(Some),
        None => Ok(None),
    }
}

/// Which stop a move goes back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Back {
    /// The one before, as `step` makes them.
    Step,
    /// The last one at this level or further out.
    Within(Level),
}

/// One move backwards over a ground. `level` is that of the present, for [`Back::Step`].
///
/// # Errors
/// As the machine's.
pub fn back<M: Machine>(
    machine: &mut M,
    ground: &Ground<M::State>,
    how: &Back,
    level: &Level,
) -> Result<Option<Landing<M::State>>, M::Error> {
    over_runs(machine, ground, |machine, from, until| match how {
        Back::Step => step_within(machine, from, until, level),
        Back::Within(level) => last_within(machine, from, until, level),
    })
}

/// Looks for the last place of a kind, stretch by stretch backwards. A stretch ends where the debugger has stopped, and begins
/// further and further back among the states that were kept on the way there, so that twice of it is run at most.
///
/// # Errors
/// As those of `look`.
pub fn over_runs<M: Machine>(
    machine: &mut M,
    ground: &Ground<M::State>,
    mut look: impl FnMut(&mut M, &M::State, &Until<M::State>) -> Result<Option<M::State>, M::Error>,
) -> Result<Option<Landing<M::State>>, M::Error> {
    let mut next = ground.anchors.len().checked_sub(1);
    while let Some(index) = next {
        let end = ground.next_stop(machine, index);
        let begin = ground.stop_before(machine, index);
        if ground.runs[index]
            && let Some(state) = look(machine, &ground.anchors[index], &ground.end(end - 1))?
        {
            return Ok(Some(Landing { state, anchor: index }));
        }
        let further = end.saturating_sub(2 * (end - index)).max(begin);
        next = if index == begin { index.checked_sub(1) } else { Some(further) };
    }
    Ok(None)
}

/// A change of the watched expression.
#[derive(Debug, Clone)]
pub struct Change<S> {
    /// The last stop before it.
    pub landing: Landing<S>,
    /// The value there.
    pub before: Value,
    /// The value at the next.
    pub after: Value,
    /// The user's own command made it, at the anchor.
    pub by_command: bool,
}

/// What a reverse watchpoint found.
#[derive(Debug, Clone)]
pub enum Watched<S> {
    /// A change.
    Found(Change<S>),
    /// The value of now everywhere.
    NeverDiffers(Value),
}

/// Anchors that are looked at one by one, before it is jumped.
const LOOK_BACK: usize = 10;

/// To the statement after which the watched expression has the value that it has now, `now`.
///
/// # Errors
/// As the machine's.
pub fn watch<M: Machine>(
    machine: &mut M,
    ground: &Ground<M::State>,
    now: &Value,
) -> Result<Watched<M::State>, M::Error> {
    let mut right = ground.anchors.len();
    let mut left = None;
    let mut stride = 1;
    while right > 0 {
        let at = right.saturating_sub(stride);
        let value = value_at(machine, &ground.anchors[at])?;
        if !value.same(now) {
            left = Some((at, value));
            break;
        }
        if ground.anchors.len() - at >= LOOK_BACK {
            stride *= 2;
        }
        right = at;
    }
    let Some((mut left, mut before)) = left else { return Ok(Watched::NeverDiffers(now.clone())) };
    while right - left > 1 {
        let middle = left.midpoint(right);
        let value = value_at(machine, &ground.anchors[middle])?;
        if value.same(now) {
            right = middle;
        } else {
            (left, before) = (middle, value);
        }
    }
    if !ground.runs[left] {
        let landing = Landing { state: ground.anchors[left].clone(), anchor: left };
        return Ok(Watched::Found(Change { landing, before, after: now.clone(), by_command: true }));
    }
    let (from, until) = (ground.anchors[left].clone(), ground.end(left));
    let wall = ground.end(ground.next_stop(machine, left) - 1);
    let found = change_between(machine, from, until, &wall, now)?;
    let landing = Landing { state: found.at, anchor: left };
    Ok(Watched::Found(Change { landing, before: found.before, after: found.after, by_command: false }))
}

fn value_at<M: Machine>(machine: &mut M, at: &M::State) -> Result<Value, M::Error> {
    machine.stand(at)?;
    machine.value()
}

/// Where it begins, and where it ends.
type Stretch<S> = (S, Until<S>);

/// Halves a stretch in time until it is shorter than `least`. Runs are ended by `wall`, a stop at or behind the
/// end: what lies between the two has the value that it has at both, as far as is known, and going there loses nothing.
fn narrow_by_time<M: Machine>(
    machine: &mut M,
    mut from: M::State,
    mut until: Until<M::State>,
    wall: &Until<M::State>,
    least: u64,
    now: &Value,
) -> Result<Stretch<M::State>, M::Error> {
    let mut span = machine.span(&from, &until);
    let at_stop = ends_at_stop(machine, &until);
    for _ in 0..LONGER {
        if !at_stop {
            // Both times are known by an erring clock.
            span = span.max(least * 64);
            break;
        }
        match machine.after(&from, span * 2 + 10_000, &until)? {
            After::End(micros) => {
                span = micros;
                break;
            }
            After::At(_) => span = span * 2 + 10_000,
        }
    }
    while span > least {
        match machine.after(&from, span / 2, wall)? {
            After::End(micros) => span = micros.min(span / 2),
            After::At(middle) => {
                span /= 2;
                if value_at(machine, &middle)?.same(now) {
                    until = Until::State(middle);
                } else {
                    from = middle;
                }
            }
        }
    }
    Ok((from, until))
}

/// The levels at which the statements between two states can be told apart: from the innermost frame that both have on their
/// stacks inwards.
fn levels_between<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
) -> Result<Vec<Level>, M::Error> {
    let inner = machine.frames(from)?;
    let outer = match until {
        Until::State(state) if machine.same_thread(from, state)? => machine.frames(state)?,
        _ => Vec::new(),
    };
    let common = inner
        .iter()
        .position(|frame| frame.lines && outer.iter().any(|other| other.address == frame.address && other.lines));
    let mut levels = Vec::new();
    let first = common.unwrap_or(inner.len());
    for index in (0..=first.min(inner.len().saturating_sub(1))).rev() {
        levels.extend(Level::of(&inner, index).filter(|_| inner[index].lines).map(Level::whole));
    }
    // The beginning may be before anything that has lines, or deep in something that has none.
    let there = (0..outer.len()).rev().filter(|index| outer[*index].lines);
    levels.extend(there.filter_map(|index| Level::of(&outer, index)).map(Level::whole));
    levels.dedup();
    Ok(levels)
}

/// A change between two neighbouring stops.
struct Found<S> {
    at: S,
    before: Value,
    after: Value,
}

/// A change in a stretch at whose beginning the value differs from now, and at whose end it does not.
fn change_between<M: Machine>(
    machine: &mut M,
    mut from: M::State,
    mut until: Until<M::State>,
    wall: &Until<M::State>,
    now: &Value,
) -> Result<Found<M::State>, M::Error> {
    let mut least = SHORT_US;
    let mut entered = false;
    let mut wall = wall.clone();
    loop {
        (from, until) = narrow_by_time(machine, from, until, &wall, least, now)?;
        if least < SHORT_US {
            (from, until) = narrow_by_chance(machine, from, until, least, now)?;
        }
        let (most, micros) = match least > SHORTEST_US {
            true => (MANY_HITS, Some(MANY_US)),
            false => (u64::MAX, None),
        };
        match level_between(machine, &from, &until, most, micros)? {
            Chosen::Level(level, count) => return change_at_level(machine, from, until, level, count, now),
            Chosen::None => match first_entry(machine, &from, &until)? {
                Some(state) if !entered && !value_at(machine, &state)?.same(now) => (from, entered) = (state, true),
                _ => return Err(machine.astray("the change is in code without line numbers")),
            },
            Chosen::Turns(count) => {
                (from, until) = narrow_by_turns(machine, from, until, count, now)?;
                // Behind it other threads would come.
                wall = until.clone();
            }
            Chosen::TooMany => least = (least / 4).max(SHORTEST_US),
        }
    }
}

/// Narrows a stretch until it is one thread's turn all the way: the change is then made by what that thread does.
fn narrow_by_turns<M: Machine>(
    machine: &mut M,
    mut from: M::State,
    mut until: Until<M::State>,
    count: u64,
    now: &Value,
) -> Result<Stretch<M::State>, M::Error> {
    // Turn `left` differs, turn `right` does not; 0 is the beginning and the last one the end.
    let (mut left, mut right) = (0, count + 1);
    while right - left > 1 {
        let middle = left.midpoint(right);
        let state = machine.at_turn(&from, middle - left)?;
        if value_at(machine, &state)?.same(now) {
            right = middle;
            until = Until::State(state);
        } else {
            left = middle;
            from = state;
        }
    }
    Ok((from, until))
}

/// Narrows a stretch that ends where the debugger has stopped: the expression changes until shortly before that, and time does not
/// lead closer.
fn narrow_by_chance<M: Machine>(
    machine: &mut M,
    from: M::State,
    until: Until<M::State>,
    span: u64,
    now: &Value,
) -> Result<Stretch<M::State>, M::Error> {
    if !ends_at_stop(machine, &until) {
        return Ok((from, until));
    }
    let found = chance::nearer(machine, from, &until, span, |machine, middle| {
        Ok(if value_at(machine, middle)?.same(now) { Verdict::Behind } else { Verdict::Nearer })
    })?;
    Ok((found.from, found.behind.map_or(until, Until::State)))
}

/// Where a stretch first comes to a function with lines: a thread may begin and end in it.
fn first_entry<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
) -> Result<Option<M::State>, M::Error> {
    let level = machine.entries(from)?;
    match machine.pass(from, until, &level, 1, None)?.count {
        0 => Ok(None),
        _ => machine.at_hit(from, &level, 1).map(Some),
    }
}

/// How the statements of a stretch are told apart.
enum Chosen {
    /// This level's are met so many times.
    Level(Level, u64),
    /// There are none.
    None,
    /// Several threads have had their turns, so often.
    Turns(u64),
    /// They are met more often than was to be waited for.
    TooMany,
}

fn level_between<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    most: u64,
    micros: Option<u64>,
) -> Result<Chosen, M::Error> {
    let mut chosen = Chosen::None;
    let mut levels = levels_between(machine, from, until)?;
    let none = levels.is_empty();
    if none {
        levels.push(Level::default());
    }
    for level in levels {
        let passed = machine.pass(from, until, &level, most, micros)?;
        if !passed.reached {
            return Ok(Chosen::TooMany);
        }
        if passed.turns > 0 {
            return Ok(Chosen::Turns(passed.turns));
        }
        if passed.count > 0 {
            return Ok(Chosen::Level(level, passed.count));
        }
        if matches!(chosen, Chosen::None) && !none {
            chosen = Chosen::Level(level, 0);
        }
    }
    Ok(chosen)
}

/// The same, the statements of a level being met `count` times on the way.
fn change_at_level<M: Machine>(
    machine: &mut M,
    mut from: M::State,
    mut until: Until<M::State>,
    mut level: Level,
    mut count: u64,
    now: &Value,
) -> Result<Found<M::State>, M::Error> {
    loop {
        if count > FEW {
            // Hit `left` differs, hit `right` does not; 0 is the beginning and count + 1 the end.
            let (mut left, mut right) = (0, count + 1);
            let mut base = (from.clone(), 0);
            // One that changes all the time has done so shortly before the end.
            let mut first = ends_at_stop(machine, &until).then_some(count - FEW);
            while right - left > 1 {
                let middle = first.take().unwrap_or_else(|| left.midpoint(right));
                let state = machine.at_hit(&base.0, &level, middle - base.1)?;
                if value_at(machine, &state)?.same(now) {
                    right = middle;
                    until = Until::State(state);
                } else {
                    left = middle;
                    // Kept a little behind, so that the steps begin before the change.
                    if left - base.1 > 2 * FEW {
                        let near = left - FEW;
                        let kept = machine.at_hit(&base.0, &level, near - base.1)?;
                        base = (kept, near);
                    }
                }
            }
            let begin = left.saturating_sub(FEW).max(base.1);
            from = if begin == base.1 { base.0 } else { machine.at_hit(&base.0, &level, begin - base.1)? };
        }
        match step_to_change(machine, from, &until, &level, now)? {
            Stepped::Found(found) => return Ok(found),
            Stepped::Inside { from: inside, until: out } => {
                let frames = machine.frames(&inside)?;
                let Some(deeper) = Level::of(&frames, 0).map(Level::whole) else {
                    return Err(machine.astray("a stop is in code without line numbers"));
                };
                let out = Until::State(out);
                let wall = out.clone();
                (from, until, level) = (inside, out, deeper);
                let mut passed = machine.pass(&from, &until, &level, MANY_HITS, Some(MANY_US))?;
                for _ in 0..CLOSER {
                    if passed.reached {
                        break;
                    }
                    (from, until) = narrow_by_time(machine, from, until, &wall, SHORTEST_US, now)?;
                    (from, until) = narrow_by_chance(machine, from, until, SHORT_US, now)?;
                    passed = machine.pass(&from, &until, &level, MANY_HITS, Some(MANY_US))?;
                }
                if !passed.reached {
                    passed = machine.pass(&from, &until, &level, u64::MAX, None)?;
                }
                count = passed.count;
            }
        }
    }
}

/// What stepping to a change has found.
enum Stepped<S> {
    /// The change.
    Found(Found<S>),
    /// It is inside this call.
    Inside { from: S, until: S },
}

/// Steps from a state, over calls, until the value is that of now.
fn step_to_change<M: Machine>(
    machine: &mut M,
    from: M::State,
    until: &Until<M::State>,
    level: &Level,
    now: &Value,
) -> Result<Stepped<M::State>, M::Error> {
    let mut at = from;
    let mut before = value_at(machine, &at)?;
    // The first stop in a call that has returned to the middle of a line: the stop before the next one is in there.
    let mut left: Option<M::State> = None;
    let mut moved = set_out(machine, &at, until)?;
    for _ in 0..MOST_STEPS {
        let next = match moved {
            Moved::End => {
                // The end, where the value is that of now.
                return found_before(machine, at, before, left, until.clone(), now.clone());
            }
            Moved::Stop(_) => machine.here()?,
        };
        let value = machine.value()?;
        if value.same(now) {
            return found_before(machine, at, before, left, Until::State(next), value);
        }
        let deeper = matches!(moved, Moved::Stop(frame) if level.called(&frame));
        if !deeper {
            (at, before, left) = (next, value, None);
            moved = machine.step(until)?;
            continue;
        }
        moved = machine.finish(until)?;
        while matches!(moved, Moved::Stop(frame) if level.called(&frame)) {
            moved = machine.finish(until)?;
        }
        let Moved::Stop(frame) = moved else {
            // It is over inside the call.
            return match until {
                Until::State(state) => Ok(Stepped::Inside { from: next, until: state.clone() }),
                Until::End => Err(machine.astray("the program ended in a call")),
            };
        };
        let out = machine.here()?;
        if machine.value()?.same(now) {
            return Ok(Stepped::Inside { from: next, until: out });
        }
        if !frame.begins {
            left = Some(next);
            moved = machine.step(until)?;
        }
    }
    Err(machine.astray("stepping does not come to the change"))
}

/// The change is made between the last stop before a place and that place.
fn found_before<M: Machine>(
    machine: &mut M,
    at: M::State,
    before: Value,
    left: Option<M::State>,
    until: Until<M::State>,
    after: Value,
) -> Result<Stepped<M::State>, M::Error> {
    let Some(inside) = left else { return Ok(Stepped::Found(Found { at, before, after })) };
    let frames = machine.frames(&inside)?;
    let at = match Level::of(&frames, 0) {
        Some(level) => last_step(machine, &inside, &until, &level)?,
        None => inside,
    };
    let before = value_at(machine, &at)?;
    Ok(Stepped::Found(Found { at, before, after }))
}
