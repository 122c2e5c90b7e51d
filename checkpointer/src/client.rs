//! The client's side: starts a supervisor and talks to it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::wire::{
    self, Answer, CopyId, Event, Functions, Message, Own, ProgramRegisters, Purpose, Request, Run, Spot,
};

/// Why a request could not be met.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was refused; the session is as it was.
    #[error("{0}")]
    Refused(String),
    /// The supervisor is gone, and with it every process of the session.
    #[error("the supervisor of this session has ended, and every process of the session with it")]
    Gone,
    /// The supervisor could not be started.
    #[error("cannot start the supervisor {program}: {source}")]
    Start {
        /// Its executable.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
}

/// A stopped copy, as the supervisor names it.
#[derive(Debug, Clone)]
pub struct Stopped {
    /// Its name.
    pub id: CopyId,
    /// Real pid of its leader.
    pub pid: i32,
    /// Microseconds for which the process was held.
    pub held_us: u64,
}

/// Memory of a process in bytes, from /proc/PID/smaps_rollup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Pages that nobody else has: what killing it would free.
    pub private: u64,
    /// Its share of everything it maps.
    pub proportional: u64,
}

/// A supervisor and the connection to it. Dropping it ends the session.
#[derive(Debug)]
pub struct Client {
    control: UnixStream,
    events: VecDeque<Event>,
    supervisor: Child,
    gone: bool,
    /// How often a parked debugger was woken by its server.
    woken: u64,
    /// How often threads were let go.
    went: u64,
    /// That a debugger waits for its terminal is not true if it was told before it had been let go so often.
    forgotten: u64,
}

impl Client {
    /// Starts `program arguments...` as the supervisor (it must call [`crate::supervisor::main`]) with the slave side of the
    /// session's terminal; `program_slave` is that of the terminal of a served program.
    ///
    /// # Errors
    /// [`Error::Start`].
    pub fn start(
        program: &Path,
        arguments: &[&str],
        slave: OwnedFd,
        program_slave: Option<OwnedFd>,
    ) -> Result<Client, Error> {
        let failed = |source| Error::Start { program: program.display().to_string(), source };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let supervisor = Command::new(program)
            .args(arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(slave))
            .stderr(program_slave.map_or_else(Stdio::null, Stdio::from))
            .spawn()
            .map_err(failed)?;
        Ok(Client { control: ours, events: VecDeque::new(), supervisor, gone: false, woken: 0, went: 0, forgotten: 0 })
    }

