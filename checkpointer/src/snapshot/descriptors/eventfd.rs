//! eventfd(2): the count.

use std::io;
use std::os::fd::BorrowedFd;

use serde::{Deserialize, Serialize};

use super::value;
use crate::raw;

/// Reads of one from a semaphore that are done at most to bring its count down.
const STEPS: u64 = 1 << 20;

/// The count, and whether a read takes only one (EFD_SEMAPHORE).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    count: u64,
    semaphore: bool,
}

/// From fdinfo; the count is hexadecimal there.
#[must_use]
pub fn capture(text: &str) -> Option<Count> {
    let count = u64::from_str_radix(value(text, "eventfd-count")?, 16).ok()?;
    Some(Count { count, semaphore: value(text, "eventfd-semaphore").is_some_and(|value| value != "0") })
}

/// Takes what is there and writes the count.
///
/// # Errors
/// What read or write say; a semaphore that is too far up.
pub fn put_back(state: &Count, fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut eight = [0; 8];
    let mut steps = 0;
    // RWF_NOWAIT: the eventfd may be a blocking one, and its flag is the program's.
    while raw::read_now(fd, &mut eight).is_ok() {
        steps += 1;
        if !state.semaphore {
            break;
        }
        if steps == STEPS {
            return Err(io::Error::other("the semaphore was raised too far to be lowered again"));
        }
    }
    if state.count > 0 {
        nix::unistd::write(fd, &state.count.to_ne_bytes())?;
    }
    Ok(())
}
