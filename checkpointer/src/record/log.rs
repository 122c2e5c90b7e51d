//! The log: what a replay needs, in the order in which it happened. Append-only; beyond a bound it spills to an unnamed
//! temporary file.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};

use serde::{Deserialize, Serialize};

use super::Trouble;

/// Bytes that are kept in memory before they are written out.
const IN_MEMORY: usize = 8 << 20;

/// Where a recording stops if nothing else is said.
pub const DEFAULT_LIMIT: u64 = 4 << 30;

/// A file as it was when it was mapped or executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its path.
    pub path: Vec<u8>,
    /// Device and inode.
    pub inode: (u64, u64),
    /// Bytes.
    pub size: u64,
    /// Time of the last change of the contents, in nanoseconds.
    pub changed: i128,
}

/// What a mapping shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mapped {
    /// A file that nobody has written to since the recording began.
    File(Identity),
    /// These bytes.
    Bytes(Vec<u8>),
    /// A file that others may have mapped too, so that what is written shows there: device and inode, and what is in it here now.
    Shared((u64, u64), Vec<u8>),
}

/// A system call that was finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Its number.
    pub number: u32,
    /// Its arguments.
    pub arguments: [u64; 6],
    /// A checksum of the registers that are not arguments.
    pub state: u64,
    /// A checksum of what went out.
    pub given: u64,
    /// What it returned; a restart code of the kernel if a handler interrupts it.
    pub result: i64,
    /// What it wrote where.
    pub outputs: Vec<(u64, Vec<u8>)>,
    /// What was mapped.
    pub mapped: Option<Mapped>,
}

/// What a signal handler finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The signals that are blocked while it runs.
    pub blocked: u64,
    /// Those that will be blocked again when it returns.
    pub saved: u64,
}

/// A program that was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// The file.
    pub program: Option<Identity>,
    /// The working directory at that time.
    pub directory: Vec<u8>,
    /// The 16 bytes behind AT_RANDOM.
    pub random: [u8; 16],
    /// A file that was written since the recording began may well be gone when it is replayed: the recorder's descriptor of it.
    pub kept: Option<i32>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// The thread has come to a call, and others run before it is finished. The kernel may have begun with it.
    Enter(u32),
    /// The thread has come to a call, and is left there before it is made.
    Arrive(u32),
    /// A call was finished.
    Call(Call),
    /// The call that the thread is in has made a process or thread.
    Born(i32),
    /// A program was loaded.
    Loaded(Loaded),
    /// A signal from outside was delivered.
    Signal {
        /// Its number.
        number: i32,
        /// `siginfo_t`.
        information: Vec<u8>,
        /// What the handler finds, if there is one.
        frame: Option<Frame>,
    },
    /// The thread's own instruction caused a signal.
    Fault {
        /// Its number.
        number: i32,
        /// Where the instruction is.
        instruction: u64,
    },
    /// A reading of the time-stamp counter, and of the processor's number if that was read with it.
    Counter(u64, Option<u32>),
    /// Clock readings that the thread makes from here on, as our vDSO's buffer has them.
    Clocks(Vec<u8>),
    /// The thread wants to read a clock, and the buffer is full.
    Flush,
    /// The thread was stopped at a place without a name.
    Preempted {
        /// The real id of a copy of its process that stands there.
        copy: i32,
        /// The descriptors that the process has there, and whether an exec closes them: that some were closed since the last event
        /// is no event.
        descriptors: Vec<(i32, bool)>,
    },
    /// The thread ends by itself, or its process does.
    Ended {
        /// The wait status.
        status: i32,
        /// The whole process ends.
        process: bool,
    },
    /// The thread's process was killed from outside.
    Killed,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The thread, by the id that it had when it was recorded.
    pub thread: i32,
    /// What happened.
    pub what: What,
}

/// The log.
#[derive(Debug)]
pub struct Log {
    tail: Vec<u8>,
    spilled: Option<File>,
    bytes: u64,
    events: u64,
    limit: u64,
}

impl Log {
    /// An empty log that holds at most `limit` bytes.
    pub fn new(limit: u64) -> Log {
        Log { tail: Vec::new(), spilled: None, bytes: 0, events: 0, limit }
    }

