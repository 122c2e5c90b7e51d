//! Pure search over an execution, through the [`probe::Probe`] trait. No process, no I/O.

mod chance;
pub mod native;
pub mod pass;
pub mod previous;
pub mod probe;
pub mod watch;
