//! The session as searches see it: the chain of points to the present, asked about on throw-away copies.

mod hops;

use std::collections::VecDeque;
use std::time::Duration;

use fred_checkpointer::client::Stopped;
use fred_checkpointer::wire::CopyId;

use super::core::{Engine, Outcome};
use super::travel::Aside;
use super::{Console, Failure, State};
use crate::backends::dialect::{Prompt, PromptKind};
use crate::backends::dialects::pdb_agent::{Place as CodePlace, Request, Scope, Settings};
use crate::history::entry::{Reason, Stop};
use crate::history::execution::{PointId, Via};
use crate::search::probe::{Before, Hit, Place, Probe, Value, Wanted};

/// How many stops a search for an interrupted place goes over before it gives up.
const FIND_LIMIT: u64 = 1 << 28;

/// A stretch that ran shorter than this is counted stop by stop: replaying it under trace takes a few times as long.
const SHORT: Duration = Duration::from_millis(40);

/// After this time of a long command it is looked at how pdb runs it.
const SAMPLE: Duration = Duration::from_millis(100);

/// In less than this a program makes up to a million stops; what is nearer to the present is counted.
const CLOSE: Duration = Duration::from_millis(300);

/// A copy that was left standing inside a segment.
struct Mark {
    place: Place,
    copy: CopyId,
    prompt: Prompt,
    /// Input of the segment that it has not read yet.
    inputs: VecDeque<String>,
    /// What the debugger showed there.
    output: String,
}

/// A copy that a search has stopped on the way of a command, from which the command can be taken up again.
struct Hop {
    copy: CopyId,
    pid: i32,
    prompt: Prompt,
    inputs: VecDeque<String>,
    stop: Stop,
    shown: String,
    /// The point that stands for it in the history, once something is built on it.
    point: Option<PointId>,
    /// It was stopped as by Ctrl-C: the command is typed again to go on.
    interrupted: bool,
}

/// Where a segment begins.
enum Stand {
    /// At a point of the history.
    Point(PointId),
    /// On the way from one to the next.
    Hop(Box<Hop>),
}

struct Anchor {
    stand: Stand,
    /// Running time since the command began that leads over it.
    at: Duration,
    /// Stops from here to the next point, once counted.
    to_point: Option<u64>,
}

/// A search that is going on.
pub(super) struct Search<'e> {
    pub(super) engine: &'e mut Engine,
    pub(super) console: &'e mut dyn Console,
    pub(super) aside: &'e Aside,
    anchors: Vec<Anchor>,
    /// What is watched, and in which function it means something.
    pub(super) watched: Option<(String, Option<Scope>)>,
    /// The settings of the present, for breakpoints.
    pub(super) settings: Option<Settings>,
    marks: Vec<Mark>,
    interval: Option<u64>,
    /// Whether counting was found to be quicker than running as pdb runs; `None` until it has been tried.
    counting: Option<bool>,
}

impl<'e> Search<'e> {
    /// A search back from the present, which has been put aside.
    pub(super) fn new(
        engine: &'e mut Engine,
        console: &'e mut dyn Console,
        aside: &'e Aside,
        present: PointId,
    ) -> Self {
        let anchors = engine
            .execution
            .chain(present)
            .into_iter()
            .map(|id| Anchor { stand: Stand::Point(id), at: Duration::ZERO, to_point: None })
            .collect();
        Search {
            engine,
            console,
            aside,
            anchors,
            watched: None,
            settings: None,
            marks: Vec::new(),
            interval: None,
            counting: None,
        }
    }

    /// Drops the copies that were kept, but for those that the history has come to need.
    pub(super) fn finish(mut self) {
        let marks = std::mem::take(&mut self.marks).into_iter().map(|mark| mark.copy);
        let hops = std::mem::take(&mut self.anchors).into_iter().filter_map(|anchor| match anchor.stand {
            Stand::Hop(hop) if hop.point.is_none() => Some(hop.copy),
            _ => None,
        });
        for copy in marks.chain(hops).collect::<Vec<_>>() {
            self.engine.live.drop_copy(copy).ok();
        }
    }

    /// Index of the next anchor after `index` that is a point.
    fn next_point(&self, index: usize) -> usize {
        let is_point = |at: &usize| matches!(self.anchors[*at].stand, Stand::Point(_));
        (index + 1..self.anchors.len()).find(is_point).unwrap_or(self.anchors.len() - 1)
    }

