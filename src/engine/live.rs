//! The running debugger: its terminal and the checkpointer together. Knows when it waits, and for what.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fred_checkpointer::client::{Client, Error, Stopped};
use fred_checkpointer::record::Waiting;
use fred_checkpointer::wire::{
    self, CopyId, Event, Functions, Parted, ProgramChange, ProgramRegisters, Purpose, Ran, ReadMode, Run, Spot,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::backends::dialect::{Dialect, Own, Reach};
use crate::backends::pty::Pty;
use crate::engine::InputMode;

/// So many milliseconds more of what is printed is waited for when some has come, if nothing else happens.
const GATHER_MS: u8 = 2;

/// Why waiting ended.
#[derive(Debug, Clone)]
pub(crate) enum Woke {
    /// Somebody in the session waits for input from the terminal, and everything printed before has been read.
    Reading {
        /// Whether it is the debugger's own process.
        main: bool,
        /// Whether it is the terminal of a served program.
        program: bool,
        /// How it reads.
        mode: InputMode,
    },
    /// From now on, what is typed is not to be shown, or is again.
    Silence(bool),
    /// The debugger has ended: status as a shell reports it.
    Exited(i32),
    /// The debugger could not be executed.
    ExecFailed,
    /// The descriptor that was to be watched became readable.
    Interrupt,
    /// The time was up.
    Timeout,
    /// Something was printed.
    Output,
    /// A served program that was run without its debugger has stopped.
    Ran(Ran),
    /// A served program stands at the fence.
    Fence,
    /// Something became of the served program.
    Program(ProgramChange),
    /// There is news of the recording.
    News,
}

/// The debugger and its terminal.
#[derive(Debug)]
pub(crate) struct Live {
    client: Client,
    pty: Pty,
    /// Printed and not yet taken.
    pub(crate) output: String,
    served: Option<Served>,
    /// News of the recording that nobody has been told.
    news: Vec<News>,
    purpose: (Purpose, bool),
}

/// News of the recording.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// It has stopped, for this reason.
    Unrecorded(String),
    /// The program goes another way than it went.
    Parted(Parted),
    /// All its threads wait for each other.
    Deadlock(Vec<Waiting>),
}

/// The terminals of a served session beside the debugger's own.
#[derive(Debug)]
struct Served {
    /// The program's.
    program: Pty,
    /// Printed by the program and not yet taken.
    printed: String,
    /// The debugger's second interface.
    channel: Pty,
    /// Its slave side stays open, so that the debugger can open it by its name.
    _slave: OwnedFd,
    /// That name.
    channel_name: PathBuf,
    /// Whether the running debugger has that interface open.
    open: bool,
    /// Whether a question was asked there since a line of the user's was passed on.
    asked: bool,
    /// Stopped copies that have.
    opened: HashSet<CopyId>,
    /// Printed there and not yet taken.
    told: String,
    /// The debugger's own terminal claims no width.
    narrow: bool,
}

/// Where a debugger finds what it is served.
#[derive(Debug, Clone)]
pub(crate) struct Doors {
    /// The socket of the server, or the server that is to be started.
    pub(crate) server: PathBuf,
    /// The terminal for its second interface.
    pub(crate) channel: PathBuf,
    /// The program's terminal.
    pub(crate) terminal: PathBuf,
}

impl Served {
    fn drain(&mut self) {
        self.program.drain(&mut self.printed);
        self.channel.drain(&mut self.told);
    }

    fn forget(&mut self) {
        self.program.forget();
        self.channel.forget();
        self.printed.clear();
        self.told.clear();
    }
}

impl Live {
    /// Starts a supervisor and, under it, `argv`, whose calls are recorded if it is said how the debugger there prints.
    pub(crate) fn start(
        argv: &[OsString],
        (rows, columns): (u16, u16),
        record: Option<Option<Own>>,
    ) -> Result<Live, Error> {
        let failed = |source| Error::Start { program: "of the session".to_owned(), source };
        let (pty, slave) = Pty::open(rows, columns).map_err(failed)?;
        let program = std::env::current_exe().map_err(failed)?;
        let mut client = Client::start(&program, &["__supervisor"], slave, None)?;
        if let Some(own) = record {
            let text = str::to_owned;
            let own = own.map(|Own { stop, before, prompt }| wire::Own {
                stop: text(stop),
                before: text(before),
                prompt: text(prompt),
            });
            client.record(own)?;
        }
        client.launch(argv)?;
        Ok(Live { client, pty, output: String::new(), served: None, news: Vec::new(), purpose: <_>::default() })
    }

