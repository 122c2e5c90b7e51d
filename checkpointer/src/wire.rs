//! The control protocol: what a client asks of the supervisor and what it is told. Frames of postcard behind a
//! little-endian length, over a Unix stream socket.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Names a stopped copy: a checkpoint or a suspended process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CopyId(pub u64);

/// What a client may ask.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// Start the program of the session.
    Launch {
        /// Program and arguments, as bytes.
        argv: Vec<Vec<u8>>,
    },
    /// Let threads that are parked at a read of the terminal go on. The only one without an answer: there is nothing to be waited for.
    Go,
    /// Record the calls of what will be launched.
    Record {
        /// How a debugger that lives in the recorded process prints.
        own: Option<Own>,
    },
    /// What the recorded process runs for from now on.
    Purpose {
        /// For what.
        purpose: Purpose,
        /// The user sees what the program prints, and nothing else is printed but what [`Own`] describes: it is noted.
        heard: bool,
    },
    /// Fork the running process; it goes on, the copy stays stopped.
    Checkpoint,
    /// Stop the running process and put it aside.
    Suspend,
    /// Run a fresh copy of a stopped one.
    Start(CopyId),
    /// Run a suspended process itself again.
    Resume(CopyId),
    /// Kill the running process and its children.
    Kill,
    /// Kill a stopped copy.
    Drop(CopyId),
    /// Send a signal to the running processes.
    Signal(i32),
    /// Whether `pid`s of the session are alive, for diagnosis.
    Status,
    /// Opens a socket to which a debugger can connect to be served a program; answered by [`Answer::Serving`]. To be asked
    /// before [`Request::Launch`].
    Serve,
    /// Arguments that the user may give to a program, as they were typed: debuggers take the quotes off that the shell is to see.
    Arguments(Vec<u8>),
    /// Serves a debugger that starts its server itself, as `PATH ... --fd=N ...` with a socket in descriptor N, once for every
    /// program; answered by [`Answer::Serving`] with what PATH must be. To be asked before [`Request::Launch`].
    ServeExecuted,
    /// Forks the served program alone, running or stopped; it goes on as it was.
    CheckpointProgram,
    /// Puts a fresh copy of the served program of a copy (of a session, or of a program alone) in the place of the served
    /// program, which is killed; or of one that has ended. The debugger is left as it is: the next time that it lets the program
    /// go, it is told [`crate::rsp::target::Why::Exchanged`] instead, and nothing runs.
    Exchange(CopyId),
    /// Runs the served program without the debugger, which waits at its prompt. Answered at once; [`Event::Ran`] tells the end.
    Run(Run),
    /// Ends a [`Request::Run`] early.
    EndRun,
    /// From now on the program that the debugger lets go stops where it equals the served program of this copy, too. The
    /// debugger sees a step that is done, the client [`Event::Fence`]. `None` takes it away.
    ///
    /// The debugger is about to wait for the return of a call, if a spot is given: its breakpoint there is not told of in frames
    /// that are deeper, where it only says that the program is to go on.
    Fence(Option<CopyId>, Functions, Option<Spot>),
    /// The next time that the debugger lets the program go, which was exchanged, it is told of a stop without a reason, and not
    /// of one that ends a step.
    Halt,
    /// From now on the served program is kept, once, right before the debugger changes it or lets it go: what an expression that
    /// is evaluated does to it can be undone, and one that does nothing costs nothing.
    Guard {
        /// Whether it is to be kept; otherwise it is only noticed.
        keep: bool,
    },
    /// Not any more; answered by [`Answer::Guarded`].
    EndGuard,
    /// Registers of the thread that the debugger was told of last, of the served program or of that of a copy.
    Registers(Option<CopyId>),
    /// Memory of the served program or of that of a copy. What cannot be read is cut off.
    Memory {
        /// Of which copy; `None` for the running one.
        copy: Option<CopyId>,
        /// From where.
        address: u64,
        /// How many bytes, at most 16 MiB.
        length: u64,
    },
}

/// For what a recorded process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Purpose {
    /// The program goes on: its calls are noted, or taken from the notes.
    #[default]
    Program,
    /// The user changes something: noted where it is new, but in the past made for real, and not noted.
    Change,
    /// A question of the debugger or its user: made for real, and neither noted nor taken from the notes.
    Question,
}

