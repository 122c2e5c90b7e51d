//! What a forked checkpoint must carry by hand: one file for each kind of kernel state, with `capture` and `put_back`
//! side by side. `capture` is called on the stopped live process when a checkpoint is taken; `put_back` on the process
//! that is about to run, and returns a sentence for each thing that could not be brought back.

pub mod attributes;
pub mod descriptors;
pub mod fork;
pub mod fork_advice;
pub(crate) mod maps;
mod scratch;
pub mod shared_memory;
pub mod signals;
pub mod state;
pub mod threads;
pub mod timers;
pub mod zombies;
