//! Open descriptors. Fork copies the table but shares the open file descriptions, so what the live process does to them
//! (moves an offset, drains a pipe, changes an epoll set) happens to every copy. What is found at capture is put back when a
//! copy is about to run; only one copy runs at any time.
//!
//! Descriptors are examined and mended through duplicates (pidfd_getfd(2), about a microsecond), not by injected calls, wherever
//! the call acts on the description and not on the table.
//!
//! Not done here: a copy that is not running still holds its ends of pipes and socket pairs, so a program that closes one end after
//! the checkpoint sees no end of file at the other while the checkpoint lives. Where the session is recorded they are taken from it
//! (`supervisor/tape/hidden.rs`).

pub mod epoll;
pub mod eventfd;
pub mod inotify;
pub mod memfd;
pub mod offset;
pub mod pipe;
pub mod record_locks;
pub mod signalfd;
pub mod socketpair;
pub mod timerfd;

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::{FileStat, fstat};
use serde::{Deserialize, Serialize};
use syscalls::Sysno;

use super::scratch::{call, refusal, trouble};
use super::state::Hints;
use crate::inject::{InjectError, Remote};
use crate::raw;

/// What a descriptor needs besides its status flags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Kind {
    Offset(offset::Offset),
    Memfd(offset::Offset, memfd::Contents),
    Eventfd(eventfd::Count),
    Timerfd(timerfd::Timer),
    Epoll(epoll::Set),
    Signalfd(signalfd::Mask),
    Inotify(inotify::Watches),
    /// Terminals, devices, sockets, pipes: their flags, and what `pipes` and `pairs` say.
    Flags,
}

/// One descriptor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Descriptor {
    number: i32,
    /// Status flags, as from F_GETFL.
    flags: i32,
    /// Who gets its signals (F_GETOWN_EX), when it sends any.
    owner: Option<(i32, i32)>,
    kind: Kind,
}

/// All descriptors of a process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Descriptors {
    table: Vec<Descriptor>,
    pipes: Vec<pipe::Pipe>,
    pairs: Vec<socketpair::Pair>,
    locks: Vec<record_locks::Lock>,
    lost: Vec<String>,
}

/// A descriptor in a process's table, and our duplicate of it.
pub(crate) struct Open {
    pub(crate) number: i32,
    pub(crate) flags: i32,
    pub(crate) stat: FileStat,
    pub(crate) fd: OwnedFd,
}

/// Access to another process's descriptors.
pub(crate) struct Table {
    pidfd: OwnedFd,
    pid: i32,
}

impl Table {
    fn of(remote: &dyn Remote) -> Result<Self, InjectError> {
        let pid = remote.pid().as_raw();
        let pidfd = raw::pidfd_open(pid).map_err(|source| trouble("opening it by its id", remote, source))?;
        Ok(Self { pidfd, pid })
    }

    /// A duplicate of one descriptor.
    pub(crate) fn get(&self, number: i32) -> io::Result<OwnedFd> {
        raw::pidfd_getfd(self.pidfd.as_fd(), number)
    }

    /// The text of /proc/PID/fdinfo/N.
    pub(crate) fn information(&self, number: i32) -> io::Result<String> {
        fs::read_to_string(format!("/proc/{}/fdinfo/{number}", self.pid))
    }

    /// What /proc/PID/fd/N points to.
    pub(crate) fn link(&self, number: i32) -> io::Result<String> {
        let target = fs::read_link(format!("/proc/{}/fd/{number}", self.pid))?;
        Ok(target.to_string_lossy().into_owned())
    }