    /// Whether the supervisor has been found to be gone.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    fn ask(&mut self, request: &Request) -> Result<Answer, Error> {
        let outcome = self.converse(request);
        self.gone |= matches!(outcome, Err(Error::Gone));
        outcome
    }

    fn converse(&mut self, request: &Request) -> Result<Answer, Error> {
        wire::send(&mut self.control, request).map_err(|_| Error::Gone)?;
        loop {
            match wire::receive(&mut self.control) {
                Ok(Some(Message::Answer(Answer::Refused(why)))) => return Err(Error::Refused(why)),
                Ok(Some(Message::Answer(answer))) => return Ok(answer),
                Ok(Some(Message::Event { event, .. })) => self.arrived(event),
                _ => return Err(Error::Gone),
            }
        }
    }

    /// Queues an event, and drops those that it makes untrue.
    fn arrived(&mut self, event: Event) {
        if matches!(event, Event::Reading { main: true, program: false, went, .. } if went < self.forgotten) {
            return;
        }
        if matches!(event, Event::Woken) {
            self.woken += 1;
            self.events.retain(|event| !matches!(event, Event::Reading { main: true, program: false, .. }));
        } else {
            self.events.push_back(event);
        }
    }

    /// Whether the debugger whose [`Event::Reading`] was taken last is still parked there. What it had printed by then has to
    /// be taken before this is asked.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub fn still_reads(&mut self) -> Result<bool, Error> {
        let before = self.woken;
        self.status()?;
        Ok(self.woken == before)
    }

    /// Starts the session's program.
    ///
    /// # Errors
    /// [`Error::Refused`]; that the program cannot be executed comes as [`Event::ExecFailed`].
    pub fn launch(&mut self, argv: &[OsString]) -> Result<i32, Error> {
        let argv = argv.iter().map(|word| word.clone().into_vec()).collect();
        match self.ask(&Request::Launch { argv })? {
            Answer::Launched { pid } => Ok(pid),
            _ => Err(Error::Gone),
        }
    }

    /// Lets threads go on that are parked at a read of the terminal.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub fn go(&mut self) -> Result<(), Error> {
        self.went += 1;
        let sent = wire::send(&mut self.control, &Request::Go).map_err(|_| Error::Gone);
        self.gone |= sent.is_err();
        sent
    }

    /// Asks that the calls of the program be recorded, before [`Client::launch`].
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub fn record(&mut self, own: Option<Own>) -> Result<(), Error> {
        self.ask(&Request::Record { own }).map(|_| ())
    }

    /// Tells for what the recorded process runs from now on.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub fn purpose(&mut self, purpose: Purpose, heard: bool) -> Result<(), Error> {
        self.ask(&Request::Purpose { purpose, heard }).map(|_| ())
    }

    /// Takes a checkpoint of the running process.
    ///
    /// # Errors
    /// [`Error::Refused`], for instance when the program has children.
    pub fn checkpoint(&mut self) -> Result<Stopped, Error> {
        let answer = self.ask(&Request::Checkpoint)?;
        Client::stopped(answer)
    }

    /// Stops the running process and puts it aside.
    ///
    /// # Errors
    /// As for [`Client::checkpoint`].
    pub fn suspend(&mut self) -> Result<Stopped, Error> {
        let answer = self.ask(&Request::Suspend)?;
        Client::stopped(answer)
    }

    fn stopped(answer: Answer) -> Result<Stopped, Error> {
        match answer {
            Answer::Stopped { id, pid, held_us } => Ok(Stopped { id, pid, held_us }),
            _ => Err(Error::Gone),
        }
    }

    /// Runs a fresh copy of a stopped one, in place of what runs (which is killed). Returns what could not be brought back.
    ///
    /// # Errors
    /// [`Error::Refused`] when it is gone; then nothing runs.
    pub fn start_copy(&mut self, id: CopyId) -> Result<Vec<String>, Error> {
        match self.replace(&Request::Start(id))? {
            Answer::Started { warnings } => Ok(warnings),
            _ => Err(Error::Gone),
        }
    }

    /// Runs a suspended process itself again, in place of what runs (which is killed).
    ///
    /// # Errors
    /// As for [`Client::start_copy`].
    pub fn resume(&mut self, id: CopyId) -> Result<(), Error> {
        self.replace(&Request::Resume(id)).map(|_| ())
    }

    /// Makes another process the running one. What was told before the answer is of the one that ran until then; the
    /// supervisor listens to the new one only afterwards.
    fn replace(&mut self, request: &Request) -> Result<Answer, Error> {
        let outcome = self.ask(request);
        self.events.clear();
        outcome
    }

    /// Kills the running process and its children.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub fn kill(&mut self) -> Result<(), Error> {
        self.replace(&Request::Kill).map(|_| ())
    }

    /// Kills a stopped copy.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub fn drop_copy(&mut self, id: CopyId) -> Result<(), Error> {
        self.ask(&Request::Drop(id)).map(|_| ())
    }

    /// Sends a signal to the running processes.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub fn signal(&mut self, number: i32) -> Result<(), Error> {
        self.ask(&Request::Signal(number))?;
        // Whoever was parked at a read has been woken, so that these are no longer true.
        self.events.retain(|event| !matches!(event, Event::Reading { .. }));
        Ok(())
    }

    /// Opens a socket at which a debugger is served its program; returns its path.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn serve(&mut self) -> Result<OsString, Error> {
        match self.ask(&Request::Serve)? {
            Answer::Serving { path } => Ok(OsString::from_vec(path)),
            _ => Err(Error::Gone),
        }
    }

    /// Notes arguments of a program as the user typed them. See [`Request::Arguments`].
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub fn arguments(&mut self, typed: &[u8]) -> Result<(), Error> {
        self.ask(&Request::Arguments(typed.to_vec())).map(|_| ())
    }

    /// Serves a debugger that executes its server itself; returns the path that it must execute. See
    /// [`Request::ServeExecuted`].
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn serve_executed(&mut self) -> Result<OsString, Error> {
        match self.ask(&Request::ServeExecuted)? {
            Answer::Serving { path } => Ok(OsString::from_vec(path)),
            _ => Err(Error::Gone),
        }
    }

    /// Forgets that the debugger waits for its terminal, when something has been typed there since.
    pub fn forget_reading(&mut self) {
        self.forgotten = self.went;
        self.events.retain(|event| !matches!(event, Event::Reading { main: true, program: false, .. }));
    }

    /// Forks the served program alone.
    ///
    /// # Errors
    /// As for [`Client::checkpoint`].
    pub fn checkpoint_program(&mut self) -> Result<Stopped, Error> {
        let answer = self.ask(&Request::CheckpointProgram)?;
        Client::stopped(answer)
    }

    /// Exchanges the served program for a fresh copy of another; see [`Request::Exchange`].
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn exchange(&mut self, id: CopyId) -> Result<Vec<String>, Error> {
        match self.ask(&Request::Exchange(id))? {
            Answer::Started { warnings } => Ok(warnings),
            _ => Err(Error::Gone),
        }
    }

    /// See [`Request::Halt`].
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub fn halt(&mut self) -> Result<(), Error> {
        self.ask(&Request::Halt).map(|_| ())
    }

    /// See [`Request::Guard`].
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub fn guard(&mut self, keep: bool) -> Result<(), Error> {
        self.ask(&Request::Guard { keep }).map(|_| ())
    }

    /// See [`Request::EndGuard`].
    ///
    /// # Errors
    /// [`Error::Refused`] when the program was changed and could not be kept.
    pub fn end_guard(&mut self) -> Result<(bool, Option<CopyId>), Error> {
        match self.ask(&Request::EndGuard)? {
            Answer::Guarded { changed, copy } => Ok((changed, copy)),
            _ => Err(Error::Gone),
        }
    }

    /// Runs the served program without the debugger until [`Event::Ran`].
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn run(&mut self, run: Run) -> Result<(), Error> {
        self.ask(&Request::Run(run)).map(|_| ())
    }

    /// Ends a [`Client::run`] early; [`Event::Ran`] still comes.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub fn end_run(&mut self) -> Result<(), Error> {
        self.ask(&Request::EndRun).map(|_| ())
    }

    /// See [`Request::Fence`].
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn fence(&mut self, at: Option<CopyId>, functions: Functions, returning: Option<Spot>) -> Result<(), Error> {
        self.ask(&Request::Fence(at, functions, returning)).map(|_| ())
    }

    /// Registers of the served program (`None`) or of that of a copy.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is none.
    pub fn registers(&mut self, of: Option<CopyId>) -> Result<ProgramRegisters, Error> {
        match self.ask(&Request::Registers(of))? {
            Answer::Registers(found) => Ok(*found),
            _ => Err(Error::Gone),
        }
    }

    /// Memory of the served program (`None`) or of that of a copy; shorter than asked where it cannot be read.
    ///
    /// # Errors
    /// [`Error::Refused`] when there is none.
    pub fn memory(&mut self, of: Option<CopyId>, address: u64, length: u64) -> Result<Vec<u8>, Error> {
        match self.ask(&Request::Memory { copy: of, address, length })? {
            Answer::Memory(bytes) => Ok(bytes),
            _ => Err(Error::Gone),
        }
    }

    /// Real pid of the running process, number of stopped copies, real ids of all live threads.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub fn status(&mut self) -> Result<(Option<i32>, usize, Vec<i32>), Error> {
        match self.ask(&Request::Status)? {
            Answer::Status { running, copies, live } => Ok((running, copies, live)),
            _ => Err(Error::Gone),
        }
    }

    /// Becomes readable when [`Client::event`] has something.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    /// The next event of the current run, if one has arrived.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub fn event(&mut self) -> Result<Option<Event>, Error> {
        let outcome = self.next_event();
        self.gone |= matches!(outcome, Err(Error::Gone));
        outcome
    }

    fn next_event(&mut self) -> Result<Option<Event>, Error> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let mut wanted = [PollFd::new(self.control.as_fd(), PollFlags::POLLIN)];
            match poll(&mut wanted, PollTimeout::ZERO) {
                Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(None),
                Ok(_) => {}
                Err(_) => return Err(Error::Gone),
            }
            match wire::receive(&mut self.control) {
                Ok(Some(Message::Event { event, .. })) => self.arrived(event),
                Ok(Some(Message::Answer(_))) => {}
                _ => return Err(Error::Gone),
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // The end of the stream tells the supervisor to kill everything; wait until it has.
        self.control.shutdown(std::net::Shutdown::Both).ok();
        self.supervisor.wait().ok();
    }
}

/// Memory of a process.
///
/// # Errors
/// The process is gone.
pub fn memory_of(pid: i32) -> io::Result<Memory> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let mut memory = Memory::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(amount)) = (words.next(), words.next()) else {
            continue;
        };
        let Ok(kilobytes) = amount.parse::<u64>() else {
            continue;
        };
        match name {
            "Private_Clean:" | "Private_Dirty:" => memory.private += kilobytes * 1024,
            "Pss:" => memory.proportional += kilobytes * 1024,
            _ => {}
        }
    }
    Ok(memory)
}
