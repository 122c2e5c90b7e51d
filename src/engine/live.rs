//! The running debugger: its terminal and the checkpointer together. Knows when it waits, and for what.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use fred_checkpointer::client::{Client, Error, Stopped};
use fred_checkpointer::wire::{CopyId, Event, ReadMode};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::backends::pty::Pty;
use crate::engine::InputMode;

/// Why waiting ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Woke {
    /// Somebody in the session waits for input from the terminal, and everything printed before has been read.
    Reading {
        /// Whether it is the debugger's own process.
        main: bool,
        /// How it reads.
        mode: InputMode,
    },
    /// From now on, what is typed is not to be shown, or is again.
    Silence(bool),
    /// The debugger has ended: status as a shell reports it.
    Exited(i32),
    /// The debugger could not be executed.
    ExecFailed(i32),
    /// The descriptor that was to be watched became readable.
    Interrupt,
    /// The time was up.
    Timeout,
    /// Something was printed.
    Output,
}

/// The debugger and its terminal.
#[derive(Debug)]
pub(crate) struct Live {
    client: Client,
    pty: Pty,
    /// Printed and not yet taken.
    pub(crate) output: String,
}

impl Live {
    /// Starts a supervisor and, under it, `argv`.
    pub(crate) fn start(argv: &[OsString], rows: u16, columns: u16) -> Result<Live, Error> {
        let failed = |source| Error::Start { program: "of the session".to_owned(), source };
        let (pty, slave) = Pty::open(rows, columns).map_err(failed)?;
        let program = std::env::current_exe().map_err(failed)?;
        let mut client = Client::start(&program, &["__supervisor"], slave, None)?;
        client.launch(argv)?;
        Ok(Live { client, pty, output: String::new() })
    }

    /// Waits until something happens. `watched` is a descriptor to wake up for; `until` the time to give up at.
    pub(crate) fn wait(&mut self, watched: Option<BorrowedFd<'_>>, until: Option<Instant>) -> Result<Woke, Error> {
        loop {
            if let Some(event) = self.client.event()? {
                self.pty.drain(&mut self.output);
                match event {
                    Event::Reading { main, mode, .. } => {
                        if !self.pty.flush() {
                            // It has read what there was of a long line; the rest is on its way.
                            self.client.go()?;
                            continue;
                        }
                        let mode = match mode {
                            ReadMode::Line { echo } => InputMode::Line { echo },
                            ReadMode::Raw => InputMode::Raw,
                        };
                        return Ok(Woke::Reading { main, mode });
                    }
                    Event::Silence(on) => return Ok(Woke::Silence(on)),
                    Event::Exited { status, signal } => {
                        return Ok(Woke::Exited(status.unwrap_or_else(|| 128 + signal.unwrap_or(0))));
                    }
                    Event::ExecFailed(errno) => return Ok(Woke::ExecFailed(errno)),
                    // Of a served program; none is served yet.
                    Event::Ran(_) | Event::Fence | Event::Program(_) => {}
                }
            }
            let timeout = match until {
                None => PollTimeout::NONE,
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(Woke::Timeout);
                    }
                    PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
                }
            };
            let pending = !self.pty.flush();
            let writable = if pending { PollFlags::POLLOUT } else { PollFlags::empty() };
            let mut wanted = vec![
                PollFd::new(self.client.descriptor(), PollFlags::POLLIN),
                PollFd::new(self.pty.descriptor(), PollFlags::POLLIN | writable),
            ];
            if let Some(watched) = watched.as_ref() {
                wanted.push(PollFd::new(watched.as_fd(), PollFlags::POLLIN));
            }
            match poll(&mut wanted, timeout) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(_) => return Err(Error::Gone),
            }
            let ready = |index: usize| wanted.get(index).and_then(PollFd::any) == Some(true);
            let (news, printed, interrupt) = (ready(0), ready(1), ready(2));
            if interrupt {
                return Ok(Woke::Interrupt);
            }
            if printed && !news {
                let before = self.output.len();
                self.pty.drain(&mut self.output);
                if self.output.len() > before {
                    return Ok(Woke::Output);
                }
            }
        }
    }

    /// Whether the supervisor is gone, and everything with it.
    pub(crate) fn is_lost(&self) -> bool {
        self.client.is_gone()
    }

    /// What was printed since the last time.
    pub(crate) fn take_output(&mut self) -> String {
        std::mem::take(&mut self.output)
    }

    /// Types a line and lets whoever waits for it go on.
    pub(crate) fn type_line(&mut self, line: &str) -> Result<(), Error> {
        let mut bytes = line.as_bytes().to_vec();
        bytes.push(b'\n');
        self.type_bytes(&bytes)
    }

    /// Types bytes and lets whoever waits for them go on.
    pub(crate) fn type_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.pty.type_bytes(bytes);
        self.client.go()
    }

    /// Types the end of input (Ctrl-D).
    pub(crate) fn type_end(&mut self) -> Result<(), Error> {
        self.type_bytes(&[4])
    }

    /// Sends a signal to the debugger and what it has started.
    pub(crate) fn signal(&mut self, number: i32) -> Result<(), Error> {
        self.client.signal(number)
    }

    /// Forks the running debugger.
    pub(crate) fn checkpoint(&mut self) -> Result<Stopped, Error> {
        self.client.checkpoint()
    }

    /// Which process the running debugger is, and how many bytes of memory it has got or copied since it was started: each of
    /// its minor faults is about one page (proc_pid_stat(5), `minflt`).
    pub(crate) fn touched(&mut self) -> Option<(i32, u64)> {
        const PAGE: u64 = 4096;
        let pid = self.client.status().ok()?.0?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold anything; the tenth field is the eighth behind it.
        let faults: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(7)?.parse().ok()?;
        Some((pid, faults * PAGE))
    }

    /// Puts the running debugger aside.
    pub(crate) fn suspend(&mut self) -> Result<Stopped, Error> {
        self.client.suspend()
    }

    /// Runs a fresh copy of a stopped debugger in place of the running one. Its first event is that it reads the terminal.
    /// What could not be brought back comes with it.
    pub(crate) fn start_copy(&mut self, id: CopyId) -> Result<Vec<String>, Error> {
        let lost = self.client.start_copy(id)?;
        self.pty.forget();
        self.output.clear();
        Ok(lost)
    }

    /// Runs a debugger that was put aside itself again.
    pub(crate) fn resume(&mut self, id: CopyId) -> Result<(), Error> {
        self.client.resume(id)?;
        self.pty.forget();
        self.output.clear();
        Ok(())
    }

    /// Kills the running debugger.
    pub(crate) fn kill(&mut self) -> Result<(), Error> {
        self.client.kill()
    }

    /// Drops a stopped copy.
    pub(crate) fn drop_copy(&mut self, id: CopyId) -> Result<(), Error> {
        self.client.drop_copy(id)
    }

    /// Sets the size of the window.
    pub(crate) fn resize(&mut self, rows: u16, columns: u16) {
        self.pty.resize(rows, columns);
    }
}
