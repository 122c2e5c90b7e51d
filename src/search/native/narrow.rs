//! Shorter stretches at whose beginning the watched expression differs from now, and at whose end it does not: by time, by turns of
//! threads, by chance and by hits.

use super::chance::{self, Verdict};
use super::levels::{Chosen, level_between};
use super::walks::{ends_at_stop, time_to};
use super::watch::value_at;
use super::{After, Level, MANY_US, Machine, Until, Value};

/// How often a stretch is narrowed by time again: the clock errs, and what is left can be longer than believed.
pub(super) const CLOSER: u32 = 6;

/// Up to this many hits are stepped over by the debugger; among more, the change is found by bisection first.
pub(super) const FEW: u64 = 4;

/// Where it begins, and where it ends.
pub(super) type Stretch<S> = (S, Until<S>);

/// Halves a stretch in time until it is shorter than `least`. Runs are ended by `wall`, a stop at or behind the
/// end: what lies between the two has the value that it has at both, as far as is known, and going there loses nothing.
pub(super) fn narrow_by_time<M: Machine>(
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
    for _ in 0..CLOSER {
        let mut moved = false;
        while span > least {
            match machine.after(&from, span / 2, wall)? {
                After::End(micros) => span = micros.min(span / 2),
                After::At(middle) => {
                    span /= 2;
                    if value_at(machine, &middle)?.same(now) {
                        (until, moved) = (Until::State(middle), false);
                    } else {
                        (from, moved) = (middle, true);
                    }
                }
            }
        }
        // A value that goes up and down differs behind the end as well, and a clock that errs leads there.
        if !moved || ends_at_stop(machine, &until) || machine.reaches(&from, span * 4 + 20_000, &until)?.is_some() {
            return Ok((from, until));
        }
        until = wall.clone();
        span = time_to(machine, &from, &until)?;
    }
    Ok((from, wall.clone()))
}

/// Narrows a stretch until it is one thread's turn all the way: the change is then made by what that thread does.
pub(super) fn narrow_by_turns<M: Machine>(
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
pub(super) fn narrow_by_chance<M: Machine>(
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

/// Narrows a stretch in which the statements of a level are met `count` times to a few of them.
pub(super) fn narrow_by_hits<M: Machine>(
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
pub(super) fn narrow_recursion<M: Machine>(
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