    fn numbers(&self) -> io::Result<Vec<i32>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(format!("/proc/{}/fd", self.pid))? {
            numbers.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn open(&self, number: i32) -> io::Result<Open> {
        let fd = self.get(number)?;
        let stat = fstat(&fd)?;
        let flags = fcntl(&fd, FcntlArg::F_GETFL)?;
        Ok(Open { number, flags, stat, fd })
    }
}

/// Notes every descriptor.
///
/// # Errors
/// Any trouble with the process or its entries in /proc.
pub fn capture(remote: &mut dyn Remote, hints: &Hints) -> Result<Descriptors, InjectError> {
    let table = Table::of(remote)?;
    let fail = |source| trouble("its descriptors", remote, source);
    let mut state = Descriptors::default();
    let (mut fifos, mut sockets, mut files) = (Vec::new(), Vec::new(), Vec::new());
    for number in table.numbers().map_err(fail)? {
        let open = table.open(number).map_err(fail)?;
        if open.flags & libc::O_PATH != 0 {
            continue;
        }
        let kind = match open.stat.st_mode & libc::S_IFMT {
            libc::S_IFREG | libc::S_IFDIR | libc::S_IFBLK => file(&table, &open, &mut state.lost),
            0 => special(&table, &open, hints, &mut state.lost),
            _ => Ok(Kind::Flags),
        };
        let signals = open.flags & libc::O_ASYNC != 0;
        let owner = if signals { raw::descriptor_owner(open.fd.as_fd()).ok() } else { None };
        state.table.push(Descriptor { number, flags: open.flags, owner, kind: kind.map_err(fail)? });
        match open.stat.st_mode & libc::S_IFMT {
            libc::S_IFIFO => fifos.push(open),
            libc::S_IFSOCK => sockets.push(open),
            libc::S_IFREG | libc::S_IFBLK => files.push(number),
            _ => {}
        }
    }
    state.pipes = pipe::capture(&fifos, &mut state.lost).map_err(fail)?;
    state.pairs = socketpair::capture(&sockets, &mut state.lost).map_err(fail)?;
    state.locks = record_locks::capture(&table, &files).map_err(fail)?;
    Ok(state)
}

/// Puts the descriptors of which `only` says so back into the state that they had. `translate` gives the real id that now stands for one at capture.
///
/// # Errors
/// Any trouble with the process; a descriptor that cannot be brought back becomes a warning that names it.
pub fn put_back(
    state: &Descriptors,
    remote: &mut dyn Remote,
    translate: &dyn Fn(i32) -> i32,
    only: &dyn Fn(i32) -> bool,
) -> Result<Vec<String>, InjectError> {
    let table = Table::of(remote)?;
    let mut warnings = state.lost.clone();
    // First the pairs that are made anew, and inotify, because epoll sets may have them as members.
    for pair in state.pairs.iter().filter(|pair| only(pair.number())) {
        socketpair::put_back(pair, &table, remote, &mut warnings)?;
    }
    for pipe in state.pipes.iter().filter(|pipe| only(pipe.read)) {
        note(&mut warnings, pipe.read, pipe::put_back(pipe, &table));
    }
    let (sets, others): (Vec<_>, Vec<_>) = {
        let wanted = state.table.iter().filter(|one| only(one.number));
        wanted.partition(|one| matches!(one.kind, Kind::Epoll(_)))
    };
    for descriptor in others.into_iter().chain(sets) {
        let number = descriptor.number;
        let fd = match table.get(number) {
            Ok(fd) => fd,
            Err(error) => {
                warnings.push(format!("descriptor {number}: {error}"));
                continue;
            }
        };
        match &descriptor.kind {
            Kind::Flags => {}
            Kind::Offset(offset) => note(&mut warnings, number, offset::put_back(offset, fd.as_fd())),
            Kind::Memfd(offset, contents) => {
                note(&mut warnings, number, memfd::put_back(contents, &fd));
                note(&mut warnings, number, offset::put_back(offset, fd.as_fd()));
            }
            Kind::Eventfd(count) => note(&mut warnings, number, eventfd::put_back(count, fd.as_fd())),
            Kind::Timerfd(timer) => note(&mut warnings, number, timerfd::put_back(timer, fd.as_fd())),
            Kind::Signalfd(mask) => note(&mut warnings, number, signalfd::put_back(mask, fd.as_fd())),
            Kind::Epoll(set) => epoll::put_back(set, number, &table, remote, &mut warnings)?,
            Kind::Inotify(watches) => inotify::put_back(watches, number, &fd, &table, remote, &mut warnings)?,
        }
        note(&mut warnings, number, set_flags(descriptor, &fd, translate));
    }
    Ok(warnings)
}

/// Takes the record locks again that the process had.
///
/// # Errors
/// Any trouble with the process; a lock that cannot be had becomes a warning.
pub fn put_back_locks(state: &Descriptors, remote: &mut dyn Remote) -> Result<Vec<String>, InjectError> {
    let mut warnings = Vec::new();
    for lock in &state.locks {
        record_locks::put_back(lock, remote, &mut warnings)?;
    }
    Ok(warnings)
}

fn note(warnings: &mut Vec<String>, number: i32, result: io::Result<()>) {
    if let Err(error) = result {
        warnings.push(format!("descriptor {number}: {error}"));
    }
}

fn set_flags(descriptor: &Descriptor, fd: &OwnedFd, translate: &dyn Fn(i32) -> i32) -> io::Result<()> {
    if let Some((kind, id)) = descriptor.owner {
        // A group's id (F_OWNER_PGRP is 2) is not translated: copies stay in their group.
        raw::set_descriptor_owner(fd.as_fd(), (kind, if kind == 2 { id } else { translate(id) }))?;
    }
    if fcntl(fd, FcntlArg::F_GETFL)? != descriptor.flags {
        fcntl(fd, FcntlArg::F_SETFL(OFlag::from_bits_retain(descriptor.flags)))?;
    }
    Ok(())
}

fn file(table: &Table, open: &Open, lost: &mut Vec<String>) -> io::Result<Kind> {
    let offset = offset::capture(open.fd.as_fd());
    let nameless = open.stat.st_nlink == 0 && open.stat.st_mode & libc::S_IFMT == libc::S_IFREG;
    if nameless && table.link(open.number)?.starts_with("/memfd:") {
        return match memfd::capture(&open.fd, &open.stat) {
            Ok(contents) => Ok(Kind::Memfd(offset, contents)),
            Err(error) => {
                lost.push(format!("contents of the memory file at descriptor {}: {error}", open.number));
                Ok(Kind::Offset(offset))
            }
        };
    }
    Ok(Kind::Offset(offset))
}

/// Descriptors without a file: told apart by what /proc/PID/fd says (anon_inode_getfd's names).
fn special(table: &Table, open: &Open, hints: &Hints, lost: &mut Vec<String>) -> io::Result<Kind> {
    let link = table.link(open.number)?;
    let name = link.trim_start_matches("anon_inode:").trim_matches(['[', ']']);
    let text = table.information(open.number)?;
    let kind = match name {
        "eventfd" => eventfd::capture(&text).map(Kind::Eventfd),
        "timerfd" => timerfd::capture(&text).map(Kind::Timerfd),
        "eventpoll" => epoll::capture(&text).map(Kind::Epoll),
        "signalfd" => signalfd::capture(&text).map(Kind::Signalfd),
        "inotify" => inotify::capture(&text, open, table, hints).map(Kind::Inotify),
        // A pidfd names the same process in every copy.
        "pidfd" => Some(Kind::Flags),
        _ => None,
    };
    Ok(kind.unwrap_or_else(|| {
        lost.push(format!("descriptor {}: nothing is known about the state of {link}", open.number));
        Kind::Flags
    }))
}

/// The hexadecimal or other number after `key:` in a text of fdinfo.
pub(crate) fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
}

