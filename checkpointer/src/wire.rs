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
    /// Let threads that are parked at a read of the terminal go on.
    Go,
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
        /// How it reads.
        mode: ReadMode,
    },
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
