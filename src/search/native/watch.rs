//! The statement that changed an expression: by anchors, by time, by hits, and by steps.

use super::chance::{self, Verdict};
use super::walks::{ends_at_stop, last_step, set_out, time_to};
use super::{After, Frame, Ground, Landing, Level, MANY_US, Machine, Moved, Passed, SHORT_US, Until, Value};

/// How many of the outermost frames are looked at for statements that are met, before those that must have been left.
const OUTERMOST: usize = 8;

/// How often a stretch is narrowed by time again: the clock errs, and what is left can be longer than believed.
const CLOSER: u32 = 6;

/// Stretches are not halved by time when they are shorter than this, in microseconds: a run cannot be ended as exactly.
const SHORTEST_US: u64 = 20;

/// Up to this many hits are stepped over by the debugger; among more, the change is found by bisection first.
const FEW: u64 = 4;

/// So many functions are looked into that one step has run by calls back.
const MOST_CALLED_BACK: u32 = 8;

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
    if ends_at_stop(machine, &until) {
        span = time_to(machine, &from, &until)?;
    } else {
        // Both times are known by an erring clock.
        span = span.max(least * 64);
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
    let mut levels = Vec::new();
    // One frame further out: the call itself may be another one, from the same place. If it is not, nothing is met out there.
    let first = common_frame(&inner, &outer).map_or(inner.len(), |common| common + 1);
    let last = inner.len().saturating_sub(1);
    let first = first.min(last);
    // So may all of them be, of a function that calls itself; what has gone on meanwhile is then further out.
    for index in (first + 1..=last).rev().take(OUTERMOST).chain((0..=first).rev()) {
        levels.extend(Level::of(&inner, index).filter(|_| inner[index].lines).map(Level::whole));
    }
    // The beginning may be before anything that has lines, or deep in something that has none.
    let there = (0..outer.len()).rev().filter(|index| outer[*index].lines);
    levels.extend(there.filter_map(|index| Level::of(&outer, index)).map(Level::whole));
    levels.dedup();
    Ok(levels)
}

/// The innermost frame with lines of a stack that may be the same call in the other one: all that it was called from is there, too. Its
/// address alone says little, as two functions that are called one after the other have the same.
fn common_frame(inner: &[Frame], outer: &[Frame]) -> Option<usize> {
    let pairs = inner.iter().enumerate().rev().zip(outer.iter().rev());
    let mut common = None;
    for ((index, one), other) in pairs {
        if one.address != other.address {
            break;
        }
        common = one.lines.then_some(index).or(common);
        if one.pc != other.pc {
            break;
        }
    }
    common
}

