//! What the descriptors of a recorded process stand for.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{AddressFamily, SockType, SockaddrLike, SockaddrStorage, getsockname, getsockopt, sockopt};
use nix::sys::stat::fstat;
use nix::unistd::Pid;

use super::Supervisor;
use super::held::{Held, Slot};
use crate::raw;

/// What a descriptor stands for.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// The terminal on which the process runs, as it has it open.
    Terminal(Option<Rc<OwnedFd>>),
    /// A file or directory, opened for reading, that has not been changed since the session began: reading it again gives the same.
    Still,
    /// Memory files of the client, through which it talks to its own helper in the process.
    Client,
    /// Anything else. What is done with it is noted and not done again, so it stands where the newest state has brought it.
    Noted {
        /// Keeps it; one for all numbers that stand for it, as far as that is known.
        held: Held,
        /// It has an offset that can be set.
        regular: bool,
        /// What it is, in words.
        name: Rc<str>,
        /// What the process may try on it.
        tries: Tries,
    },
}

/// What a process tries by itself on a pipe, a socket or the like, where that keeps nobody waiting, before it leaves a call to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tries {
    /// Reading.
    pub receives: bool,
    /// Writing: what is written is taken as a whole or not at all, or it is not to wait.
    pub sends: bool,
}

impl Tries {
    /// Of an open description with this name in /proc.
    fn of(held: &OwnedFd, name: &str) -> Tries {
        let flags = OFlag::from_bits_retain(fcntl(held, FcntlArg::F_GETFL).unwrap_or(0));
        let access = flags & OFlag::O_ACCMODE;
        match name.split_once(':') {
            // A FIFO in a folder cannot be asked not to wait but by its flags (RWF_NOWAIT, preadv2(2)).
            Some(("pipe", _)) => Tries { receives: access != OFlag::O_WRONLY, sends: access != OFlag::O_RDONLY },
            Some(("socket", _)) => Tries {
                // Who waits for more may be given less without waiting.
                receives: raw::least_received(held.as_fd()).is_ok_and(|bytes| bytes <= 1),
                sends: flags.contains(OFlag::O_NONBLOCK) || is_whole(held),
            },
            Some(("anon_inode", "[eventfd]" | "[timerfd]")) => Tries { receives: true, sends: false },
            _ => Tries::default(),
        }
    }
}

/// Whether a socket takes what is sent as a whole: it is one for datagrams, or a local one, where up to half of its buffer goes in one piece
/// (net/unix/af_unix.c, unix_stream_sendmsg).
fn is_whole(socket: &OwnedFd) -> bool {
    let stream = !matches!(getsockopt(socket, sockopt::SockType), Ok(SockType::Datagram | SockType::SeqPacket));
    let family = || getsockname::<SockaddrStorage>(socket.as_raw_fd()).ok().and_then(|address| address.family());
    !stream || family() == Some(AddressFamily::Unix)
}

/// By number.
pub(super) type Kinds = HashMap<i32, Kind>;

impl Supervisor {
    /// What a descriptor of a recorded process stands for; `None` if there is no such descriptor.
    pub(super) fn kind(&mut self, pid: Pid, number: i32) -> Option<Kind> {
        if let Some(kind) = self.recording.mark.kinds.get(&number) {
            return Some(kind.clone());
        }
        let kind = self.look_up(pid, number)?;
        if let Kind::Noted { held, regular: true, .. } = &kind
            && let Some(at) = held.offset()
        {
            self.recording.mark.line.borrow_mut().stands(held, at);
        }
        self.note_kind(pid, number, Some(kind.clone()));
        Some(kind)
    }

