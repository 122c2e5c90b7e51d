//! Going to another point: the nearest checkpoint before it, then the commands from there on again.

use std::collections::VecDeque;
use std::time::Instant;

use fred_checkpointer::wire::CopyId;

use super::core::{Accept, Engine, Feed, Outcome};
use super::live::Woke;
use super::{Console, Failure, State};
use crate::backends::dialect::{Dialect, Prompt, PromptKind};
use crate::backends::dialects::pdb_agent::{Reply, Request};
use crate::history::entry::{Effect, Reason, Stop};
use crate::history::execution::{PointId, Via};

/// The debugger as it was when an excursion began. Given back by [`Engine::come_back`] or [`Engine::stay`].
#[must_use]
pub(super) struct Aside {
    /// `None` if it had ended already.
    pub(super) copy: Option<CopyId>,
    pub(super) state: State,
    pub(super) dialect: Box<dyn Dialect>,
    changed: bool,
}

impl Engine {
    /// Puts the running debugger aside, whole.
    pub(super) fn put_aside(&mut self) -> Result<Aside, Failure> {
        let copy = match self.state {
            State::Prompt(_) => {
                let kept = self.live.suspend();
                Some(kept.map_err(|error| Failure { message: error.to_string(), cost: self.spent() })?.id)
            }
            State::Ended { .. } => None,
        };
        Ok(Aside { copy, state: self.state.clone(), dialect: self.dialect.fork(), changed: self.changed })
    }

    /// Ends an excursion where it began.
    pub(super) fn come_back(&mut self, aside: Aside) -> Result<(), Failure> {
        match aside.copy {
            Some(copy) => {
                self.live.resume(copy).map_err(|error| self.failed("going back to where the session was", &error))?;
                self.await_parked()?;
            }
            None => self.live.kill().map_err(|error| self.failed("ending a copy", &error))?,
        }
        self.state = aside.state;
        self.changed = aside.changed;
        self.dialect = aside.dialect;
        Ok(())
    }

    /// Ends an excursion where it has led.
    pub(super) fn stay(&mut self, aside: Aside) {
        if let Some(copy) = aside.copy {
            self.live.drop_copy(copy).ok();
        }
    }

    /// Waits until a started copy reads the terminal again, as it did when it was stopped.
    pub(super) fn await_parked(&mut self) -> Result<(), Failure> {
        loop {
            match self.live.wait(None, None).map_err(|error| self.failed("restoring a checkpoint", &error))? {
                Woke::Reading { .. } => {
                    self.live.take_output();
                    return Ok(());
                }
                Woke::Exited(status) => {
                    return Err(self.failure(format!(
                        "restoring a checkpoint: the restored debugger ended at once with status {status}"
                    )));
                }
                _ => {}
            }
        }
    }

    /// Runs a fresh copy of a stopped one that waited at `prompt`.
    pub(super) fn start_copy(&mut self, copy: CopyId, prompt: &Prompt) -> Result<(), Failure> {
        let started = self.live.start_copy(copy);
        self.lost = started.map_err(|error| Failure { message: error.to_string(), cost: self.spent() })?;
        self.cost.restores += 1;
        self.changed = false;
        self.state = State::Prompt(prompt.clone());
        self.await_parked()
    }

    /// Runs a copy that stands at `point`: restored, or replayed from the last checkpoint before.
    pub(super) fn materialize(&mut self, point: PointId, console: &mut dyn Console) -> Result<(), Failure> {
        let Some((from, key)) = self.execution.nearest_checkpoint(point) else {
            return Err(self.failure("cannot go back: there is no checkpoint before that point"));
        };
        let Some(checkpoint) = self.held.get(&key) else {
            return Err(self.failure("cannot go back: the checkpoint before that point is gone"));
        };
        let (copy, prompt) = (checkpoint.copy, checkpoint.prompt.clone());
        self.dialect = checkpoint.dialect.fork();
        self.start_copy(copy, &prompt)?;
        let mut rest: Vec<PointId> = self.execution.back_from(point).take_while(|id| *id != from).collect();
        rest.reverse();
        for id in rest {
            self.replay(id, console)?;
        }
        if let Some(served) = &mut self.served {
            served.gone_to(point);
        }
        Ok(())
    }

