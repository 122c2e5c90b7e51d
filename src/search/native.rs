//! Searches in programs that run at the processor's speed: states are told apart by being equal, not by being counted.
//!
//! A second of native code is a billion instructions, and a command to a debugger takes a millisecond. So the program is
//! run without its debugger wherever that will do, with breakpoints on the statements of the functions in question
//! ([`Machine::pass`]); the debugger steps over the last few stops only, because what is a stop is for it to say.

use super::probe::Value;

/// How many changes of line before the wanted place the debugger begins to step. The first stop after an arbitrary place need
/// not be one that a forward run makes (it can be in the middle of a line); after one or two, the stops are the same.
const RUN_UP: usize = 3;

/// Hits that are passed at most in one run before time is used to come closer: about a tenth of a second of them.
const MOST_HITS: u64 = 4_096;

/// When a stretch is this short, in microseconds, hits in it are passed however many they are.
const SHORT_US: u64 = 1_000;

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
}

/// Frames at an address or above, in some functions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Level {
    /// Frames at this address or above count.
    pub at_least: u64,
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
        let at_least = frames.get(index)?.address;
        let functions: Vec<u64> =
            frames[index..].iter().filter(|frame| frame.lines).take(2).map(|frame| frame.pc).collect();
        (!functions.is_empty()).then_some(Level { at_least, functions, ..Level::default() })
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

    /// The stack of a state, innermost first, up to the program's own outermost frame.
    ///
    /// # Errors
    /// As the trait says.
    fn frames(&mut self, at: &Self::State) -> Result<Vec<Frame>, Self::Error>;

    /// Runs from a state to the end and notes where it meets statements of a level. The statement at which it begins is not
    /// met. Ends early after `most` hits.
    ///
    /// # Errors
    /// As the trait says; the end is not met and the program did not replay the same way.
    fn pass(
        &mut self,
        from: &Self::State,
        until: &Until<Self::State>,
        level: &Level,
        most: u64,
    ) -> Result<Passed, Self::Error>;

    /// The state at a hit of such a run, before the statement is executed.
    ///
    /// # Errors
    /// As the trait says.
    fn at_hit(&mut self, from: &Self::State, level: &Level, number: u64) -> Result<Self::State, Self::Error>;

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
}

/// A place that was found, and the anchor at or before it.
#[derive(Debug, Clone)]
pub struct Landing<S> {
    /// The state.
    pub state: S,
    /// Index of the anchor.
    pub anchor: usize,
}

/// The last stop before the end of a stretch at a level or further out; the beginning of the stretch counts as one.
///
/// # Errors
/// As the machine's.
pub fn last_within<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
) -> Result<Option<M::State>, M::Error> {
    let origin = from;
    let (from, passed) = approach(machine, origin, until, level)?;
    let changes = changes_of(&passed.last);
    let whole = passed.count == passed.last.len() as u64;
    let begin = if let Some(&number) = changes.len().checked_sub(RUN_UP).and_then(|index| changes.get(index)) {
        machine.at_hit(&from, level, number)?
    } else if whole {
        from.clone()
    } else {
        // One line, over and over: what was before it?
        let other = Level { without: passed.last.last().map(|hit| hit.line), ..level.clone() };
        let passed = machine.pass(origin, until, &other, MOST_HITS)?;
        let changes = changes_of(&passed.last);
        match changes.len().checked_sub(RUN_UP - 1).and_then(|index| changes.get(index)) {
            Some(&number) if passed.reached => machine.at_hit(origin, &other, number)?,
            None if passed.reached => origin.clone(),
            _ => from.clone(),
        }
    };
    walk(machine, &begin, until, level)
}

/// The numbers of the hits at which another line, or the same in another frame, begins.
fn changes_of(hits: &[Hit]) -> Vec<u64> {
    let same = |pair: &&[Hit]| (pair[0].frame, pair[0].line) != (pair[1].frame, pair[1].line);
    hits.windows(2).filter(same).map(|pair| pair[1].number).collect()
}

/// A state at or after `from`, and the hits from there to the end, which are not too many.
fn approach<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
) -> Result<(M::State, Passed), M::Error> {
    let passed = machine.pass(from, until, level, MOST_HITS)?;
    if passed.reached {
        return Ok((from.clone(), passed));
    }
    let mut left = from.clone();
    let mut span = match machine.after(&left, machine.span(&left, until) * 2 + 10_000, until)? {
        After::End(micros) => micros,
        After::At(_) => machine.span(&left, until),
    };
    while span > SHORT_US {
        // Close before the end, with room for the clock's error.
        let ahead = span - (span / 4).max(SHORT_US / 2);
        match machine.after(&left, ahead, until)? {
            After::End(micros) => span = micros.min(ahead),
            After::At(middle) => match machine.reaches(&middle, (span - ahead) * 4 + 20_000, until)? {
                Some(micros) => {
                    left = middle;
                    span = micros.min(span - 1);
                    let passed = machine.pass(&left, until, level, MOST_HITS)?;
                    if passed.reached {
                        return Ok((left, passed));
                    }
                }
                None => span = ahead,
            },
        }
    }
    let passed = machine.pass(&left, until, level, u64::MAX)?;
    Ok((left, passed))
}

/// Steps from a state to the end, over what is deeper than the level; the last stop before the end that is not.
fn walk<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
) -> Result<Option<M::State>, M::Error> {
    let outside = |frame: &Frame| frame.address >= level.at_least;
    let mut last = machine.frames(from)?.first().is_some_and(outside).then(|| from.clone());
    machine.stand(from)?;
    for _ in 0..MOST_STEPS {
        let mut moved = machine.step(until)?;
        while let Moved::Stop(frame) = moved
            && !(outside(&frame) && frame.lands)
        {
            moved = machine.finish(until)?;
            // gdb goes on from the middle of a line after a call; where a row of the line table begins, be it of the same line,
            // it stops. lldb always does.
            if let Moved::Stop(frame) = moved
                && outside(&frame)
                && !frame.begins
            {
                moved = machine.step(until)?;
            }
        }
        match moved {
            Moved::End => return Ok(last),
            Moved::Stop(_) => last = Some(machine.here()?),
        }
    }
    Err(machine.astray("stepping does not come to the end of the stretch"))
}

