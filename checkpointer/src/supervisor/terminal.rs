//! The session's terminal as the supervisor sees it: who is about to wait for input on it, and in which mode.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{self, FlushArg, LocalFlags, SetArg, SpecialCharacterIndices, Termios};
use nix::unistd::Pid;
use syscalls::Sysno;

use crate::inject::injector::read_memory;
use crate::raw::Registers;
use crate::wire::ReadMode;

/// `_POSIX_VDISABLE`
const DISABLED: u8 = 0;

/// The slave side, and what the program has asked of it.
#[derive(Debug)]
pub struct Terminal {
    slave: OwnedFd,
    path: PathBuf,
    /// Whether the program has asked for silence. The terminal itself never echoes (the line editor inside the debugger
    /// would), so this cannot be read off its modes.
    pub secret: bool,
}

/// Modes of a terminal at a moment.
#[derive(Debug, Clone)]
pub struct Modes {
    termios: Option<Termios>,
    secret: bool,
}

impl Terminal {
    /// Takes the slave side of the session's terminal.
    ///
    /// # Errors
    /// It is not a terminal.
    pub fn new(slave: OwnedFd) -> nix::Result<Terminal> {
        let path = nix::unistd::ttyname(&slave)?;
        Ok(Terminal { slave, path, secret: false })
    }

