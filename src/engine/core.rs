//! The engine's state, and the loop that waits for the debugger while its program prints, asks and runs.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use fred_checkpointer::client::Error;
use fred_checkpointer::wire::Parted;

use super::checkpoints::Checkpoint;
use super::desk::Desk;
use super::live::{Live, News, Woke};
use super::start::Options;
use super::strides::Stride;
use super::{Console, Cost, Failure, Input, InputMode, State};
use crate::backends::dialect::{Belief, Dialect, Prompt};
use crate::backends::dialects::pdb_agent::{Request, Settings};
use crate::history::execution::{CheckpointKey, Execution, PointId};
use crate::history::retention::SinceLast;
use crate::history::timeline::{Origin, Timeline};

/// A session with a real debugger.
pub struct Engine {
    pub(super) live: Live,
    pub(super) dialect: Box<dyn Dialect>,
    pub(super) options: Options,
    pub(super) state: State,
    pub(super) execution: Execution,
    pub(super) timeline: Timeline,
    pub(super) held: BTreeMap<CheckpointKey, Checkpoint>,
    /// The place of each point as the debugger showed it.
    pub(super) shown: HashMap<PointId, String>,
    /// Settings that were applied at points that reverse moves have made.
    pub(super) carried: HashMap<PointId, Settings>,
    /// The command on whose way the landing of a reverse move is.
    pub(super) ways: HashMap<PointId, String>,
    pub(super) desk: Desk,
    pub(super) since: SinceLast,
    /// When that one was taken.
    pub(super) last_taken: Instant,
    pub(super) growth: super::checkpoints::Growth,
    pub(super) last_cost: Option<Duration>,
    pub(super) next_user: u32,
    pub(super) next_auto: u32,
    /// How long the debugger took from the predecessor to a point.
    pub(super) ran: HashMap<PointId, Duration>,
    /// When the command that runs now began, or when it started its program.
    pub(super) ran_from: Instant,
    /// Whether copies are to be taken on the way of the command that runs now.
    pub(super) striding: bool,
    /// Those of the command that runs now.
    pub(super) strides_now: Vec<Stride>,
    /// The command that runs, as it was sent.
    pub(super) running_line: Rc<str>,
    /// Those of the commands that were run at points.
    pub(super) strides: HashMap<PointId, Vec<Stride>>,
    /// What the copy that was started last lacks.
    pub(super) lost: Vec<String>,
    /// What a replay should have come to and what it came to, until the event stream has been told.
    pub(super) divergence: std::cell::RefCell<Option<(String, String)>>,
    /// Behind which history numbers the recording has stopped, and why, as it was told.
    pub(super) unrecorded: Vec<(u32, String)>,
    /// The user has changed something since the process that runs was restored.
    pub(super) changed: bool,
    /// When a replay is to be stopped on its way.
    pub(super) nudge: Option<Instant>,
    /// What the command that is being done has cost until now.
    pub(super) cost: Cost,
    pub(super) begun: Instant,
    /// How long the copy that is being asked may take.
    pub(super) patience: Option<Duration>,
    /// What there is of a session in which the checkpointer serves the program to the debugger.
    pub(super) served: Option<super::served::Served>,
    /// Points of such a session that are only to be had from their own checkpoints, because the user's command did more than let
    /// the program run.
    pub(super) opaque: std::collections::HashSet<PointId>,
}

/// Where the answers come from when the program reads its terminal.
pub(super) enum Feed<'a> {
    /// The user, who also sees what is printed.
    User(&'a mut dyn Console),
    /// The log: this has happened before, and nobody sees it again.
    Log {
        /// What it read then and has not read yet.
        inputs: VecDeque<String>,
        /// Asked only whether to stop.
        console: &'a mut dyn Console,
    },
}

