//! Who has made a change that was found: pdb steps one thread, and what others do meanwhile would be put down to the statement
//! at which that one waits for them.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use super::Failure;
use super::probe::Search;
use crate::backends::dialects::pdb_agent::{Elsewhere, Place as CodePlace, Reply, Request};
use crate::search::probe::Place;

/// Whose a change is, beside the thread that was stepped.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// Another thread, at this statement.
    pub(super) culprit: Option<Elsewhere>,
    /// These have run when it was made, and may be the ones, too.
    pub(super) maybe: Vec<String>,
}

impl Others {
    /// Says who has made the change, if the thread that was stepped was at `place`.
    pub(super) fn in_words(&self, place: &CodePlace) -> String {
        let mut words = match &self.culprit {
            Some(other) => format!("by executing {}, in another thread ({})", statement(&other.place), other.thread),
            None => format!("by executing {}", statement(place)),
        };
        if !self.maybe.is_empty() {
            let name = if self.maybe.len() == 1 { "another thread" } else { "one of the other threads" };
            words += &format!(", or by {name} that ran meanwhile: {}", self.maybe.join(", "));
        }
        words
    }

    /// The same for the event stream.
    pub(super) fn as_json(&self, place: &CodePlace) -> Value {
        let at = self.culprit.as_ref().map_or(place, |other| &other.place);
        let mut json = json!({"file": at.file, "line": at.line, "function": at.function});
        if let Some(other) = &self.culprit {
            json["thread"] = json!(other.thread);
        }
        if !self.maybe.is_empty() {
            json["or_threads"] = json!(self.maybe);
        }
        json
    }
}

fn statement(place: &CodePlace) -> String {
    let name = std::path::Path::new(&place.file).file_name();
    let name = name.map_or_else(|| place.file.clone(), |name| name.to_string_lossy().into_owned());
    format!("{name}:{} in {}", place.line, place.function)
}

/// How long nothing need be heard of a copy whose threads are looked at: the expression may wait for what one of them has.
const PATIENCE: Duration = Duration::from_secs(10);

impl Search<'_> {
    /// Looks at what the other threads, of these names, do between the stop at which the running copy stands and the next. The
    /// copy is used up.
    pub(super) fn others(&mut self, at: Place, names: &[String]) -> Result<Others, Failure> {
        let inputs = self.inputs_from(at);
        let Some(reply) = self.look_at_others(at, inputs)? else {
            return Ok(Others { culprit: None, maybe: names.to_vec() });
        };
        if reply.culprit.is_some() || reply.moved.is_empty() || at.ticks == 0 {
            return Ok(read(reply));
        }
        // Threads that began on the way from the anchor can be traced if that is asked for beforehand.
        let mut inputs = self.inputs_after(at.segment);
        self.stand_at_anchor(at.segment)?;
        let during = self.way(at.segment);
        let request = Request::RunTo { n: at.ticks, breakpoints: true, during, threads: true };
        let (arrived, outcome) = self.engine.put(request, &mut inputs, self.console)?;
        self.engine.cost.replayed += at.ticks;
        let arrived = arrived.is_some_and(|reply| reply.ok) && outcome.exited.is_none();
        let again = if arrived { self.look_at_others(at, inputs)? } else { None };
        Ok(read(again.filter(|again| again.culprit.is_some() || again.moved.is_empty()).unwrap_or(reply)))
    }

    /// `None` if the program went another way, or nothing came of it.
    fn look_at_others(&mut self, at: Place, mut inputs: VecDeque<String>) -> Result<Option<Reply>, Failure> {
        let Some((expr, scope)) = self.watched.clone() else { return Ok(None) };
        // What a clock says on the way would be taken from what the program has read.
        let ask = Request::Eval { expr: expr.clone(), scope: scope.clone() };
        let (value, _) = self.engine.converse(ask, &mut VecDeque::new(), self.console)?;
        let request = Request::Others { expr, scope, each_ns: value.each_ns, during: self.way(at.segment) };
        self.engine.patience = Some(PATIENCE);
        let reply = self.engine.put(request, &mut inputs, self.console);
        self.engine.patience = None;
        self.engine.cost.replayed += 1;
        match reply {
            Ok((reply, _)) => Ok(reply.filter(|reply| reply.ok && (reply.looked || !reply.moved.is_empty()))),
            // Ctrl-C, too: what has been found is told, and who it may have been.
            Err(_) => Ok(None),
        }
    }
}

fn read(reply: Reply) -> Others {
    Others { culprit: reply.culprit, maybe: reply.moved }
}
