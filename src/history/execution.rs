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

/// Names a list of settings that was carried along by a reverse move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OverlayId(u32);

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
    /// A reverse move went to this many step-stops after the predecessor, and then typed the settings again.
    Ticks {
        /// Step-stops after the predecessor.
        n: u64,
        /// What the user had configured between here and where the reverse move was asked for.
        settings: Option<OverlayId>,
    },
    /// The user typed this line and ended it with Ctrl-C. Typing it again does not come here: only counting its
    /// step-stops, or the point's own checkpoint, does.
    Interrupted {
        /// The line as sent to the debugger.
        line: String,
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
    overlays: Vec<Vec<String>>,
}

/// What is on disk, before [`Execution`]'s invariants are checked.
#[derive(Deserialize)]
struct Saved {
    points: Vec<Point>,
    overlays: Vec<Vec<String>>,
}

impl TryFrom<Saved> for Execution {
    type Error = Malformed;

    fn try_from(saved: Saved) -> Result<Self, Malformed> {
        if saved.points.is_empty() {
            return Err(Malformed {
                index: 0,
                what: "is missing: there is no start",
            });
        }
        for (index, point) in saved.points.iter().enumerate() {
            let bad = |what| Err(Malformed { index, what });
            if point.id.0 as usize != index {
                return bad("has the name of another");
            }
            match point.pred {
                None if index > 0 => return bad("has no predecessor and is not the start"),
                Some(pred) if pred.0 as usize >= index => {
                    return bad("comes before its predecessor");
                }
                _ => {}
            }
            if (index == 0) != matches!(point.via, Via::Start) {
                return bad("disagrees about being the start");
            }
            if let Via::Ticks {
                settings: Some(overlay),
                ..
            } = point.via
                && overlay.0 as usize >= saved.overlays.len()
            {
                return bad("carries settings that were not saved");
            }
        }
        Ok(Execution {
            points: saved.points,
            overlays: saved.overlays,
        })
    }
}

impl Execution {
    /// An execution that has come to its first stop.
    pub fn new(stop: Stop, inputs: Vec<String>) -> Self {
        let start = Point {
            id: PointId(0),
            pred: None,
            via: Via::Start,
            stop,
            inputs,
            ticks: Some(0),
            checkpoint: None,
        };
        Execution {
            points: vec![start],
            overlays: Vec::new(),
        }
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

    fn push(
        &mut self,
        pred: PointId,
        via: Via,
        stop: Stop,
        inputs: Vec<String>,
        ticks: Option<u64>,
    ) -> PointId {
        let id = PointId(
            u32::try_from(self.points.len()).expect("a session has fewer than 2^32 commands"),
        );
        self.points.push(Point {
            id,
            pred: Some(pred),
            via,
            stop,
            inputs,
            ticks,
            checkpoint: None,
        });
        id
    }

    /// The user typed `line` at `pred` and it ended at `stop`.
    pub fn command(
        &mut self,
        pred: PointId,
        line: &str,
        effect: Effect,
        stop: Stop,
        inputs: Vec<String>,
    ) -> PointId {
        let ticks = (effect != Effect::Moves).then_some(0);
        self.push(
            pred,
            Via::Command {
                line: line.to_owned(),
                effect,
            },
            stop,
            inputs,
            ticks,
        )
    }

    /// The user typed `line` at `pred` and ended it with Ctrl-C at `stop`.
    pub fn interrupted(
        &mut self,
        pred: PointId,
        line: &str,
        stop: Stop,
        inputs: Vec<String>,
    ) -> PointId {
        self.push(
            pred,
            Via::Interrupted {
                line: line.to_owned(),
            },
            stop,
            inputs,
            None,
        )
    }

    /// A reverse move from `present` came to the stop that is `ticks` step-stops after anchor `segment` of its chain
    /// (the [place](Execution::chain) as searches give it). What the user configured since that anchor is carried along.
    /// `inputs` are those of the anchor's segment that are read before the landing.
    ///
    /// With no ticks and nothing to carry the landing *is* the anchor, and no point is made.
    ///
    /// # Panics
    /// If `segment` is beyond the chain of `present`.
    pub fn land(
        &mut self,
        present: PointId,
        segment: usize,
        ticks: u64,
        stop: Stop,
        inputs: Vec<String>,
    ) -> PointId {
        let pred = self.chain(present)[segment];
        let carried = self.configured_between(pred, present);
        if ticks == 0 && carried.is_empty() {
            return pred;
        }
        let settings = (!carried.is_empty()).then(|| self.overlay(carried));
        self.push(
            pred,
            Via::Ticks { n: ticks, settings },
            stop,
            inputs,
            Some(ticks),
        )
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

    /// The settings that are in force at `to` and were not at `from`, as lines to type, oldest first. `from` is on the
    /// chain of `to`.
    pub fn configured_between(&self, from: PointId, to: PointId) -> Vec<String> {
        let mut pieces: Vec<&[String]> = Vec::new();
        for id in self.back_from(to).take_while(|&id| id != from) {
            match &self.point(id).via {
                Via::Command {
                    line,
                    effect: Effect::Configures,
                } => pieces.push(std::slice::from_ref(line)),
                Via::Ticks {
                    settings: Some(overlay),
                    ..
                } => pieces.push(self.settings(*overlay)),
                _ => {}
            }
        }
        pieces.into_iter().rev().flatten().cloned().collect()
    }

    /// The lines of an overlay.
    ///
    /// # Panics
    /// If it is another execution's.
    pub fn settings(&self, overlay: OverlayId) -> &[String] {
        &self.overlays[overlay.0 as usize]
    }

    /// Several reverse moves in a row carry the same settings: they share one overlay.
    fn overlay(&mut self, lines: Vec<String>) -> OverlayId {
        let index = self
            .overlays
            .iter()
            .rposition(|known| *known == lines)
            .unwrap_or_else(|| {
                self.overlays.push(lines);
                self.overlays.len() - 1
            });
        OverlayId(u32::try_from(index).expect("there are no more overlays than points"))
    }

    /// Notes how many step-stops lead from the predecessor to `point`.
    ///
    /// # Errors
    /// They have been counted before with another result: a replay went astray.
    pub fn set_ticks(&mut self, point: PointId, ticks: u64) -> Result<(), Recounted> {
        let known = self.points[point.0 as usize].ticks.get_or_insert(ticks);
        if *known == ticks {
            Ok(())
        } else {
            Err(Recounted {
                point,
                before: *known,
                now: ticks,
            })
        }
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
        self.back_from(point)
            .find_map(|id| Some((id, self.point(id).checkpoint?)))
    }
}

#[cfg(test)]
mod tests;