/// Moves the process's descriptor `from` over the number `to`, which keeps its close-on-exec flag.
pub(crate) fn replace(table: &Table, from: u64, to: i32, remote: &mut dyn Remote) -> Result<(), InjectError> {
    // fdinfo's flags (octal) hold O_CLOEXEC of the descriptor besides the flags of the description.
    let text = table.information(to).map_err(|source| trouble("a descriptor", remote, source))?;
    let flags = value(&text, "flags").and_then(|flags| i32::from_str_radix(flags, 8).ok()).unwrap_or(0);
    call(remote, Sysno::dup3, &[from, to as u64, (flags & libc::O_CLOEXEC) as u64]).map(|_| ())
}

/// Closes a descriptor of the process.
pub(crate) fn close(fd: u64, remote: &mut dyn Remote) -> Result<(), InjectError> {
    refusal(call(remote, Sysno::close, &[fd])).map(|_| ())
}

/// Whether two duplicates stand for the same file of the file system.
pub(crate) fn same_file(a: &FileStat, b: &FileStat) -> bool {
    (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
}

/// Reads what waits, never blocking: only when poll(2) says that there is something.
pub(crate) fn is_readable(fd: &OwnedFd) -> bool {
    let mut polled = [nix::poll::PollFd::new(fd.as_fd(), nix::poll::PollFlags::POLLIN)];
    nix::poll::poll(&mut polled, nix::poll::PollTimeout::ZERO).is_ok_and(|ready| ready > 0) && fd.as_raw_fd() >= 0
}
