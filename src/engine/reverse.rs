//! The moves: undo and redo along the history, and the reverse moves, which search.

use serde_json::json;

use super::core::Engine;
use super::others::Others;
use super::probe::Search;
use super::{Console, Failure, Report, place_of};
use crate::backends::dialects::pdb_agent::{Facts, Request, Scope, Settings};
use crate::history::entry::{Effect, Stop};
use crate::history::execution::PointId;
use crate::history::timeline::{EntryId, Origin};
use crate::search::previous::{Move, previous};
use crate::search::probe::{Place, Probe, Value};
use crate::search::watch::{Cause, Found, Outcome, watch};

pub(super) const NO_EARLIER: &str = "no earlier point: this is the start of the history.";

impl Engine {
    /// Evaluates where the running copy stands. What goes wrong in the expression is its value there.
    pub(super) fn evaluate_here(
        &mut self,
        expression: &str,
        scope: Option<Scope>,
        console: &mut dyn Console,
    ) -> Result<Value, Failure> {
        let request = Request::Eval { expr: expression.to_owned(), scope };
        let (reply, _) = self.converse(request, &mut std::collections::VecDeque::new(), console)?;
        if !reply.ok {
            return Ok(Value::Unknown(reply.error.unwrap_or_default()));
        }
        let digest = reply.digest.unwrap_or_default();
        Ok(Value::Known { text: reply.repr.unwrap_or_default(), digest: fold(&digest) })
    }

    /// Goes to a point that exists; if that fails the session stays where it was.
    fn travel(&mut self, point: PointId, console: &mut dyn Console) -> Result<(), Failure> {
        let aside = self.put_aside()?;
        match self.materialize(point, console) {
            Ok(()) => {
                self.stay(aside);
                Ok(())
            }
            Err(failure) => {
                self.come_back(aside)?;
                self.tell_divergence(console);
                Err(failure)
            }
        }
    }

    /// Goes to an entry of the history.
    pub(super) fn travel_to(&mut self, entry: EntryId, console: &mut dyn Console) -> Result<Report, Failure> {
        let point = self.timeline.entry(entry).point;
        self.travel(point, console)?;
        self.timeline.go(entry);
        Ok(self.arrived(point))
    }

    /// The report of an arrival at a point.
    pub(super) fn arrived(&mut self, point: PointId) -> Report {
        self.since = crate::history::retention::SinceLast::default();
        let stop = self.execution.point(point).stop.clone();
        let place = self.shown.get(&point).cloned().unwrap_or_default();
        let notes = self.lost.drain(..).map(|what| format!("not brought back: {what}")).collect();
        Report { place, notes, stop: Some(stop), cost: self.spent(), ..Report::default() }
    }

    pub(super) fn go_back(&mut self, n: u32, console: &mut dyn Console) -> Result<Report, Failure> {
        self.begin();
        let number = self.number();
        if number == 0 || n == 0 {
            return Err(self.failure(NO_EARLIER));
        }
        let target = number.saturating_sub(n);
        let Some(entry) = self.timeline.entry_at(target) else { return Err(self.failure(NO_EARLIER)) };
        let mut report = self.travel_to(entry, console)?;
        if n > number {
            report.incomplete = Some(NO_EARLIER.to_owned());
        }
        Ok(report)
    }

    pub(super) fn go_forward(&mut self, n: u32, console: &mut dyn Console) -> Result<Report, Failure> {
        self.begin();
        let tip = self.timeline.entry(self.timeline.tip()).number;
        let number = self.number();
        let end = "no later point: this is the newest command of this line of history.";
        if number == tip || n == 0 {
            return Err(self.failure(end));
        }
        let target = number.saturating_add(n).min(tip);
        let Some(entry) = self.timeline.entry_at(target) else { return Err(self.failure(end)) };
        let mut report = self.travel_to(entry, console)?;
        if u64::from(n) > u64::from(tip - number) {
            report.incomplete = Some(end.to_owned());
        }
        Ok(report)
    }

