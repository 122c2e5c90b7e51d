//! Memory files (memfd_create(2)): size and contents. Nobody else has them, so they are memory of the process, mapped or not.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::stat::FileStat;
use nix::unistd::{Whence, ftruncate, lseek};
use serde::{Deserialize, Serialize};

/// Size and contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    size: i64,
    /// Offset and bytes of each part that is not a hole; `None` when F_SEAL_WRITE says that it cannot change any more.
    parts: Option<Vec<(i64, Vec<u8>)>>,
}

/// Reads what is not a hole, and leaves the position as it was.
///
/// # Errors
/// What the file says.
pub fn capture(fd: &OwnedFd, stat: &FileStat) -> io::Result<Contents> {
    if fcntl(fd, FcntlArg::F_GET_SEALS).is_ok_and(|seals| seals & libc::F_SEAL_WRITE != 0) {
        return Ok(Contents { size: stat.st_size, parts: None });
    }
    let position = lseek(fd, 0, Whence::SeekCur)?;
    let file = File::from(fd.try_clone()?);
    let mut parts = Vec::new();
    let mut at = 0;
    let result = loop {
        let start = match lseek(fd, at, Whence::SeekData) {
            Ok(start) => start,
            Err(Errno::ENXIO) => break Ok(()),
            Err(error) => break Err(error),
        };
        at = lseek(fd, start, Whence::SeekHole)?;
        let mut bytes = vec![0; (at - start) as usize];
        file.read_exact_at(&mut bytes, start as u64)?;
        parts.push((start, bytes));
    };
    lseek(fd, position, Whence::SeekSet)?;
    result?;
    Ok(Contents { size: stat.st_size, parts: Some(parts) })
}

/// Writes size and contents.
///
/// # Errors
/// EPERM when the file was sealed since.
pub fn put_back(state: &Contents, fd: &OwnedFd) -> io::Result<()> {
    let Some(parts) = &state.parts else { return Ok(()) };
    if capture(fd, &nix::sys::stat::fstat(fd)?)? == *state {
        return Ok(());
    }
    ftruncate(fd, 0)?;
    ftruncate(fd, state.size)?;
    let file = File::from(fd.try_clone()?);
    for (offset, bytes) in parts {
        file.write_all_at(bytes, *offset as u64)?;
    }
    Ok(())
}
