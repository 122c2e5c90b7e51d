//! The execution as points: places where the session has stood, each reached from the one before it.
//!
//! A point is a place of the program *and* a state of the debugger. The stretch between a point's predecessor and the point
//! is a *segment*; every stop of the program that the session has passed on its way to a point lies in exactly one segment
//! of the point's [chain](Execution::chain). Setting a breakpoint and assigning a variable make segments of no length.
//!
//! Points are never removed: a reverse move makes a new point beside the old ones, so going back loses nothing.

use serde::{Deserialize, Serialize};

use super::entry::{Effect, Stop};

/// Names a point of one [`Execution`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PointId(u32);

/// Names a checkpoint to whoever keeps them; history only passes it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckpointKey(pub u64);

/// How a point is reached from its predecessor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// It is the first stop of the session and has no predecessor.
    Start,
    /// The user typed this line at the predecessor.
    Command {
        /// The line as sent to the debugger.
        line: String,
        /// What it does: anything but [`Effect::Queries`].
        effect: Effect,
    },
    /// A reverse move went to this many step-stops after the predecessor.
    Ticks {
        /// Step-stops after the predecessor.
        n: u64,
        /// Whether the settings of where the move was asked for were applied, because they differ from those here.
        configured: bool,
    },
    /// A search came here by the state of the program itself, which only the point's own checkpoint has.
    Landed,
    /// The user typed this line and ended it with Ctrl-C. Typing it again does not come here: only counting its
    /// step-stops, or the point's own checkpoint, does.
    Interrupted {
        /// The line as sent to the debugger.
        line: String,
    },
    /// The user's line was stopped on its way by a search, which kept a checkpoint there. It cannot be stopped there again, but
    /// unlike an interrupted one it is known how it goes on.
    Stopped {
        /// The line as sent to the debugger.
        line: String,
        /// It goes on when the line is typed again (it was stopped as by Ctrl-C); otherwise the debugger takes it up.
        typed_again: bool,
    },
}

/// A place where the session has stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Its name.
    pub id: PointId,
    /// The point from which it was reached. `None` for the start only.
    pub pred: Option<PointId>,
    /// How it was reached from there.
    pub via: Via,
    /// Where the program is.
    pub stop: Stop,
    /// What the program read from the terminal on the way from `pred`, a line each.
    pub inputs: Vec<String>,
    /// Step-stops from `pred` to here. `None` until they have been counted; 0 where the program does not move.
    pub ticks: Option<u64>,
    /// The checkpoint that holds this point, if one does.
    pub checkpoint: Option<CheckpointKey>,
}

/// Why points cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("point {index} of a saved execution {what}")]
pub struct Malformed {
    index: usize,
    what: &'static str,
}

/// The same stretch of the program had two lengths.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the program did not replay the same way: {before} stops were counted before, {now} now")]
pub struct Recounted {
    /// Where the stretch ends.
    pub point: PointId,
    /// Its step-stops as first counted.
    pub before: u64,
    /// Its step-stops as counted now.
    pub now: u64,
}

/// All the points of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct Execution {
    points: Vec<Point>,
}

/// What is on disk, before [`Execution`]'s invariants are checked.
#[derive(Deserialize)]
struct Saved {
    points: Vec<Point>,
}

impl TryFrom<Saved> for Execution {
    type Error = Malformed;

    fn try_from(saved: Saved) -> Result<Self, Malformed> {
        if saved.points.is_empty() {
            return Err(Malformed { index: 0, what: "is missing: there is no start" });
        }
        for (index, point) in saved.points.iter().enumerate() {
            let bad = |what| Err(Malformed { index, what });
            if point.id.0 as usize != index {
                return bad("has the name of another");
            }
            match point.pred {
                None if index > 0 => return bad("has no predecessor and is not the start"),
                Some(pred) if pred.0 as usize >= index => return bad("comes before its predecessor"),
                _ => {}
            }
            if (index == 0) != matches!(point.via, Via::Start) {
                return bad("disagrees about being the start");
            }
        }
        Ok(Execution { points: saved.points })
    }
}

impl Execution {
    /// An execution that has come to its first stop.
    pub fn new(stop: Stop, inputs: Vec<String>) -> Self {
        let start =
            Point { id: PointId(0), pred: None, via: Via::Start, stop, inputs, ticks: Some(0), checkpoint: None };
        Execution { points: vec![start] }
    }

