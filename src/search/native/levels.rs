//! By which level the statements of a stretch are told apart.

use super::{Frame, Level, MANY_US, Machine, Passed, Until};

/// How many of the outermost frames are looked at for statements that are met, before those that must have been left.
const OUTERMOST: usize = 8;

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
pub(super) fn common_frame(inner: &[Frame], outer: &[Frame]) -> Option<usize> {
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

/// How the statements of a stretch are told apart.
pub(super) enum Chosen {
    /// This level's are met so many times.
    Level(Level, u64),
    /// There are none.
    None,
    /// Several threads have had their turns, so often.
    Turns(u64),
    /// They are met more often than was to be waited for.
    TooMany,
}

pub(super) fn level_between<M: Machine>(
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

/// The level at which the statements between a stop in a call from a level and the place to which that call returns are told
/// apart, and how often they are met: that of the outermost frame in the call that meets any. By a frame further inwards,
/// all that is done after its return would have to be stepped through.
pub(super) fn level_inside<M: Machine>(
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

/// Where a stretch first comes to a function with lines: a thread may begin and end in it.
pub(super) fn first_entry<M: Machine>(
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