/// When a text that looks like a prompt is believed to be one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Accept<'a> {
    /// Always.
    Any,
    /// If it may follow this line, or shows on a throw-away copy that it is one.
    After(&'a str),
    /// As soon as all that was read from the terminal then has been read again.
    Replayed,
    /// As soon as the helper has replied.
    Reply,
    /// As soon as the helper has replied and the debugger has shown a stop: with the reply written, the program may still have
    /// to read the terminal before the stop that was asked for. It is reached as if by this line.
    Stop(&'a str),
}

/// A copy that is to show that it waits at a prompt has this long; what it does instead, if it does not, may have no end.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of letting the debugger run.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Everything printed, without the prompt.
    pub(super) output: String,
    /// The prompt at which it waits; `None` if it has ended.
    pub(super) prompt: Option<Prompt>,
    /// Status with which it ended.
    pub(super) exited: Option<i32>,
    /// What the program read from the terminal.
    pub(super) inputs: Vec<String>,
    /// The user pressed Ctrl-C.
    pub(super) interrupted: bool,
    /// Input in the log that was not asked for.
    pub(super) unread: VecDeque<String>,
    /// What a served debugger told on its second interface.
    pub(super) told: String,
}

/// Stands for the end of input, and in front of keys, in the log of what was read.
const END: &str = "\u{0}end";
const KEYS: char = '\u{1}';

/// Stands in front of what a served program read from its own terminal.
pub(super) const PROGRAM: &str = "\u{2}";

/// Beyond this many bytes the middle of a command's output is not kept (the user has seen it).
const KEPT_OUTPUT: usize = 4 << 20;

/// Prompts that may be arriving in pieces are held back from the user until it is known what they are.
const PROMPTS: [&str; 7] = ["(Pdb) ", "((Pdb)) ", "(com) ", ">>> ", "... ", "ipdb> ", "(Pdb++) "];

/// How often it is shown that a replay goes on.
const SHOWN: Duration = Duration::from_millis(250);

/// A time, or the next at which it is shown that a replay goes on.
fn sooner(tick: Option<Instant>, feed: &Feed<'_>) -> Option<Instant> {
    let shown = matches!(feed, Feed::Log { .. }).then(|| Instant::now() + SHOWN);
    tick.into_iter().chain(shown).min()
}

impl Engine {
    /// Turns an error of the checkpointer into words.
    pub(super) fn failed(&self, doing: &str, error: &Error) -> Failure {
        Failure { message: format!("{doing}: {error}"), cost: self.spent() }
    }

    /// A failure that carries what was spent.
    pub(super) fn failure(&self, message: impl Into<String>) -> Failure {
        Failure { message: message.into(), cost: self.spent() }
    }

    /// The same for a move that ends at the start of the history, with what lets that begin earlier.
    pub(super) fn at_start(&self, message: &str) -> Failure {
        match self.dialect.begins_late(&self.options.argv) {
            Some(hint) => self.failure(format!("{message} ({hint})")),
            None => self.failure(message),
        }
    }

    /// Begins to count the cost of a command.
    pub(super) fn begin(&mut self) {
        self.cost = Cost::default();
        self.begun = Instant::now();
    }

    /// What the command has cost.
    pub(super) fn spent(&self) -> Cost {
        Cost { elapsed_ms: self.begun.elapsed().as_secs_f64() * 1000.0, ..self.cost }
    }