    /// Starts a supervisor and, under it, a debugger whose program it serves. `argv` is told where.
    pub(crate) fn start_served(
        dialect: &dyn Dialect,
        (rows, columns): (u16, u16),
        arguments: Option<&str>,
        record: bool,
        argv: impl FnOnce(Doors) -> Vec<OsString>,
    ) -> Result<Live, Error> {
        let failed = |source| Error::Start { program: "of the session".to_owned(), source };
        let narrow = dialect.draws();
        let (pty, slave) = Pty::open(rows, if narrow { 0 } else { columns }).map_err(failed)?;
        let (program, program_slave) = Pty::open(rows, columns).map_err(failed)?;
        let (channel, channel_slave) = Pty::open_raw().map_err(failed)?;
        let name = |slave: &OwnedFd| nix::unistd::ttyname(slave).map_err(|error| failed(error.into()));
        let (channel_name, terminal) = (name(&channel_slave)?, name(&program_slave)?);
        let executable = std::env::current_exe().map_err(failed)?;
        let mut client = Client::start(&executable, &["__supervisor"], slave, Some(program_slave))?;
        if record {
            client.record(None)?;
        }
        let server = match dialect.reach() {
            Reach::Connects => client.serve()?,
            Reach::Executes => client.serve_executed()?,
        };
        if let Some(arguments) = arguments {
            client.arguments(arguments.as_bytes())?;
        }
        client.launch(&argv(Doors { server: server.into(), channel: channel_name.clone(), terminal }))?;
        let served = Served {
            program,
            printed: String::new(),
            channel,
            _slave: channel_slave,
            channel_name,
            open: dialect.opens_at_once(),
            asked: false,
            opened: HashSet::new(),
            told: String::new(),
            narrow,
        };
        Ok(Live { client, pty, output: String::new(), served: Some(served), news: Vec::new(), purpose: <_>::default() })
    }

    /// Notes arguments of a program as they were typed.
    pub(crate) fn arguments(&mut self, typed: &str) -> Result<(), Error> {
        self.client.arguments(typed.as_bytes())
    }

