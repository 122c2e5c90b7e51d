//! The supervisor: one process, one thread, which traces everything in the session and does what its client asks.
//! All ptrace requests of a tracer must come from the thread that attached, hence a process of its own.

mod connection;
mod control;
mod copies;
mod deadlock;
mod events;
mod futexes;
mod served;
mod spinning;
mod stand_ins;
mod tape;
mod tasks;
mod terminal;
mod traps;
mod turns;

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;
use nix::unistd::Pid;

use crate::launch::Holder;
use crate::rsp::Server;
use crate::rsp::target::Stop;
use crate::snapshot::state::Hints;
use crate::wire::{self, CopyId, Event, Message, ProgramChange, Request, Spot};
use connection::{Connection, Door};
use copies::Copy;
use served::{Breakpoints, DebugRegisters, Fence, Guard, Pinned, Program, Running, Served};
use stand_ins::StandIns;
use tape::Recording;
use tasks::Tasks;
use terminal::Terminal;

/// How long nothing must happen before it is looked whether a thread waits for the terminal in a call that the filter does
/// not trap. The longer nothing does, the less often: looking takes a processor from whoever computes, and threads of a
/// debugger that never read are looked at as long as it is at its prompt.
const LOOK_AFTER: (Duration, Duration) = (Duration::from_millis(4), Duration::from_millis(64));

/// So long before a run is to be ended it is not slept any more.
const AWAKE_BEFORE: Duration = Duration::from_micros(80);

/// The supervisor's whole state.
pub(crate) struct Supervisor {
    control: UnixStream,
    terminal: Terminal,
    /// That of a served program, if this session is to have one.
    program_terminal: Option<Terminal>,
    holder: Option<Holder>,
    program_holder: Option<Holder>,
    /// Whether the session's own program has been executed.
    loaded: bool,
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
    door: Option<Door>,
    stand_ins: StandIns,
    connection: Option<Connection>,
    /// `None` only while it is at work.
    server: Option<Server>,
    /// A stop that it has not been told yet.
    waiting: Option<Stop>,
    /// Processes and threads whose first stop was reported before their parent's call; they are let go with it.
    early: std::collections::BTreeSet<Pid>,
    /// Whether the debugger is told of children of the program.
    fork_events: bool,
    /// A child that the debugger has been told of and has not let go.
    held: Option<served::Held>,
    /// Arguments as the user typed them, the newest last.
    typed_arguments: Vec<Vec<u8>>,
    /// The served program, if there is one.
    program: Option<Program>,
    served: Served,
    fence: Option<Fence>,
    /// Where the debugger waits for the return of a call.
    returning: Option<Spot>,
    guard: Guard,
    running: Option<Running>,
    trampolines: Option<served::Trampolines>,
    /// The debugger's, while the program is run without it.
    parked_breakpoints: Option<Breakpoints>,
    parked_registers: Option<DebugRegisters>,
    /// Real id of the copy that was made last.
    pid_of_last: Pid,
    /// Set while tracer and program are on one processor.
    pinned: Option<Pinned>,
    recording: Recording,
    /// When it is looked for readers next, if nothing happens until then.
    look_after: Duration,
    /// How often the client has let parked threads go.
    went: u64,
    /// What the client need not hear of before anything else is told: it would be woken for nothing.
    untold: Vec<ProgramChange>,
}