    /// Waits until the debugger prompts or ends.
    pub(super) fn settle(&mut self, feed: &mut Feed<'_>, accept: Accept<'_>) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::default();
        let mut pending = String::new();
        let mut tick = self.next_tick(feed);
        loop {
            let until = sooner(tick, feed);
            let woke = {
                let watched = match feed {
                    Feed::User(console) | Feed::Log { console, .. } => console.interrupt_fd(),
                };
                self.live.wait(watched, until)
            };
            let woke = woke.map_err(|error| self.failed("waiting for the debugger", &error))?;
            let printed = self.live.take_printed();
            if !printed.is_empty() {
                self.pass_on(feed, &mut outcome, &mut pending, false);
                self.pass_program(feed, &mut outcome, &printed);
            }
            pending.push_str(&self.live.take_output());
            outcome.told.push_str(&self.live.take_told());
            if matches!(woke, Woke::Exited(_) | Woke::Reading { .. }) {
                self.pass_on(feed, &mut outcome, &mut pending, false);
                self.tell_news(feed);
            }
            match woke {
                Woke::Output => self.pass_on(feed, &mut outcome, &mut pending, false),
                Woke::Timeout if tick.is_none_or(|tick| Instant::now() < tick) => {
                    if let Feed::Log { console, .. } = feed {
                        console.progress(&self.spent(), None);
                    }
                }
                Woke::Timeout if self.patience.is_some() => {
                    return Err(self.failure("the copy does not come to its prompt"));
                }
                Woke::Timeout => {
                    if let Feed::User(_) = feed {
                        self.stride(outcome.inputs.len());
                    } else {
                        // The helper has put a handler on this signal, which programs ignore otherwise.
                        self.nudge = None;
                        self.live
                            .signal(nix::libc::SIGURG)
                            .map_err(|error| self.failed("stopping a replay on its way", &error))?;
                    }
                    tick = self.next_tick(feed);
                }
                Woke::Silence(on) => {
                    self.pass_on(feed, &mut outcome, &mut pending, false);
                    if let Feed::User(console) = feed {
                        console.silence(on);
                    }
                }
                Woke::News => {
                    let astray = self.astray();
                    // Who could press Ctrl-C is told how to go on.
                    let stuck = self.options.unattended && self.live.is_stuck();
                    self.tell_news(feed);
                    if let Some(failure) = astray {
                        return Err(failure);
                    }
                    if stuck {
                        outcome.interrupted = true;
                        self.live
                            .signal(nix::libc::SIGINT)
                            .map_err(|error| self.failed("interrupting the program", &error))?;
                    }
                }
                Woke::Interrupt => self.interrupt(feed, &mut outcome)?,
                Woke::ExecFailed | Woke::Exited(_) => {
                    self.pass_on(feed, &mut outcome, &mut pending, true);
                    outcome.exited = Some(match woke {
                        Woke::Exited(status) => status,
                        _ => 127,
                    });
                    return Ok(outcome);
                }
                Woke::Program(change) => self.program_changed(change, matches!(feed, Feed::Log { .. })),
                Woke::Ran(_) | Woke::Fence => {}
                Woke::Reading { main, program, mode } => {
                    if main && !program && (mode != InputMode::Raw || self.served.is_some()) {
                        let clean = self.dialect.clean(&pending);
                        let (start, tail) = tail_of(&outcome.output, &clean);
                        if let Some(prompt) = self.dialect.prompt_at_end(&tail)
                            && self.accepts(accept, feed, &tail[..prompt.start], &prompt)?
                        {
                            let passed = outcome.output.len() - start;
                            if let Feed::User(console) = feed
                                && let Some(fresh) = tail.get(passed..prompt.start).filter(|fresh| !fresh.is_empty())
                            {
                                console.output(fresh);
                            }
                            outcome.output.truncate(start);
                            outcome.output.push_str(&tail[..prompt.start]);
                            outcome.prompt = Some(prompt);
                            if let Feed::Log { inputs, .. } = feed {
                                outcome.unread = std::mem::take(inputs);
                            }
                            self.ask_after_line(feed, &mut outcome)?;
                            return Ok(outcome);
                        }
                    }
                    self.pass_on(feed, &mut outcome, &mut pending, true);
                    self.answer(feed, program, mode, &mut outcome)?;
                }
            }
        }
    }

    fn accepts(
        &mut self,
        accept: Accept<'_>,
        feed: &mut Feed<'_>,
        output: &str,
        prompt: &Prompt,
    ) -> Result<bool, Failure> {
        // The program has a terminal of its own.
        if self.served.is_some() {
            return Ok(true);
        }
        match (accept, feed) {
            (Accept::Any, _) | (Accept::After(_), Feed::Log { .. }) => Ok(true),
            (Accept::Reply, _) => Ok(self.desk.reply().is_some()),
            (Accept::Stop(sent), _) => Ok(self.desk.reply().is_some()
                && match self.dialect.belief(sent, output, prompt) {
                    Belief::Sure => true,
                    Belief::Never => false,
                    // The source may have been changed since the program was started, but it is there.
                    Belief::IfSource { file, .. } => std::path::Path::new(&file).exists(),
                    Belief::Doubtful => self.dialect.parse_stop(sent, output).is_some(),
                }),
            (Accept::Replayed, Feed::Log { inputs, .. }) => Ok(inputs.is_empty()),
            (Accept::Replayed, Feed::User(_)) => Ok(true),
            (Accept::After(sent), Feed::User(console)) => match self.dialect.belief(sent, output, prompt) {
                Belief::Sure => Ok(true),
                Belief::Never => Ok(false),
                Belief::IfSource { file, line, text } if is_source(&file, line, &text) => Ok(true),
                Belief::IfSource { .. } | Belief::Doubtful => self.shows_to_be_prompt(prompt, &mut **console),
            },
        }
    }

    /// Whether a copy of what waits now, behind `prompt`, answers as the debugger does.
    fn shows_to_be_prompt(&mut self, prompt: &Prompt, console: &mut dyn Console) -> Result<bool, Failure> {
        let before = std::mem::replace(&mut self.state, State::Prompt(prompt.clone()));
        let answered = match self.put_aside() {
            Ok(aside) => {
                self.patience = Some(PATIENCE);
                let reply = self.ask_copy(&aside, Request::Where, console);
                self.patience = None;
                self.come_back(aside).map(|()| reply.is_ok())
            }
            // What cannot be copied must be taken as it looks.
            Err(_) => Ok(true),
        };
        self.state = before;
        answered
    }

    /// Why a search or a replay cannot go on, if the program went another way and has been stopped there.
    pub(super) fn astray(&self) -> Option<Failure> {
        let Parted { at, expected, got, .. } = self.live.astray()?;
        Some(self.failure(format!(
            "the program did not replay the same way: call {at} was {expected}, now it is {got}; the session is where it was"
        )))
    }

    /// The same, once it has been told.
    pub(super) fn went_astray(&mut self, console: &mut dyn Console) -> Option<Failure> {
        let failure = self.astray();
        for news in self.live.take_news() {
            self.tell(&news, Origin::Fred, console);
        }
        failure
    }

    /// Tells what has become of the recording.
    fn tell_news(&mut self, feed: &mut Feed<'_>) {
        for news in self.live.take_news() {
            match feed {
                Feed::User(console) => self.tell(&news, Origin::User, &mut **console),
                Feed::Log { console, .. } => self.tell(&news, Origin::Fred, &mut **console),
            }
        }
    }

    /// Tells news of what was done for the user, or by a search or a replay.
    pub(super) fn tell(&mut self, news: &News, origin: Origin, console: &mut dyn Console) {
        match news {
            News::Unrecorded(why) => {
                let number = self.number();
                // A search may come there many times; a user who comes there again, on another line of history, is to know.
                let known = |(then, told): &(u32, String)| told == why && (origin == Origin::Fred || *then == number);
                if self.unrecorded.iter().any(known) {
                    return;
                }
                self.unrecorded.push((number, why.clone()));
                console.unrecorded(number, why);
                console.note(&format!(
                    "recording stops here: {why}; from here on moves may lead elsewhere, and do again what the program does outside"
                ));
            }
            News::Deadlock(waiting) => {
                console.deadlock(waiting);
                let waiting: Vec<String> = waiting.iter().map(ToString::to_string).collect();
                console.note(&format!(
                    "deadlock: every thread of the program waits for another one: {}; Ctrl-C gets you to the prompt",
                    waiting.join("; ")
                ));
            }
            News::Parted(Parted { at, expected, got, lost: true, .. }) => console.diverged(*at, expected, got),
            News::Parted(Parted { at, expected, got, kept, .. }) => {
                let kept = match &kept[..] {
                    [] => String::new(),
                    kept => format!("; what it has done outside after this place stays done: {}", kept.join(", ")),
                };
                if self.changed {
                    console.note(&format!("after the change the program goes another way, for real: {got}{kept}"));
                } else {
                    console.diverged(*at, expected, got);
                    console.note(&format!(
                        "the program did not replay the same way: call {at} was {expected}, now it is {got}; from here on it runs for \
                         real{kept}"
                    ));
                }
            }
        }
    }

    fn next_tick(&self, feed: &Feed<'_>) -> Option<Instant> {
        match feed {
            Feed::User(_) => self.next_stride(),
            Feed::Log { .. } => self.nudge.or_else(|| self.patience.map(|patience| Instant::now() + patience)),
        }
    }

    /// Gives the user what has been printed, but for what may be the beginning of a prompt.
    fn pass_on(&self, feed: &mut Feed<'_>, outcome: &mut Outcome, pending: &mut String, all: bool) {
        // What is held back is not cleaned yet: the rest of a control sequence may be on its way.
        let held = match (all, &self.served) {
            (true, _) => pending.len(),
            (false, None) => hold_from(pending),
            // Nothing but a prompt is left without a newline for long.
            (false, Some(_)) => pending.rfind('\n').map_or(0, |at| at + 1),
        };
        let now = &self.dialect.clean(&pending[..held]);
        if let Feed::User(console) = feed
            && !now.is_empty()
        {
            console.output(now);
        }
        outcome.output.push_str(now);
        if outcome.output.len() > KEPT_OUTPUT {
            let mut from = KEPT_OUTPUT / 4;
            let mut to = outcome.output.len() - KEPT_OUTPUT / 4;
            while !outcome.output.is_char_boundary(from) {
                from += 1;
            }
            while !outcome.output.is_char_boundary(to) {
                to += 1;
            }
            outcome.output.replace_range(from..to, "\n[...]\n");
        }
        pending.drain(..held);
    }

    /// Gives the user what a served program has printed.
    fn pass_program(&self, feed: &mut Feed<'_>, outcome: &mut Outcome, printed: &str) {
        if let Feed::User(console) = feed {
            console.output(printed);
        }
        outcome.output.push_str(printed);
    }

    fn interrupt(&mut self, feed: &mut Feed<'_>, outcome: &mut Outcome) -> Result<(), Failure> {
        if let Feed::User(console) | Feed::Log { console, .. } = feed
            && let Some((rows, columns)) = console.resized()
        {
            self.options.size = (rows, columns);
            self.live.resize(rows, columns);
        }
        match feed {
            Feed::User(console) => {
                if console.interrupted() {
                    outcome.interrupted = true;
                    self.live
                        .signal(nix::libc::SIGINT)
                        .map_err(|error| self.failed("interrupting the program", &error))?;
                }
                Ok(())
            }
            Feed::Log { console, .. } => {
                if console.interrupted() {
                    Err(self.failure("interrupted: the session is where it was"))
                } else {
                    Ok(())
                }
            }
        }
    }

    /// The program reads the terminal.
    fn answer(
        &mut self,
        feed: &mut Feed<'_>,
        program: bool,
        mode: InputMode,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        let of = if program { PROGRAM } else { "" };
        let (given, known) = match feed {
            Feed::User(console) => {
                let input = console.input(mode);
                let known = match &input {
                    Input::Line(line) => format!("{of}{line}"),
                    Input::Keys(keys) => format!("{of}{KEYS}{}", String::from_utf8_lossy(keys)),
                    Input::Eof => format!("{of}{END}"),
                    Input::Interrupt => {
                        outcome.interrupted = true;
                        return self
                            .live
                            .signal(nix::libc::SIGINT)
                            .map_err(|error| self.failed("interrupting the program", &error));
                    }
                };
                (input, known)
            }
            Feed::Log { inputs, .. } => {
                let Some(known) = inputs.pop_front() else {
                    return Err(self.failure(
                        "the program did not replay the same way: it reads the terminal where it did not before",
                    ));
                };
                (recorded(known.strip_prefix(of).unwrap_or(&known)), known)
            }
        };
        let typed = if program {
            self.live.type_to_program(&bytes_of(&given))
        } else {
            self.live.type_bytes(&bytes_of(&given))
        };
        typed.map_err(|error| self.failed("giving the program its input", &error))?;
        outcome.inputs.push(known);
        Ok(())
    }

    /// Types a line at the prompt and waits for the next one.
    pub(super) fn exchange(&mut self, line: &str, feed: &mut Feed<'_>, accept: Accept<'_>) -> Result<Outcome, Failure> {
        self.live.type_line(line).map_err(|error| self.failed("typing to the debugger", &error))?;
        self.settle(feed, accept)
    }

    /// The prompt at which the debugger waits.
    pub(super) fn prompt(&self) -> Option<&Prompt> {
        match &self.state {
            State::Prompt(prompt) => Some(prompt),
            State::Ended { .. } => None,
        }
    }
}