    /// Index of the point at or before an anchor.
    fn last_point(&self, index: usize) -> usize {
        (0..=index).rev().find(|at| matches!(self.anchors[*at].stand, Stand::Point(_))).unwrap_or(0)
    }

    fn id_at(&self, index: usize) -> Option<PointId> {
        match &self.anchors[index].stand {
            Stand::Point(id) => Some(*id),
            Stand::Hop(hop) => hop.point,
        }
    }

    /// The command on whose way a segment is.
    pub(super) fn way(&self, index: usize) -> Option<String> {
        if index + 1 >= self.anchors.len() {
            return None;
        }
        self.id_at(self.next_point(index)).and_then(|id| self.engine.way_to(id))
    }

    /// The point that stands for an anchor in the history; makes one of a hop.
    pub(super) fn point_at(&mut self, index: usize) -> Result<PointId, Failure> {
        if let Some(id) = self.id_at(index) {
            return Ok(id);
        }
        let origin = self.last_point(index);
        let (Some(from), Some(to)) = (self.id_at(origin), self.id_at(self.next_point(index))) else {
            return Err(self.engine.failure("a place on the way has lost its origin"));
        };
        let (Via::Command { line, .. } | Via::Interrupted { line } | Via::Stopped { line, .. }) =
            self.engine.execution.point(to).via.clone()
        else {
            return Err(self.engine.failure("a place on the way has lost its command"));
        };
        let at = self.anchors[index].at;
        let all = self.engine.execution.point(to).inputs.clone();
        let Stand::Hop(hop) = &mut self.anchors[index].stand else {
            return Err(self.engine.failure("a place on the way has lost its copy"));
        };
        let read = all.len().saturating_sub(hop.inputs.len());
        let inputs = all.into_iter().take(read).collect();
        let point = self.engine.execution.stopped(from, &line, hop.interrupted, hop.stop.clone(), inputs);
        hop.point = Some(point);
        self.engine.shown.insert(point, hop.shown.clone());
        self.engine.ran.insert(point, at);
        let (copy, pid, prompt) = (hop.copy, hop.pid, hop.prompt.clone());
        self.engine.keep_hop(copy, pid, point, prompt);
        Ok(point)
    }

    /// What the command that leads on from an anchor reads from the terminal after it.
    pub(super) fn inputs_after(&self, index: usize) -> VecDeque<String> {
        match &self.anchors[index].stand {
            Stand::Hop(hop) => hop.inputs.clone(),
            Stand::Point(_) if index + 1 < self.anchors.len() => self
                .id_at(self.next_point(index))
                .map_or_else(VecDeque::new, |id| self.engine.execution.point(id).inputs.clone().into()),
            Stand::Point(_) => VecDeque::new(),
        }
    }

    /// Runs a copy that stands at an anchor.
    pub(super) fn stand_at_anchor(&mut self, index: usize) -> Result<(), Failure> {
        match &self.anchors[index].stand {
            Stand::Point(id) => {
                let id = *id;
                self.engine.materialize(id, self.console)
            }
            Stand::Hop(hop) => {
                let (copy, prompt) = (hop.copy, hop.prompt.clone());
                self.engine.start_copy(copy, &prompt)
            }
        }
    }

    fn check(&mut self) -> Result<(), Failure> {
        if self.console.interrupted() {
            return Err(self.engine.failure("interrupted: the session is where it was"));
        }
        let cost = self.engine.spent();
        self.console.progress(&cost, self.interval);
        Ok(())
    }

    /// Stops from an anchor to the end of the command that leads on from it, as plain pdb ends it.
    fn count_command(&mut self, index: usize, line: &str, expected: Option<&Stop>) -> Result<u64, Failure> {
        let mut inputs = self.inputs_after(index);
        self.stand_at_anchor(index)?;
        let request = Request::Count { command: self.begins(index).then(|| line.to_owned()) };
        let (reply, outcome) = self.engine.put(request, &mut inputs, self.console)?;
        let Some(reply) = reply else {
            return match expected {
                Some(expected) => self.count_to_death(index, line, expected, &outcome),
                None => Err(self.engine.failure("the program did not replay the same way: it ended")),
            };
        };
        if !reply.ok {
            return Err(self.engine.failure(reply.error.unwrap_or_default()));
        }
        if let (Some(expected), None) = (expected, outcome.exited) {
            let stop = self.engine.dialect.parse_stop(line, &outcome.output);
            self.engine.same_place(line, expected, stop.as_ref())?;
        }
        let n = reply.n.ok_or_else(|| self.engine.failure("the helper did not count"))?;
        self.engine.cost.replayed += n;
        Ok(n)
    }

