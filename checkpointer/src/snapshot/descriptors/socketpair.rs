//! Pairs of AF_UNIX sockets of which the process has both ends: what is queued in both directions, with message boundaries,
//! and what was shut down. Which socket is whose peer only the kernel knows: it is asked by NETLINK_SOCK_DIAG (CONFIG_UNIX_DIAG).
//!
//! Not carried: descriptors and credentials in flight. A zero-length message is found by one capture only, because peeking at it with
//! SO_PEEK_OFF marks it (`__skb_try_recv_from_queue`, net/core/datagram.c).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::unistd::{read, write};
use serde::{Deserialize, Serialize};
use syscalls::Sysno;

use super::{Open, Table, close, replace};
use crate::inject::{InjectError, Remote};
use crate::raw;
use crate::snapshot::scratch::{call, refusal, result};

/// The largest message that is copied whole.
const MESSAGE: usize = 1 << 20;

/// One end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    numbers: Vec<i32>,
    /// Bit 0: shut down for receiving, bit 1: for sending.
    shutdown: u8,
    /// What waits to be received here.
    queue: Vec<Vec<u8>>,
}

/// A pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    kind: i32,
    ends: [End; 2],
}

impl Pair {
    /// A number that stands for one of its ends.
    pub(crate) fn number(&self) -> i32 {
        self.ends[0].numbers.first().copied().unwrap_or(-1)
    }
}

/// Inode of the peer, and what is shut down.
struct Diagnosis {
    peer: Option<u32>,
    shutdown: u8,
}

/// Asks about the AF_UNIX socket with this inode; `None` when the kernel cannot tell. See unix_diag in sock_diag(7).
fn diagnose(diagnosis: &OwnedFd, inode: u32) -> io::Result<Option<Diagnosis>> {
    const SHOW_PEER: u32 = 4;
    let mut question = Vec::new();
    // struct nlmsghdr: length, type SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, sequence, port.
    question.extend(40_u32.to_ne_bytes());
    question.extend(20_u16.to_ne_bytes());
    question.extend(1_u16.to_ne_bytes());
    question.extend([0; 8]);
    // struct unix_diag_req: family, protocol, pad, states, inode, what to show, no cookie.
    question.extend([libc::AF_UNIX as u8, 0, 0, 0]);
    for word in [u32::MAX, inode, SHOW_PEER, u32::MAX, u32::MAX] {
        question.extend(word.to_ne_bytes());
    }
    write(diagnosis, &question)?;
    let mut answer = [0; 1024];
    let length = read(diagnosis, &mut answer)?;
    let half = |at: usize| u16::from_ne_bytes([answer[at], answer[at + 1]]);
    // Another type is an error: no such socket in our network namespace, or no CONFIG_UNIX_DIAG.
    if length < 32 || half(4) != 20 {
        return Ok(None);
    }
    let mut found = Diagnosis { peer: None, shutdown: 0 };
    // Attributes follow the header (16 bytes) and struct unix_diag_msg (16 bytes).
    let mut at = 32;
    while at + 4 < length {
        let (size, kind) = (usize::from(half(at)), half(at + 2));
        match kind {
            2 if size >= 8 => found.peer = Some(u32::from(half(at + 4)) | u32::from(half(at + 6)) << 16),
            6 => found.shutdown = answer[at + 4],
            _ => {}
        }
        at += size.max(4).next_multiple_of(4);
    }
    Ok(Some(found))
}

/// Copies what is queued in each pair with both ends among `sockets`.
pub(crate) fn capture(sockets: &[Open], lost: &mut Vec<String>) -> io::Result<Vec<Pair>> {
    let is_unix = |socket: &&Open| {
        raw::socket_option(socket.fd.as_fd(), libc::SOL_SOCKET, libc::SO_DOMAIN).is_ok_and(|it| it == libc::AF_UNIX)
    };
    let sockets: Vec<&Open> = sockets.iter().filter(is_unix).collect();
    let mut pairs = Vec::new();
    if sockets.len() < 2 {
        return Ok(pairs);
    }
    let diagnosis = raw::socket_diagnosis()?;
    let mut done: Vec<u64> = Vec::new();
    for socket in &sockets {
        if done.contains(&socket.stat.st_ino) {
            continue;
        }
        let Some(here) = diagnose(&diagnosis, socket.stat.st_ino as u32)? else {
            lost.push(format!("socket at descriptor {}: the kernel does not tell its peer", socket.number));
            continue;
        };
        let is_peer = |other: &&&Open| here.peer.is_some_and(|peer| u64::from(peer) == other.stat.st_ino);
        let Some(other) = sockets.iter().find(is_peer) else { continue };
        let there = diagnose(&diagnosis, other.stat.st_ino as u32)?.map_or(0, |there| there.shutdown);
        done.push(other.stat.st_ino);
        let kind = raw::socket_option(socket.fd.as_fd(), libc::SOL_SOCKET, libc::SO_TYPE)?;
        let mut end = |end: &Open, shutdown| {
            let same = sockets.iter().filter(|other| other.stat.st_ino == end.stat.st_ino);
            let numbers = same.map(|same| same.number).collect();
            let queue = peek(end, kind, shutdown, lost)?;
            Ok::<_, io::Error>(End { numbers, shutdown, queue })
        };
        pairs.push(Pair { kind, ends: [end(socket, here.shutdown)?, end(other, there)?] });
    }
    Ok(pairs)
}