    /// The slave side.
    pub fn slave(&self) -> BorrowedFd<'_> {
        self.slave.as_fd()
    }

    /// Whether something waits to be read. Exact: polling first brings in whatever the other side has written
    /// (drivers/tty/n_tty.c, n_tty_poll).
    pub fn has_input(&self) -> bool {
        let mut wanted = [PollFd::new(self.slave.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut wanted, PollTimeout::ZERO), Ok(n) if n > 0)
    }

    /// The modes now.
    pub fn modes(&self) -> Modes {
        Modes { termios: termios::tcgetattr(&self.slave).ok(), secret: self.secret }
    }

    /// Puts earlier modes back, and throws away what was typed for another time.
    pub fn set_modes(&mut self, modes: &Modes) {
        self.secret = modes.secret;
        termios::tcflush(&self.slave, FlushArg::TCIFLUSH).ok();
        if let Some(wanted) = &modes.termios
            && termios::tcgetattr(&self.slave).ok().as_ref() != Some(wanted)
        {
            termios::tcsetattr(&self.slave, SetArg::TCSANOW, wanted).ok();
        }
    }

    /// How a thread that is about to wait will read.
    pub fn read_mode(&self) -> ReadMode {
        let Ok(now) = termios::tcgetattr(&self.slave) else {
            return ReadMode::Line { echo: true };
        };
        let by_line = now.local_flags.contains(LocalFlags::ICANON);
        // GNU readline turns literal-next off while it edits; programs that want raw keys do not.
        let edited = now.local_flags.contains(LocalFlags::ISIG)
            && now.control_chars[SpecialCharacterIndices::VLNEXT as usize] == DISABLED;
        if by_line || edited { ReadMode::Line { echo: !(by_line && self.secret) } } else { ReadMode::Raw }
    }

    /// The program is about to set modes with these local flags. Silence is asked for, and taken back, by setting a terminal
    /// that echoes nothing to by-line input without echo once more (getpass does so twice).
    pub fn note_modes(&mut self, local_flags: u32) {
        let Ok(now) = termios::tcgetattr(&self.slave) else {
            return;
        };
        let wanted = LocalFlags::from_bits_truncate(local_flags);
        if wanted.contains(LocalFlags::ECHO) {
            self.secret = false;
        } else if wanted.contains(LocalFlags::ICANON) && now.local_flags.contains(LocalFlags::ICANON) {
            self.secret = !self.secret;
        }
    }

    /// Whether descriptor `number` of a process is this terminal.
    pub fn is_descriptor(&self, pid: Pid, number: u64) -> bool {
        std::fs::read_link(format!("/proc/{pid}/fd/{number}"))
            .is_ok_and(|target| target == self.path || target.as_os_str() == "/dev/tty")
    }

    /// Whether a call that is about to be made waits for this terminal and for nothing else.
    pub fn is_awaited(&self, pid: Pid, call: Sysno, registers: &Registers) -> bool {
        match call {
            Sysno::read => self.is_descriptor(pid, registers.rdi & 0xffff_ffff),
            Sysno::select | Sysno::pselect6 => {
                registers.rdx == 0 && registers.r10 == 0 && registers.rsi != 0 && self.only_in_set(pid, registers)
            }
            Sysno::poll | Sysno::ppoll => self.only_in_poll(pid, registers),
            _ => false,
        }
    }

    /// Whether a call that is about to be made looks at this terminal and at nothing else.
    pub fn is_looked_at_alone(&self, pid: Pid, call: Sysno, registers: &Registers) -> bool {
        match call {
            Sysno::select | Sysno::pselect6 => {
                let sets = [registers.rsi, registers.rdx, registers.r10].into_iter().filter(|set| *set != 0);
                let found: Vec<bool> = sets.filter_map(|set| self.all_in_set(pid, registers, set)).collect();
                !found.is_empty() && found.iter().all(|only| *only)
            }
            _ => self.is_awaited(pid, call, registers),
        }
    }

    /// Whether a call of poll or ppoll that may wait for ever, for so many at an address, waits for this terminal, too; and for which
    /// others.
    pub fn is_among(&self, pid: Pid, address: u64, count: u64) -> Option<Vec<(i32, i16)>> {
        let entries = polled(pid, address, count)?;
        let (ours, others): (Vec<_>, Vec<_>) =
            entries.into_iter().filter(|(number, _)| *number >= 0).partition(|(number, events)| {
                events & PollFlags::POLLIN.bits() != 0
                    && u64::try_from(*number).is_ok_and(|number| self.is_descriptor(pid, number))
            });
        (!ours.is_empty()).then_some(others)
    }

    fn only_in_set(&self, pid: Pid, registers: &Registers) -> bool {
        self.all_in_set(pid, registers, registers.rsi) == Some(true)
    }

    /// Whether all members of a set are this terminal; `None` if it has none.
    fn all_in_set(&self, pid: Pid, registers: &Registers, at: u64) -> Option<bool> {
        let count = registers.rdi.min(1024);
        let mut bits = [0u8; 128];
        #[allow(clippy::cast_possible_truncation)]
        let bytes = &mut bits[..count.div_ceil(8) as usize];
        if read_memory(pid, at, bytes).is_err() {
            return Some(false);
        }
        #[allow(clippy::cast_possible_truncation)]
        let set: Vec<u64> = (0..count).filter(|n| bits[(n / 8) as usize] & (1 << (n % 8)) != 0).collect();
        (!set.is_empty()).then(|| set.iter().all(|number| self.is_descriptor(pid, *number)))
    }

    fn only_in_poll(&self, pid: Pid, registers: &Registers) -> bool {
        let Some(entries) = polled(pid, registers.rdi, registers.rsi) else { return false };
        entries.len() <= 16
            && entries.iter().all(|(number, _)| u64::try_from(*number).is_ok_and(|it| self.is_descriptor(pid, it)))
    }
}

/// Descriptors and events that a call of poll or ppoll waits for.
fn polled(pid: Pid, address: u64, count: u64) -> Option<Vec<(i32, i16)>> {
    // struct pollfd: int fd, short events, short revents
    let count = usize::try_from(count).ok().filter(|count| (1..=64).contains(count))?;
    let mut entries = vec![0u8; count * 8];
    read_memory(pid, address, &mut entries).ok()?;
    let read = |entry: &[u8]| {
        (i32::from_ne_bytes([entry[0], entry[1], entry[2], entry[3]]), i16::from_ne_bytes([entry[4], entry[5]]))
    };
    Some(entries.chunks_exact(8).map(read).collect())
}