    /// Stops from an anchor to the next point.
    fn count_to_point(&mut self, index: usize) -> Result<u64, Failure> {
        if let Some(known) = self.anchors[index].to_point {
            return Ok(known);
        }
        let end = self.next_point(index);
        let Some(to) = self.id_at(end) else { return Err(self.engine.failure("a segment has no end")) };
        let direct = matches!(self.anchors[index].stand, Stand::Point(_));
        if let (true, Some(known)) = (direct, self.engine.execution.point(to).ticks) {
            return Ok(known);
        }
        self.check()?;
        let point = self.engine.execution.point(to).clone();
        let counted = match &point.via {
            Via::Command { line, .. } => self.count_command(index, line, Some(&point.stop))?,
            Via::Stopped { line, .. } => {
                // Its own end is nowhere in particular, but what is left of the command can be counted from both.
                let whole = self.count_command(index, line, None)?;
                let rest = self.count_command(end, line, None)?;
                whole.checked_sub(rest).ok_or_else(|| {
                    self.engine
                        .failure(format!("the program did not replay the same way: `{line}` was shorter this time"))
                })?
            }
            Via::Interrupted { line } => self.find(index, end, line, &point.stop)?,
            Via::Start | Via::Landed | Via::Ticks { .. } => 0,
        };
        self.anchors[index].to_point = Some(counted);
        if direct {
            self.engine.execution.set_ticks(to, counted).map_err(|error| self.engine.failure(error.to_string()))?;
        }
        Ok(counted)
    }

    /// Stops from an anchor to a point at which the user pressed Ctrl-C.
    fn find(&mut self, index: usize, end: usize, line: &str, stop: &Stop) -> Result<u64, Failure> {
        self.stand_at_anchor(end)?;
        let (reply, _) = self.engine.ask(Request::Signature, &mut VecDeque::new(), self.console)?;
        let signature = reply.signature.unwrap_or_default();
        let place = CodePlace {
            file: stop.file.clone().unwrap_or_default(),
            line: stop.line.unwrap_or(0),
            function: stop.function.clone().unwrap_or_default(),
        };
        let mut inputs = self.inputs_after(index);
        self.stand_at_anchor(index)?;
        let request = Request::Find { signature, place, limit: FIND_LIMIT, during: Some(line.to_owned()) };
        let (reply, _) = self.engine.ask(request, &mut inputs, self.console)?;
        let n = reply.n.filter(|_| !reply.lost).ok_or_else(|| {
            self.engine.failure(format!("the place where `{line}` was interrupted was not met again in a replay"))
        })?;
        self.engine.cost.replayed += n;
        Ok(n)
    }

    /// Counts the stops of a segment in which the process ends at once (`os._exit`, a crash), the helper with it: looks for the
    /// last stop that can be reached. As when the program comes to its end, the end itself counts as one stop more.
    fn count_to_death(&mut self, segment: usize, line: &str, stop: &Stop, outcome: &Outcome) -> Result<u64, Failure> {
        let same = stop.reason == Reason::Exited && stop.exit_code == outcome.exited;
        if !same {
            let status = outcome.exited.unwrap_or(0);
            return Err(self.engine.diverged(line, stop, &format!("to the end, with status {status}")));
        }
        let (mut alive, mut dead) = (0, None);
        while dead.is_none_or(|dead| dead - alive > 1) {
            self.check()?;
            let n = dead.map_or(alive * 2 + 1, |dead| alive + (dead - alive) / 2);
            self.stand_at_anchor(segment)?;
            let mut inputs = self.inputs_after(segment);
            let request = Request::RunTo { n, breakpoints: false, during: Some(line.to_owned()), threads: false };
            let (reply, outcome) = self.engine.put(request, &mut inputs, self.console)?;
            self.engine.cost.replayed += n;
            match reply {
                Some(reply) if reply.ok && outcome.exited.is_none() => alive = n,
                _ => dead = Some(n),
            }
            self.interval = dead.map(|dead| dead - alive);
        }
        Ok(alive + 1)
    }

