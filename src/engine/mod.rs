//! The one layer that knows debugger and checkpointer: runs lines, logs them, checkpoints, travels.
//!
//! [`Session`] is what the prompt, the scripts and the full-screen view see of it.

mod checkpoints;
mod core;
mod desk;
mod line;
mod live;
mod others;
mod probe;
mod reverse;
mod served;
mod session;
pub mod start;
mod strides;
mod travel;

use std::path::Path;
use std::time::Duration;

pub use core::Engine;
pub use start::{Options, StartError};

pub use fred_checkpointer::record::Waiting;
use serde::Serialize;

use crate::backends::dialect::Prompt;
use crate::history::entry::{Effect, Stop};

/// What the session is waiting for between two commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The debugger waits at a prompt.
    Prompt(Prompt),
    /// The debugger has ended with this exit status (128 + signal if a signal ended it). Only fred commands work now;
    /// `asked` says whether the user ended it (`quit`), so that the session is over.
    Ended {
        /// Exit status as a shell would report it.
        status: i32,
        /// Whether a command asked for it.
        asked: bool,
    },
}

/// How the program reads the terminal at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputMode {
    /// It wants a line; `echo` is false when it asked for silence (a password).
    Line {
        /// Whether what is typed may be shown.
        echo: bool,
    },
    /// It wants keys as they are pressed (curses).
    Raw,
}

/// What the user gave to a program that reads its terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A line, without its newline.
    Line(String),
    /// Keys, for [`InputMode::Raw`].
    Keys(Vec<u8>),
    /// End of input.
    Eof,
    /// Ctrl-C instead of an answer.
    Interrupt,
}

/// How far a long search has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Checkpoints taken.
    pub checkpoints: u64,
    /// Copies started.
    pub restores: u64,
    /// Evaluations of the user's expression.
    pub evaluations: u64,
    /// Stops passed again while replaying.
    pub replayed: u64,
    /// Wall time in milliseconds.
    pub elapsed_ms: f64,
}

/// Where a session's words go and where its program's input comes from. Called while a command runs.
pub trait Console {
    /// Text of the debugger or the program, as it arrives. Never called for text that is produced while replaying.
    fn output(&mut self, text: &str);

    /// The program reads its terminal: what shall it get? Blocks until the user has answered.
    fn input(&mut self, mode: InputMode) -> Input;

    /// The program asks that what is typed is not shown, before it reads, or takes that back.
    fn silence(&mut self, on: bool) {
        let _ = on;
    }

    /// A search goes on: `left` is the number of stops it has still to tell apart, if known.
    fn progress(&mut self, cost: &Cost, left: Option<u64>);

    /// Whether the user has pressed Ctrl-C since the last call.
    fn interrupted(&mut self) -> bool;

    /// A descriptor that becomes readable when [`Console::interrupted`] would say true, so that waiting ends at once.
    fn interrupt_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>>;

    /// A checkpoint was taken (for the event stream).
    fn checkpointed(&mut self, taken: &CheckpointTaken);

    /// A replay did not go as it was recorded: the `diverged` event. `at` is the number of the recorded event.
    fn diverged(&mut self, at: u64, expected: &str, got: &str) {
        let _ = (at, expected, got);
    }

    /// All threads of the program wait for each other: the `deadlock` event.
    fn deadlock(&mut self, waiting: &[Waiting]) {
        let _ = waiting;
    }

    /// What the program does is recorded no more behind a history number: the `unrecorded` event.
    fn unrecorded(&mut self, index: u32, reason: &str) {
        let _ = (index, reason);
    }

    /// Something that the user must know, said once.
    fn note(&mut self, text: &str) {
        let _ = text;
    }

    /// The size of the user's window (rows, columns) if it has changed since the last call. The descriptor of
    /// [`Console::interrupt_fd`] becomes readable for that, too.
    fn resized(&mut self) -> Option<(u16, u16)> {
        None
    }
}

/// A checkpoint that was taken: the `checkpoint` event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckpointTaken {
    /// `1`, `2`, ... for the user's, `a1`, `a2`, ... for automatic ones.
    pub id: String,
    /// `user` or `auto`.
    pub origin: &'static str,
    /// History number at which it was taken.
    pub index: u32,
    /// The user's note.
    pub note: Option<String>,
    /// Milliseconds that it took.
    pub elapsed_ms: f64,
}

/// What a line for the debugger did: the `command` event.
#[derive(Debug, Clone)]
pub struct LineReport {
    /// History number that the line has (or would have had, for a query).
    pub index: u32,
    /// Its effect.
    pub effect: Effect,
    /// Everything printed, control sequences of the debugger's line editor removed.
    pub output: String,
    /// Where the program stopped, if it moved.
    pub stop: Option<Stop>,
    /// From sending the line to the next prompt.
    pub elapsed: Duration,
}

/// What a fred command did.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The place as the debugger shows a stop; empty when the command did not move.
    pub place: String,
    /// Further lines for the user, each without the `fred: ` in front.
    pub notes: Vec<String>,
    /// The place as data, if it moved.
    pub stop: Option<Stop>,
    /// The command's own result for the event stream (`history`, `list`, `when`, `reverse-watch`).
    pub result: Option<serde_json::Value>,
    /// What it took.
    pub cost: Cost,
    /// Set when only a part of it could be done (`fred-undo 5` with three commands behind): it counts as not ok.
    pub incomplete: Option<String>,
}

