//! Recording and replay: a program is run again in such a way that its second execution is the same as its first.
//!
//! A [`recorder`] runs a program and everything that it starts, one thread at a time, and logs what came from outside. A
//! [`replayer`] runs it again from the start and gives that back. Both read the same row of the table of system calls.
//! What does not match is a [`Diverged`], which is never retried.

mod chaos;
mod check;
pub(crate) mod deadlock;
mod epoch;
pub(crate) mod given;
mod log;
mod mapping;
pub(crate) mod outputs;
mod pinning;
pub(crate) mod prepare;
pub(crate) mod reads;
pub(crate) mod recorder;
mod replayer;
pub(crate) mod thread;
pub(crate) mod vdso;

pub use check::{Report, Verdict, check};
pub use deadlock::Waiting;

/// Why a recording stopped, or a replay could not begin. Not a difference between the two: that is [`Diverged`].
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The program could not be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// Its name.
        program: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Something happened that cannot be recorded; the text names it and says why.
    #[error("the recording stops in thread {thread}: {what}; docs/replay.md tells what can be recorded")]
    Refused {
        /// The thread's id, as recorded.
        thread: i32,
        /// What happened.
        what: String,
    },
    /// A traced thread is gone without having been reported.
    #[error("thread {0} has been killed from outside while it was stopped")]
    Gone(i32),
    /// The log could not be written or read.
    #[error("the log of the recording: {0}")]
    Log(#[from] std::io::Error),
    /// The log has reached its limit.
    #[error("the recording has reached its limit of {0} bytes; what comes later is not recorded")]
    Full(u64),
    /// An injected call failed.
    #[error(transparent)]
    Inject(#[from] crate::inject::InjectError),
    /// The replay differs.
    #[error(transparent)]
    Diverged(#[from] Diverged),
}

/// The replay is not the same execution as the recording.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[error("the replay differs from the recording at event {at}: expected {expected}, got {got}")]
pub struct Diverged {
    /// Number of the event in the log, from 0.
    pub at: u64,
    /// What the recording has there.
    pub expected: String,
    /// What happened instead.
    pub got: String,
}
