//! A session in miniature over the simulated debugger: what the engine does with history and search, without processes.

use std::collections::{BTreeMap, HashMap};

use fred::backends::sim::Sim;
use fred::history::entry::Effect;
use fred::history::execution::{Execution, PointId, Via};
use fred::history::timeline::{Origin, Timeline};
use fred::search::pass::Pass;
use fred::search::previous::{self, Landing, Move};
use fred::search::probe::{Before, Hit, Place, Probe, Value, Wanted};

pub struct Session {
    pub sim: Sim,
    pub execution: Execution,
    pub timeline: Timeline,
    pub present: PointId,
    /// How the debugger was at each point when the session first stood there: what every way back must lead to.
    pub seen: HashMap<PointId, Sim>,
    /// Settings, as lines, that were carried to points that reverse moves have made.
    carried: HashMap<PointId, Vec<String>>,
}

impl Session {
    pub fn new(sim: Sim) -> Self {
        let execution = Execution::new(sim.stop(), vec![]);
        let present = execution.start();
        let timeline = Timeline::new(present, Some(sim.stop()));
        let seen = HashMap::from([(present, sim.clone())]);
        Session { sim, execution, timeline, present, seen, carried: HashMap::new() }
    }

    /// Runs a line, with Ctrl-C after `ticks` stops.
    pub fn say_for(&mut self, line: &str, ticks: u64) {
        let from = self.sim.at;
        let effect = self.sim.run_line_for(line, ticks).expect("tests type what can be run");
        if effect == Effect::Queries || (effect == Effect::Moves && self.sim.at == from) {
            return;
        }
        let stop = self.sim.stop();
        let interrupted = stop.reason == fred::history::entry::Reason::Interrupt && effect == Effect::Moves;
        let point = if interrupted {
            self.execution.interrupted(self.present, line, stop.clone(), vec![])
        } else {
            self.execution.command(self.present, line, effect, stop.clone(), vec![])
        };
        let ticks = (self.sim.at - from) as u64;
        if interrupted {
            // An interrupted command can only be repeated by count.
            self.execution.set_ticks(point, ticks).expect("counted once");
        }
        self.timeline.append(line, effect, Origin::User, point, (effect == Effect::Moves).then_some(stop));
        self.arrive(point);
    }

    pub fn say(&mut self, line: &str) {
        self.say_for(line, u64::MAX);
    }

    fn arrive(&mut self, point: PointId) {
        self.present = point;
        self.seen.entry(point).or_insert_with(|| self.sim.clone());
    }

    /// Goes to where the head of the timeline points.
    pub fn follow_head(&mut self) {
        self.present = self.timeline.point();
        self.sim = self.rebuild(self.present);
    }

    /// The debugger at a point, made from the start of history by doing everything again.
    pub fn rebuild(&self, point: PointId) -> Sim {
        let chain = self.execution.chain(point);
        let mut sim = self.seen[&chain[0]].clone();
        for &id in &chain[1..] {
            let point = self.execution.point(id);
            match &point.via {
                Via::Start | Via::Landed => {
                    unreachable!("only the first point is the start, and nothing is served here")
                }
                Via::Command { line, .. } => {
                    sim.run_line(line).expect("it was run before");
                }
                Via::Interrupted { line } | Via::Stopped { line, .. } => {
                    sim.run_line_for(line, point.ticks.expect("counted")).expect("it was run before");
                }
                Via::Ticks { n, .. } => {
                    sim.advance(*n);
                    for line in self.carried.get(&id).into_iter().flatten() {
                        sim.run_line(line).expect("it was run before");
                    }
                }
            }
        }
        sim
    }

    /// What was configured from a point of the chain to the present, oldest first.
    fn lines_between(&self, from: PointId) -> Vec<String> {
        let mut pieces: Vec<Vec<String>> = Vec::new();
        for id in self.execution.back_from(self.present).take_while(|&id| id != from) {
            match &self.execution.point(id).via {
                Via::Command { line, effect: Effect::Configures } => pieces.push(vec![line.clone()]),
                _ => pieces.extend(self.carried.get(&id).cloned()),
            }
        }
        pieces.into_iter().rev().flatten().collect()
    }

    /// A reverse move. `None`: there is no earlier point.
    pub fn back(&mut self, movement: Move, n: u32) -> Option<Landing> {
        let landing = {
            let mut probe = SimProbe::new(self);
            let landing = previous::previous(&mut probe, movement, n).expect("the simulation has no errors");
            landing.inspect(|landing| self.sim = probe.copy(landing.at))
        }?;
        let at = landing.at;
        let anchor = self.execution.chain(self.present)[at.segment];
        let lines = self.lines_between(anchor);
        let point = self.execution.land(anchor, at.ticks, !lines.is_empty(), self.sim.stop(), vec![]);
        for line in &lines {
            self.sim.run_line(line).expect("it was run before");
        }
        if point != anchor {
            self.carried.insert(point, lines);
        }
        self.timeline.append("fred-reverse", Effect::Moves, Origin::User, point, Some(self.sim.stop()));
        self.arrive(point);
        Some(landing)
    }
}

/// Answers a search from the simulated debugger and keeps account of what that takes.
pub struct SimProbe {
    anchors: Vec<Sim>,
    commands: Vec<String>,
    moves: Vec<bool>,
    /// Copies that stand inside segments.
    copies: BTreeMap<Place, Sim>,
    /// Stops that were replayed to evaluate.
    pub replayed: u64,
    pub evaluations: u32,
    /// Whether long segments can be split, as by time.
    pub splits: bool,
    /// Segments of which something was asked that needs a replay.
    pub asked: Vec<usize>,
    /// What [`Probe::settle`] promised.
    bounds: Option<(Place, Place)>,
    /// After so many evaluations the user presses Ctrl-C.
    pub patience: u32,
    /// From this evaluation on, the program does not replay the same way.
    pub astray_from: u32,
}

