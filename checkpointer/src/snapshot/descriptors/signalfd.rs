//! signalfd(2): the mask. (The signals that it would give are pending signals of the process.)

use std::io;
use std::os::fd::BorrowedFd;

use serde::{Deserialize, Serialize};

use super::value;
use crate::raw;

/// The mask; bit n-1 is signal n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mask(u64);

/// From fdinfo.
#[must_use]
pub fn capture(text: &str) -> Option<Mask> {
    u64::from_str_radix(value(text, "sigmask")?, 16).ok().map(Mask)
}

/// Sets the mask; it belongs to the description, so this is done from outside.
///
/// # Errors
/// What signalfd4(2) says.
pub fn put_back(state: &Mask, fd: BorrowedFd<'_>) -> io::Result<()> {
    raw::signalfd_mask(fd, state.0)
}
