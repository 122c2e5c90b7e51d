//! The engine as the user's side sees it.

use serde_json::json;

use super::core::Engine;
use super::reverse::Motion;
use super::{Console, Failure, HistoryRow, Input, InputMode, LineReport, Report, Session, State};
use crate::backends::dialect::PromptKind;
use crate::backends::dialects::pdb_agent::Request;
use crate::history::entry::Stop;
use crate::history::timeline::Origin;
use crate::search::probe::{Place, Probe};

/// A console for questions that nobody waits for with a hand on Ctrl-C.
struct Silent;

impl Console for Silent {
    fn output(&mut self, _: &str) {}
    fn input(&mut self, _: InputMode) -> Input {
        Input::Eof
    }
    fn progress(&mut self, _: &super::Cost, _: Option<u64>) {}
    fn interrupted(&mut self) -> bool {
        false
    }
    fn interrupt_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }
    fn checkpointed(&mut self, _: &super::CheckpointTaken) {}
}

impl Session for Engine {
    fn state(&self) -> State {
        self.state.clone()
    }

    fn is_lost(&self) -> bool {
        self.live.is_lost()
    }

    fn dialect(&self) -> &'static str {
        self.dialect.name()
    }

    fn owns_word(&mut self, word: &str) -> bool {
        if self.dialect.is_command(word) {
            return true;
        }
        if self.prompt().is_none_or(|prompt| prompt.kind != PromptKind::Command) {
            return self.prompt().is_some();
        }
        if self.served.is_some() {
            return false;
        }
        let words = vec![word.to_owned()];
        self.ask_present(Request::Names { words }, &mut Silent).is_ok_and(|reply| !reply.names.is_empty())
    }

    fn run_line(&mut self, line: Option<&str>, console: &mut dyn Console) -> Result<LineReport, Failure> {
        self.line(line, Origin::User, console)
    }

    fn interrupt_prompt(&mut self, console: &mut dyn Console) -> Result<String, Failure> {
        self.begin();
        if self.prompt().is_none() {
            return Ok(String::new());
        }
        self.live.signal(nix::libc::SIGINT).map_err(|error| self.failed("interrupting the debugger", &error))?;
        let outcome = self.settle(&mut super::core::Feed::User(console), super::core::Accept::Any)?;
        match outcome.prompt {
            Some(prompt) => self.state = State::Prompt(prompt),
            None => self.state = State::Ended { status: outcome.exited.unwrap_or(0), asked: false },
        }
        Ok(outcome.output)
    }

    fn complete(&mut self, line: &str) -> Vec<String> {
        if self.prompt().is_none_or(|prompt| prompt.kind != PromptKind::Command) {
            return Vec::new();
        }
        if self.served.is_some() {
            return self.complete_served(line, &mut Silent);
        }
        self.ask_present(Request::Complete { line: line.to_owned() }, &mut Silent)
            .map_or_else(|_| Vec::new(), |reply| reply.matches)
    }

    fn resize(&mut self, rows: u16, columns: u16) {
        self.options.size = (rows, columns);
        self.live.resize(rows, columns);
    }

    fn undo(&mut self, n: u32, console: &mut dyn Console) -> Result<Report, Failure> {
        self.go_back(n, console)
    }

    fn redo(&mut self, n: u32, console: &mut dyn Console) -> Result<Report, Failure> {
        self.go_forward(n, console)
    }

    fn reverse_step(&mut self, n: u32, console: &mut dyn Console) -> Result<Report, Failure> {
        self.reverse(&named("fred-reverse-step", n), Motion::Step, n, console)
    }

    fn reverse_next(&mut self, n: u32, console: &mut dyn Console) -> Result<Report, Failure> {
        self.reverse(&named("fred-reverse-next", n), Motion::Next, n, console)
    }

    fn reverse_stepi(&mut self, n: u32, console: &mut dyn Console) -> Result<Report, Failure> {
        self.reverse(&named("fred-reverse-stepi", n), Motion::Instruction, n, console)
    }

    fn reverse_finish(&mut self, console: &mut dyn Console) -> Result<Report, Failure> {
        self.reverse("fred-reverse-finish", Motion::Finish, 1, console)
    }

    fn reverse_continue(&mut self, n: u32, console: &mut dyn Console) -> Result<Report, Failure> {
        self.reverse(&named("fred-reverse-continue", n), Motion::Continue, n, console)
    }

    fn reverse_watch(&mut self, expression: &str, console: &mut dyn Console) -> Result<Report, Failure> {
        self.watch(expression, console)
    }

    fn checkpoint(&mut self, note: Option<&str>, console: &mut dyn Console) -> Result<Report, Failure> {
        self.user_checkpoint(note, console)
    }

    fn restart(&mut self, id: Option<&str>, console: &mut dyn Console) -> Result<Report, Failure> {
        self.begin();
        let key = match id {
            Some(id) => self.find_checkpoint(id)?,
            None => {
                let path = self.timeline.path(self.timeline.tip());
                let last = self.held.iter().rev().find(|(_, held)| held.user && path.contains(&held.entry));
                let Some((key, _)) = last else {
                    return Err(self.failure(
                        "there is no checkpoint of yours on this line of history; fred-checkpoint takes one, fred-list shows all",
                    ));
                };
                *key
            }
        };
        self.restart_from(key, console)
    }

    fn list(&mut self) -> Result<Report, Failure> {
        Ok(self.list_checkpoints())
    }

    fn delete(&mut self, id: &str) -> Result<Report, Failure> {
        self.delete_checkpoint(id)
    }

    fn branch(&mut self, name: &str) -> Result<Report, Failure> {
        self.begin();
        self.timeline.name(name).map_err(|error| self.failure(error.to_string()))?;
        Ok(Report {
            notes: vec![format!("this line of history is {name} now")],
            cost: self.spent(),
            ..Report::default()
        })
    }

    fn switch(&mut self, name: &str, console: &mut dyn Console) -> Result<Report, Failure> {
        self.begin();
        let entry = self.timeline.branch_head(name).map_err(|error| self.failure(error.to_string()))?;
        let report = self.travel_to(entry, console)?;
        // The line must be the named one even where the entry is common to several.
        self.timeline.switch(name).map_err(|error| self.failure(error.to_string()))?;
        Ok(report)
    }

    fn history(&mut self, n: Option<u32>) -> Result<Report, Failure> {
        self.begin();
        let rows: Vec<HistoryRow> = self
            .timeline
            .path(self.timeline.head())
            .into_iter()
            .skip(1)
            .map(|id| {
                let entry = self.timeline.entry(id);
                HistoryRow {
                    number: entry.number,
                    line: entry.line.clone(),
                    effect: entry.effect,
                    stop: entry.stop.clone(),
                }
            })
            .collect();
        let skip = n.map_or(0, |n| rows.len().saturating_sub(n as usize));
        let result = json!(rows[skip..]);
        Ok(Report { result: Some(result), cost: self.spent(), ..Report::default() })
    }

    fn goto(&mut self, position: &str, console: &mut dyn Console) -> Result<Report, Failure> {
        self.begin();
        if let Some(id) = position.strip_prefix('@') {
            let key = self.find_checkpoint(id)?;
            return self.restart_from(key, console);
        }
        if let Some(share) = position.strip_suffix('%') {
            let share: f64 = share.parse().ok().filter(|share| (0.0..=100.0).contains(share)).ok_or_else(|| {
                self.failure(format!("cannot go to {position}: a share of the recorded run is from 0% to 100%"))
            })?;
            return self.goto_share(position, share / 100.0, console);
        }
        let number: u32 = position.parse().map_err(|_| {
            self.failure(format!(
                "cannot go to {position}: a position is a history number, @ID of a checkpoint, or a share like 50%"
            ))
        })?;
        let Some(entry) = self.timeline.entry_at(number) else {
            let tip = self.timeline.entry(self.timeline.tip()).number;
            return Err(self.failure(format!(
                "there is no number {number} on this line of history: it goes from 0 to {tip}; fred-history shows it"
            )));
        };
        self.travel_to(entry, console)
    }

    fn when(&mut self) -> Result<Report, Failure> {
        self.begin();
        let number = self.number();
        let tip = self.timeline.tip();
        let point = self.timeline.point();
        let events = self.execution.travelled(point);
        let whole = self.execution.travelled(self.timeline.entry(tip).point);
        #[allow(clippy::cast_precision_loss)]
        let share = match (events, whole) {
            (Some(here), Some(all)) if all > 0 => here as f64 / all as f64,
            _ => {
                let all = self.timeline.entry(tip).number;
                if all == 0 { 1.0 } else { f64::from(number) / f64::from(all) }
            }
        };
        let checkpoint = self
            .execution
            .nearest_checkpoint(point)
            .and_then(|(_, key)| self.held.get(&key))
            .map(|checkpoint| checkpoint.id.clone());
        let result = json!({"index": number, "checkpoint": checkpoint, "share": share.min(1.0), "events": events});
        let stop = Some(self.execution.point(point).stop.clone());
        Ok(Report { result: Some(result), stop, cost: self.spent(), ..Report::default() })
    }

    fn evaluate(&mut self, expression: &str) -> Result<(bool, String), Failure> {
        self.begin();
        if self.served.is_some() {
            return self.evaluate_served(expression, &mut Silent);
        }
        let request = Request::Eval { expr: expression.to_owned(), scope: None };
        match self.ask_present(request, &mut Silent) {
            Ok(reply) => Ok((true, reply.repr.unwrap_or_default())),
            Err(failure) => Ok((false, failure.message)),
        }
    }

    fn is_own_code(&self, stop: &Stop) -> bool {
        self.dialect.is_own_code(stop)
    }

    fn begins_with(&self) -> Vec<String> {
        self.dialect.begins_with().iter().map(|line| (*line).to_owned()).collect()
    }

    fn names(&self) -> (Vec<String>, Vec<String>) {
        let checkpoints = self.held.values().map(|checkpoint| checkpoint.id.clone()).collect();
        let branches = self.timeline.branches().into_iter().filter_map(|branch| branch.name).collect();
        (checkpoints, branches)
    }
}

