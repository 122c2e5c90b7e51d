//! Starting a session.

use std::ffi::OsString;
use std::time::Duration;

/// What a session is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The debugger and its arguments.
    pub argv: Vec<OsString>,
    /// How often to checkpoint during a long `continue`; `None` for never.
    pub checkpoint_every: Option<Duration>,
    /// Bytes that checkpoints may take; `None` for half of what is free.
    pub memory_limit: Option<u64>,
    /// What the program does outside and learns from there is recorded, and not done again by a replay.
    pub record: bool,
    /// Every stop is to carry its depth (the event stream wants it).
    pub facts: bool,
    /// Nobody is there to answer the debugger's questions.
    pub unattended: bool,
    /// Rows and columns of the debugger's terminal.
    pub size: (u16, u16),
}

/// Why a session could not be started.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StartError {
    /// There is no such program.
    #[error("cannot start {program}: no such program in PATH; fred doctor lists the debuggers that it finds")]
    NotFound {
        /// The debugger as given.
        program: String,
    },
    /// The command line starts no debugger that fred knows.
    #[error("cannot start {command}: this is no debugger that fred knows; try: fred -- python3 -m pdb PROGRAM.py")]
    NotADebugger {
        /// The command line as given.
        command: String,
    },
    /// It ended before it prompted.
    #[error("{command} ended with status {status} before its first prompt; run it without fred to see why")]
    EndedEarly {
        /// The command line as given.
        command: String,
        /// As a shell would report it.
        status: i32,
    },
    /// It does not answer questions.
    #[error(
        "cannot go back in {command}: it has not loaded fred's helper; is its Python support installed (python3-lldb-16 for lldb-16)?"
    )]
    Mute {
        /// The command line as given.
        command: String,
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
