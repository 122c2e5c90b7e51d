//! The change of the watched expression in a stretch: by levels, by hits, and by steps.

use super::levels::{Chosen, first_entry, level_between, level_inside};
use super::narrow::{CLOSER, FEW, narrow_by_chance, narrow_by_hits, narrow_by_time, narrow_by_turns, narrow_recursion};
use super::walks::{last_step, set_out};
use super::watch::value_at;
use super::{Level, MANY_US, Machine, Moved, SHORT_US, Until, Value};

/// Stretches are not halved by time when they are shorter than this, in microseconds: a run cannot be ended as exactly.
const SHORTEST_US: u64 = 20;

/// So many outer frames are looked at for statements that one step has run.
const MOST_OUTER: usize = 16;

/// So many functions are looked into that one step has run by calls back.
const MOST_CALLED_BACK: u32 = 8;

/// A change between two neighbouring stops.
pub(super) struct Found<S> {
    pub(super) at: S,
    pub(super) before: Value,
    pub(super) after: Value,
    /// The next stop, at which the value is that of now; the end of the stretch if none comes before it.
    pub(super) next: Until<S>,
    /// How many steps it was from where it was begun to step.
    pub(super) steps: usize,
}

/// How often a search begins in code without lines and is led out of it.
const MOST_ENTRIES: u32 = 16;

