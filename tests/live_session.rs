//! fred as a user meets it: the real program on a terminal, with a real pdb.
//!
//! Needs `python3` in PATH; every CPython in `~/.pyenv/versions` is tried as well.

mod live;

#[path = "live/deaths.rs"]
mod deaths;
#[path = "live/input.rs"]
mod input;
#[path = "live/interrupts.rs"]
mod interrupts;
#[path = "live/moves.rs"]
mod moves;
#[path = "live/output.rs"]
mod output;