    /// Runs a copy that stands at a place; leaves a mark there unless it is an anchor.
    pub(super) fn stand_at(&mut self, at: Place) -> Result<(), Failure> {
        let base = self
            .marks
            .iter()
            .enumerate()
            .filter(|(_, mark)| mark.place.segment == at.segment && mark.place.ticks <= at.ticks)
            .max_by_key(|(_, mark)| mark.place.ticks)
            .map(|(index, _)| index);
        let (from, mut inputs) = match base {
            Some(index) => {
                let mark = &self.marks[index];
                let (copy, prompt, ticks, inputs) =
                    (mark.copy, mark.prompt.clone(), mark.place.ticks, mark.inputs.clone());
                self.engine.start_copy(copy, &prompt)?;
                (ticks, inputs)
            }
            None => {
                self.stand_at_anchor(at.segment)?;
                (0, self.inputs_after(at.segment))
            }
        };
        if from == at.ticks {
            return Ok(());
        }
        let during = self.way(at.segment);
        // Breakpoints count the hits that they would have counted on a forward run: the search may end by staying here.
        let outcome = self.engine.run_to(at.ticks - from, true, during, &mut inputs, self.console)?;
        let (kept, prompt) = self.keep_running()?;
        self.marks.push(Mark { place: at, copy: kept.id, prompt: prompt.clone(), inputs, output: outcome.output });
        self.engine.start_copy(kept.id, &prompt)
    }

    /// Puts the running copy aside.
    fn keep_running(&mut self) -> Result<(Stopped, Prompt), Failure> {
        let State::Prompt(prompt) = self.engine.state.clone() else {
            return Err(self.engine.failure("the program did not replay the same way: it ended"));
        };
        let kept = self.engine.live.suspend().map_err(|error| self.engine.failed("keeping a copy", &error))?;
        self.engine.cost.checkpoints += 1;
        Ok((kept, prompt))
    }

    /// What the program has not read yet of a segment's input, at a place where a mark is or that is an anchor.
    pub(super) fn inputs_from(&self, at: Place) -> VecDeque<String> {
        let mark = self.marks.iter().find(|mark| mark.place == at);
        mark.map_or_else(|| self.inputs_after(at.segment), |mark| mark.inputs.clone())
    }

    fn depth_at(&mut self, at: Place) -> Result<u32, Failure> {
        self.stand_at(at)?;
        let (reply, _) = self.engine.ask(Request::Where, &mut VecDeque::new(), self.console)?;
        reply.facts.map(|facts| facts.depth).ok_or_else(|| self.engine.failure("the helper did not say where it is"))
    }

    /// Goes to a place for good: what runs afterwards is a stock debugger that stands there. Returns what it showed; nothing
    /// if the place is an anchor. What it read from the terminal on the way comes with it.
    pub(super) fn land(&mut self, at: Place) -> Result<(String, Vec<String>), Failure> {
        if at.ticks == 0 {
            self.stand_at_anchor(at.segment)?;
            if matches!(self.anchors[at.segment].stand, Stand::Hop(_)) {
                self.engine.ask(Request::Settle, &mut VecDeque::new(), self.console)?;
            }
            return Ok((String::new(), Vec::new()));
        }
        // Leaves a mark, or finds the one at which the expression was evaluated: another replay could come to another place if
        // the program does not replay the same way.
        self.stand_at(at)?;
        let all = self.inputs_after(at.segment);
        let mark = self.marks.iter().find(|mark| mark.place == at);
        let (output, unread) = mark.map_or_else(Default::default, |mark| (mark.output.clone(), mark.inputs.len()));
        let read = all.len().saturating_sub(unread);
        Ok((output, all.into_iter().take(read).collect()))
    }
}