    /// Adds an event.
    ///
    /// # Errors
    /// [`Trouble::Full`] at the limit, [`Trouble::Log`] when the file cannot be written.
    pub fn push(&mut self, entry: &Entry) -> Result<(), Trouble> {
        let encoded = postcard::to_stdvec(entry).map_err(|error| Trouble::Log(std::io::Error::other(error)))?;
        let length = u32::try_from(encoded.len()).map_err(|_| Trouble::Full(self.limit))?;
        self.bytes += 4 + u64::from(length);
        if self.bytes > self.limit {
            return Err(Trouble::Full(self.limit));
        }
        self.tail.extend_from_slice(&length.to_le_bytes());
        self.tail.extend_from_slice(&encoded);
        self.events += 1;
        if self.tail.len() > IN_MEMORY {
            let file = match &mut self.spilled {
                Some(file) => file,
                None => self.spilled.insert(tempfile::tempfile()?),
            };
            file.write_all(&self.tail)?;
            self.tail.clear();
        }
        Ok(())
    }

    /// Number of events.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Bytes of all events.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads it from the start.
    ///
    /// # Errors
    /// [`Trouble::Log`] when the file cannot be read.
    pub fn read(&self) -> Result<Reader<'_>, Trouble> {
        let spilled = match &self.spilled {
            Some(file) => {
                let mut file = file.try_clone()?;
                file.seek(SeekFrom::Start(0))?;
                Some(BufReader::new(file))
            }
            None => None,
        };
        Ok(Reader { spilled, tail: &self.tail, ahead: None, at: 0 })
    }
}

/// Reads a log from its start.
#[derive(Debug)]
pub struct Reader<'log> {
    spilled: Option<BufReader<File>>,
    tail: &'log [u8],
    ahead: Option<Entry>,
    at: u64,
}

impl Reader<'_> {
    fn fill(&mut self, buffer: &mut [u8]) -> std::io::Result<bool> {
        if let Some(file) = &mut self.spilled {
            match file.read_exact(buffer) {
                Ok(()) => return Ok(true),
                // Events are never split between file and memory.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => self.spilled = None,
                Err(error) => return Err(error),
            }
        }
        if self.tail.is_empty() {
            return Ok(false);
        }
        self.tail.read_exact(buffer).map(|()| true)
    }

    fn decode(&mut self) -> Result<Option<Entry>, Trouble> {
        let mut length = [0u8; 4];
        if !self.fill(&mut length)? {
            return Ok(None);
        }
        let mut encoded = vec![0u8; u32::from_le_bytes(length) as usize];
        self.fill(&mut encoded)?;
        postcard::from_bytes(&encoded).map(Some).map_err(|error| Trouble::Log(std::io::Error::other(error)))
    }

    /// The next event, without going on.
    ///
    /// # Errors
    /// [`Trouble::Log`].
    pub fn peek(&mut self) -> Result<Option<&Entry>, Trouble> {
        if self.ahead.is_none() {
            self.ahead = self.decode()?;
        }
        Ok(self.ahead.as_ref())
    }

    /// The next event and its number.
    ///
    /// # Errors
    /// [`Trouble::Log`].
    pub fn next(&mut self) -> Result<Option<(u64, Entry)>, Trouble> {
        let entry = match self.ahead.take() {
            Some(entry) => Some(entry),
            None => self.decode()?,
        };
        Ok(entry.map(|entry| {
            self.at += 1;
            (self.at - 1, entry)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u32, bytes: usize) -> Entry {
        let call = Call {
            number,
            arguments: [u64::MAX; 6],
            state: 1,
            given: 2,
            result: -1,
            outputs: vec![(0x1000, vec![7; bytes])],
            mapped: None,
        };
        Entry { thread: 5, what: What::Call(call) }
    }

    #[test]
    fn what_goes_in_comes_out_in_order_spilled_or_not() {
        let mut log = Log::new(u64::MAX);
        for number in 0..40 {
            log.push(&entry(number, 1 << 19)).unwrap();
        }
        assert!(log.spilled.is_some());
        // Twice: a reader changes nothing.
        for _ in 0..2 {
            let mut reader = log.read().unwrap();
            for number in 0..40 {
                assert_eq!(reader.peek().unwrap(), Some(&entry(number, 1 << 19)));
                assert_eq!(reader.next().unwrap(), Some((u64::from(number), entry(number, 1 << 19))));
            }
            assert_eq!(reader.next().unwrap(), None);
        }
    }

    #[test]
    fn it_is_bounded() {
        let mut log = Log::new(1000);
        let outcome: Result<Vec<()>, Trouble> = (0..100).map(|number| log.push(&entry(number, 10))).collect();
        assert!(matches!(outcome, Err(Trouble::Full(1000))));
        assert!(log.bytes() <= 1000 + 100);
    }
}
