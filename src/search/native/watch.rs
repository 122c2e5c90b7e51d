//! The statement that changed an expression: among anchors first, then in the stretch between two of them.

use super::change::{Found, change_between, change_further_out, hidden_change};
use super::walks::{RUN_UP, set_out, step_within};
use super::{Ground, Landing, Level, Machine, Moved, Until, Value};

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
    let mut ground = ground.clone();
    loop {
        let Some((left, before)) = last_that_differs(machine, &ground, now)? else {
            return Ok(Watched::NeverDiffers(now.clone()));
        };
        if !ground.runs[left] {
            let landing = Landing { state: ground.anchors[left].clone(), anchor: left };
            return Ok(Watched::Found(Change { landing, before, after: now.clone(), by_command: true }));
        }
        let (from, until) = (ground.anchors[left].clone(), ground.end(left));
        let wall = ground.end(ground.next_stop(machine, left) - 1);
        let mut found = change_between(machine, from, until, &wall, now)?;
        loop {
            match settle(machine, &ground, left, found, now)? {
                Settled::Change { found, anchor } => {
                    let found = change_further_out(machine, &found, now)?.unwrap_or(found);
                    let found = match hidden_change(machine, &found, now)? {
                        Some(inner) => inner,
                        None => found,
                    };
                    let landing = Landing { state: found.at, anchor };
                    let (before, after) = (found.before, found.after);
                    return Ok(Watched::Found(Change { landing, before, after, by_command: false }));
                }
                Settled::Behind(next) => found = change_between(machine, next, wall.clone(), &wall, now)?,
                Settled::Before { at, anchor } => {
                    ground.anchors.truncate(anchor + 1);
                    ground.runs.truncate(anchor + 1);
                    ground.present = Until::State(at);
                    break;
                }
            }
        }
    }
}

/// The last anchor at which the value is another than that of now, as far as the anchors that are looked at say, and that value.
fn last_that_differs<M: Machine>(
    machine: &mut M,
    ground: &Ground<M::State>,
    now: &Value,
) -> Result<Option<(usize, Value)>, M::Error> {
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
    let Some((mut left, mut before)) = left else { return Ok(None) };
    while right - left > 1 {
        let middle = left.midpoint(right);
        let value = value_at(machine, &ground.anchors[middle])?;
        if value.same(now) {
            right = middle;
        } else {
            (left, before) = (middle, value);
        }
    }
    Ok(Some((left, before)))
}

/// What a change is, seen from the stops around it.
enum Settled<S> {
    /// It is made between two stops, behind this anchor.
    Change { found: Found<S>, anchor: usize },
    /// At the next stop the value differs again: the change is behind that.
    Behind(S),
    /// At the stop before it the value was that of now: behind this anchor, and before that stop, it has changed too.
    Before { at: S, anchor: usize },
}

/// A change that was found by few steps from an arbitrary place need not begin at a stop that a forward run makes: such a place may be
/// in the midst of a statement.
fn settle<M: Machine>(
    machine: &mut M,
    ground: &Ground<M::State>,
    left: usize,
    found: Found<M::State>,
    now: &Value,
) -> Result<Settled<M::State>, M::Error> {
    if found.steps >= RUN_UP {
        return Ok(Settled::Change { found, anchor: left });
    }
    let next = match &found.next {
        Until::State(next) if machine.is_stop(next) => next.clone(),
        _ => {
            let wall = ground.end(ground.next_stop(machine, left) - 1);
            let Moved::Stop(_) = set_out(machine, &found.at, &wall)? else {
                return Ok(Settled::Change { found, anchor: left });
            };
            let next = machine.here()?;
            if !machine.value()?.same(now) {
                return Ok(Settled::Behind(next));
            }
            next
        }
    };
    let frames = machine.frames(&next)?;
    let Some(level) = Level::of(&frames, 0) else { return Ok(Settled::Change { found, anchor: left }) };
    let next = Until::State(next);
    for anchor in (ground.stop_before(machine, left)..=left).rev() {
        let Some(at) = step_within(machine, &ground.anchors[anchor], &next, &level)? else { continue };
        let before = value_at(machine, &at)?;
        if before.same(now) {
            return Ok(Settled::Before { at, anchor });
        }
        let found = Found { at, before, after: now.clone(), next, steps: found.steps };
        return Ok(Settled::Change { found, anchor });
    }
    Ok(Settled::Change { found, anchor: left })
}

pub(super) fn value_at<M: Machine>(machine: &mut M, at: &M::State) -> Result<Value, M::Error> {
    machine.stand(at)?;
    machine.value()
}