    /// Waits until something happens. `watched` is a descriptor to wake up for; `until` the time to give up at.
    pub(crate) fn wait(&mut self, watched: Option<BorrowedFd<'_>>, until: Option<Instant>) -> Result<Woke, Error> {
        loop {
            if let Some(event) = self.client.event()? {
                if !matches!(event, Event::Program(_)) {
                    self.drain();
                }
                match event {
                    Event::Reading { main: true, program: false, settled: false, .. }
                        if self.served.is_some() && !self.client.still_reads()? =>
                    {
                        continue;
                    }
                    Event::Reading { main, program, mode, .. } => {
                        let flushed = match &mut self.served {
                            Some(served) if program => served.program.flush(),
                            _ => self.pty.flush(),
                        };
                        if !flushed {
                            // It has read what there was of a long line; the rest is on its way.
                            self.client.go()?;
                            continue;
                        }
                        let mode = match mode {
                            ReadMode::Line { echo } => InputMode::Line { echo },
                            ReadMode::Raw => InputMode::Raw,
                        };
                        return Ok(Woke::Reading { main, program, mode });
                    }
                    Event::Silence(on) => return Ok(Woke::Silence(on)),
                    Event::Exited { status, signal } => {
                        return Ok(Woke::Exited(status.unwrap_or_else(|| 128 + signal.unwrap_or(0))));
                    }
                    Event::ExecFailed(_) => return Ok(Woke::ExecFailed),
                    Event::Ran(ran) => return Ok(Woke::Ran(ran)),
                    Event::Fence => return Ok(Woke::Fence),
                    Event::Woken => continue,
                    Event::Unrecorded(why) => self.news.push(News::Unrecorded(why)),
                    Event::Parted(parted) => {
                        self.news.push(News::Parted(parted));
                        return Ok(Woke::News);
                    }
                    Event::Deadlock(waiting) => {
                        self.news.push(News::Deadlock(waiting));
                        return Ok(Woke::News);
                    }
                    // What has been printed has nothing to do with it.
                    Event::Program(change) => return Ok(Woke::Program(change)),
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
            let events =
                |pending: bool| if pending { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
            let pending = !self.pty.flush();
            let mut wanted = vec![
                PollFd::new(self.client.descriptor(), PollFlags::POLLIN),
                PollFd::new(self.pty.descriptor(), events(pending)),
            ];
            if let Some(served) = &mut self.served {
                let pending = (!served.program.flush(), !served.channel.flush());
                wanted.push(PollFd::new(served.program.descriptor(), events(pending.0)));
                wanted.push(PollFd::new(served.channel.descriptor(), events(pending.1)));
            }
            let terminals = wanted.len() - 1;
            if let Some(watched) = watched.as_ref() {
                wanted.push(PollFd::new(watched.as_fd(), PollFlags::POLLIN));
            }
            match poll(&mut wanted, timeout) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(_) => return Err(Error::Gone),
            }
            let ready = |index: usize| wanted.get(index).and_then(PollFd::any) == Some(true);
            let (news, printed) = (ready(0), (1..=terminals).any(ready));
            if ready(terminals + 1) {
                return Ok(Woke::Interrupt);
            }
            if printed && !news {
                // What is printed comes in pieces, and most of it right before the debugger prompts: to be woken for each of them
                // takes longer than all.
                let mut news = [PollFd::new(self.client.descriptor(), PollFlags::POLLIN)];
                let gathered = matches!(poll(&mut news, GATHER_MS), Ok(n) if n > 0);
                if !gathered && self.drain() {
                    return Ok(Woke::Output);
                }
            }
        }
    }

    /// Takes in what has been printed; whether there was something.
    fn drain(&mut self) -> bool {
        let length = |live: &Live| {
            let served = live.served.as_ref().map_or(0, |served| served.printed.len() + served.told.len());
            live.output.len() + served
        };
        let before = length(self);
        // The program first: what it printed was printed before the debugger told of its stop.
        if let Some(served) = &mut self.served {
            served.drain();
        }
        self.pty.drain(&mut self.output);
        length(self) > before
    }

    /// What a served program printed since the last time.
    pub(crate) fn take_printed(&mut self) -> String {
        self.served.as_mut().map(|served| std::mem::take(&mut served.printed)).unwrap_or_default()
    }

    /// What was told on the debugger's second interface since the last time.
    pub(crate) fn take_told(&mut self) -> String {
        self.served.as_mut().map(|served| std::mem::take(&mut served.told)).unwrap_or_default()
    }

    /// The terminal for the debugger's second interface, if that is not open.
    pub(crate) fn closed_channel(&self) -> Option<&Path> {
        self.served.as_ref().filter(|served| !served.open).map(|served| served.channel_name.as_path())
    }

    /// It has been opened.
    pub(crate) fn channel_opened(&mut self) {
        if let Some(served) = &mut self.served {
            served.open = true;
        }
    }

    /// Whether that is open, and nobody has asked anything there since the last call of this.
    pub(crate) fn channel_idles(&mut self) -> bool {
        self.served.as_mut().is_some_and(|served| served.open && !std::mem::take(&mut served.asked))
    }

    /// It has been closed.
    pub(crate) fn channel_closed(&mut self) {
        if let Some(served) = &mut self.served {
            served.open = false;
        }
    }

    /// A stopped copy has the interface open as the running debugger has it.
    pub(crate) fn note_copy(&mut self, id: CopyId) {
        if let Some(served) = self.served.as_mut().filter(|served| served.open) {
            served.opened.insert(id);
        }
    }

    /// Writes a line to the debugger's second interface. Unless a thread of its own listens there (`apart`), whoever waits for it
    /// is let go on.
    pub(crate) fn question(&mut self, line: &str, apart: bool) -> Result<(), Error> {
        if let Some(served) = &mut self.served {
            served.asked = true;
            served.channel.type_bytes(line.as_bytes());
            served.channel.type_bytes(b"\n");
        }
        if apart { Ok(()) } else { self.client.go() }
    }

    /// Types bytes for the served program.
    pub(crate) fn type_to_program(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some(served) = &mut self.served {
            served.program.type_bytes(bytes);
        }
        self.client.go()
    }

    /// Tells for what the program runs from now on, and whether the user sees what it prints.
    pub(crate) fn purpose(&mut self, purpose: Purpose, heard: bool) -> Result<(), Error> {
        if self.purpose != (purpose, heard) || purpose == Purpose::Change {
            self.client.purpose(purpose, heard)?;
            self.purpose = (purpose, heard);
        }
        Ok(())
    }

    /// Where the program went another way in a search or a replay, and has been stopped.
    pub(crate) fn astray(&self) -> Option<&Parted> {
        self.news.iter().find_map(|news| match news {
            News::Parted(parted) if parted.lost => Some(parted),
            _ => None,
        })
    }

    /// Whether all threads of the program have been found to wait for each other.
    pub(crate) fn is_stuck(&self) -> bool {
        self.news.iter().any(|news| matches!(news, News::Deadlock(_)))
    }

    /// News of the recording since the last time.
    pub(crate) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
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
        self.client.go()?;
        if self.served.is_some() {
            // It waited when it was told of; now there is something to read.
            self.client.forget_reading();
        }
        Ok(())
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
        let stopped = self.client.checkpoint()?;
        self.note_copy(stopped.id);
        Ok(stopped)
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
        let stopped = self.client.suspend()?;
        self.note_copy(stopped.id);
        Ok(stopped)
    }

    /// Runs a fresh copy of a stopped debugger in place of the running one. Its first event is that it reads the terminal.
    /// What could not be brought back comes with it.
    pub(crate) fn start_copy(&mut self, id: CopyId) -> Result<Vec<String>, Error> {
        let lost = self.client.start_copy(id)?;
        self.forget();
        self.is_copy_of(id);
        Ok(lost)
    }

    /// Runs a debugger that was put aside itself again.
    pub(crate) fn resume(&mut self, id: CopyId) -> Result<(), Error> {
        self.client.resume(id)?;
        self.forget();
        self.is_copy_of(id);
        Ok(())
    }

    fn is_copy_of(&mut self, id: CopyId) {
        if let Some(served) = &mut self.served {
            served.open = served.opened.contains(&id);
        }
    }

    fn forget(&mut self) {
        self.pty.forget();
        self.output.clear();
        if let Some(served) = &mut self.served {
            served.forget();
        }
    }

    /// Forks the served program alone.
    pub(crate) fn checkpoint_program(&mut self) -> Result<Stopped, Error> {
        self.client.checkpoint_program()
    }

    /// Exchanges the served program; what it printed before is nobody's any more.
    pub(crate) fn exchange(&mut self, id: CopyId) -> Result<Vec<String>, Error> {
        let lost = self.client.exchange(id)?;
        if let Some(served) = &mut self.served {
            served.program.forget();
            served.printed.clear();
        }
        Ok(lost)
    }

    /// Has the debugger told of a stop without a reason when it lets the exchanged program go.
    pub(crate) fn halt(&mut self) -> Result<(), Error> {
        self.client.halt()
    }

    /// Keeps the served program before its debugger changes it.
    pub(crate) fn guard(&mut self, keep: bool) -> Result<(), Error> {
        self.client.guard(keep)
    }

    /// Not any more; whether it was changed, and what was kept.
    pub(crate) fn end_guard(&mut self) -> Result<(bool, Option<CopyId>), Error> {
        self.client.end_guard()
    }

    /// Runs the served program without its debugger.
    pub(crate) fn run(&mut self, run: Run) -> Result<(), Error> {
        self.client.run(run)
    }

    /// Ends that early.
    pub(crate) fn end_run(&mut self) -> Result<(), Error> {
        self.client.end_run()
    }

    /// Puts up a fence; `returning` is where the debugger is about to wait for the return of a call.
    pub(crate) fn fence(
        &mut self,
        at: Option<CopyId>,
        functions: Functions,
        returning: Option<Spot>,
    ) -> Result<(), Error> {
        self.client.fence(at, functions, returning)
    }

    /// Registers of the served program, or of that of a copy.
    pub(crate) fn registers(&mut self, of: Option<CopyId>) -> Result<ProgramRegisters, Error> {
        self.client.registers(of)
    }

    /// Memory of the served program, or of that of a copy.
    pub(crate) fn memory(&mut self, of: Option<CopyId>, address: u64, length: u64) -> Result<Vec<u8>, Error> {
        self.client.memory(of, address, length)
    }

    /// Kills the running debugger.
    pub(crate) fn kill(&mut self) -> Result<(), Error> {
        self.client.kill()
    }

    /// Drops a stopped copy.
    pub(crate) fn drop_copy(&mut self, id: CopyId) -> Result<(), Error> {
        if let Some(served) = &mut self.served {
            served.opened.remove(&id);
        }
        self.client.drop_copy(id)
    }

    /// Sets the size of the window.
    pub(crate) fn resize(&mut self, rows: u16, columns: u16) {
        let narrow = self.served.as_ref().is_some_and(|served| served.narrow);
        self.pty.resize(rows, if narrow { 0 } else { columns });
        if let Some(served) = &self.served {
            served.program.resize(rows, columns);
        }
    }
}
