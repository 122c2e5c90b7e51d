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
    /// It is, and the program is to be kept, or not.
    Up {
        /// To be kept.
        keep: bool,
    },
    /// It has come: what the program was before if that was to be kept, or why it could not be.
    Passed(Result<Option<CopyId>, String>),
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
        if let Guard::Up { keep } = self.guard {
            let kept = if keep { self.checkpoint_program().map(|(copy, _)| Some(copy)) } else { Ok(None) };
            self.guard = Guard::Passed(kept);
        }
    }

    /// Takes the guard away; if the debugger has changed the program, what it was before, if that was to be kept.
    pub(in crate::supervisor) fn end_guard(&mut self) -> Result<Option<Option<CopyId>>, String> {
        match std::mem::take(&mut self.guard) {
            Guard::Passed(kept) => kept.map(Some),
            Guard::Down | Guard::Up { .. } => Ok(None),
        }
    }
}
