//! The full-screen view of a session. It imports nothing of fred: fred implements [`Driver`] for it.
//!
//! The view itself is drawn by a later issue; this crate fixes the seam.

/// One row of the history pane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The history number, from 1.
    pub number: u32,
    /// The command as typed.
    pub line: String,
    /// Where it stopped, as `file:line in function`, if it moved.
    pub place: Option<String>,
    /// Whether the session is here.
    pub current: bool,
}

/// What the view asks of a session.
pub trait Driver {
    /// Why a command failed, in words for the user.
    type Error: std::fmt::Display;

    /// The rows of the current line of history, oldest first.
    fn history(&self) -> Vec<Row>;

    /// The debugger's prompt, as it would be shown.
    fn prompt(&self) -> String;

    /// Runs one line, of the debugger or of fred; returns what it printed.
    ///
    /// # Errors
    /// The command could not do what it was asked; the session goes on.
    fn run_line(&mut self, line: &str) -> Result<String, Self::Error>;
}