/// Runs a supervisor on a control socket (standard input) and the slave side of a terminal (standard output) until the
/// client goes away; then kills everything that it started.
///
/// # Errors
/// Only what keeps it from starting.
pub fn main() -> io::Result<()> {
    let control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let slave = io::stdout().as_fd().try_clone_to_owned()?;
    let program_terminal = Terminal::new(io::stderr().as_fd().try_clone_to_owned()?).ok();
    // Out of reach of the user's terminal: neither its Ctrl-C nor its hang-up is for us; the control socket tells the end.
    nix::unistd::setsid().ok();
    nix::sys::prctl::set_name(c"fred-supervisor").ok();
    // A run that is to be ended after some microseconds is not to be ended fifty later (PR_SET_TIMERSLACK, prctl(2)).
    nix::sys::prctl::set_timerslack(1).ok();
    // If the client is killed, so are we, even in the middle of waiting for a thread; what we trace dies by EXITKILL, the holder
    // by its own death signal.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).ok();
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    for standard in [0, 1, 2] {
        nix_dup2(&null, standard)?;
    }
    let mut ours = SigSet::empty();
    ours.add(Signal::SIGCHLD);
    ours.thread_block()?;
    let news = SignalFd::with_flags(&ours, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let mut supervisor = Supervisor {
        control,
        terminal: Terminal::new(slave)?,
        program_terminal,
        holder: None,
        program_holder: None,
        loaded: false,
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
        door: None,
        stand_ins: StandIns::default(),
        connection: None,
        server: None,
        waiting: None,
        early: Default::default(),
        fork_events: false,
        held: None,
        typed_arguments: Vec::new(),
        program: None,
        served: Served::default(),
        fence: None,
        returning: None,
        guard: Guard::Down,
        running: None,
        trampolines: None,
        parked_breakpoints: None,
        parked_registers: None,
        pid_of_last: Pid::from_raw(0),
        pinned: None,
        recording: Recording::new(),
        look_after: LOOK_AFTER.0,
        went: 0,
        untold: Vec::new(),
    };
    let outcome = supervisor.serve(&news);
    // Read by benches/recording.py.
    tracing::info!("bytes noted: {}", supervisor.recording.noted_bytes());
    supervisor.end_all();
    outcome
}

fn nix_dup2(from: &std::fs::File, to: i32) -> io::Result<()> {
    crate::raw::duplicate_onto(from.as_fd(), to).map_err(io::Error::from)
}

impl Supervisor {
    fn serve(&mut self, news: &SignalFd) -> io::Result<()> {
        loop {
            let (news_came, asked, knocked, sent) = self.wait_for_something(news)?;
            if news_came {
                // One at most waits: SIGCHLD does not queue.
                news.read_signal().ok();
            }
            self.pump();
            self.notice_mapped();
            self.run_timed_out();
            self.keep_turns();
            self.deliver_overdue();
            self.look_at_family();
            self.unpin_what_computes();
            if self.orphaned {
                return Ok(());
            }
            if knocked {
                self.admit();
            }
            if sent {
                self.serve_debugger();
                self.keep_turns();
            }
            if asked {
                let Some(request) = wire::receive(&mut self.control)? else {
                    return Ok(());
                };
                if matches!(request, Request::Go) {
                    self.went += 1;
                    self.go();
                } else {
                    let answer = self.answer(request);
                    wire::send(&mut self.control, &Message::Answer(answer))?;
                }
                self.keep_turns();
            }
        }
    }

    /// Waits for a child, the client, a debugger that wants to be served, or one that is.
    fn wait_for_something(&mut self, news: &SignalFd) -> io::Result<(bool, bool, bool, bool)> {
        let turns = self.turns_patience().into_iter().chain(self.signals_patience());
        let turns = turns.chain(self.family_patience()).min();
        let mut wanted =
            vec![PollFd::new(news.as_fd(), PollFlags::POLLIN), PollFd::new(self.control.as_fd(), PollFlags::POLLIN)];
        let door = self.door.as_ref().map(|door| {
            wanted.push(PollFd::new(door.descriptor(), PollFlags::POLLIN));
            wanted.len() - 1
        });
        if let Some(connection) = &mut self.connection {
            connection.flush();
        }
        let connection = self.connection.as_ref().map(|connection| {
            let events =
                if connection.has_unsent() { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
            wanted.push(PollFd::new(connection.descriptor(), events));
            wanted.len() - 1
        });
        if let Some(changes) = self.recording.changes() {
            wanted.push(PollFd::new(changes, PollFlags::POLLIN));
        }
        let look = self.may_read_unseen().then_some(self.look_after);
        let deadline = self.running.as_ref().and_then(Running::deadline);
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // Being woken takes longer than what is left.
        let left_to_sleep = left.map(|left| left.checked_sub(AWAKE_BEFORE).unwrap_or_default());
        let patience = left_to_sleep.into_iter().chain(look).chain(turns).min().map(TimeSpec::from_duration);
        let outcome = ppoll(&mut wanted, patience, None);
        let ready = |index: usize| wanted[index].revents().is_some_and(|happened| !happened.is_empty());
        let found = match outcome {
            Ok(0) => {
                let others = left.into_iter().chain(turns).min();
                if others.is_none_or(|left| look.is_some_and(|look| look < left)) {
                    drop(wanted);
                    self.unpin_what_runs();
                    self.look_for_readers();
                    self.look_after = (self.look_after * 2).min(LOOK_AFTER.1);
                }
                return Ok((false, false, false, false));
            }
            Ok(_) => {
                let found = (ready(0), ready(1), door.is_some_and(ready), connection.is_some_and(ready));
                self.look_after = LOOK_AFTER.0;
                found
            }
            Err(nix::errno::Errno::EINTR) => (true, false, false, false),
            Err(error) => return Err(error.into()),
        };
        Ok(found)
    }

    /// Tells the client. A client that is gone is noticed by the loop.
    fn tell(&mut self, event: Event) {
        // A debugger steps many times a second, and neither calls for anything but being known at the next prompt.
        if let Event::Program(change @ (ProgramChange::Resumed | ProgramChange::Stopped)) = event {
            if !self.untold.contains(&change) {
                self.untold.push(change);
            }
            return;
        }
        let before = std::mem::take(&mut self.untold).into_iter().map(Event::Program);
        // In one piece, so that the client is woken once.
        let mut frames = Vec::new();
        for event in before.chain(std::iter::once(event)) {
            wire::send(&mut frames, &Message::Event { run: self.run, event }).ok();
        }
        if let Err(error) = self.control.write_all(&frames) {
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