    /// The first stop of the session.
    pub fn start(&self) -> PointId {
        PointId(0)
    }

    /// The point of that name.
    ///
    /// # Panics
    /// If the name is another execution's and larger than any here.
    pub fn point(&self, id: PointId) -> &Point {
        &self.points[id.0 as usize]
    }

    /// Every point, oldest first.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    fn push(&mut self, pred: PointId, via: Via, stop: Stop, inputs: Vec<String>, ticks: Option<u64>) -> PointId {
        let id = PointId(u32::try_from(self.points.len()).expect("a session has fewer than 2^32 commands"));
        self.points.push(Point { id, pred: Some(pred), via, stop, inputs, ticks, checkpoint: None });
        id
    }

    /// The user typed `line` at `pred` and it ended at `stop`.
    pub fn command(&mut self, pred: PointId, line: &str, effect: Effect, stop: Stop, inputs: Vec<String>) -> PointId {
        let ticks = (effect != Effect::Moves).then_some(0);
        self.push(pred, Via::Command { line: line.to_owned(), effect }, stop, inputs, ticks)
    }

    /// The user typed `line` at `pred` and ended it with Ctrl-C at `stop`.
    pub fn interrupted(&mut self, pred: PointId, line: &str, stop: Stop, inputs: Vec<String>) -> PointId {
        self.push(pred, Via::Interrupted { line: line.to_owned() }, stop, inputs, None)
    }

    /// A search stopped `line`, typed at `pred`, on its way at `stop`.
    pub fn stopped(
        &mut self,
        pred: PointId,
        line: &str,
        typed_again: bool,
        stop: Stop,
        inputs: Vec<String>,
    ) -> PointId {
        self.push(pred, Via::Stopped { line: line.to_owned(), typed_again }, stop, inputs, None)
    }

    /// A search came to a state of the program between `anchor` and its successor. `inputs` are those that are read on the way.
    pub fn landed(&mut self, anchor: PointId, stop: Stop, inputs: Vec<String>) -> PointId {
        self.push(anchor, Via::Landed, stop, inputs, None)
    }

    /// A reverse move came to the stop that is `ticks` step-stops after `anchor`. `configured` says that the settings of where
    /// it was asked for were applied. `inputs` are those of the anchor's segment that are read before the landing.
    ///
    /// With no ticks and nothing to apply the landing *is* the anchor, and no point is made.
    pub fn land(&mut self, anchor: PointId, ticks: u64, configured: bool, stop: Stop, inputs: Vec<String>) -> PointId {
        if ticks == 0 && !configured {
            return anchor;
        }
        self.push(anchor, Via::Ticks { n: ticks, configured }, stop, inputs, Some(ticks))
    }

    /// The points from the start to `point`, both included. Point `i` is *anchor* `i` of searches, and segment `i` leads
    /// from it to point `i + 1`.
    pub fn chain(&self, point: PointId) -> Vec<PointId> {
        let mut chain: Vec<PointId> = self.back_from(point).collect();
        chain.reverse();
        chain
    }

    /// `point`, its predecessor, and so on to the start.
    pub fn back_from(&self, point: PointId) -> impl Iterator<Item = PointId> + '_ {
        std::iter::successors(Some(point), |&id| self.point(id).pred)
    }

    /// Whether the settings at `to` may differ from those at `from`, which is on its chain, by something that the user did.
    pub fn configured_between(&self, from: PointId, to: PointId) -> bool {
        self.back_from(to).take_while(|&id| id != from).any(|id| {
            matches!(
                self.point(id).via,
                Via::Command { effect: Effect::Configures, .. } | Via::Ticks { configured: true, .. }
            )
        })
    }

    /// Notes how many step-stops lead from the predecessor to `point`.
    ///
    /// # Errors
    /// They have been counted before with another result: a replay went astray.
    pub fn set_ticks(&mut self, point: PointId, ticks: u64) -> Result<(), Recounted> {
        let known = self.points[point.0 as usize].ticks.get_or_insert(ticks);
        if *known == ticks { Ok(()) } else { Err(Recounted { point, before: *known, now: ticks }) }
    }

    /// Step-stops from the start to `point`, if all its segments have been counted.
    pub fn travelled(&self, point: PointId) -> Option<u64> {
        self.back_from(point).map(|id| self.point(id).ticks).sum()
    }

    /// Notes which checkpoint holds `point` (`None`: it was dropped).
    pub fn set_checkpoint(&mut self, point: PointId, checkpoint: Option<CheckpointKey>) {
        self.points[point.0 as usize].checkpoint = checkpoint;
    }

    /// The point nearest before `point` (or itself) that a checkpoint holds: from there a replay begins.
    pub fn nearest_checkpoint(&self, point: PointId) -> Option<(PointId, CheckpointKey)> {
        self.back_from(point).find_map(|id| Some((id, self.point(id).checkpoint?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::stop_at as at;

    #[test]
    fn a_chain_runs_from_the_start() {
        let mut e = Execution::new(at(1), vec![]);
        let a = e.command(e.start(), "next", Effect::Moves, at(2), vec![]);
        let b = e.command(a, "break 9", Effect::Configures, at(2), vec![]);
        let other = e.command(a, "next", Effect::Moves, at(3), vec![]);
        assert_eq!(e.chain(b), [e.start(), a, b]);
        assert_eq!(e.chain(other), [e.start(), a, other]);
    }

    #[test]
    fn only_segments_that_move_have_something_to_count() {
        let mut e = Execution::new(at(1), vec![]);
        let a = e.command(e.start(), "continue", Effect::Moves, at(9), vec![]);
        let b = e.command(a, "x = 1", Effect::Mutates, at(9), vec![]);
        assert_eq!((e.point(a).ticks, e.point(b).ticks), (None, Some(0)));
        assert_eq!(e.travelled(b), None);
        e.set_ticks(a, 40).unwrap();
        assert_eq!(e.travelled(b), Some(40));
        assert_eq!(e.set_ticks(a, 41), Err(Recounted { point: a, before: 40, now: 41 }));
    }

    #[test]
    fn a_landing_hangs_below_the_anchor_and_carries_the_settings() {
        let mut e = Execution::new(at(1), vec![]);
        let a = e.command(e.start(), "break 9", Effect::Configures, at(1), vec![]);
        let b = e.command(a, "continue", Effect::Moves, at(9), vec![]);
        let c = e.command(b, "x = 1", Effect::Mutates, at(9), vec![]);
        let d = e.command(c, "break 12", Effect::Configures, at(9), vec![]);
        assert!(e.configured_between(a, d) && !e.configured_between(a, c) && e.configured_between(e.start(), b));
        let landed = e.land(a, 7, true, at(5), vec![]);
        assert_eq!(e.point(landed).pred, Some(a));
        // A reverse move from the landing must carry the settings further.
        assert!(e.configured_between(a, landed));
        let again = e.land(a, 3, true, at(3), vec![]);
        assert!(e.configured_between(e.start(), again));
        // Landing on the anchor with settings to carry is a point of its own; with none it is the anchor.
        assert_ne!(e.land(a, 0, true, at(1), vec![]), a);
        assert_eq!(e.land(a, 0, false, at(1), vec![]), a);
    }

    #[test]
    fn replay_begins_at_the_nearest_checkpoint() {
        let mut e = Execution::new(at(1), vec![]);
        let a = e.command(e.start(), "next", Effect::Moves, at(2), vec![]);
        let b = e.interrupted(a, "continue", at(3), vec!["yes".into()]);
        assert_eq!(e.nearest_checkpoint(b), None);
        e.set_checkpoint(a, Some(CheckpointKey(4)));
        assert_eq!(e.nearest_checkpoint(b), Some((a, CheckpointKey(4))));
        e.set_checkpoint(a, None);
        e.set_checkpoint(e.start(), Some(CheckpointKey(1)));
        assert_eq!(e.nearest_checkpoint(b), Some((e.start(), CheckpointKey(1))));
    }

    #[test]
    fn a_saved_execution_is_checked_when_it_is_loaded() {
        let mut e = Execution::new(at(1), vec![]);
        e.command(e.start(), "next", Effect::Moves, at(2), vec![]);
        e.land(e.start(), 1, false, at(2), vec![]);
        let text = serde_json::to_string(&e).unwrap();
        assert_eq!(serde_json::from_str::<Execution>(&text).unwrap(), e);
        let broken = text.replacen("\"pred\":0", "\"pred\":7", 1);
        let error = serde_json::from_str::<Execution>(&broken).unwrap_err().to_string();
        assert!(error.contains("point 1 of a saved execution comes before its predecessor"), "{error}");
    }
}
