//! The supervisor: one process, one thread, which traces everything in the session and does what its client asks.
//! All ptrace requests of a tracer must come from the thread that attached, hence a process of its own.

mod control;
mod copies;
mod events;
mod tasks;
mod terminal;
mod traps;

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

use crate::snapshot::state::Hints;
use crate::wire::{self, CopyId, Event, Message};
use copies::Copy;
use tasks::Tasks;
use terminal::Terminal;

/// How long nothing must happen before it is looked whether a thread waits for the terminal in a call that the filter does
/// not trap, in milliseconds.
const LOOK_EVERY_MS: u16 = 4;

/// The supervisor's whole state.
pub(crate) struct Supervisor {
    control: UnixStream,
    terminal: Terminal,
    holder: Option<Pid>,
    exec_failure: Option<OwnedFd>,
    /// The session's own process, if it runs: real id of its leader.
    main: Option<Pid>,
    /// The id that the program knows it by.
    main_virtual: i32,
    /// All live threads.
    tasks: Tasks,
    /// Virtual ids of live threads whose real one differs.
    virtual_ids: HashMap<Pid, i32>,
    copies: HashMap<CopyId, Copy>,
    /// Threads that have been killed and whose end has not been reported yet. Taking down a big process takes as long as
    /// forking it, and nobody needs to wait for that.
    dying: HashSet<Pid>,
    next_copy: u64,
    /// Counts the times that a process was made the running one.
    run: u64,
    hints: Hints,
    /// The holder has been killed from outside.
    orphaned: bool,
    /// Children that ended before the checkpoint that the running process comes from.
    zombies: crate::snapshot::zombies::Zombies,
}

/// Runs a supervisor on a control socket (standard input) and the slave side of a terminal (standard output) until the
/// client goes away; then kills everything that it started.
///
/// # Errors
/// Only what keeps it from starting.
pub fn main() -> io::Result<()> {
    let control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let slave = io::stdout().as_fd().try_clone_to_owned()?;
    // Out of reach of the user's terminal: neither its Ctrl-C nor its hang-up is for us; the control socket tells the end.
    nix::unistd::setsid().ok();
    nix::sys::prctl::set_name(c"fred-supervisor").ok();
    // If the client is killed, so are we, even in the middle of waiting for a thread; what we trace dies by EXITKILL, the holder
    // by its own death signal.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).ok();
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    for standard in [0, 1] {
        nix_dup2(&null, standard)?;
    }
    let mut ours = SigSet::empty();
    ours.add(Signal::SIGCHLD);
    ours.thread_block()?;
    let news = SignalFd::with_flags(&ours, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let mut supervisor = Supervisor {
        control,
        terminal: Terminal::new(slave)?,
        holder: None,
        exec_failure: None,
        main: None,
        main_virtual: 0,
        tasks: Tasks::new(),
        virtual_ids: HashMap::new(),
        copies: HashMap::new(),
        dying: HashSet::new(),
        next_copy: 1,
        run: 0,
        hints: Hints::default(),
        orphaned: false,
        zombies: Default::default(),
    };
    let outcome = supervisor.serve(&news);
    supervisor.end_all();
    outcome
}

fn nix_dup2(from: &std::fs::File, to: i32) -> io::Result<()> {
    crate::raw::duplicate_onto(from.as_fd(), to).map_err(io::Error::from)
}

impl Supervisor {
    fn serve(&mut self, news: &SignalFd) -> io::Result<()> {
        loop {
            let control = self.control.try_clone()?;
            let mut wanted =
                [PollFd::new(control.as_fd(), PollFlags::POLLIN), PollFd::new(news.as_fd(), PollFlags::POLLIN)];
            let patience = if self.may_read_unseen() { PollTimeout::from(LOOK_EVERY_MS) } else { PollTimeout::NONE };
            match poll(&mut wanted, patience) {
                Ok(0) => self.look_for_readers(),
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            let asked = wanted[0].revents().is_some_and(|r| !r.is_empty());
            while let Ok(Some(_)) = news.read_signal() {}
            self.pump();
            if self.orphaned {
                return Ok(());
            }
            if asked {
                let Some(request) = wire::receive(&mut self.control)? else {
                    return Ok(());
                };
                let answer = self.answer(request);
                wire::send(&mut self.control, &Message::Answer(answer))?;
            }
        }
    }

    /// Tells the client. A client that is gone is noticed by the loop.
    fn tell(&mut self, event: Event) {
        let message = Message::Event { run: self.run, event };
        if let Err(error) = wire::send(&mut self.control, &message) {
            tracing::debug!("the client does not listen any more: {error}");
        }
    }

    /// The id that the program knows a live thread by.
    fn virtual_id(&self, real: Pid) -> i32 {
        self.virtual_ids.get(&real).copied().unwrap_or(real.as_raw())
    }

    /// The real id behind one that the program uses.
    fn real_id(&self, virtual_id: i32) -> Pid {
        let found = self.virtual_ids.iter().find(|(_, known)| **known == virtual_id);
        found.map_or(Pid::from_raw(virtual_id), |(real, _)| *real)
    }
}
