//! The reverse moves: to an earlier stop that is picked by what it is, not by a value.

use super::probe::{Before, Place, Probe, Wanted};

/// A reverse move, as seen from the present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// To the stop before this one (`fred-reverse-step`).
    Step,
    /// To the last stop before this one with no more frames (`fred-reverse-next`).
    Next {
        /// Frames at the present.
        depth: u32,
    },
    /// To the last stop before this one with fewer frames: the call of this function (`fred-reverse-finish`).
    Finish {
        /// Frames at the present.
        depth: u32,
    },
    /// To the last stop before this one at an enabled breakpoint, or to the start of history when there is none
    /// (`fred-reverse-continue`).
    Continue,
}

/// Where reverse moves lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landing {
    /// The place, named by the last anchor that is not after it, so that settings and mutations made at the same stop before
    /// the program moved on are part of it.
    pub at: Place,
    /// How many of the moves could be made, at least 1.
    pub done: u32,
    /// The last of them was [`Move::Continue`] falling back to the start of history.
    pub fell_back: bool,
}

/// Where `n` moves in a row lead. `None` when not one can be made: there is no earlier point that is wanted.
///
/// Segments are walked backwards and none is asked about that lies before the landing, except that [`Move::Continue`], having
/// found nothing, asks for the first one that moves.
///
/// # Errors
/// As the probe's.
pub fn previous<P: Probe>(probe: &mut P, movement: Move, n: u32) -> Result<Option<Landing>, P::Error> {
    match movement {
        Move::Step => step(probe, n),
        Move::Next { depth } => walk(probe, Wanted::AtMost(depth), n),
        Move::Finish { depth } => finish(probe, depth, n),
        Move::Continue => {
            let landing = walk(probe, Wanted::Breakpoint, n)?;
            if landing.is_some_and(|landing| landing.done == n) || n == 0 {
                return Ok(landing);
            }
            let Some(start) = start(probe)? else {
                return Ok(landing);
            };
            Ok(match landing {
                Some(landing) if landing.at == start => Some(landing),
                _ => Some(Landing { at: start, done: landing.map_or(0, |l| l.done) + 1, fell_back: true }),
            })
        }
    }
}

/// Stops are numbered by ticks, so moving over them is a subtraction.
fn step<P: Probe>(probe: &mut P, n: u32) -> Result<Option<Landing>, P::Error> {
    let mut left = u64::from(n);
    let mut landing = None;
    for segment in (0..probe.segments()).rev() {
        if left == 0 {
            break;
        }
        let ticks = probe.ticks(segment)?;
        if ticks > 0 {
            let back = left.min(ticks);
            left -= back;
            // What is left is at most n, so both fit.
            let done = n - u32::try_from(left).unwrap_or(n);
            landing = Some(Landing { at: Place { segment, ticks: ticks - back }, done, fell_back: false });
        }
    }
    Ok(landing)
}

fn walk<P: Probe>(probe: &mut P, mut wanted: Wanted, n: u32) -> Result<Option<Landing>, P::Error> {
    let mut landing = None;
    let mut done = 0;
    for segment in (0..probe.segments()).rev() {
        if done == n {
            break;
        }
        if let Some(hit) = probe.last(segment, Before::End, wanted, n - done)? {
            done += hit.moves;
            landing = Some(Landing { at: Place { segment, ticks: hit.ticks }, done, fell_back: false });
            if let Wanted::AtMost(depth) = &mut wanted {
                *depth = hit.depth;
            }
        }
    }
    Ok(landing)
}

/// Each move needs a smaller bound than the last one's landing, so they are asked for one at a time. There are no more of
/// them than there are frames.
fn finish<P: Probe>(probe: &mut P, depth: u32, n: u32) -> Result<Option<Landing>, P::Error> {
    let mut landing: Option<Landing> = None;
    let mut bound = depth.saturating_sub(1);
    let mut segments = (0..probe.segments()).rev();
    let mut here = segments.next().map(|segment| (segment, Before::End));
    while let Some((segment, before)) = here {
        let done = landing.map_or(0, |landing| landing.done);
        // No stop has fewer frames than one: do not replay the whole history to learn it.
        if done == n || bound == 0 {
            break;
        }
        here = match probe.last(segment, before, Wanted::AtMost(bound), 1)? {
            Some(hit) => {
                let at = Place { segment, ticks: hit.ticks };
                landing = Some(Landing { at, done: done + 1, fell_back: false });
                bound = hit.depth.saturating_sub(1);
                Some((segment, Before::Tick(hit.ticks)))
            }
            None => segments.next().map(|segment| (segment, Before::End)),
        };
    }
    Ok(landing)
}

/// The first stop of history, as [`Landing::at`] names it. `None` if the program has not moved since.
fn start<P: Probe>(probe: &mut P) -> Result<Option<Place>, P::Error> {
    for segment in 0..probe.segments() {
        if probe.ticks(segment)? > 0 {
            return Ok(Some(Place::anchor(segment)));
        }
    }
    Ok(None)
}