    /// Does again what led to a point from its predecessor, where the running copy stands.
    fn replay(&mut self, id: PointId, console: &mut dyn Console) -> Result<(), Failure> {
        let point = self.execution.point(id).clone();
        match &point.via {
            Via::Start => Ok(()),
            Via::Command { line, effect } => {
                let kind = self.prompt().map_or(PromptKind::Command, |prompt| prompt.kind);
                self.dialect.read_line(line, kind);
                let mut feed = Feed::Log { inputs: point.inputs.into(), console };
                self.run_for(*effect, false)?;
                let outcome = self.exchange(line, &mut feed, Accept::Replayed)?;
                let ended = point.stop.reason == Reason::Exited;
                let Some(prompt) = outcome.prompt.clone() else {
                    let status = outcome.exited.unwrap_or(0);
                    if ended && point.stop.exit_code == Some(status) {
                        self.state = State::Ended { status, asked: false };
                        return Ok(());
                    }
                    return Err(self.diverged(line, &point.stop, &format!("to the end, with status {status}")));
                };
                if ended {
                    return Err(self.diverged(line, &point.stop, "to a prompt"));
                }
                self.state = State::Prompt(prompt);
                if *effect == Effect::Moves {
                    let mut stop = match &self.served {
                        Some(served) => served.aide.stop(&outcome.told),
                        None => self.dialect.parse_stop(line, &outcome.output),
                    };
                    self.locate(&mut stop, console)?;
                    self.same_place(line, &point.stop, stop.as_ref())?;
                }
                Ok(())
            }
            Via::Ticks { n, .. } => {
                let n = *n;
                self.run_to(n, true, self.way_to(id), &mut point.inputs.into(), console)?;
                if let Some(settings) = self.carried.get(&id).cloned() {
                    self.ask(Request::Apply { settings, keep_counts: true }, &mut VecDeque::new(), console)?;
                }
                Ok(())
            }
            Via::Landed => Err(self.failure("cannot go to where a reverse move led: its checkpoint is gone")),
            Via::Interrupted { line } | Via::Stopped { line, .. } => Err(self.failure(format!(
                "cannot go to where `{line}` was stopped on its way: its checkpoint is gone, and an interrupt is not replayed"
            ))),
        }
    }

    pub(super) fn diverged(&self, line: &str, expected: &Stop, got: &str) -> Failure {
        self.divergence.replace(Some((super::place_of(expected), got.to_owned())));
        self.failure(format!(
            "the program did not replay the same way: `{line}` led to {} before, now {got}; \
             checkpoints taken at that point itself are not affected",
            super::place_of(expected)
        ))
    }

    /// Tells the event stream of a divergence that has just been met.
    pub(super) fn tell_divergence(&self, console: &mut dyn Console) {
        if let Some((expected, got)) = self.divergence.take() {
            console.diverged(u64::from(self.number()), &expected, &got);
        }
    }

    /// Checks that a replayed command stopped where it did before.
    pub(super) fn same_place(&self, line: &str, expected: &Stop, got: Option<&Stop>) -> Result<(), Failure> {
        let known = |stop: &Stop| (stop.file.clone(), stop.line, stop.function.clone());
        match got {
            Some(got) if known(got) == known(expected) => Ok(()),
            Some(got) => Err(self.diverged(line, expected, &super::place_of(got))),
            None if expected.line.is_none() => Ok(()),
            None => Err(self.diverged(line, expected, "nowhere that could be recognised")),
        }
    }

    /// The command on whose way what leads to a point was run at first.
    pub(super) fn way_to(&self, id: PointId) -> Option<String> {
        match &self.execution.point(id).via {
            Via::Command { line, .. } | Via::Interrupted { line } | Via::Stopped { line, .. } => Some(line.clone()),
            Via::Ticks { .. } => self.ways.get(&id).cloned(),
            Via::Start | Via::Landed => None,
        }
    }

    /// Runs the running copy forward to its `n`-th stop from here, on the way of the command `during`. Takes from `inputs` what the program reads.
    pub(super) fn run_to(
        &mut self,
        n: u64,
        breakpoints: bool,
        during: Option<String>,
        inputs: &mut VecDeque<String>,
        console: &mut dyn Console,
    ) -> Result<Outcome, Failure> {
        if n == 0 {
            return Ok(Outcome::default());
        }
        let (_, outcome) = self.ask(Request::RunTo { n, breakpoints, during, threads: false }, inputs, console)?;
        self.cost.replayed += n;
        if outcome.exited.is_some() {
            return Err(self.failure("the program did not replay the same way: it ended before the point was reached"));
        }
        Ok(outcome)
    }

