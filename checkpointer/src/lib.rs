//! A transparent checkpointer for Linux: it supervises every process of a session with ptrace, takes a checkpoint by
//! forking the stopped process, and restores by forking the copy. Needs no privilege and no change to the program.
//!
//! Nothing here knows what a debugger is.

pub mod client;
pub mod doctor;
pub mod inject;
mod launch;
pub mod ptrace;
pub mod raw;
pub mod record;

pub mod rsp;
mod signals;
pub mod snapshot;
pub mod supervisor;
pub mod syscalls;
pub mod wire;
