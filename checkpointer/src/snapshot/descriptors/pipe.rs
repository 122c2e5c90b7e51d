//! Pipes of which the process has both ends: the bytes in them, with the boundaries of O_DIRECT packets. A pipe with one end
//! here belongs to the world and is left alone.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;
use serde::{Deserialize, Serialize};

use super::{Open, Table, same_file};
use crate::raw;

/// The contents of one pipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pipe {
    /// A descriptor of the reading end.
    pub read: i32,
    write: i32,
    capacity: i32,
    chunks: Vec<Vec<u8>>,
}

/// Copies the contents of each pipe with both ends among `fifos`, by tee(2) into a pipe of ours: nothing is consumed.
pub(crate) fn capture(fifos: &[Open], lost: &mut Vec<String>) -> io::Result<Vec<Pipe>> {
    let mut pipes = Vec::new();
    let mut seen: Vec<&Open> = Vec::new();
    for reader in fifos.iter().filter(|end| end.flags & libc::O_ACCMODE != libc::O_WRONLY) {
        let writes = |end: &&Open| end.flags & libc::O_ACCMODE != libc::O_RDONLY && same_file(&end.stat, &reader.stat);
        let Some(writer) = fifos.iter().find(writes) else { continue };
        if seen.iter().any(|other| same_file(&other.stat, &reader.stat)) {
            continue;
        }
        seen.push(reader);
        let capacity = fcntl(&reader.fd, FcntlArg::F_GETPIPE_SZ)?;
        let waiting = raw::bytes_waiting(reader.fd.as_fd())?;
        let chunks = if waiting == 0 { Vec::new() } else { copy(&reader.fd, writer.flags, capacity)? };
        if chunks.iter().map(Vec::len).sum::<usize>() != waiting {
            lost.push(format!("the pipe at descriptor {} is larger than a pipe may be made here", reader.number));
        }
        pipes.push(Pipe { read: reader.number, write: writer.number, capacity, chunks });
    }
    Ok(pipes)
}

fn copy(from: &OwnedFd, flags: i32, capacity: i32) -> io::Result<Vec<Vec<u8>>> {
    let packets = flags & libc::O_DIRECT != 0;
    let mode = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let (read, write) = pipe2(if packets { mode | OFlag::O_DIRECT } else { mode })?;
    // As many slots as the original has. May be refused without privilege; then less is copied, and the caller says so.
    let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(capacity));
    raw::tee(from.as_fd(), write.as_fd(), usize::MAX >> 1)?;
    drop(write);
    let mut read = File::from(read);
    let mut chunks = Vec::new();
    loop {
        // In packet mode one read gives one packet, of at most a page (tee keeps PIPE_BUF_FLAG_PACKET).
        let mut chunk = vec![0; 65536];
        let length = read.read(&mut chunk)?;
        if length == 0 {
            return Ok(chunks);
        }
        chunk.truncate(length);
        chunks.push(chunk);
    }
}

/// Empties the pipe and fills it again.
pub(crate) fn put_back(state: &Pipe, table: &Table) -> io::Result<()> {
    let (read, write) = (table.get(state.read)?, table.get(state.write)?);
    let mut rest = vec![0; 65536];
    while raw::bytes_waiting(read.as_fd())? > 0 {
        raw::read_now(read.as_fd(), &mut rest)?;
    }
    if fcntl(&read, FcntlArg::F_GETPIPE_SZ)? != state.capacity {
        fcntl(&read, FcntlArg::F_SETPIPE_SZ(state.capacity))?;
    }
    // Packets stay packets only if the end is in that mode while they are written.
    let flags = fcntl(&write, FcntlArg::F_GETFL)?;
    fcntl(&write, FcntlArg::F_SETFL(OFlag::from_bits_retain(flags | libc::O_NONBLOCK)))?;
    let mut file = File::from(write.try_clone()?);
    let written = state.chunks.iter().try_for_each(|chunk| file.write_all(chunk));
    fcntl(&write, FcntlArg::F_SETFL(OFlag::from_bits_retain(flags)))?;
    written
}
