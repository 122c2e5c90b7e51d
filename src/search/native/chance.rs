//! Closer to an end than a clock leads: a run is ended some microseconds too early or too late, in which a tight loop goes round
//! thousands of times. But *that* it varies is of use: among many tries some end right before the place, how far before it can be
//! measured, and the best is where the next ones begin.

use super::{After, Machine, Until};

/// Tries at most, and how many of them may lead nowhere in a row.
const TRIES: u32 = 48;
const IN_VAIN: u32 = 10;

/// A step along the golden ratio: shares of a stretch that never come close to each other soon.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// What is to be done with a state on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Go on from there.
    Nearer,
    /// It is behind what is looked for: no more tries.
    Behind,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Nearer<S> {
    /// The last state from which it was gone on.
    pub(super) from: S,
    /// Whether that is another than where it began.
    pub(super) moved: bool,
    /// A state behind what is looked for, if there was one.
    pub(super) behind: Option<S>,
}

/// From a state that is about `span` microseconds before an end, at which the debugger has stopped, to one much closer. `judge` says of
/// each that is closer what it is.
///
/// # Errors
/// As the machine's, and as those of `judge`.
pub(super) fn nearer<M: Machine>(
    machine: &mut M,
    from: M::State,
    until: &Until<M::State>,
    span: u64,
    mut judge: impl FnMut(&mut M, &M::State) -> Result<Verdict, M::Error>,
) -> Result<Nearer<M::State>, M::Error> {
    // What is believed of a short time is not exact enough to be compared with.
    let span = machine.reaches(&from, span * 4 + 20_000, until)?.unwrap_or(span);
    let (mut from, mut span) = (from, span);
    let (mut share, mut vain, mut moved) = (0.5, 0, false);
    for _ in 0..TRIES {
        if vain == IN_VAIN || span == 0 {
            break;
        }
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let micros = (span as f64 * share) as u64;
        share = (share + GOLDEN) % 1.0;
        vain += 1;
        let After::At(middle) = machine.part_way(&from, micros, until)? else { continue };
        let Some(left) = machine.reaches(&middle, span * 4 + 20_000, until)? else { continue };
        if left >= span - span / 16 {
            continue;
        }
        match judge(machine, &middle)? {
            Verdict::Nearer => (from, span, vain, moved) = (middle, left, 0, true),
            Verdict::Behind => return Ok(Nearer { from, moved, behind: Some(middle) }),
        }
    }
    Ok(Nearer { from, moved, behind: None })
}
