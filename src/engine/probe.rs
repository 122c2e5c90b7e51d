//! The session as searches see it: the chain of points to the present, asked about on throw-away copies.

use std::collections::VecDeque;

use fred_checkpointer::wire::CopyId;

use super::core::{Engine, Outcome};
use super::travel::Aside;
use super::{Console, Failure, State};
use crate::backends::dialect::Prompt;
use crate::backends::dialects::pdb_agent::{Place as CodePlace, Request, Scope, Settings};
use crate::history::entry::{Reason, Stop};
use crate::history::execution::{PointId, Via};
use crate::search::probe::{Before, Hit, Place, Probe, Value, Wanted};

/// How many stops a search for an interrupted place goes over before it gives up.
const FIND_LIMIT: u64 = 1 << 30;

/// A copy that was left standing inside a segment.
struct Mark {
    place: Place,
    copy: CopyId,
    prompt: Prompt,
    /// Input of the segment that it has not read yet.
    inputs: VecDeque<String>,
}

/// A search that is going on.
pub(super) struct Search<'e> {
    pub(super) engine: &'e mut Engine,
    pub(super) console: &'e mut dyn Console,
    pub(super) aside: &'e Aside,
    /// The anchors.
    pub(super) chain: Vec<PointId>,
    /// What is watched, and in which function it means something.
    pub(super) watched: Option<(String, Option<Scope>)>,
    /// The settings of the present, for breakpoints.
    pub(super) settings: Option<Settings>,
    marks: Vec<Mark>,
    interval: Option<u64>,
}

impl<'e> Search<'e> {
    /// A search back from the present, which has been put aside.
    pub(super) fn new(
        engine: &'e mut Engine,
        console: &'e mut dyn Console,
        aside: &'e Aside,
        present: PointId,
    ) -> Self {
        let chain = engine.execution.chain(present);
        Search { engine, console, aside, chain, watched: None, settings: None, marks: Vec::new(), interval: None }
    }

    /// Drops the copies that were kept.
    pub(super) fn finish(mut self) {
        for mark in std::mem::take(&mut self.marks) {
            self.engine.live.drop_copy(mark.copy).ok();
        }
    }

    fn inputs_of(&self, segment: usize) -> VecDeque<String> {
        self.chain
            .get(segment + 1)
            .map_or_else(VecDeque::new, |id| self.engine.execution.point(*id).inputs.clone().into())
    }

    fn check(&mut self) -> Result<(), Failure> {
        if self.console.interrupted() {
            return Err(self.engine.failure("interrupted: the session is where it was"));
        }
        let cost = self.engine.spent();
        self.console.progress(&cost, self.interval);
        Ok(())
    }

    fn count(&mut self, segment: usize) -> Result<u64, Failure> {
        let to = self.chain[segment + 1];
        let point = self.engine.execution.point(to).clone();
        let mut inputs = point.inputs.into();
        match point.via {
            Via::Command { line, .. } => {
                self.engine.materialize(self.chain[segment], self.console)?;
                let request = Request::Count { command: line.clone() };
                let (reply, outcome) = self.engine.put(request, &mut inputs, self.console)?;
                let Some(reply) = reply else { return self.count_to_death(segment, &line, &point.stop, &outcome) };
                if !reply.ok {
                    return Err(self.engine.failure(reply.error.unwrap_or_default()));
                }
                if outcome.exited.is_none() {
                    let stop = self.engine.dialect.parse_stop(&line, &outcome.output);
                    self.engine.same_place(&line, &point.stop, stop.as_ref())?;
                }
                reply.n.ok_or_else(|| self.engine.failure("the helper did not count"))
            }
            Via::Interrupted { line } => {
                self.engine.materialize(to, self.console)?;
                let (reply, _) = self.engine.ask(Request::Signature, &mut VecDeque::new(), self.console)?;
                let signature = reply.signature.unwrap_or_default();
                let stop = &point.stop;
                let place = CodePlace {
                    file: stop.file.clone().unwrap_or_default(),
                    line: stop.line.unwrap_or(0),
                    function: stop.function.clone().unwrap_or_default(),
                };
                self.engine.materialize(self.chain[segment], self.console)?;
                let request = Request::Find { signature, place, limit: FIND_LIMIT };
                let (reply, _) = self.engine.ask(request, &mut inputs, self.console)?;
                reply.n.filter(|_| !reply.lost).ok_or_else(|| {
                    self.engine
                        .failure(format!("the place where `{line}` was interrupted was not met again in a replay"))
                })
            }
            Via::Start | Via::Ticks { .. } => Ok(0),
        }
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
            self.engine.materialize(self.chain[segment], self.console)?;
            let mut inputs = self.inputs_of(segment);
            let (reply, outcome) =
                self.engine.put(Request::RunTo { n, breakpoints: false }, &mut inputs, self.console)?;
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
    fn stand_at(&mut self, at: Place) -> Result<(), Failure> {
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
                self.engine.materialize(self.chain[at.segment], self.console)?;
                (0, self.inputs_of(at.segment))
            }
        };
        if from == at.ticks {
            return Ok(());
        }
        self.engine.run_to(at.ticks - from, false, &mut inputs, self.console)?;
        let State::Prompt(prompt) = self.engine.state.clone() else {
            return Err(self.engine.failure("the program did not replay the same way: it ended"));
        };
        let copy = self.engine.live.suspend().map_err(|error| self.engine.failed("keeping a copy", &error))?;
        self.engine.cost.checkpoints += 1;
        self.marks.push(Mark { place: at, copy, prompt: prompt.clone(), inputs });
        self.engine.start_copy(copy, &prompt)
    }
}

