//! Pure search over an execution, through the [`probe::Probe`] trait. No process, no I/O.

pub mod native;
pub mod pass;
pub mod previous;
pub mod probe;
pub mod watch;