    /// A reverse move, `n` times.
    pub(super) fn reverse(
        &mut self,
        line: &str,
        movement: Motion,
        n: u32,
        console: &mut dyn Console,
    ) -> Result<Report, Failure> {
        if self.served.is_some() {
            return self.native_reverse(line, movement, n, console);
        }
        self.begin();
        self.excursion(console, |search| {
            let movement = match movement {
                Motion::Step => Move::Step,
                Motion::Next => Move::Next { depth: search.facts()?.map_or(u32::MAX, |facts| facts.depth) },
                Motion::Finish => Move::Finish { depth: search.facts()?.map_or(u32::MAX, |facts| facts.depth) },
                Motion::Continue => {
                    search.settings = search.present_settings()?;
                    Move::Continue
                }
                Motion::Instruction => {
                    return Err(search.engine.failure("cannot go back by instructions in this debugger"));
                }
            };
            search.approach_present()?;
            let Some(landing) = previous(search, movement, n)? else {
                return Err(match movement {
                    Move::Finish { depth: 0 | 1 } => search
                        .engine
                        .failure("cannot go to the caller: this is the outermost frame of the program; fred-reverse-step goes back in it"),
                    _ => search.engine.at_start(NO_EARLIER),
                });
            };
            search.land_and_record(line, landing.at, None)?;
            let mut report = search.engine.arrived(search.engine.timeline.point());
            if landing.fell_back {
                report.notes.push("no earlier stop at a breakpoint: this is the start of the history.".to_owned());
            }
            if landing.done < n {
                report.incomplete = Some(NO_EARLIER.to_owned());
            }
            Ok(report)
        })
    }

    /// Searches from the present, which is put aside meanwhile; goes back to it if the search fails.
    fn excursion(
        &mut self,
        console: &mut dyn Console,
        work: impl FnOnce(&mut Search<'_>) -> Result<Report, Failure>,
    ) -> Result<Report, Failure> {
        let present = self.timeline.point();
        self.excursion_from(present, console, work)
    }

    /// The same along the chain to another point than the present.
    pub(super) fn excursion_from(
        &mut self,
        point: PointId,
        console: &mut dyn Console,
        work: impl FnOnce(&mut Search<'_>) -> Result<Report, Failure>,
    ) -> Result<Report, Failure> {
        let aside = self.put_aside()?;
        let present = aside.dialect.fork();
        let mut search = Search::new(self, &mut *console, &aside, point);
        let outcome = work(&mut search);
        search.finish();
        match outcome {
            Ok(mut report) => {
                self.dialect = present;
                self.stay(aside);
                self.checkpoint_prompt(true, false, console);
                report.cost = self.spent();
                Ok(report)
            }
            Err(mut failure) => {
                self.come_back(aside)?;
                self.tell_divergence(console);
                failure.cost = self.spent();
                Err(failure)
            }
        }
    }

    /// `fred-reverse-watch EXPR`
    pub(super) fn watch(&mut self, expression: &str, console: &mut dyn Console) -> Result<Report, Failure> {
        if self.served.is_some() {
            return self.native_watch(expression, console);
        }
        self.begin();
        let line = format!("fred-reverse-watch {expression}");
        self.excursion(console, |search| {
            let scope = search.facts()?.map(|facts| facts.selected.clone().unwrap_or_else(|| facts.scope()));
            search.watched = Some((expression.to_owned(), scope));
            if let Value::Unknown(why) = search.value(Place::anchor(search.segments()))? {
                return Err(search.engine.failure(format!("cannot evaluate {expression} here: {why}")));
            }
            match watch(search)? {
                Outcome::Found(found) => search.report_change(&line, expression, &found),
                Outcome::NeverDiffers { value, .. } => Err(search.engine.at_start(&format!(
                    "{expression} has been {} since the start of the history, at every place that was looked at: there is no statement to \
                     go back to (a value that went away and came back is found from where it differed)",
                    text_of(&value)
                ))),
                Outcome::Unstable { at, first, second, .. } => {
                    let both = (text_of(&first), text_of(&second));
                    search.engine.divergence.replace(Some(both));
                    Err(search.engine.failure(format!(
                        "the program did not replay the same way: {expression} was {} at stop {} of a replay, then {}",
                        text_of(&first),
                        at.ticks,
                        text_of(&second)
                    )))
                }
            }
        })
    }

    /// Notes a landing as a command of the history.
    #[allow(clippy::too_many_arguments)]
    fn record(
        &mut self,
        line: &str,
        anchor: PointId,
        ticks: u64,
        way: Option<String>,
        stop: Stop,
        shown: Option<String>,
        inputs: Vec<String>,
        settings: Option<Settings>,
    ) {
        let point = self.execution.land(anchor, ticks, settings.is_some(), stop.clone(), inputs);
        if let Some(shown) = shown {
            self.shown.insert(point, shown);
        }
        if let Some(way) = way.filter(|_| point != anchor) {
            self.ways.insert(point, way);
        }
        if let Some(settings) = settings {
            self.carried.insert(point, settings);
        }
        self.timeline.append(line, Effect::Moves, Origin::User, point, Some(stop));
    }
}

/// What kind of reverse move was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Motion {
    Step,
    Next,
    Finish,
    Continue,
    /// One instruction, in a session whose program is served.
    Instruction,
}

impl Search<'_> {
    /// Where the present is; `None` if the debugger has ended.
    pub(super) fn facts(&mut self) -> Result<Option<Facts>, Failure> {
        if self.aside.copy.is_none() {
            return Ok(None);
        }
        let reply = self.engine.ask_copy(self.aside, Request::Where, self.console)?;
        Ok(reply.facts)
    }

