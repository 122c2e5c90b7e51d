//! Runs lines, one by one or from scripts: decides whose they are, shows what they did, and notes what failed.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::backends::dialect::PromptKind;
use crate::commands::{Command, Reading, Run, help, read};
use crate::console::{Screen, window};
use crate::engine::{Cost, Failure, LineReport, Report, Session, State};
use crate::events::{Event, Origin, milliseconds};
use crate::history::entry::Stop;
use crate::tables;

/// Files may call files this deep.
const DEEPEST: usize = 16;

/// A part of what is to be run first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// `-e`: a command.
    Command(String),
    /// `-x`: the text of a file.
    File(String),
}

/// What goes on when a command of a script has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The next command.
    GoOn,
    /// Nothing more of the script.
    Stop,
}

/// Runs lines on a session.
pub struct Runner {
    /// Where it shows what they do.
    pub screen: Screen,
    on_error: OnError,
    failed: bool,
    /// Where the last fred command that moved has led.
    stop: Option<Stop>,
    /// Files being run at this moment, the innermost last.
    files: usize,
    size: (u16, u16),
}

impl Runner {
    /// A runner on that screen.
    pub fn new(screen: Screen, on_error: OnError) -> Self {
        Self { screen, on_error, failed: false, stop: None, files: 0, size: window() }
    }