/// Reads the whole queue without taking anything: SO_PEEK_OFF makes each peek go on where the last one ended.
fn peek(end: &Open, kind: i32, shutdown: u8, lost: &mut Vec<String>) -> io::Result<Vec<Vec<u8>>> {
    let fd = end.fd.as_fd();
    let before = raw::socket_option(fd, libc::SOL_SOCKET, libc::SO_PEEK_OFF)?;
    raw::set_socket_option(fd, libc::SOL_SOCKET, libc::SO_PEEK_OFF, 0)?;
    let mut refused = false;
    let queue = take(fd, kind, shutdown, libc::MSG_PEEK, &mut refused);
    raw::set_socket_option(fd, libc::SOL_SOCKET, libc::SO_PEEK_OFF, before)?;
    if refused {
        lost.push(format!("socket at descriptor {}: descriptors, credentials or large messages in flight", end.number));
    }
    queue
}

/// Receives until nothing is left.
fn take(fd: BorrowedFd<'_>, kind: i32, shutdown: u8, flags: i32, refused: &mut bool) -> io::Result<Vec<Vec<u8>>> {
    let mut queue = Vec::new();
    let mut buffer = vec![0; MESSAGE];
    let truncation = if kind == libc::SOCK_STREAM { 0 } else { libc::MSG_TRUNC };
    loop {
        match raw::receive(fd, &mut buffer, flags | truncation) {
            // The end of a stream, and what a socket that was shut down for receiving gives for ever.
            Ok(received) if received.length == 0 && (kind == libc::SOCK_STREAM || shutdown & 1 != 0) => {
                return Ok(queue);
            }
            Ok(received) => {
                *refused |= received.ancillary || received.length > buffer.len();
                queue.push(buffer[..received.length.min(buffer.len())].to_vec());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(queue),
            Err(error) => return Err(error),
        }
    }
}

/// Empties both queues and fills them again. A shutdown cannot be undone, so if one came since the capture (or has to come after
/// the filling) the process gets a new pair under the same numbers.
pub(crate) fn put_back(
    state: &Pair,
    table: &Table,
    remote: &mut dyn Remote,
    warnings: &mut Vec<String>,
) -> Result<(), InjectError> {
    let name = state.ends[0].numbers[0];
    if is_shut(state, table).unwrap_or(true) || state.ends.iter().any(|end| end.shutdown != 0 && !end.queue.is_empty())
    {
        let scratch = remote.scratch();
        call(remote, Sysno::socketpair, &[libc::AF_UNIX as u64, state.kind as u64, 0, scratch])?;
        let bytes = result::<8>(remote, 0)?;
        for (end, fresh) in state.ends.iter().zip(bytes.chunks_exact(4)) {
            let fresh = u64::from(fresh[0]) | u64::from(fresh[1]) << 8 | u64::from(fresh[2]) << 16;
            for number in &end.numbers {
                replace(table, fresh, *number, remote)?;
            }
            close(fresh, remote)?;
        }
        warnings
            .push(format!("the socket pair at descriptor {name} was made anew: its socket options are the default"));
        if let Err(error) = fill(state, table) {
            warnings.push(format!("the socket pair at descriptor {name}: {error}"));
        }
        for end in state.ends.iter().filter(|end| end.shutdown != 0) {
            // SHUT_RD is 0, SHUT_WR 1, SHUT_RDWR 2: one less than the kernel's bits.
            refusal(call(remote, Sysno::shutdown, &[end.numbers[0] as u64, u64::from(end.shutdown) - 1]))?.ok();
        }
    } else if let Err(error) = fill(state, table) {
        warnings.push(format!("the socket pair at descriptor {name}: {error}"));
    }
    Ok(())
}

/// Whether anything is shut down now that was not at capture.
fn is_shut(state: &Pair, table: &Table) -> io::Result<bool> {
    let diagnosis = raw::socket_diagnosis()?;
    for end in &state.ends {
        let fd = table.get(end.numbers[0])?;
        let now = diagnose(&diagnosis, nix::sys::stat::fstat(&fd)?.st_ino as u32)?;
        if now.is_none_or(|now| now.shutdown != end.shutdown || now.peer.is_none()) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn fill(state: &Pair, table: &Table) -> io::Result<()> {
    let sockets = [table.get(state.ends[0].numbers[0])?, table.get(state.ends[1].numbers[0])?];
    for (index, end) in state.ends.iter().enumerate() {
        take(sockets[index].as_fd(), state.kind, end.shutdown, 0, &mut false)?;
    }
    for (index, end) in state.ends.iter().enumerate() {
        for message in &end.queue {
            let mut rest = message.as_slice();
            while {
                let sent = raw::send(sockets[1 - index].as_fd(), rest)?;
                rest = &rest[sent..];
                !rest.is_empty()
            } {}
        }
    }
    Ok(())
}