/// Why a fred command could not do what it was asked. The session is where it was.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What was being done, to what, and what to try; one line.
    pub message: String,
    /// What was spent before it failed.
    pub cost: Cost,
}

impl Failure {
    /// A failure that has cost nothing.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), cost: Cost::default() }
    }
}

/// A place in words: `file.py:12 in main`.
pub fn place_of(stop: &Stop) -> String {
    let file = stop.file.as_deref().unwrap_or("?");
    let name = Path::new(file).file_name().map_or(file.into(), |name| name.to_string_lossy());
    let mut text = name.into_owned();
    if let Some(line) = stop.line {
        text.push_str(&format!(":{line}"));
    }
    if let Some(function) = &stop.function {
        text.push_str(&format!(" in {function}"));
    }
    if stop.line.is_none() && stop.reason == crate::history::entry::Reason::Exited {
        return "the end of the program".to_owned();
    }
    text
}

/// A line of `fred-history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryRow {
    /// History number, from 1.
    pub number: u32,
    /// The command as typed.
    pub line: String,
    /// Its effect.
    pub effect: Effect,
    /// Where it stopped.
    pub stop: Option<Stop>,
}

/// A session as the user's side sees it.
pub trait Session {
    /// What it waits for.
    fn state(&self) -> State;

    /// Whether nothing is left of it: the supervisor has been killed.
    fn is_lost(&self) -> bool {
        false
    }

    /// The debugger's name, for the event stream.
    fn dialect(&self) -> &'static str;

    /// Whether `word` is one of the debugger's own commands (or, in pdb, a variable here), so that an alias such as
    /// `reverse-step` or `last` belongs to the debugger.
    fn owns_word(&mut self, word: &str) -> bool;

    /// Sends a line to the debugger and waits until it prompts again or ends. `None` is end of input (Ctrl-D).
    ///
    /// # Errors
    /// The line could not be run; the session goes on.
    fn run_line(&mut self, line: Option<&str>, console: &mut dyn Console) -> Result<LineReport, Failure>;

    /// Ctrl-C at the debugger's prompt.
    ///
    /// # Errors
    /// As for [`Session::run_line`].
    fn interrupt_prompt(&mut self, console: &mut dyn Console) -> Result<String, Failure>;

    /// What the debugger would complete at the end of `line`: whole replacement words for its last word.
    fn complete(&mut self, line: &str) -> Vec<String>;

    /// The window of the user's terminal has this size now.
    fn resize(&mut self, rows: u16, columns: u16);

    /// `fred-undo n`
    fn undo(&mut self, n: u32, console: &mut dyn Console) -> Result<Report, Failure>;
    /// `fred-redo n`
    fn redo(&mut self, n: u32, console: &mut dyn Console) -> Result<Report, Failure>;
    /// `fred-reverse-step n`
    fn reverse_step(&mut self, n: u32, console: &mut dyn Console) -> Result<Report, Failure>;
    /// `fred-reverse-next n`
    fn reverse_next(&mut self, n: u32, console: &mut dyn Console) -> Result<Report, Failure>;
    /// `fred-reverse-stepi n`
    fn reverse_stepi(&mut self, n: u32, console: &mut dyn Console) -> Result<Report, Failure> {
        let _ = (n, console);
        Err(Failure::new("cannot go back by instructions in this debugger"))
    }
    /// `fred-reverse-finish`
    fn reverse_finish(&mut self, console: &mut dyn Console) -> Result<Report, Failure>;
    /// `fred-reverse-continue n`
    fn reverse_continue(&mut self, n: u32, console: &mut dyn Console) -> Result<Report, Failure>;
    /// `fred-reverse-watch EXPR`
    fn reverse_watch(&mut self, expression: &str, console: &mut dyn Console) -> Result<Report, Failure>;
    /// `fred-checkpoint [note]`
    fn checkpoint(&mut self, note: Option<&str>, console: &mut dyn Console) -> Result<Report, Failure>;
    /// `fred-restart [ID]`
    fn restart(&mut self, id: Option<&str>, console: &mut dyn Console) -> Result<Report, Failure>;
    /// `fred-list`
    fn list(&mut self) -> Result<Report, Failure>;
    /// `fred-delete ID`
    fn delete(&mut self, id: &str) -> Result<Report, Failure>;
    /// `fred-branch NAME`
    fn branch(&mut self, name: &str) -> Result<Report, Failure>;
    /// `fred-switch NAME`
    fn switch(&mut self, name: &str, console: &mut dyn Console) -> Result<Report, Failure>;
    /// `fred-history [n]`: the last n rows, all if `None`
    fn history(&mut self, n: Option<u32>) -> Result<Report, Failure>;
    /// `fred-goto POS`: `12`, `@3`, `@a7`, `50%`
    fn goto(&mut self, position: &str, console: &mut dyn Console) -> Result<Report, Failure>;
    /// `fred-when`
    fn when(&mut self) -> Result<Report, Failure>;

    /// Evaluates an expression at the present, on a throw-away copy: whether it could be, and the value or the reason.
    fn evaluate(&mut self, expression: &str) -> Result<(bool, String), Failure>;

    /// Whether a stop is in the debugger's own code and not in the program's.
    fn is_own_code(&self, stop: &Stop) -> bool {
        let _ = stop;
        false
    }

    /// What to type first to have the program at its beginning, where nothing else was said.
    fn begins_with(&self) -> Vec<String> {
        Vec::new()
    }

    /// Names for completion: checkpoint ids, branch names.
    fn names(&self) -> (Vec<String>, Vec<String>);
}