    /// Where the last fred command that moved has led.
    pub fn last_stop(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// Whether any fred command could not do what it was asked.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Runs a line as typed; several if it has newlines (pasted). Says whether it did what it was asked.
    pub fn run(&mut self, session: &mut dyn Session, line: &str) -> bool {
        let mut ok = true;
        for line in line.strip_suffix('\n').unwrap_or(line).split('\n') {
            if !is_over(session) {
                ok &= self.run_one(session, line);
            }
        }
        ok
    }

    /// Ctrl-D.
    pub fn end_of_input(&mut self, session: &mut dyn Session) {
        self.run_line(session, None, Origin::User);
    }

    /// Runs what was given on the command line.
    pub fn script(&mut self, session: &mut dyn Session, steps: &[Step]) {
        for step in steps {
            let ok = match step {
                Step::Command(line) => self.run(session, line),
                Step::File(text) => self.text(session, text),
            };
            if is_over(session) || (!ok && self.on_error == OnError::Stop) {
                return;
            }
        }
    }

    /// Runs the text of a script. Says whether all its commands did what they were asked.
    fn text(&mut self, session: &mut dyn Session, text: &str) -> bool {
        let mut ok = true;
        for line in text.lines() {
            // In a nested interpreter a blank line ends a block, and `#` is that language's.
            let at_command = !matches!(session.state(), State::Prompt(prompt) if prompt.kind != PromptKind::Command);
            if at_command && (line.trim().is_empty() || line.trim_start().starts_with('#')) {
                continue;
            }
            ok &= self.run(session, line);
            if is_over(session) || (!ok && self.on_error == OnError::Stop) {
                break;
            }
        }
        ok
    }

    fn run_one(&mut self, session: &mut dyn Session, line: &str) -> bool {
        let commands = match session.state() {
            State::Prompt(prompt) => prompt.kind == PromptKind::Command,
            State::Ended { .. } => true,
        };
        match read(line, |word| !commands || session.owns_word(word)) {
            Reading::Fred(command, argument) => self.run_fred(session, command, argument),
            Reading::Unknown(name, message) => self.report(name, line_argument(line), Err(Failure::new(message))),
            Reading::Debugger => self.run_line(session, Some(line), Origin::User).is_some(),
        }
    }

    /// Sends a line to the debugger. `None` if that could not be done (which has been said).
    pub fn run_line(&mut self, session: &mut dyn Session, line: Option<&str>, origin: Origin) -> Option<LineReport> {
        self.tell_size(session);
        self.screen.begin();
        let outcome = session.run_line(line, &mut self.screen);
        self.screen.finish();
        match outcome {
            Ok(report) => {
                self.screen.events.send(&Event::Command {
                    index: report.index,
                    line: line.unwrap_or("EOF"),
                    effect: report.effect,
                    origin,
                    output: &report.output,
                    stop: report.stop.as_ref(),
                    elapsed_ms: milliseconds(report.elapsed),
                });
                Some(report)
            }
            Err(failure) => {
                self.report("send", line, Err(failure));
                None
            }
        }
    }

    /// Runs a command of the session that is not typed by the user; what it did is shown and noted, and returned.
    ///
    /// # Errors
    /// It could not do what it was asked.
    pub fn watch(&mut self, session: &mut dyn Session, command: &Command, argument: &str) -> Result<Report, Failure> {
        let Run::Session(act) = command.run else {
            return Err(Failure::new("not a command of the session"));
        };
        let given = command.check(argument).map_err(Failure::new)?;
        self.screen.begin();
        let outcome = act(session, given, &mut self.screen);
        self.screen.finish();
        self.report(command.name, Some(argument), outcome.clone());
        outcome
    }

    /// Runs a fred command.
    pub fn run_fred(&mut self, session: &mut dyn Session, command: &Command, argument: &str) -> bool {
        let typed = (!argument.is_empty()).then_some(argument);
        let given = match command.check(argument) {
            Ok(given) => given,
            Err(message) => return self.report(command.name, typed, Err(Failure::new(message))),
        };
        let outcome = match command.run {
            Run::Session(act) => {
                self.tell_size(session);
                self.screen.begin();
                let outcome = act(session, given, &mut self.screen);
                self.screen.finish();
                outcome
            }
            Run::Help => match given.text().map_or_else(|| Ok(help::overview()), help::page) {
                Ok(text) => {
                    self.screen.fresh_line();
                    self.screen.print_lines(&text);
                    Ok(Report::default())
                }
                Err(message) => Err(Failure::new(message)),
            },
            Run::Source => self.source(session, given.text().unwrap_or_default()),
        };
        self.report(command.name, typed, outcome)
    }

    fn source(&mut self, session: &mut dyn Session, file: &str) -> Result<Report, Failure> {
        let path = expand_home(file);
        if self.files >= DEEPEST {
            let message = format!("cannot run {file}: {DEEPEST} files are calling each other; does one call itself?");
            return Err(Failure::new(message));
        }
        let text = read_script(&path).map_err(Failure::new)?;
        self.files += 1;
        let ok = self.text(session, &text);
        self.files -= 1;
        let incomplete = (!ok).then(|| format!("not every command in {file} did what it was asked"));
        Ok(Report { incomplete, ..Report::default() })
    }

    /// Shows and notes what a fred command did; says whether it did all of it.
    fn report(&mut self, command: &str, argument: Option<&str>, outcome: Result<Report, Failure>) -> bool {
        if let Ok(Report { stop: Some(stop), .. }) = &outcome {
            self.stop = Some(stop.clone());
        }
        let nothing = Report::default();
        let (report, error, cost): (&Report, Option<&str>, Cost) = match &outcome {
            Ok(report) => (report, report.incomplete.as_deref(), report.cost),
            Err(failure) => (&nothing, Some(&failure.message), failure.cost),
        };
        self.screen.print_lines(&report.place);
        if let Some(table) = report.result.as_ref().and_then(|result| tables::of_command(command, result)) {
            self.screen.fresh_line();
            self.screen.print_lines(&table);
        }
        for line in report.notes.iter().map(String::as_str).chain(error) {
            self.screen.say(line);
        }
        self.failed |= error.is_some();
        self.screen.events.send(&Event::Fred {
            command,
            argument,
            ok: error.is_none(),
            error,
            stop: report.stop.as_ref(),
            result: report.result.as_ref().filter(|result| **result != Value::Null),
            cost,
        });
        error.is_none()
    }

    fn tell_size(&mut self, session: &mut dyn Session) {
        let size = window();
        if size != self.size {
            self.size = size;
            session.resize(size.0, size.1);
        }
    }
}

/// Whether the session is over: ended by the user, or lost.
pub fn is_over(session: &dyn Session) -> bool {
    session.is_lost() || matches!(session.state(), State::Ended { asked: true, .. })
}

/// The text of a script file.
///
/// # Errors
/// It cannot be read: what to say.
pub fn read_script(path: &Path) -> Result<String, String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => Err(format!("cannot read the commands in {}: {error}", path.display())),
    }
}

/// `~/x` as the shell would read it.
pub fn expand_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}

fn line_argument(line: &str) -> Option<&str> {
    line.trim().split_once(char::is_whitespace).map(|(_, rest)| rest.trim())
}

#[cfg(test)]
mod tests;