/// Input as it was logged, without what says who read it.
pub(super) fn recorded(known: &str) -> Input {
    match known.strip_prefix(KEYS) {
        Some(keys) => Input::Keys(keys.as_bytes().to_vec()),
        None if known == END => Input::Eof,
        None => Input::Line(known.to_owned()),
    }
}

/// What is typed for an input.
pub(super) fn bytes_of(input: &Input) -> Vec<u8> {
    match input {
        Input::Line(line) => format!("{line}\n").into_bytes(),
        Input::Keys(keys) => keys.clone(),
        // Ctrl-D
        Input::Eof | Input::Interrupt => vec![4],
    }
}

/// The last few kilobytes of what was printed and passed on, with what has not been passed on yet; and where in the former
/// they begin.
fn tail_of(passed: &str, pending: &str) -> (usize, String) {
    let mut start = passed.len().saturating_sub(4096);
    while !passed.is_char_boundary(start) {
        start += 1;
    }
    (start, format!("{}{pending}", &passed[start..]))
}

/// Whether a line of a file reads like that.
fn is_source(file: &str, line: u32, text: &str) -> bool {
    let Ok(source) = std::fs::read(file) else { return false };
    let found = source.split(|byte| *byte == b'\n').nth((line as usize).wrapping_sub(1));
    found.is_some_and(|found| String::from_utf8_lossy(found).trim() == text.trim())
}

/// From where on a text may be the beginning of a prompt or of a control sequence.
fn hold_from(text: &str) -> usize {
    let last_escape = text.rfind('\u{1b}').filter(|at| text.len() - at < 16);
    let from = text.len().saturating_sub(12);
    let prompt = (from..text.len())
        .filter(|at| text.is_char_boundary(*at))
        .find(|at| PROMPTS.iter().any(|prompt| prompt.starts_with(&text[*at..])));
    last_escape.into_iter().chain(prompt).min().unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_become_a_prompt_is_held_back() {
        assert_eq!(hold_from("abc"), 3);
        assert_eq!(hold_from("abc\n(Pd"), 4);
        assert_eq!(hold_from("(Pdb) "), 0);
        assert_eq!(hold_from("(Pdb) x"), 7);
        assert_eq!(hold_from("é(Pdb"), 2);
        assert_eq!(hold_from("x\u{1b}[?20"), 1);
    }
}
