//! A session from its command line to its exit status.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use crate::args::{SessionArgs, Shared};
use crate::console::{Screen, window};
use crate::engine::{Engine, LineReport, Options, Session, StartError, State};
use crate::events::Events;
use crate::keyboard::Keyboard;
use crate::repl;
use crate::script::{OnError, Runner, Step, is_over};
use crate::signals::Signals;
use crate::status;

/// Why there is no session; what to say, and the exit status.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The command line asks for what cannot be.
    #[error("{0}")]
    Usage(String),
    /// The debugger did not start.
    #[error(transparent)]
    Start(StartError),
    /// fred's own.
    #[error("{0}")]
    Own(String),
}

impl Trouble {
    /// The exit status.
    pub fn status(&self) -> u8 {
        match self {
            Self::Usage(_) => status::USAGE,
            Self::Start(StartError::Supervisor { .. }) | Self::Own(_) => status::FRED_FAILED,
            Self::Start(_) => status::NOT_STARTED,
        }
    }
}

/// Who talks to the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Talk {
    /// Nobody: `--batch`.
    Script,
    /// A prompt with a line editor.
    Edited,
    /// A prompt that reads line by line.
    Plain,
}

/// Runs a session; the exit status.
///
/// # Errors
/// It could not begin, or fred failed in it.
pub fn session(args: &SessionArgs, steps: &[Step]) -> Result<u8, Trouble> {
    if args.tui {
        return Err(Trouble::Usage("--tui is not available yet in this version; leave it out".into()));
    }
    let events_on_stdout = args.shared.json.as_deref() == Some(Path::new("-"));
    let terminals = io::stdin().is_terminal() && io::stdout().is_terminal();
    let talk = match (args.batch, terminals && !events_on_stdout) {
        (true, _) => Talk::Script,
        (false, true) => Talk::Edited,
        (false, false) => Talk::Plain,
    };
    let human: Option<Box<dyn Write>> = match (events_on_stdout, talk) {
        (false, _) => Some(Box::new(io::stdout())),
        (true, Talk::Script) => None,
        (true, _) => Some(Box::new(io::stderr())),
    };
    let screen = Screen::new(human, open_events(&args.shared)?, Keyboard::stdin(), Some(signals()?));
    let on_error = if args.stop_on_error { OnError::Stop } else { OnError::GoOn };
    let mut runner = Runner::new(screen, on_error);
    let mut engine = start(&mut runner.screen, &args.shared, &args.debugger, !matches!(talk, Talk::Edited))?;
    let outcome = converse(&mut runner, &mut engine, steps, talk);
    let status = outcome.as_ref().map_or_else(Trouble::status, |status| *status);
    // Ends every process of the session; events of that come before the end object.
    drop(engine);
    runner.screen.fresh_line();
    runner.screen.events.end(status);
    outcome
}

/// Starts the debugger, and the event stream with it.
///
/// # Errors
/// See [`StartError`].
pub fn start(screen: &mut Screen, shared: &Shared, argv: &[OsString], unattended: bool) -> Result<Engine, Trouble> {
    let options = Options {
        argv: argv.to_vec(),
        checkpoint_every: shared.checkpoint_every.0,
        memory_limit: shared.memory_limit,
        record: !shared.no_record,
        facts: screen.events.wanted(),
        unattended,
        size: window(),
    };
    screen.begin();
    let (engine, report): (Engine, LineReport) = Engine::start(options, screen).map_err(Trouble::Start)?;
    screen.finish();
    let argv: Vec<_> = argv.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    screen.events.session(engine.dialect(), &argv, &report);
    Ok(engine)
}

/// The stream that `--json` asks for.
///
/// # Errors
/// The file cannot be written.
pub fn open_events(shared: &Shared) -> Result<Events, Trouble> {
    match &shared.json {
        None => Ok(Events::none()),
        Some(path) if path == Path::new("-") => Ok(Events::to(Box::new(io::stdout()))),
        Some(path) => match File::create(path) {
            Ok(file) => Ok(Events::to(Box::new(file))),
            Err(error) => Err(Trouble::Usage(format!("cannot write events to {}: {error}", path.display()))),
        },
    }
}

/// Ctrl-C and the window for a session.
///
/// # Errors
/// The kernel refuses.
pub fn signals() -> Result<Signals, Trouble> {
    Signals::install().map_err(|error| Trouble::Own(format!("cannot take over Ctrl-C: {error}")))
}

fn converse(runner: &mut Runner, session: &mut dyn Session, steps: &[Step], talk: Talk) -> Result<u8, Trouble> {
    runner.script(session, steps);
    let own = |trouble: repl::Trouble| Trouble::Own(trouble.to_string());
    match talk {
        _ if session.is_lost() => {}
        Talk::Script => {
            return Ok(if runner.has_failed() { status::REFUSED } else { status::DONE });
        }
        _ if is_over(session) => {}
        Talk::Edited => repl::edited(runner, session).map_err(own)?,
        Talk::Plain => repl::plain(runner, session).map_err(own)?,
    }
    match session.state() {
        // What happened has been said.
        _ if session.is_lost() => Ok(status::FRED_FAILED),
        State::Ended { status, .. } => Ok(u8::try_from(status & 0xff).unwrap_or(status::FRED_FAILED)),
        State::Prompt(_) => Ok(status::DONE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Failure;
    use crate::mock::{Mock, screen};

    fn status_of(mock: &mut Mock, lines: &[&str], talk: Talk, stdin: &str) -> u8 {
        let (screen, _, _) = screen(stdin);
        let mut runner = Runner::new(screen, OnError::GoOn);
        let steps: Vec<_> = lines.iter().map(|line| Step::Command(line.to_string())).collect();
        converse(&mut runner, mock, &steps, talk).unwrap()
    }

    #[test]
    fn batch_statuses() {
        assert_eq!(status_of(&mut Mock::default(), &["next", "fred-undo"], Talk::Script, ""), 0);
        assert_eq!(status_of(&mut Mock::default(), &["fred-nonsense", "next"], Talk::Script, ""), 1);
        let mut mock = Mock::default().reply("undo 1", Err(Failure::new("no earlier point")));
        assert_eq!(status_of(&mut mock, &["fred-undo", "next"], Talk::Script, ""), 1);
        assert_eq!(mock.log, ["undo 1", "line next"]);
    }

    #[test]
    fn a_session_has_the_debuggers_status() {
        let mut mock = Mock::default();
        mock.dies_at = Some(("crash", 139));
        assert_eq!(status_of(&mut mock, &["fred-nonsense", "crash"], Talk::Plain, ""), 139);
        assert_eq!(status_of(&mut Mock::default(), &["fred-nonsense"], Talk::Plain, "next\n"), 0);
    }

    #[test]
    fn troubles() {
        let start = |error| Trouble::Start(error).status();
        assert_eq!(start(StartError::NotFound { program: "x".into() }), 3);
        assert_eq!(start(StartError::NotADebugger { command: "x".into() }), 3);
        assert_eq!(start(StartError::EndedEarly { command: "x".into(), status: 2 }), 3);
        assert_eq!(start(StartError::Supervisor { command: "x".into(), reason: "y".into() }), 129);
        assert_eq!(Trouble::Usage(String::new()).status(), 2);
    }
}
