//! Running a line that is meant for the debugger, and starting it in the first place.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::core::{Accept, Engine, Feed, Outcome};
use super::desk::Desk;
use super::live::{Doors, Live};
use super::served::Served;
use super::start::{Options, StartError};
use super::{Console, Cost, Failure, LineReport, State};
use fred_checkpointer::wire::Purpose;

use crate::backends::aide::{Answer, Question};
use crate::backends::dialect::{Hosting, PromptKind, Serving};
use crate::backends::dialects::{of_command, to_execute};
use crate::history::entry::{Effect, Reason, Stop};
use crate::history::execution::Execution;
use crate::history::retention::SinceLast;
use crate::history::timeline::{Origin, Timeline};

impl Engine {
    /// Starts the debugger and waits for its first prompt. The report holds what it printed until then; the console has been
    /// given it, too.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(mut options: Options, console: &mut dyn Console) -> Result<(Self, LineReport), StartError> {
        let command = options.argv.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let Some(dialect) = of_command(&options.argv) else {
            return Err(StartError::NotADebugger { command });
        };
        let supervisor = |reason: String| StartError::Supervisor { command: command.clone(), reason };
        options.memory_limit = options.memory_limit.or_else(half_of_free);
        let begun = Instant::now();
        let columns = options.size.1;
        let desk = Desk::new().map_err(|error| supervisor(error.to_string()))?;
        let helper = dialect.helper().map(|source| desk.keep_source(source)).transpose();
        let helper = helper.map_err(|error| supervisor(error.to_string()))?;
        let live = match dialect.hosting() {
            Hosting::InDebugger => {
                Live::start(&to_execute(&options.argv, None), options.size, options.record.then(|| dialect.own()))
            }
            Hosting::Served => {
                let arguments = dialect.first_arguments(&options.argv);
                Live::start_served(&*dialect, options.size, arguments.as_deref(), options.record, |doors| {
                    let Doors { server, channel, terminal } = doors;
                    let unattended = options.unattended;
                    let serving = Serving { server, channel, terminal, helper, columns, unattended };
                    to_execute(&options.argv, Some(&serving))
                })
            }
        };
        let live = live.map_err(|error| supervisor(error.to_string()))?;
        let served = dialect.aide().map(Served::new);
        let execution = Execution::new(Stop::nowhere(Reason::Entry), Vec::new());
        let timeline = Timeline::new(execution.start(), None);
        let mut engine = Engine {
            live,
            dialect,
            options,
            state: State::Ended { status: 0, asked: false },
            execution,
            timeline,
            held: BTreeMap::new(),
            shown: HashMap::new(),
            carried: HashMap::new(),
            ways: HashMap::new(),
            desk,
            ran: HashMap::new(),
            ran_from: Instant::now(),
            striding: false,
            strides_now: Vec::new(),
            running_line: "".into(),
            strides: HashMap::new(),
            lost: Vec::new(),
            divergence: std::cell::RefCell::new(None),
            unrecorded: Default::default(),
            changed: false,
            nudge: None,
            since: SinceLast::default(),
            last_taken: Instant::now(),
            growth: Default::default(),
            last_cost: None,
            next_user: 0,
            next_auto: 0,
            cost: Cost::default(),
            begun,
            patience: None,
            served,
            opaque: Default::default(),
        };
        let outcome = engine
            .settle(&mut Feed::User(console), Accept::After(""))
            .map_err(|failure| supervisor(failure.message))?;
        let Some(prompt) = outcome.prompt.clone() else {
            let program =
                engine.options.argv.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
            return Err(match outcome.exited {
                Some(127) => StartError::NotFound { program },
                status => StartError::EndedEarly { command, status: status.unwrap_or(0) },
            });
        };
        engine.state = State::Prompt(prompt);
        if let Some(served) = &mut engine.served
            && !served.aide.is_there(&outcome.told)
        {
            if !served.aide.do_without() {
                return Err(StartError::Mute { command });
            }
            engine.open_channel(console).map_err(|failure| supervisor(failure.message))?;
        }
        let told = engine.served.as_ref().and_then(|served| served.aide.stop(&outcome.told));
        let stop = told.or_else(|| engine.dialect.parse_stop("", &outcome.output));
        let mut stop = stop.unwrap_or_else(|| Stop::nowhere(Reason::Entry));
        stop.reason = Reason::Entry;
        engine.deepen(&mut stop, console);
        engine.execution = Execution::new(stop.clone(), outcome.inputs.clone());
        let start = engine.execution.start();
        engine.timeline = Timeline::new(start, Some(stop.clone()));
        if let Some(served) = &mut engine.served {
            served.note(start);
        }
        engine.shown.insert(start, engine.dialect.stop_text(&outcome.output));
        engine.checkpoint_prompt(true, false, console);
        engine.since = SinceLast::default();
        let report = LineReport {
            index: 0,
            effect: Effect::Moves,
            output: outcome.output,
            stop: Some(stop),
            elapsed: begun.elapsed(),
        };
        Ok((engine, report))
    }

    /// Runs a line for the debugger; `None` is the end of input.
    pub(super) fn line(
        &mut self,
        typed: Option<&str>,
        origin: Origin,
        console: &mut dyn Console,
    ) -> Result<LineReport, Failure> {
        self.begin();
        let Some(kind) = self.prompt().map(|prompt| prompt.kind) else {
            return Err(self.failure("the debugger has ended; fred-undo goes back, quit leaves"));
        };
        if kind == PromptKind::Command
            && let Some(why) = self.dialect.refuses(typed.unwrap_or(""))
        {
            return Err(self.failure(why));
        }
        let before = self.dialect.fork();
        let mut reading = self.dialect.read_line(typed.unwrap_or("EOF"), kind);
        if self.options.record && self.dialect.gives_signal(&reading.send) {
            reading.effect = Effect::Moves;
        }
        if self.served.is_some() && reading.effect == Effect::Mutates {
            // What the program was before the change can be had in no other way.
            self.checkpoint_prompt(true, false, console);
        }
        if kind == PromptKind::Command {
            self.close_idle_channel(console)?;
            self.name_program(console)?;
            self.note_arguments(&reading.send)?;
        }
        if let Some(served) = &mut self.served {
            served.ran = false;
        }
        // To be left early is a change for a program, too: it ends by what it does for that.
        self.changed |= reading.effect == Effect::Mutates || reading.quits || typed.is_none();
        self.run_for(reading.effect, !reading.asks)?;
        let begin = Instant::now();
        self.ran_from = begin;
        self.running_line = reading.send.as_str().into();
        self.striding = kind == PromptKind::Command && self.dialect.runs_on(&reading.send);
        let mut feed = Feed::User(console);
        // In a nested interpreter or an unfinished command only the debugger knows what comes next.
        let after = if kind == PromptKind::Command { Accept::After(&reading.send) } else { Accept::Any };
        let outcome = match typed {
            Some(_) => self.exchange(&reading.send, &mut feed, after),
            None => {
                self.live.type_end().map_err(|error| self.failed("typing to the debugger", &error))?;
                self.settle(&mut feed, after)
            }
        };
        self.striding = false;
        let strides = std::mem::take(&mut self.strides_now);
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(failure) => {
                self.drop_strides(strides);
                self.dialect = before;
                return Err(failure);
            }
        };
        let elapsed = begin.elapsed();
        let line = typed.unwrap_or("EOF");
        let quits = reading.quits || (typed.is_none() && kind == PromptKind::Command);
        let former = self.timeline.point();
        let report = self.log(line, &reading.send, reading.effect, quits, origin, outcome, elapsed, console);
        let point = self.timeline.point();
        if point == former {
            self.drop_strides(strides);
        } else if let Some(older) = (!strides.is_empty()).then(|| self.strides.insert(former, strides)).flatten() {
            // The same command was run from the same point before: it went the same way.
            self.drop_strides(older);
        }
        report
    }

    /// Tells the recorder what a line is for, and whether the user sees what the program prints, and that alone. A served program's
    /// change is never made again by a replay, so it is not noted.
    pub(super) fn run_for(&mut self, effect: Effect, heard: bool) -> Result<(), Failure> {
        let purpose = match effect {
            Effect::Moves => Purpose::Program,
            Effect::Mutates if self.served.is_none() => Purpose::Change,
            _ => Purpose::Question,
        };
        self.live.purpose(purpose, heard).map_err(|error| self.failed("telling what a line is for", &error))
    }

    /// Notes what a line has done.
    #[allow(clippy::too_many_arguments)]
    fn log(
        &mut self,
        line: &str,
        sent: &str,
        effect: Effect,
        quits: bool,
        origin: Origin,
        outcome: Outcome,
        elapsed: Duration,
        console: &mut dyn Console,
    ) -> Result<LineReport, Failure> {
        let here = self.timeline.point();
        let mut effect = effect;
        let stop = match (&outcome.prompt, outcome.exited) {
            (Some(prompt), _) => {
                self.state = State::Prompt(prompt.clone());
                self.dialect.parse_stop(sent, &outcome.output)
            }
            (None, status) => {
                let status = status.unwrap_or(0);
                self.state = State::Ended { status, asked: quits };
                effect = Effect::Moves;
                let mut stop = Stop::nowhere(Reason::Exited);
                stop.exit_code = Some(status);
                Some(stop)
            }
        };
        let typed = effect;
        let stop = match &self.served {
            Some(served) if outcome.prompt.is_some() => {
                let mut stop = served.aide.stop(&outcome.told);
                self.locate(&mut stop, console)?;
                // What a command does to the program is seen, whatever it was thought to do.
                effect = match (&stop, effect) {
                    (Some(_), _) => Effect::Moves,
                    (None, Effect::Moves) if !self.was_moved(&outcome.told) => Effect::Queries,
                    (None, effect) => effect,
                };
                stop
            }
            _ => stop,
        };
        // A statement that the user typed can run into a breakpoint, and `interact` or a quiet command can move nothing.
        let moved = effect == Effect::Moves;
        let mut stop = if moved { stop } else { None };
        if let (Some(stop), true) = (&mut stop, outcome.prompt.is_some()) {
            if outcome.interrupted && stop.reason != Reason::Exception {
                stop.reason = Reason::Interrupt;
            }
            self.deepen(stop, console);
        }
        let number = self.number() + 1;
        if effect == Effect::Queries {
            return Ok(LineReport { index: number, effect, output: outcome.output, stop: None, elapsed });
        }
        let before = self.execution.point(here).stop.clone();
        let elsewhere = match (effect, &stop, &self.state) {
            (Effect::Mutates, None, State::Prompt(prompt)) if prompt.kind == PromptKind::Command => {
                self.place_after_change(&before, console)?
            }
            _ => None,
        };
        let (text_there, place_there) = elsewhere.map_or((None, None), |(stop, text)| (Some(text), Some(stop)));
        let at = stop.clone().or(place_there).unwrap_or(before);
        let point = if outcome.interrupted && moved {
            self.execution.interrupted(here, sent, at, outcome.inputs)
        } else {
            self.execution.command(here, sent, effect, at, outcome.inputs)
        };
        let text = match (&stop, text_there, self.shown.get(&here)) {
            (None, Some(text), _) => text,
            (None, None, Some(text)) => text.clone(),
            _ => self.dialect.stop_text(&outcome.output),
        };
        if let Some(served) = &mut self.served {
            served.note(point);
            if moved && !served.ran {
                served.same.insert(point);
            }
            if typed == Effect::Mutates && moved {
                self.opaque.insert(point);
            }
        }
        self.shown.insert(point, text);
        self.ran.insert(point, self.ran_from.elapsed().min(elapsed));
        self.timeline.append(line, effect, origin, point, stop.clone());
        self.since.moves += 1;
        self.since.running += elapsed;
        if effect != Effect::Configures {
            // The first stop of a program: a debugger that sees it must be had when it has ended.
            let first = self.served.as_mut().is_some_and(Served::is_first_stop);
            self.checkpoint_prompt(effect == Effect::Mutates || first, outcome.interrupted, console);
        }
        Ok(LineReport { index: number, effect, output: outcome.output, stop, elapsed })
    }

    /// Adds to a stop what the debugger does not print: the depth.
    pub(super) fn deepen(&mut self, stop: &mut Stop, console: &mut dyn Console) {
        let asked = self.options.facts && self.prompt().is_some_and(|prompt| prompt.kind == PromptKind::Command);
        if !asked || stop.depth.is_some() {
            return;
        }
        if self.served.is_some() {
            if stop.reason != Reason::Exited
                && let Ok((Answer::Number(depth), _)) = self.ask_served(&Question::Depth, None, console)
            {
                stop.depth = Some(depth);
            }
            return;
        }
        use crate::backends::dialects::pdb_agent::Request;
        match self.ask_present(Request::Where, console) {
            Ok(reply) => {
                if let Some(facts) = reply.facts {
                    stop.depth = Some(facts.depth);
                    stop.thread = Some(facts.thread);
                }
            }
            Err(failure) => tracing::info!("no depth: {failure}"),
        }
    }
}

/// Half of the memory that is free, in bytes.
fn half_of_free() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024 / 2)
}