#[derive(Debug, PartialEq, Eq)]
pub struct CtrlC;

impl SimProbe {
    pub fn new(session: &Session) -> Self {
        let chain = session.execution.chain(session.present);
        let via = |id: &PointId| &session.execution.point(*id).via;
        SimProbe {
            anchors: chain.iter().map(|id| session.seen[id].clone()).collect(),
            commands: chain[1..]
                .iter()
                .map(|id| match via(id) {
                    Via::Command { line, .. } => line.clone(),
                    other => format!("{other:?}"),
                })
                .collect(),
            moves: chain.windows(2).map(|w| session.seen[&w[0]].at != session.seen[&w[1]].at).collect(),
            copies: BTreeMap::new(),
            replayed: 0,
            evaluations: 0,
            splits: false,
            asked: Vec::new(),
            bounds: None,
            patience: u32::MAX,
            astray_from: u32::MAX,
        }
    }

    /// The debugger at a place.
    pub fn copy(&self, at: Place) -> Sim {
        let mut sim = self.anchors[at.segment].clone();
        sim.advance(at.ticks);
        sim
    }

    /// Every place from the start to the present by its one name, in order; settings and mutations count as places.
    pub fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for segment in 0..self.segments() {
            let ticks = (self.anchors[segment + 1].at - self.anchors[segment].at) as u64;
            places.extend((0..ticks.max(1)).map(|ticks| Place { segment, ticks }));
        }
        places.push(Place::anchor(self.segments()));
        places
    }

    fn read(sim: &Sim) -> Value {
        match sim.evaluate() {
            Ok(value) => Value::Known { text: value.to_string(), digest: value as u64 },
            Err(why) => Value::Unknown(why),
        }
    }

    /// The value at a place, for the oracle: costs nothing.
    pub fn value_of(&self, at: Place) -> Value {
        Self::read(&self.copy(at))
    }

    /// The name of a place as a stop inside its segment or the anchor after it, whichever is later.
    fn index(&self, at: Place) -> (usize, u64) {
        let length =
            self.anchors.get(at.segment + 1).map_or(u64::MAX, |next| (next.at - self.anchors[at.segment].at) as u64);
        if length > 0 && at.ticks == length { (at.segment + 1, 0) } else { (at.segment, at.ticks) }
    }
}

impl Probe for SimProbe {
    type Error = CtrlC;

    fn segments(&self) -> usize {
        self.anchors.len() - 1
    }

    fn ticks(&mut self, segment: usize) -> Result<u64, CtrlC> {
        if self.moves[segment] {
            self.asked.push(segment);
        }
        Ok((self.anchors[segment + 1].at - self.anchors[segment].at) as u64)
    }

    fn last(&mut self, segment: usize, before: Before, wanted: Wanted, repeat: u32) -> Result<Option<Hit>, CtrlC> {
        if self.moves[segment] {
            self.asked.push(segment);
        }
        let end = match before {
            Before::End => (self.anchors[segment + 1].at - self.anchors[segment].at) as u64,
            Before::Tick(ticks) => ticks,
        };
        let mut pass = Pass::new(wanted);
        let mut sim = self.anchors[segment].clone();
        // The breakpoints of the present count, not those of then.
        sim.breakpoints = self.anchors[self.segments()].breakpoints.clone();
        for ticks in 0..end {
            pass.stop(ticks, sim.event().depth, sim.at_breakpoint());
            sim.advance(1);
        }
        Ok(pass.hit(repeat))
    }

    fn value(&mut self, at: Place) -> Result<Value, CtrlC> {
        self.evaluations += 1;
        if self.evaluations > self.patience {
            return Err(CtrlC);
        }
        if let Some((left, right)) = self.bounds {
            assert!(self.index(left) <= self.index(at) && self.index(at) <= self.index(right), "{at:?} is outside");
        }
        let (from, mut sim) = match self.copies.range(Place::anchor(at.segment)..=at).next_back() {
            Some((place, sim)) => (*place, sim.clone()),
            None => (Place::anchor(at.segment), self.anchors[at.segment].clone()),
        };
        sim.advance(at.ticks - from.ticks);
        self.replayed += at.ticks - from.ticks;
        self.copies.insert(at, sim.clone());
        if self.evaluations >= self.astray_from {
            sim.bias += 1000;
        }
        Ok(Self::read(&sim))
    }

    fn settle(&mut self, left: Place, right: Place) {
        // The worst that the contract allows: only the copy at `left` survives.
        self.copies.retain(|place, _| *place == left);
        self.bounds = Some((left, right));
    }

    fn split(&mut self, segment: usize) -> Result<bool, CtrlC> {
        let ticks = (self.anchors[segment + 1].at - self.anchors[segment].at) as u64;
        if !self.splits || ticks < 8 {
            return Ok(false);
        }
        // Time never halves exactly.
        let middle = self.copy(Place { segment, ticks: ticks * 2 / 5 });
        self.anchors.insert(segment + 1, middle);
        self.moves.insert(segment, true);
        let command = self.commands[segment].clone();
        self.commands.insert(segment, command);
        self.bounds = None;
        Ok(true)
    }

    fn command(&self, segment: usize) -> String {
        assert!(!self.moves[segment], "only commands that do not move are asked for");
        self.commands[segment].clone()
    }
}