    /// Asks the helper in the running copy, which is a throw-away or about to become the session's.
    pub(super) fn ask(
        &mut self,
        request: Request,
        inputs: &mut VecDeque<String>,
        console: &mut dyn Console,
    ) -> Result<(Reply, Outcome), Failure> {
        let (reply, outcome) = self.converse(request, inputs, console)?;
        if !reply.ok {
            return Err(self.failure(reply.error.unwrap_or_else(|| "the helper could not answer".to_owned())));
        }
        Ok((reply, outcome))
    }

    /// The same, leaving it to the caller what an error means.
    pub(super) fn converse(
        &mut self,
        request: Request,
        inputs: &mut VecDeque<String>,
        console: &mut dyn Console,
    ) -> Result<(Reply, Outcome), Failure> {
        let (reply, outcome) = self.put(request, inputs, console)?;
        let reply = reply.ok_or_else(|| {
            self.failure("the program ended while a copy of it was replayed: it did not replay the same way")
        })?;
        Ok((reply, outcome))
    }

    /// The same; there is no reply if the program ended before it came to it.
    pub(super) fn put(
        &mut self,
        request: Request,
        inputs: &mut VecDeque<String>,
        console: &mut dyn Console,
    ) -> Result<(Option<Reply>, Outcome), Failure> {
        let arrival = match &request {
            Request::Count { command } | Request::Hop { command } => {
                Some(command.clone().unwrap_or_else(|| "step".to_owned()))
            }
            Request::RunTo { .. }
            | Request::Scan { .. }
            | Request::Find { .. }
            | Request::Leave
            | Request::Others { .. } => Some("step".to_owned()),
            _ => None,
        };
        let kind = match self.prompt().map(|prompt| prompt.kind) {
            Some(PromptKind::Continuation) => {
                return Err(self.failure("cannot do that in the middle of a command of several lines: finish it first"));
            }
            Some(kind) => kind,
            None => return Err(self.failure("cannot do that: the debugger has ended; fred-undo goes back")),
        };
        if !self.desk.compiled {
            // The time at which a replay is to be stopped is counted from when it begins.
            let nudge = self.nudge.take().map(|at| at.saturating_duration_since(Instant::now()));
            let line = self.desk.compile_line(kind);
            self.run_for(Effect::Queries, false)?;
            self.exchange(&line, &mut Feed::Log { inputs: VecDeque::new(), console }, Accept::Any)?;
            if !self.desk.has_code() {
                return Err(self.failure("cannot ask the copy of the debugger: it does not run what is typed"));
            }
            self.desk.compiled = true;
            self.nudge = nudge.map(|after| Instant::now() + after);
        }
        let line = self
            .desk
            .put(kind, request)
            .map_err(|error| self.failure(format!("cannot ask the copy of the debugger: {error}")))?;
        let mut feed = Feed::Log { inputs: std::mem::take(inputs), console };
        self.run_for(if arrival.is_some() { Effect::Moves } else { Effect::Queries }, false)?;
        let accept = arrival.as_deref().map_or(Accept::Reply, Accept::Stop);
        let mut outcome = self.exchange(&line, &mut feed, accept)?;
        *inputs = std::mem::take(&mut outcome.unread);
        if let Some(prompt) = &outcome.prompt {
            self.state = State::Prompt(prompt.clone());
        }
        Ok((self.desk.reply(), outcome))
    }

    /// Asks about the present, on a throw-away copy: whatever the answer does, the session does not notice.
    pub(super) fn ask_present(&mut self, request: Request, console: &mut dyn Console) -> Result<Reply, Failure> {
        let aside = self.put_aside()?;
        let reply = self.ask_copy(&aside, request, console);
        self.come_back(aside)?;
        reply
    }

    /// The same during an excursion.
    pub(super) fn ask_copy(
        &mut self,
        aside: &Aside,
        request: Request,
        console: &mut dyn Console,
    ) -> Result<Reply, Failure> {
        let (Some(copy), State::Prompt(prompt)) = (aside.copy, &aside.state) else {
            return Err(self.failure("cannot do that: the debugger has ended; fred-undo goes back"));
        };
        self.start_copy(copy, &prompt.clone())?;
        let (reply, _) = self.ask(request, &mut VecDeque::new(), console)?;
        Ok(reply)
    }
}