    /// Looks at every descriptor of a process: what they stand for must be known when they are copied.
    pub(super) fn know_all(&mut self, pid: Pid) {
        let Ok(listed) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return };
        let numbers: Vec<i32> = listed.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        // A number that has been closed may come to stand for something else.
        let closed: Vec<i32> =
            self.recording.mark.kinds.keys().copied().filter(|number| !numbers.contains(number)).collect();
        for number in closed {
            self.note_kind(pid, number, None);
        }
        for number in numbers {
            self.kind(pid, number);
        }
    }

    /// A call may have changed how what a descriptor stands for keeps waiting (F_SETFL, FIONBIO, SO_RCVLOWAT).
    pub(super) fn look_at_flags(&mut self, pid: Pid, number: i32) {
        let Some(Kind::Noted { name, tries, .. }) = self.recording.mark.kinds.get(&number) else { return };
        let handle = raw::pidfd_open(pid.as_raw()).ok();
        let Some(file) = handle.and_then(|handle| raw::pidfd_getfd(handle.as_fd(), number).ok()) else { return };
        let now = Tries::of(&file, name);
        if now != *tries
            && let Some(mut kind) = self.recording.mark.kinds.get(&number).cloned()
        {
            if let Kind::Noted { tries, .. } = &mut kind {
                *tries = now;
            }
            self.note_kind(pid, number, Some(kind));
        }
    }

    fn look_up(&self, pid: Pid, number: i32) -> Option<Kind> {
        let link = std::fs::read_link(format!("/proc/{pid}/fd/{number}")).ok()?;
        let name = link.to_string_lossy();
        let number_of = u64::try_from(number).ok()?;
        if self.terminal_of(pid).is_descriptor(pid, number_of) {
            let handle = raw::pidfd_open(pid.as_raw()).ok();
            let file = handle.and_then(|handle| raw::pidfd_getfd(handle.as_fd(), number).ok());
            return Some(Kind::Terminal(file.map(Rc::new)));
        }
        if name.starts_with("/memfd:fred-") {
            return Some(Kind::Client);
        }
        let handle = raw::pidfd_open(pid.as_raw()).ok()?;
        let held = raw::pidfd_getfd(handle.as_fd(), number).ok()?;
        let stat = fstat(&held).ok()?;
        let format = stat.st_mode & libc::S_IFMT;
        let flags = OFlag::from_bits_retain(fcntl(&held, FcntlArg::F_GETFL).unwrap_or(0));
        let file = matches!(format, libc::S_IFREG | libc::S_IFDIR);
        let reads = flags & OFlag::O_ACCMODE == OFlag::O_RDONLY;
        if file && reads && !flags.contains(OFlag::O_PATH) && self.recording.is_old(&stat) {
            return Some(Kind::Still);
        }
        // Contents of memory files are not put back by a copy that runs on along the log.
        let regular = file && !name.starts_with("/memfd:");
        let fleeting = matches!(format, libc::S_IFIFO | libc::S_IFSOCK) || name.ends_with("/ptmx");
        let tries = Tries::of(&held, &name);
        Some(Kind::Noted { held: Slot::new(held, fleeting), regular, name: name.into(), tries })
    }

    /// The newest process is left: what waits for it is kept, and its ends of pipes and sockets.
    pub(in crate::supervisor) fn keep_newest(&mut self) {
        let Some(leader) = self.recorded_leader() else { return };
        if !self.recording.on || !self.recording.mark.live {
            return;
        }
        if self.tasks.values().all(|task| task.pid != leader || task.is_stopped()) {
            self.sync_clocks();
            self.keep_newest_timers(leader);
        }
        self.keep_newest_ends(leader);
    }

    /// The newest process is about to stop or to end: what others wait for to be closed is kept as it leaves it.
    pub(in crate::supervisor) fn keep_newest_ends(&mut self, leader: Pid) {
        if !self.recording.on || !self.recording.mark.live {
            return;
        }
        let Ok(handle) = raw::pidfd_open(leader.as_raw()) else { return };
        for (number, kind) in &self.recording.mark.kinds {
            let Kind::Noted { held, name, .. } = kind else { continue };
            // A number that was closed may stand for something else.
            let same = || {
                let link = std::fs::read_link(format!("/proc/{leader}/fd/{number}"));
                link.is_ok_and(|link| link.as_os_str() == &**name)
            };
            if held.is_open()
                && same()
                && let Ok(file) = raw::pidfd_getfd(handle.as_fd(), *number)
            {
                held.fill(file);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tries(held: impl Into<OwnedFd>) -> Tries {
        let held = held.into();
        let name = std::fs::read_link(format!("/proc/self/fd/{}", held.as_raw_fd())).unwrap();
        Tries::of(&held, &name.to_string_lossy())
    }

    #[test]
    fn what_may_be_taken_in_part_is_not_tried() {
        let both = Tries { receives: true, sends: true };
        let (reader, writer) = nix::unistd::pipe().unwrap();
        assert_eq!(tries(reader), Tries { receives: true, sends: false });
        assert_eq!(tries(writer), Tries { receives: false, sends: true });
        assert_eq!(tries(std::os::unix::net::UnixStream::pair().unwrap().0), both);
        assert_eq!(tries(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()), both);
        let listening = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = std::net::TcpStream::connect(listening.local_addr().unwrap()).unwrap();
        assert_eq!(tries(connection.try_clone().unwrap()), Tries { receives: true, sends: false });
        connection.set_nonblocking(true).unwrap();
        assert_eq!(tries(connection), both);
        assert_eq!(tries(std::fs::File::open("/dev/null").unwrap()), Tries::default());
    }
}