/// Where a process that is run again goes another way than it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parted {
    /// How many calls it had made as noted.
    pub at: u64,
    /// The call that it made then.
    pub expected: String,
    /// What it does now.
    pub got: String,
    /// What it had done outside behind this place, which stays done.
    pub kept: Vec<String>,
    /// Nobody sees what it does, and it has been stopped there; otherwise it goes on for real.
    pub lost: bool,
}

/// What a debugger prints that lives in the recorded process, as regular expressions over bytes. All else is the program's, and what has
/// been noted of that is not shown again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Own {
    /// With this it begins to show a stop; what follows is its own, until it reads the terminal.
    pub stop: String,
    /// Lines right before a stop that belong to it, as the end of a text. A match may begin with the end of the line before.
    pub before: String,
    /// A prompt at the end of a text.
    pub prompt: String,
}

/// Address ranges of functions.
pub type Functions = Vec<Vec<(u64, u64)>>;

/// How the served program is to be run without its debugger.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Run {
    /// Where it is counted.
    pub spots: Vec<Spot>,
    /// Stop where it equals the served program of this copy.
    pub fence: Option<CopyId>,
    /// Stop at this hit, the first being 1, before the instruction is executed.
    pub hits: Option<u64>,
    /// Stop when it has run this long, in microseconds.
    pub micros: Option<u64>,
    /// Leave a copy of the program alone at every so many hits.
    pub keep_every: Option<u64>,
    /// Count hits of this thread only.
    pub thread: Option<i32>,
    /// Address ranges of whole functions, each with all of its own: code in them can be counted without a stop.
    pub functions: Functions,
    /// Stop when it is another thread's turn for the so manyth time, the first being 1, before that thread does anything. Only a
    /// recorded program has turns.
    pub turns: Option<u64>,
}

/// An instruction whose executions are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spot {
    /// Its address.
    pub address: u64,
    /// How to compute the frame's canonical address there: a register and what is added to it. Without, every execution counts.
    pub frame: Option<(FrameRegister, i64)>,
    /// Only executions in frames at this address or above (in callers) count.
    pub at_least: u64,
}

/// A register on which a frame's address is based.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FrameRegister {
    /// rsp
    StackPointer,
    /// rbp
    BasePointer,
}

/// Why a [`Request::Run`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunEnd {
    /// It equals the copy that was given.
    Fence,
    /// As many hits as were wanted.
    Hits,
    /// As many turns as were wanted.
    Turn,
    /// The time is over.
    Time,
    /// A signal is about to be delivered by which the program would end.
    Dying(i32),
    /// The program has ended with this status.
    Exited(i32),
    /// A signal has ended it.
    Killed(i32),
    /// The client has ended it.
    Ended,
}

/// A hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// Its number, from 1.
    pub number: u64,
    /// Index of the spot.
    pub spot: u32,
    /// The frame's address, 0 where it is not computed.
    pub frame: u64,
}

/// How a [`Request::Run`] went.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ran {
    /// Why it ended. But for [`RunEnd::Exited`] and [`RunEnd::Killed`] the program is stopped.
    pub end: RunEnd,
    /// Whether it was let go at all: it may have stood at the fence.
    pub let_go: bool,
    /// Hits in all.
    pub hits: u64,
    /// How often it became another thread's turn.
    pub turns: u64,
    /// How often a handler was called for a signal.
    pub handled: u32,
    /// The last of the hits, at most [`Ran::LAST`], oldest first.
    pub last: Vec<Hit>,
    /// How often a spot, or the instruction of the fence, was met by a stop of the program, and not by code in it.
    pub stops: u32,
    /// Copies that were left, with the number of the hit at which each stands and its real pid.
    pub kept: Vec<(u64, CopyId, i32)>,
    /// How long the program ran, in microseconds, without the time that copies took.
    pub ran_us: u64,
}

impl Ran {
    /// How many hits are remembered.
    pub const LAST: usize = 256;
}