impl Probe for Search<'_> {
    type Error = Failure;

    fn segments(&self) -> usize {
        self.chain.len() - 1
    }

    fn ticks(&mut self, segment: usize) -> Result<u64, Failure> {
        let to = self.chain[segment + 1];
        if let Some(known) = self.engine.execution.point(to).ticks {
            return Ok(known);
        }
        self.check()?;
        let counted = self.count(segment)?;
        self.engine.cost.replayed += counted;
        self.engine.execution.set_ticks(to, counted).map_err(|error| self.engine.failure(error.to_string()))?;
        Ok(counted)
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
            self.engine.materialize(self.chain[segment], self.console)?;
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
            let mut inputs = self.inputs_of(segment);
            let (reply, _) = self.engine.ask(Request::Scan { n: end, depth }, &mut inputs, self.console)?;
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
        self.engine.evaluate_here(&expression, scope, self.console)
    }

    fn settle(&mut self, left: Place, right: Place) {
        self.interval = (left.segment == right.segment).then(|| right.ticks - left.ticks);
        let (kept, gone): (Vec<Mark>, Vec<Mark>) =
            std::mem::take(&mut self.marks).into_iter().partition(|mark| mark.place == left);
        self.marks = kept;
        for mark in gone {
            self.engine.live.drop_copy(mark.copy).ok();
        }
    }

    fn command(&self, segment: usize) -> String {
        match &self.engine.execution.point(self.chain[segment + 1]).via {
            Via::Command { line, .. } | Via::Interrupted { line } => line.clone(),
            Via::Start | Via::Ticks { .. } => String::new(),
        }
    }
}

impl Search<'_> {
    fn depth_at(&mut self, at: Place) -> Result<u32, Failure> {
        self.engine.materialize(self.chain[at.segment], self.console)?;
        let mut inputs = self.inputs_of(at.segment);
        self.engine.run_to(at.ticks, false, &mut inputs, self.console)?;
        let (reply, _) = self.engine.ask(Request::Where, &mut VecDeque::new(), self.console)?;
        reply.facts.map(|facts| facts.depth).ok_or_else(|| self.engine.failure("the helper did not say where it is"))
    }

    /// Goes to a place for good: what runs afterwards is a stock debugger that stands there. Returns what it showed; nothing
    /// if the place is an anchor.
    /// What it read from the terminal on the way comes with it.
    pub(super) fn land(&mut self, at: Place) -> Result<(String, Vec<String>), Failure> {
        self.engine.materialize(self.chain[at.segment], self.console)?;
        let all = self.inputs_of(at.segment);
        let mut unread = all.clone();
        // Breakpoints count the hits that they would have counted on a forward run.
        let outcome = self.engine.run_to(at.ticks, true, &mut unread, self.console)?;
        let read = if at.ticks == 0 { 0 } else { all.len() - unread.len() };
        Ok((outcome.output, all.into_iter().take(read).collect()))
    }
}