/// A change between two neighbouring stops.
struct Found<S> {
    at: S,
    before: Value,
    after: Value,
    /// The next stop, at which the value is that of now; the end of the stretch if none comes before it.
    next: Until<S>,
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
        let micros = (least > SHORTEST_US).then_some(MANY_US);
        match level_between(machine, &from, &until, micros)? {
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
    micros: Option<u64>,
) -> Result<Chosen, M::Error> {
    let mut chosen = Chosen::None;
    let mut levels = levels_between(machine, from, until)?;
    let none = levels.is_empty();
    if none {
        levels.push(Level::default());
    }
    for level in levels {
        let passed = machine.pass(from, until, &level, u64::MAX, micros)?;
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
    let mut inside_of = 0;
    loop {
        if count > FEW {
            (from, until) = narrow_by_hits(machine, from, until, &level, count, now)?;
        }
        match step_to_change(machine, from, &until, &level, now)? {
            Stepped::Found(found) => {
                let hidden = hidden_change(machine, &found, now)?;
                return Ok(hidden.unwrap_or(found));
            }
            Stepped::Inside { from: inside, until: out } => {
                let (deeper, mut passed) = level_inside(machine, &inside, &out, &level)?;
                let out = Until::State(out);
                let wall = out.clone();
                (from, until, level) = (inside, out, deeper);
                for _ in 0..CLOSER {
                    if passed.reached {
                        break;
                    }
                    (from, until) = narrow_by_time(machine, from, until, &wall, SHORTEST_US, now)?;
                    (from, until) = narrow_by_chance(machine, from, until, SHORT_US, now)?;
                    passed = machine.pass(&from, &until, &level, u64::MAX, Some(MANY_US))?;
                }
                if !passed.reached {
                    passed = machine.pass(&from, &until, &level, u64::MAX, None)?;
                }
                count = passed.count;
                inside_of += 1;
                if inside_of > 1
                    && let Some((stretch, chosen, met)) = narrow_recursion(machine, &from, &until, &level, count, now)?
                {
                    ((from, until), level, count) = (stretch, chosen, met);
                }
            }
        }
    }
}

/// Narrows a stretch in which the statements of a level are met `count` times to a few of them.
fn narrow_by_hits<M: Machine>(
    machine: &mut M,
    from: M::State,
    mut until: Until<M::State>,
    level: &Level,
    count: u64,
    now: &Value,
) -> Result<Stretch<M::State>, M::Error> {
    // Hit `left` differs, hit `right` does not; 0 is the beginning and count + 1 the end.
    let (mut left, mut right) = (0, count + 1);
    let mut base = (from, 0);
    // One that changes all the time has done so shortly before the end.
    let mut first = ends_at_stop(machine, &until).then_some(count - FEW);
    while right - left > 1 {
        let middle = first.take().unwrap_or_else(|| left.midpoint(right));
        let state = machine.at_hit(&base.0, level, middle - base.1)?;
        if value_at(machine, &state)?.same(now) {
            right = middle;
            until = Until::State(state);
        } else {
            left = middle;
            // Kept a little behind, so that the steps begin before the change.
            if left - base.1 > 2 * FEW {
                let near = left - FEW;
                let kept = machine.at_hit(&base.0, level, near - base.1)?;
                base = (kept, near);
            }
        }
    }
    let begin = left.saturating_sub(FEW).max(base.1);
    let from = if begin == base.1 { base.0 } else { machine.at_hit(&base.0, level, begin - base.1)? };
    Ok((from, until))
}

/// A stretch, a level, and how often its statements are met there.
type Met<S> = (Stretch<S>, Level, u64);

/// Narrows a stretch in a function that calls itself to a few statements of it in whatever frame, and chooses a level there: the
/// calls are as many as it is deep, and each would be searched by itself. `count` is how often the level's are met.
fn narrow_recursion<M: Machine>(
    machine: &mut M,
    from: &M::State,
    until: &Until<M::State>,
    level: &Level,
    count: u64,
    now: &Value,
) -> Result<Option<Met<M::State>>, M::Error> {
    let any = Level { at_least: 0, ..level.clone().whole() };
    let passed = machine.pass(from, until, &any, u64::MAX, Some(MANY_US))?;
    if !passed.reached || passed.turns > 0 || passed.count < count + 4 * FEW {
        return Ok(None);
    }
    let (from, until) = narrow_by_hits(machine, from.clone(), until.clone(), &any, passed.count, now)?;
    Ok(match level_between(machine, &from, &until, None)? {
        Chosen::Level(level, count) => Some(((from, until), level, count)),
        _ => None,
    })
}

/// The level at which the statements between a stop in a call from a level and the place to which that call returns are told
/// apart, and how often they are met: that of the outermost frame in the call that meets any. By a frame further inwards,
/// all that is done after its return would have to be stepped through.
fn level_inside<M: Machine>(
    machine: &mut M,
    inside: &M::State,
    out: &M::State,
    level: &Level,
) -> Result<(Level, Passed), M::Error> {
    let frames = machine.frames(inside)?;
    let until = Until::State(out.clone());
    let mut tried = None;
    for index in (0..frames.len()).rev().filter(|index| frames[*index].lines && level.called(&frames[*index])) {
        let Some(deeper) = Level::of(&frames, index).map(Level::whole) else { continue };
        if matches!(&tried, Some((known, _)) if *known == deeper) {
            continue;
        }
        let passed = machine.pass(inside, &until, &deeper, u64::MAX, Some(MANY_US))?;
        let met = passed.count > 0 || !passed.reached;
        tried = Some((deeper, passed));
        if met {
            break;
        }
    }
    tried.ok_or_else(|| machine.astray("a stop is in code without line numbers"))
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
    for _ in 0..machine.most_steps() {
        let next = match moved {
            Moved::End => {
                // The end, where the value is that of now.
                let found = Found { at, before, after: now.clone(), next: until.clone() };
                return found_before(machine, found, left);
            }
            Moved::Stop(_) => machine.here()?,
        };
        let value = machine.value()?;
        if value.same(now) {
            let found = Found { at, before, after: value, next: Until::State(next) };
            return found_before(machine, found, left);
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
    found: Found<M::State>,
    left: Option<M::State>,
) -> Result<Stepped<M::State>, M::Error> {
    let Some(inside) = left else { return Ok(Stepped::Found(found)) };
    let frames = machine.frames(&inside)?;
    let at = match Level::of(&frames, 0) {
        Some(level) => last_step(machine, &inside, &found.next, &level)?,
        None => inside,
    };
    let before = value_at(machine, &at)?;
    Ok(Stepped::Found(Found { at, before, ..found }))
}

/// The debugger steps over code without lines, and so over what that calls back: a thread of Rust runs below such code all its
/// life, and so do handlers of signals. The change in a function with lines that was run in the midst of one step; `None` if it was
/// not made in one.
fn hidden_change<M: Machine>(
    machine: &mut M,
    found: &Found<M::State>,
    now: &Value,
) -> Result<Option<Found<M::State>>, M::Error> {
    let innermost = |machine: &mut M, at: &M::State| -> Result<u64, M::Error> {
        Ok(machine.frames(at)?.first().map_or(0, |frame| frame.address))
    };
    let mut at = found.at.clone();
    for _ in 0..MOST_CALLED_BACK {
        // Among threads that nobody has noted the end need not be met again.
        let entries = machine.entries(&at)?;
        if machine.pass(&at, &found.next, &entries, 1, Some(MANY_US))?.count == 0 {
            return Ok(None);
        }
        let from = machine.at_hit(&at, &entries, 1)?;
        if let Until::State(next) = &found.next
            && innermost(machine, next)? == innermost(machine, &from)?
        {
            // The step itself goes in there, and stops behind the prologue: before that the function's variables have no values.
            return Ok(None);
        }
        if value_at(machine, &from)?.same(now) {
            return Ok(None);
        }
        let Some(level) = Level::of(&machine.frames(&from)?, 0).map(Level::whole) else { return Ok(None) };
        // It may be called back more than once: these are the statements of all its calls.
        let passed = machine.pass(&from, &found.next, &level, u64::MAX, Some(MANY_US))?;
        if !passed.reached || passed.turns > 0 {
            return Ok(None);
        }
        let inner = change_at_level(machine, from, found.next.clone(), level, passed.count, now)?;
        // Behind the last statement of a function code without lines has gone on.
        if let Until::State(next) = &inner.next
            && innermost(machine, next)? <= innermost(machine, &inner.at)?
        {
            return Ok(Some(inner));
        }
        at = inner.at;
    }
    Ok(None)
}
