//! The debugger's terminal: a pseudo-terminal whose master side is ours.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, SetArg, cfmakeraw, tcgetattr, tcsetattr};

/// The master side, with what has been read but not decoded yet and what is still to be written.
#[derive(Debug)]
pub struct Pty {
    master: OwnedFd,
    /// Bytes of an unfinished UTF-8 character, or a carriage return whose line feed may still come.
    partial: Vec<u8>,
    unsent: Vec<u8>,
}

impl Pty {
    /// Opens a pair. The slave side is for the supervisor. It does not echo: the user's own terminal has done so, and line
    /// editors inside the debugger that find it silent do not draw.
    ///
    /// # Errors
    /// The system's, when there are no more terminals.
    pub fn open(rows: u16, columns: u16) -> io::Result<(Pty, OwnedFd)> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None)?;
        let mut modes = tcgetattr(&pair.slave)?;
        modes.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&pair.slave, SetArg::TCSANOW, &modes)?;
        for end in [&pair.master, &pair.slave] {
            fcntl(end, FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
        }
        fcntl(&pair.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok((Pty { master: pair.master, partial: Vec::new(), unsent: Vec::new() }, pair.slave))
    }

    /// Opens a pair that passes bytes on as they are, for machines to talk over.
    ///
    /// # Errors
    /// As for [`Pty::open`].
    pub fn open_raw() -> io::Result<(Pty, OwnedFd)> {
        let (pty, slave) = Pty::open(24, 80)?;
        let mut modes = tcgetattr(&slave)?;
        cfmakeraw(&mut modes);
        tcsetattr(&slave, SetArg::TCSANOW, &modes)?;
        Ok((pty, slave))
    }

    /// The master side, to wait on.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }

    /// Sets the size of the window.
    pub fn resize(&self, rows: u16, columns: u16) {
        fred_checkpointer::raw::set_window_size(self.master.as_fd(), rows, columns).ok();
    }

    /// Reads what is there and appends it as text to `output`, `\r\n` made `\n`. Polling first brings in everything that was
    /// written before (n_tty_poll flushes the line discipline's work).
    pub fn drain(&mut self, output: &mut String) {
        // A terminal never has more than this at once (N_TTY_BUF_SIZE, drivers/tty/n_tty.c).
        let mut buffer = [0u8; 4096];
        loop {
            let mut wanted = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
            if !matches!(poll(&mut wanted, PollTimeout::ZERO), Ok(n) if n > 0) {
                return;
            }
            match nix::unistd::read(&self.master, &mut buffer) {
                Ok(n) if n > 0 => self.decode(&buffer[..n], output),
                _ => return,
            }
        }
    }

    fn decode(&mut self, bytes: &[u8], output: &mut String) {
        self.partial.extend_from_slice(bytes);
        let mut whole = std::mem::take(&mut self.partial);
        if whole.last() == Some(&b'\r') {
            whole.pop();
            self.partial.push(b'\r');
        }
        let mut rest: &[u8] = &whole;
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    push_text(text, output);
                    return;
                }
                Err(error) => {
                    let (good, bad) = rest.split_at(error.valid_up_to());
                    push_text(&String::from_utf8_lossy(good), output);
                    if let Some(length) = error.error_len() {
                        output.push(char::REPLACEMENT_CHARACTER);
                        rest = &bad[length..];
                    } else {
                        // The rest of the character is still to come.
                        let mut kept = bad.to_vec();
                        kept.append(&mut self.partial);
                        self.partial = kept;
                        return;
                    }
                }
            }
        }
    }

    /// Queues bytes for the debugger and writes as many as it takes now.
    pub fn type_bytes(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
        self.flush();
    }

    /// Writes what is still queued; true when nothing is left.
    pub fn flush(&mut self) -> bool {
        while !self.unsent.is_empty() {
            match nix::unistd::write(&self.master, &self.unsent) {
                Ok(n) => {
                    self.unsent.drain(..n);
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Forgets what was typed or printed for another time.
    pub fn forget(&mut self) {
        self.unsent.clear();
        self.partial.clear();
        let mut nothing = String::new();
        self.drain(&mut nothing);
        self.partial.clear();
    }
}

fn push_text(text: &str, output: &mut String) {
    if text.contains("\r\n") { output.push_str(&text.replace("\r\n", "\n")) } else { output.push_str(text) }
}