    /// The settings of the present.
    pub(super) fn present_settings(&mut self) -> Result<Option<Settings>, Failure> {
        if self.aside.copy.is_none() {
            return Ok(None);
        }
        let reply = self.engine.ask_copy(self.aside, Request::Settings, self.console)?;
        Ok(reply.settings)
    }

    /// Goes to a place, applies the settings of the present there, and notes it all as a command.
    ///
    /// `expected` is the line and the function that another replay has found there.
    pub(super) fn land_and_record(
        &mut self,
        line: &str,
        at: Place,
        expected: Option<(Option<u32>, String)>,
    ) -> Result<(), Failure> {
        let present = self.engine.timeline.point();
        let anchor = self.point_at(at.segment)?;
        // From the start on, not from the anchor: what has happened to the settings since includes a temporary breakpoint that
        // was met, which no command tells.
        let configured = self.engine.execution.configured_between(self.engine.execution.start(), present);
        let settings = match (configured, self.settings.take()) {
            (false, _) => None,
            (true, Some(settings)) => Some(settings),
            (true, None) => self.present_settings()?,
        };
        let way = self.way(at.segment);
        let (output, inputs) = self.land(at)?;
        let (mut stop, shown) = if at.ticks == 0 {
            (self.engine.execution.point(anchor).stop.clone(), self.engine.shown.get(&anchor).cloned())
        } else {
            match self.engine.dialect.parse_stop("step", &output) {
                Some(stop) => (stop, Some(self.engine.dialect.stop_text(&output))),
                None => return Err(self.engine.failure("the debugger did not show where it stopped")),
            }
        };
        if let Some((found, function)) = expected
            && (stop.line, stop.function.as_ref()) != (found, Some(&function))
        {
            return Err(self.engine.failure(format!(
                "the program did not replay the same way: stop {} was at line {} in {function}, then {}",
                at.ticks,
                found.unwrap_or(0),
                place_of(&stop)
            )));
        }
        if let Some(settings) = settings.clone() {
            let request = Request::Apply { settings, keep_counts: true };
            self.engine.ask(request, &mut std::collections::VecDeque::new(), self.console)?;
        }
        // Before it is recorded: undo and redo show what the history says.
        self.engine.deepen(&mut stop, self.console);
        self.engine.record(line, anchor, at.ticks, way, stop, shown, inputs, settings);
        Ok(())
    }

    fn report_change(&mut self, line: &str, expression: &str, found: &Found) -> Result<Report, Failure> {
        // Asked of a copy, before the landing that stays.
        self.stand_at(found.at)?;
        let (reply, _) = self.engine.ask(Request::Where, &mut std::collections::VecDeque::new(), self.console)?;
        let expected = reply.facts.as_ref().map(|facts| (facts.line, facts.function.clone()));
        let others = match (&found.by, &reply.facts) {
            (Cause::Program, Some(facts)) if !facts.others.is_empty() => self.others(found.at, &facts.others)?,
            _ => Others::default(),
        };
        let culprit = reply.facts.map(|facts| facts.culprit());
        self.land_and_record(line, found.at, expected)?;
        let (before, after) = (text_of(&found.before), text_of(&found.after));
        let by = match (&found.by, &culprit) {
            (Cause::Command(command), _) => format!("by the command `{command}`"),
            (Cause::Program, Some(place)) => others.in_words(place),
            (Cause::Program, None) => {
                format!("after {}", place_of(&self.engine.execution.point(self.engine.timeline.point()).stop))
            }
        };
        let mut report = self.engine.arrived(self.engine.timeline.point());
        report.notes.push(format!("{expression} was {before}, becomes {after} {by}"));
        let changed_by = match (&found.by, culprit) {
            (Cause::Program, Some(place)) => others.as_json(&place),
            _ => serde_json::Value::Null,
        };
        let command = match &found.by {
            Cause::Command(command) => json!(command),
            Cause::Program => serde_json::Value::Null,
        };
        report.result = Some(json!({
            "expression": expression, "before": before, "after": after, "changed_by": changed_by, "command": command,
        }));
        Ok(report)
    }
}

/// A value in words.
fn text_of(value: &Value) -> String {
    match value {
        Value::Known { text, .. } => text.clone(),
        Value::Unknown(why) => format!("not to be evaluated ({why})"),
    }
}

/// A digest that comes as text, as a number (FNV-1a).
pub(super) fn fold(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
