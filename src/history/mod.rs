//! What happened in a session: commands, stops, points of the execution, and which checkpoints to keep.
//! Pure data and pure functions; no process, no I/O.

pub mod entry;
