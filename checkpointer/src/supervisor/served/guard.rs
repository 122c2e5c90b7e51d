//! The guard: the program is kept right before its debugger changes it, if that happens at all.

use super::Supervisor;
use super::allocations::OURS;
use crate::wire::CopyId;

/// Whether the debugger's next change is waited for.
#[derive(Debug, Default)]
pub(in crate::supervisor) enum Guard {
    /// It is not.
    #[default]
    Down,
    /// It is.
    Up,
    /// It has come: what the program was before, or why that could not be kept.
    Passed(Result<CopyId, String>),
}

impl Supervisor {
    /// The debugger is about to write to the program's memory.
    pub(super) fn guard_memory(&mut self, address: u64) {
        // What it has there is its own.
        if !OURS.contains(&address) {
            self.pass_guard();
        }
    }

    /// The debugger is about to change the program, or to let it go.
    pub(super) fn pass_guard(&mut self) {
        if matches!(self.guard, Guard::Up) {
            self.guard = Guard::Passed(self.checkpoint_program().map(|(copy, _)| copy));
        }
    }

    /// Takes the guard away; the program as it was before the debugger has changed it, if it has.
    pub(in crate::supervisor) fn end_guard(&mut self) -> Result<Option<CopyId>, String> {
        match std::mem::take(&mut self.guard) {
            Guard::Passed(kept) => kept.map(Some),
            Guard::Down | Guard::Up => Ok(None),
        }
    }
}