/// A change in a stretch at whose beginning the value differs from now, and at whose end it does not.
pub(super) fn change_between<M: Machine>(
    machine: &mut M,
    mut from: M::State,
    mut until: Until<M::State>,
    wall: &Until<M::State>,
    now: &Value,
) -> Result<Found<M::State>, M::Error> {
    let mut least = SHORT_US;
    // A stretch that is made shorter may begin in code without lines once more, where each beginning leads further.
    let (mut entries, mut entered) = (0, false);
    let mut wall = wall.clone();
    loop {
        if !std::mem::take(&mut entered) {
            (from, until) = narrow_by_time(machine, from, until, &wall, least, now)?;
            if least < SHORT_US {
                (from, until) = narrow_by_chance(machine, from, until, least, now)?;
            }
        }
        let micros = (least > SHORTEST_US).then_some(MANY_US);
        match level_between(machine, &from, &until, micros)? {
            Chosen::Level(level, count) => return change_at_level(machine, from, until, level, count, now),
            Chosen::None => match first_entry(machine, &from, &until)? {
                Some(state) if entries < MOST_ENTRIES && !value_at(machine, &state)?.same(now) => {
                    (from, entered) = (state, true);
                    entries += 1;
                }
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
            Stepped::Found(found) => return Ok(found),
            Stepped::Inside { from: inside, until: out } => {
                let frames = machine.frames(&inside)?;
                if !frames.iter().any(|frame| frame.lines && level.called(frame)) {
                    // All of it is code without lines; what that has called back is looked for next.
                    let before = value_at(machine, &inside)?;
                    return Ok(Found { at: inside, before, after: now.clone(), next: Until::State(out), steps: 0 });
                }
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
    let mut steps = 0;
    for _ in 0..machine.most_steps() {
        let next = match moved {
            Moved::End => {
                // The end, where the value is that of now.
                let found = Found { at, before, after: now.clone(), next: until.clone(), steps };
                return found_before(machine, found, left, now);
            }
            Moved::Stop(_) => machine.here()?,
        };
        let value = machine.value()?;
        if value.same(now) {
            let found = Found { at, before, after: value, next: Until::State(next), steps };
            return found_before(machine, found, left, now);
        }
        let deeper = matches!(moved, Moved::Stop(frame) if level.called(&frame));
        if !deeper {
            (at, before, left) = (next, value, None);
            steps += 1;
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
            moved = machine.step_on(until)?;
        }
    }
    Err(machine.astray("stepping does not come to the change"))
}

/// The change is made between the last stop before a place and that place.
fn found_before<M: Machine>(
    machine: &mut M,
    found: Found<M::State>,
    left: Option<M::State>,
    now: &Value,
) -> Result<Stepped<M::State>, M::Error> {
    let Some(inside) = left else { return Ok(Stepped::Found(found)) };
    let frames = machine.frames(&inside)?;
    let at = match Level::of(&frames, 0) {
        Some(level) => last_step(machine, &inside, &found.next, &level)?,
        None => inside.clone(),
    };
    let before = value_at(machine, &at)?;
    if before.same(now) {
        // It had changed in the call, and has differed for an instant since.
        return Ok(Stepped::Inside { from: inside, until: at });
    }
    Ok(Stepped::Found(Found { at, before, ..found }))
}

/// A step can miss where its frame is left otherwise than by a return: gdb does not see an exception being caught if the library that
/// unwinds the stack does not say so, and goes on to wherever the line is met again. The change in a statement of an outer frame that was
/// met in the midst of one step; `None` if it was not made in one.
pub(super) fn change_further_out<M: Machine>(
    machine: &mut M,
    found: &Found<M::State>,
    now: &Value,
) -> Result<Option<Found<M::State>>, M::Error> {
    let frames = machine.frames(&found.at)?;
    let Some(innermost) = frames.first() else { return Ok(None) };
    let outer: Vec<_> = frames.iter().filter(|frame| frame.address > innermost.address && frame.lines).collect();
    let Some(nearest) = outer.first() else { return Ok(None) };
    let mut functions: Vec<u64> = outer.iter().map(|frame| frame.pc).collect();
    functions.truncate(MOST_OUTER);
    let level = Level { at_least: nearest.address, functions, ..Level::default() }.whole();
    let passed = machine.pass(&found.at, &found.next, &level, u64::MAX, Some(MANY_US))?;
    if passed.count == 0 || !passed.reached || passed.turns > 0 {
        return Ok(None);
    }
    let first = machine.at_hit(&found.at, &level, 1)?;
    let before = value_at(machine, &first)?;
    if before.same(now) {
        return Ok(None);
    }
    // By hits: steps from there could miss again.
    let (mut at, mut before, mut hit) = (first, before, 1);
    let (mut next, mut behind) = (found.next.clone(), passed.count + 1);
    while behind - hit > 1 {
        let middle = hit.midpoint(behind);
        let state = machine.at_hit(&found.at, &level, middle)?;
        let value = value_at(machine, &state)?;
        if value.same(now) {
            (next, behind) = (Until::State(state), middle);
        } else {
            (at, before, hit) = (state, value, middle);
        }
    }
    if machine.closed_line(&at)?.is_none() {
        // In a call that is made from there, rather.
        let inner = change_between(machine, at, next.clone(), &next, now)?;
        return Ok(Some(inner));
    }
    Ok(Some(Found { at, before, after: now.clone(), next, steps: found.steps }))
}

/// The debugger steps over code without lines, and so over what that calls back: a thread of Rust runs below such code all its
/// life, and so do handlers of signals. The change in a function with lines that was run in the midst of one step; `None` if it was
/// not made in one.
pub(super) fn hidden_change<M: Machine>(
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
        if value_at(machine, &from)?.same(now) {
            return Ok(None);
        }
        let Some(level) = Level::of(&machine.frames(&from)?, 0).map(Level::whole) else { return Ok(None) };
        // It may be called back more than once: these are the statements of all its calls.
        let passed = machine.pass(&from, &found.next, &level, u64::MAX, Some(MANY_US))?;
        if !passed.reached || passed.turns > 0 {
            return Ok(None);
        }
        if passed.count == 0
            && let Until::State(next) = &found.next
            && innermost(machine, next)? == innermost(machine, &from)?
        {
            // The step itself goes in there, and stops behind the prologue: before that the function's variables have no values.
            return Ok(None);
        }
        let inner = change_at_level(machine, from, found.next.clone(), level, passed.count, now)?;
        let inner = match hidden_change(machine, &inner, now)? {
            Some(deeper) => deeper,
            None => inner,
        };
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
