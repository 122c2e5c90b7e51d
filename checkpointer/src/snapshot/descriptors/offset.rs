//! Regular files, directories and block devices: the position. (Status flags are put back for every descriptor.)
//!
//! Not done here: what was written to the file since the checkpoint stays written, a file that was cut shorter stays so, and a
//! file that was opened O_APPEND appends behind what is there now. Undoing or repeating writes is the recorder's affair.

use std::io;
use std::os::fd::BorrowedFd;

use nix::unistd::{Whence, lseek};
use serde::{Deserialize, Serialize};

/// Position in a file; `None` when the file has none (files of some special file systems).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offset(Option<i64>);

/// Notes the position.
#[must_use]
pub fn capture(fd: BorrowedFd<'_>) -> Offset {
    Offset(lseek(fd, 0, Whence::SeekCur).ok())
}

/// Seeks to it.
///
/// # Errors
/// What lseek(2) says.
pub fn put_back(state: &Offset, fd: BorrowedFd<'_>) -> io::Result<()> {
    match state.0 {
        Some(position) if capture(fd) != *state => {
            lseek(fd, position, Whence::SeekSet).map(|_| ()).map_err(io::Error::from)
        }
        _ => Ok(()),
    }
}