impl Engine {
    fn restart_from(
        &mut self,
        key: crate::history::execution::CheckpointKey,
        console: &mut dyn Console,
    ) -> Result<Report, Failure> {
        let checkpoint = &self.held[&key];
        let (entry, point) = (checkpoint.entry, checkpoint.point);
        // Several checkpoints may hold one point (queries may have been made between them): go to the one that was named.
        let usual = self.execution.point(point).checkpoint;
        self.execution.set_checkpoint(point, Some(key));
        let outcome = self.travel_to(entry, console);
        if outcome.is_err() {
            self.execution.set_checkpoint(point, usual);
        }
        outcome
    }

    /// Goes to a share of all the stops of the current line of history.
    fn goto_share(&mut self, position: &str, share: f64, console: &mut dyn Console) -> Result<Report, Failure> {
        if self.served.is_some() {
            return self.native_goto(position, share, console);
        }
        let tip = self.timeline.entry(self.timeline.tip()).point;
        self.excursion_from(tip, console, |search| {
            let mut lengths = Vec::new();
            for segment in 0..search.segments() {
                lengths.push(search.ticks(segment)?);
            }
            let whole: u64 = lengths.iter().sum();
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let mut wanted = (whole as f64 * share).round() as u64;
            let mut at = Place::anchor(search.segments());
            for (segment, length) in lengths.iter().enumerate() {
                if wanted < *length {
                    at = Place { segment, ticks: wanted };
                    break;
                }
                wanted -= length;
            }
            search.land_and_record(&format!("fred-goto {position}"), at, None)?;
            let point = search.engine.timeline.point();
            Ok(search.engine.arrived(point))
        })
    }
}

fn named(command: &str, n: u32) -> String {
    if n == 1 { command.to_owned() } else { format!("{command} {n}") }
}