impl Probe for Search<'_> {
    type Error = Failure;

    fn segments(&self) -> usize {
        self.anchors.len() - 1
    }

    fn ticks(&mut self, segment: usize) -> Result<u64, Failure> {
        let whole = self.count_to_point(segment)?;
        if self.next_point(segment) == segment + 1 {
            return Ok(whole);
        }
        let rest = self.count_to_point(segment + 1)?;
        whole.checked_sub(rest).ok_or_else(|| {
            self.engine.failure("the program did not replay the same way: a stretch of it was shorter this time")
        })
    }

    fn last(&mut self, segment: usize, before: Before, wanted: Wanted, repeat: u32) -> Result<Option<Hit>, Failure> {
        let mut end = match before {
            Before::End => self.ticks(segment)?,
            Before::Tick(tick) => tick,
        };
        let mut wanted = wanted;
        let mut hit: Option<Hit> = None;
        while end > 0 && hit.is_none_or(|hit| hit.moves < repeat) {
            self.check()?;
            self.stand_at_anchor(segment)?;
            let depth = match wanted {
                Wanted::AtMost(depth) => Some(depth),
                Wanted::Breakpoint => {
                    if let Some(settings) = self.settings.clone() {
                        let request = Request::Apply { settings, keep_counts: true };
                        self.engine.ask(request, &mut VecDeque::new(), self.console)?;
                    }
                    None
                }
            };
            let mut inputs = self.inputs_after(segment);
            let (reply, _) = self.engine.ask(
                Request::Scan { n: end, depth, during: self.way(segment) },
                &mut inputs,
                self.console,
            )?;
            self.engine.cost.replayed += end;
            let Some(found) = reply.found else { break };
            let moves = hit.map_or(1, |hit| hit.moves + 1);
            // The bound of a further move, here or in an earlier segment, is the depth of this landing.
            let depth = if repeat > 1 && depth.is_some() { self.depth_at(Place { segment, ticks: found })? } else { 0 };
            if let Wanted::AtMost(bound) = &mut wanted {
                *bound = if repeat > 1 { depth } else { *bound };
            }
            hit = Some(Hit { ticks: found, depth, moves });
            end = found;
        }
        Ok(hit)
    }

    fn value(&mut self, at: Place) -> Result<Value, Failure> {
        self.check()?;
        let Some((expression, scope)) = self.watched.clone() else {
            return Err(self.engine.failure("nothing is watched"));
        };
        self.engine.cost.evaluations += 1;
        if at.segment >= self.segments() {
            let (Some(copy), State::Prompt(prompt)) = (self.aside.copy, self.aside.state.clone()) else {
                return Ok(Value::Unknown("the debugger has ended".to_owned()));
            };
            self.engine.start_copy(copy, &prompt)?;
        } else {
            self.stand_at(at)?;
        }
        if self.engine.prompt().is_some_and(|prompt| prompt.kind == PromptKind::Continuation) {
            return Ok(Value::Unknown("the debugger is in the middle of a command".to_owned()));
        }
        self.engine.evaluate_here(&expression, scope, self.console)
    }

    fn settle(&mut self, left: Place, right: Place) {
        let span = right.ticks.saturating_sub(left.ticks);
        self.interval = (left.segment == right.segment && (1..1 << 20).contains(&span)).then_some(span);
        let (kept, gone): (Vec<Mark>, Vec<Mark>) =
            std::mem::take(&mut self.marks).into_iter().partition(|mark| mark.place == left);
        self.marks = kept;
        for mark in gone {
            self.engine.live.drop_copy(mark.copy).ok();
        }
    }

    fn split(&mut self, segment: usize) -> Result<bool, Failure> {
        let Some((line, mut ran, natural)) = self.long_command(segment) else { return Ok(false) };
        for _ in 0..3 {
            let span = self.span(segment, ran);
            if self.use_stride(segment, &line, span / 2, ran)? {
                return Ok(true);
            }
            if span < SHORT || (self.counting.is_none() && span < 2 * SAMPLE) || !self.hops(segment, &line)? {
                return Ok(false);
            }
            if self.hop(segment, &line, span / 2)? {
                return Ok(true);
            }
            if !natural {
                return Ok(false);
            }
            ran = ran.saturating_sub(span / 2);
        }
        Ok(false)
    }

    fn countable(&self, segment: usize) -> bool {
        let known = self.id_at(self.next_point(segment)).is_some_and(|id| {
            matches!(self.anchors[segment].stand, Stand::Point(_)) && self.engine.execution.point(id).ticks.is_some()
        });
        let close =
            self.long_command(segment).is_none_or(|(_, ran, _)| ran.saturating_sub(self.offset(segment)) < CLOSE);
        self.next_point(segment) == segment + 1 || known || close || self.counting == Some(true)
    }

    fn command(&self, segment: usize) -> String {
        match self.id_at(segment + 1).map(|id| &self.engine.execution.point(id).via) {
            Some(Via::Command { line, .. } | Via::Interrupted { line } | Via::Stopped { line, .. }) => line.clone(),
            _ => String::new(),
        }
    }
}