/// The answer to a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Answer {
    /// Done, nothing to say.
    Done,
    /// Launched, under this pid.
    Launched {
        /// The pid that the program sees.
        pid: i32,
    },
    /// A stopped copy is there.
    Stopped {
        /// Its name.
        id: CopyId,
        /// Real pid of the copy's leader, for reading its memory figures in /proc.
        pid: i32,
        /// Microseconds for which the process was held.
        held_us: u64,
    },
    /// A copy runs.
    Started {
        /// What could not be brought back, in words.
        warnings: Vec<String>,
    },
    /// A debugger can connect here.
    Serving {
        /// Path of a Unix socket, for this user only, gone as soon as somebody has connected; or of the program to be executed.
        path: Vec<u8>,
    },
    /// What [`Request::Guard`] has led to.
    Guarded {
        /// Whether the debugger changed the program.
        changed: bool,
        /// The program as it was before that, alone, if it was to be kept.
        copy: Option<CopyId>,
    },
    /// What [`Request::Registers`] found.
    Registers(Box<ProgramRegisters>),
    /// What [`Request::Memory`] found.
    Memory(Vec<u8>),
    /// What [`Request::Status`] found.
    Status {
        /// Real pid of the running process.
        running: Option<i32>,
        /// Number of stopped copies.
        copies: usize,
        /// Real pids of all live tasks.
        live: Vec<i32>,
    },
    /// It could not be done; the session is as it was.
    Refused(String),
}

/// General registers of a thread of the served program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramRegisters {
    /// Real id of its process, for /proc/PID/maps.
    pub pid: i32,
    /// The thread as the program knows it.
    pub tid: i32,
    /// The first thread of a process with several that take turns.
    pub turns: Option<i32>,
    /// How many threads the process has.
    pub threads: usize,
    /// The instruction pointer.
    pub rip: u64,
    /// In the order of DWARF: rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15.
    pub general: [u64; 16],
}

/// How a terminal is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadMode {
    /// By lines; `echo` is false when the program asked for silence.
    Line {
        /// Whether typed text may be shown.
        echo: bool,
    },
    /// Key by key.
    Raw,
}

/// Something that happened by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Event {
    /// A thread wants to read the terminal, where nothing waits to be read. It is parked until [`Request::Go`].
    Reading {
        /// Whether it is the session's own process and not a child of it.
        main: bool,
        /// Whether it is the terminal of the served program that is read, and not the debugger's.
        program: bool,
        /// How it reads.
        mode: ReadMode,
        /// Nothing that its server has still to say can wake it.
        settled: bool,
        /// How often [`Request::Go`] had been asked by then.
        went: u64,
    },
    /// A debugger that was parked at its terminal was sent something by its server and goes on: that it reads is no longer true.
    Woken,
    /// The program asks for silence (a password comes next), or takes that back. Told before it prints anything else, so that
    /// nothing that is typed then is shown.
    Silence(bool),
    /// The session's own process has ended.
    Exited {
        /// Exit status; `None` if a signal ended it.
        status: Option<i32>,
        /// The signal.
        signal: Option<i32>,
    },
    /// The program could not be started.
    ExecFailed(i32),
    /// Calls of the recorded process are not noted any more, for this reason.
    Unrecorded(String),
    /// A process that was run again does something else than it did then, and goes on for real from here.
    Parted(Parted),
    /// All threads of the recorded process wait for each other, and nothing that the session knows of will end that.
    Deadlock(Vec<crate::record::Waiting>),
    /// The end of a [`Request::Run`].
    Ran(Ran),
    /// The served program stands where it equals the copy of [`Request::Fence`].
    Fence,
    /// The served program has changed hands or state: launched, attached to, stopped, ended. For whoever shows its state; told
    /// after the debugger.
    Program(ProgramChange),
}

/// What became of the served program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProgramChange {
    /// It has been started or attached to.
    Begun,
    /// This program-only copy stands at its entry.
    Origin {
        /// The copy.
        copy: CopyId,
    },
    /// The debugger let it go.
    Resumed,
    /// It stopped for the debugger.
    Stopped,
    /// It ended, was killed or detached.
    Gone,
}

/// What the supervisor writes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Message {
    /// To the last request.
    Answer(Answer),
    /// Of itself. `run` counts the times that a process was made the running one, so that late news of an earlier one can
    /// be told apart.
    Event {
        /// Which run it is of.
        run: u64,
        /// What happened.
        event: Event,
    },
}

/// Writes one frame.
///
/// # Errors
/// The socket's.
pub fn send<T: Serialize>(socket: &mut impl Write, value: &T) -> io::Result<()> {
    let body = postcard::to_stdvec(value).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut frame = Vec::with_capacity(body.len() + 4);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&body);
    socket.write_all(&frame)
}

/// Reads one frame; `None` at the end of the stream.
///
/// # Errors
/// The socket's, or `InvalidData`.
pub fn receive<T: DeserializeOwned>(socket: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0u8; 4];
    match socket.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut body = vec![0u8; u32::from_le_bytes(length) as usize];
    socket.read_exact(&mut body)?;
    postcard::from_bytes(&body).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
