//! The vocabulary that every layer shares: what a command does, and where a program stopped.

use serde::{Deserialize, Serialize};

/// What a command line does to the session; the strongest one that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Only looks: `print`, `list`, `where`. `fred-undo` passes over it.
    Queries,
    /// Changes the debugger's settings: breakpoints, displays, aliases.
    Configures,
    /// Changes the program's state without moving it: an assignment, a call, any unknown line.
    Mutates,
    /// Lets the program run.
    Moves,
}

/// Why the program stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// A stepping command ended.
    Step,
    /// A breakpoint was hit.
    Breakpoint,
    /// A watchpoint fired.
    Watchpoint,
    /// A signal arrived.
    Signal,
    /// An exception was raised or was not caught.
    Exception,
    /// The user interrupted it.
    Interrupt,
    /// The first stop of the program.
    Entry,
    /// The program, or the debugger with it, has ended.
    Exited,
}

/// A stop of the program: the `STOP` object of the event stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stop {
    /// Why it stopped.
    pub reason: Reason,
    /// Absolute path of the source file, or what the debugger names instead (`<string>`).
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
    /// Function, as the debugger names it (`<module>` for Python's top level).
    pub function: Option<String>,
    /// Frames of the program, the outermost being 1. `None` when it was not asked for.
    pub depth: Option<u32>,
    /// Thread number of the debugger, from 1.
    pub thread: Option<u32>,
    /// Exit status, for [`Reason::Exited`].
    pub exit_code: Option<i32>,
    /// Signal name, such as `SIGSEGV`.
    pub signal: Option<String>,
}

impl Stop {
    /// A stop of which nothing but the reason is known.
    pub fn nowhere(reason: Reason) -> Stop {
        Stop {
            reason,
            file: None,
            line: None,
            function: None,
            depth: None,
            thread: None,
            exit_code: None,
            signal: None,
        }
    }
}