/// The stop before the end of a stretch that `step` would have made, whatever its depth; the beginning of the stretch counts
/// as one.
///
/// # Errors
/// As the machine's.
pub fn last_step<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
) -> Result<M::State, M::Error> {
    let mut found = last_within(machine, from, until, level)?;
    if found.is_none() {
        // It begins inside a call that returns before the end: from its outermost frame inwards.
        let frames = machine.frames(from)?;
        for index in (0..frames.len()).rev().filter(|index| frames[*index].address < level.at_least) {
            let Some(level) = Level::of(&frames, index).filter(|_| frames[index].lines) else { continue };
            found = last_within(machine, from, until, &level)?;
            if found.is_some() {
                break;
            }
        }
    }
    let mut found = found.unwrap_or_else(|| from.clone());
    loop {
        machine.stand(&found)?;
        if machine.step(until)? == Moved::End {
            return Ok(found);
        }
        // It goes into a call that is over when the end comes: the stop is in there.
        let inside = machine.here()?;
        let frames = machine.frames(&inside)?;
        found = match Level::of(&frames, 0) {
            Some(level) => last_within(machine, &inside, until, &level)?.unwrap_or(inside),
            None if frames.first().is_some_and(|frame| !frame.lands) => return Ok(found),
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
    let (near, passed) = approach(machine, from, until, level)?;
    match passed.last.last() {
        Some(hit) => machine.at_hit(&near, level, hit.number).map(Some),
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
    for index in (0..ground.anchors.len()).rev() {
        if !ground.runs[index] {
            continue;
        }
        let (from, until) = (&ground.anchors[index], ground.end(index));
        let found = match how {
            Back::Step => Some(last_step(machine, from, &until, level)?),
            Back::Within(level) => last_within(machine, from, &until, level)?,
        };
        if let Some(state) = found {
            return Ok(Some(Landing { state, anchor: index }));
        }
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
    let (from, until) = narrow_by_time(machine, from, until, now)?;
    let found = change_between(machine, from, until, now)?;
    let landing = Landing { state: found.at, anchor: left };
    Ok(Watched::Found(Change { landing, before: found.before, after: found.after, by_command: false }))
}

fn value_at<M: Machine>(machine: &mut M, at: &M::State) -> Result<Value, M::Error> {
    machine.stand(at)?;
    machine.value()
}

/// Where it begins, and where it ends.
type Stretch<S> = (S, Until<S>);

/// Halves a stretch in time until it is short, or has few statements to be met.
fn narrow_by_time<M: Machine>(
    machine: &mut M,
    mut from: M::State,
    mut until: Until<M::State>,
    now: &Value,
) -> Result<Stretch<M::State>, M::Error> {
    let mut span = match machine.after(&from, machine.span(&from, &until) * 2 + 10_000, &until)? {
        After::End(micros) => micros,
        After::At(_) => machine.span(&from, &until),
    };
    while span > SHORT_US {
        match machine.after(&from, span / 2, &until)? {
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
        Until::State(state) => machine.frames(state)?,
        Until::End => Vec::new(),
    };
    let common = inner
        .iter()
        .position(|frame| frame.lines && outer.iter().any(|other| other.address == frame.address && other.lines));
    let mut levels = Vec::new();
    let first = common.unwrap_or(inner.len());
    for index in (0..=first.min(inner.len().saturating_sub(1))).rev() {
        levels.extend(Level::of(&inner, index).filter(|_| inner[index].lines));
    }
    // The beginning may be before anything that has lines, or deep in something that has none.
    let there = (0..outer.len()).rev().filter(|index| outer[*index].lines);
    levels.extend(there.filter_map(|index| Level::of(&outer, index)));
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
    from: M::State,
    until: Until<M::State>,
    now: &Value,
) -> Result<Found<M::State>, M::Error> {
    let mut chosen = None;
    for level in levels_between(machine, &from, &until)? {
        let passed = machine.pass(&from, &until, &level, u64::MAX)?;
        let found = passed.count > 0;
        if found || chosen.is_none() {
            chosen = Some((level, passed.count));
        }
        if found {
            break;
        }
    }
    let Some((level, count)) = chosen else {
        return Err(machine.astray("the change is in code without line numbers"));
    };
    change_at_level(machine, from, until, level, count, now)
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
            while right - left > 1 {
                let middle = left.midpoint(right);
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
                let Some(deeper) = Level::of(&frames, 0) else {
                    return Err(machine.astray("a stop is in code without line numbers"));
                };
                let out = Until::State(out);
                let passed = machine.pass(&inside, &out, &deeper, u64::MAX)?;
                (from, until, level, count) = (inside, out, deeper, passed.count);
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
    machine.stand(&at)?;
    let mut before = machine.value()?;
    // The first stop in a call that has returned to the middle of a line: the stop before the next one is in there.
    let mut left: Option<M::State> = None;
    let mut moved = machine.step(until)?;
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
        let deeper = matches!(moved, Moved::Stop(frame) if frame.address < level.at_least);
        if !deeper {
            (at, before, left) = (next, value, None);
            moved = machine.step(until)?;
            continue;
        }
        moved = machine.finish(until)?;
        while matches!(moved, Moved::Stop(frame) if frame.address < level.at_least) {
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
