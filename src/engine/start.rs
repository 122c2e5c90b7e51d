//! Starting a session.

use std::convert::Infallible;
use std::ffi::OsString;
use std::time::Duration;

use super::{Console, Failure, LineReport, Report, Session, State};

/// What a session is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The debugger and its arguments.
    pub argv: Vec<OsString>,
    /// How often to checkpoint during a long `continue`; `None` for never.
    pub checkpoint_every: Option<Duration>,
    /// Bytes that checkpoints may take; `None` for half of what is free.
    pub memory_limit: Option<u64>,
    /// Every stop is to carry its depth (the event stream wants it).
    pub facts: bool,
    /// Rows and columns of the debugger's terminal.
    pub size: (u16, u16),
}

/// Why a session could not be started.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StartError {
    /// There is no such program.
    #[error(
        "cannot start {program}: no such program in PATH; fred doctor lists the debuggers that it finds"
    )]
    NotFound {
        /// The debugger as given.
        program: String,
    },
    /// The command line starts no debugger that fred knows.
    #[error(
        "cannot start {command}: this is no debugger that fred knows; try: fred -- python3 -m pdb PROGRAM.py"
    )]
    NotADebugger {
        /// The command line as given.
        command: String,
    },
    /// It ended before it prompted.
    #[error(
        "{command} ended with status {status} before its first prompt; run it without fred to see why"
    )]
    EndedEarly {
        /// The command line as given.
        command: String,
        /// As a shell would report it.
        status: i32,
    },
    /// The checkpointer does not work.
    #[error("cannot supervise {command}: {reason}; fred doctor says what works here")]
    Supervisor {
        /// The command line as given.
        command: String,
        /// What went wrong.
        reason: String,
    },
}

/// The session with a real debugger.
pub struct Engine(Infallible);

impl Engine {
    /// Starts the debugger and waits for its first prompt. The report holds what it printed until then; the console
    /// has been given it, too.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(
        options: Options,
        _console: &mut dyn Console,
    ) -> Result<(Self, LineReport), StartError> {
        let command = options
            .argv
            .iter()
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ");
        Err(StartError::Supervisor {
            command,
            reason: "the engine is not part of this build".into(),
        })
    }
}

impl Drop for Engine {
    /// Ends every process of the session.
    fn drop(&mut self) {}
}

type Done = Result<Report, Failure>;

#[rustfmt::skip]
impl Session for Engine {
    fn state(&self) -> State { match self.0 {} }
    fn dialect(&self) -> &'static str { match self.0 {} }
    fn owns_word(&mut self, _: &str) -> bool { match self.0 {} }
    fn run_line(&mut self, _: Option<&str>, _: &mut dyn Console) -> Result<LineReport, Failure> { match self.0 {} }
    fn interrupt_prompt(&mut self, _: &mut dyn Console) -> Result<String, Failure> { match self.0 {} }
    fn complete(&mut self, _: &str) -> Vec<String> { match self.0 {} }
    fn resize(&mut self, _: u16, _: u16) { match self.0 {} }
    fn undo(&mut self, _: u32, _: &mut dyn Console) -> Done { match self.0 {} }
    fn redo(&mut self, _: u32, _: &mut dyn Console) -> Done { match self.0 {} }
    fn reverse_step(&mut self, _: u32, _: &mut dyn Console) -> Done { match self.0 {} }
    fn reverse_next(&mut self, _: u32, _: &mut dyn Console) -> Done { match self.0 {} }
    fn reverse_finish(&mut self, _: &mut dyn Console) -> Done { match self.0 {} }
    fn reverse_continue(&mut self, _: u32, _: &mut dyn Console) -> Done { match self.0 {} }
    fn reverse_watch(&mut self, _: &str, _: &mut dyn Console) -> Done { match self.0 {} }
    fn checkpoint(&mut self, _: Option<&str>, _: &mut dyn Console) -> Done { match self.0 {} }
    fn restart(&mut self, _: Option<&str>, _: &mut dyn Console) -> Done { match self.0 {} }
    fn list(&mut self) -> Done { match self.0 {} }
    fn delete(&mut self, _: &str) -> Done { match self.0 {} }
    fn branch(&mut self, _: &str) -> Done { match self.0 {} }
    fn switch(&mut self, _: &str, _: &mut dyn Console) -> Done { match self.0 {} }
    fn history(&mut self, _: Option<u32>) -> Done { match self.0 {} }
    fn goto(&mut self, _: &str, _: &mut dyn Console) -> Done { match self.0 {} }
    fn when(&mut self) -> Done { match self.0 {} }
    fn evaluate(&mut self, _: &str) -> Result<(bool, String), Failure> { match self.0 {} }
    fn names(&self) -> (Vec<String>, Vec<String>) { match self.0 {} }
}
