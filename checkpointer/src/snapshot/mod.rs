//! What a forked checkpoint must carry by hand: one file for each kind of kernel state, with `capture` and `put_back`
//! side by side.

pub mod fork;
pub mod state;
pub mod threads;
pub mod zombies;
