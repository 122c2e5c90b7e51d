//! Deadlock: every thread waits for another one, and nothing says for how long. It is reported, not waited for.

use std::fmt;

use object::read::elf::ElfFile64;
use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};
use serde::{Deserialize, Serialize};

use super::thread::Thread;
use crate::syscalls::Row;

/// How long nothing must happen: a signal from outside, which is an event as well, could still end the waiting.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// How much of a stack is searched for the program's own function.
const SEARCHED: usize = 4096;

/// A thread that waits for what does not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Its id.
    pub thread: i32,
    /// Its process.
    pub process: i32,
    /// Its name.
    pub name: String,
    /// The system call that it waits in.
    pub call: String,
    /// The address of the futex, if it waits for one.
    pub futex: Option<u64>,
    /// The thread that holds the lock, where the lock tells.
    pub held_by: Option<i32>,
    /// The thread whose end is waited for.
    pub ends: Option<i32>,
    /// The instruction that it will go on with.
    pub at: u64,
    /// The function of the program, not of the C library, that the call was made from.
    pub function: Option<String>,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread {} ({}) waits in {}", self.thread, self.name, self.call)?;
        if let Some(ended) = self.ends {
            write!(f, " for the end of thread {ended}")?;
        } else if let Some(futex) = self.futex {
            write!(f, " at {futex:#x}")?;
        }
        if let Some(holder) = self.held_by {
            write!(f, ", held by thread {holder}")?;
        }
        match &self.function {
            Some(function) => write!(f, ", called from {function}"),
            None => write!(f, ", at {:#x}", self.at),
        }
    }
}

/// Commands of futex(2) that wait, and what is not the command.
const COMMAND: u64 = 0x7f;
const WAIT: u64 = 0;
const LOCK_PI: u64 = 6;
const WAIT_BITSET: u64 = 9;
const LOCK_PI2: u64 = 13;

/// A thread in a call.
pub(crate) type InCall<'a> = (&'a Thread, &'static Row, [u64; 6]);

/// Whether a call ends only by what another recorded thread does, or by a signal.
fn waits_for_others(row: &Row, arguments: &[u64; 6]) -> bool {
    const WNOHANG: u64 = libc::WNOHANG as u64;
    match row.name {
        "futex" => matches!(arguments[1] & COMMAND, WAIT | WAIT_BITSET | LOCK_PI | LOCK_PI2) && arguments[3] == 0,
        "wait4" => arguments[2] & WNOHANG == 0,
        "waitid" => arguments[3] & WNOHANG == 0,
        _ => false,
    }
}

/// Whether these, being all that there are, may have to wait forever.
pub(super) fn is_possible(calls: &[InCall<'_>]) -> bool {
    calls.iter().all(|(_, row, arguments)| waits_for_others(row, arguments))
        && calls.iter().any(|(_, row, _)| row.name == "futex")
}

/// Whether they have been woken neither: one that has is about to report.
pub(super) fn is_reached(calls: &[InCall<'_>]) -> bool {
    calls.iter().all(|(thread, ..)| {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", thread.tid)).unwrap_or_default();
        status.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('S'))
    })
}

/// Who waits where; `place` is a thread's stack pointer and instruction.
pub(crate) fn describe(calls: &[InCall<'_>], place: &dyn Fn(&Thread) -> Option<(u64, u64)>) -> Vec<Waiting> {
    let known = |id: u32| {
        let id = i32::try_from(id).ok()?;
        calls.iter().any(|(thread, ..)| thread.id == id).then_some(id)
    };
    calls
        .iter()
        .map(|(thread, row, arguments)| {
            let name = std::fs::read_to_string(format!("/proc/{}/comm", thread.tid)).unwrap_or_default();
            let (mut held_by, mut ends) = (None, None);
            if row.name == "futex" {
                const TID_MASK: u32 = 0x3fff_ffff;
                let word = thread.half(arguments[0]).unwrap_or(0);
                match arguments[1] & COMMAND {
                    // The word of a lock with priority inheritance, and of a robust one, has the holder's id.
                    LOCK_PI | LOCK_PI2 => held_by = known(word & TID_MASK),
                    // nptl/pthread_mutex_lock.c: 2 is "taken, and there are waiters"; the holder is two words on.
                    WAIT if arguments[2] == 2 => held_by = thread.half(arguments[0] + 8).and_then(known),
                    WAIT if word & !TID_MASK != 0 => held_by = known(word & TID_MASK),
                    // pthread_join: the word is cleared at the end of the thread whose id it has.
                    _ => ends = known(word).filter(|_| u64::from(word) == arguments[2]),
                }
            } else if row.name == "wait4" {
                #[allow(clippy::cast_possible_truncation)]
                let awaited = arguments[0] as u32;
                ends = known(awaited);
            }
            let (stack, at) = place(thread).unwrap_or_default();
            Waiting {
                thread: thread.id,
                process: thread.process,
                name: name.trim_end().to_owned(),
                call: row.name.to_owned(),
                futex: (row.name == "futex").then_some(arguments[0]),
                held_by,
                ends,
                at,
                function: function(thread, stack),
            }
        })
        .collect()
}

/// Stack pointer and instruction of a thread that is inside a call (proc_pid_syscall(5)).
pub(super) fn place(thread: &Thread) -> Option<(u64, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{}/syscall", thread.tid)).ok()?;
    let mut words = text.split_whitespace().rev();
    let mut number = || u64::from_str_radix(words.next()?.trim_start_matches("0x"), 16).ok();
    let at = number()?;
    Some((number()?, at))
}

/// The function of the innermost frame outside of the C library: the first address on the stack that a call would return to.
fn function(thread: &Thread, stack: u64) -> Option<String> {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", thread.pid)).ok()?;
    let code: Vec<Code<'_>> = maps.lines().filter_map(Code::read).collect();
    let words = thread.read(stack, SEARCHED);
    words.chunks_exact(8).find_map(|word| {
        let address = u64::from_ne_bytes(word.try_into().ok()?);
        let code = code.iter().find(|code| (code.start..code.end).contains(&address))?;
        // call rel32; call of a register or of a word in memory
        let before = thread.read(address.saturating_sub(7), 7);
        let is_call = before.get(2) == Some(&0xe8) || (0..6).any(|at| before.get(at) == Some(&0xff));
        is_call.then(|| code.symbol(address).unwrap_or_else(|| format!("{address:#x} in {}", code.path)))
    })
}

/// Code of a file, mapped.
struct Code<'a> {
    start: u64,
    end: u64,
    offset: u64,
    path: &'a str,
}

impl<'a> Code<'a> {
    /// Reads a line of /proc/PID/maps. None for what is not code of a program or of a library of its own.
    fn read(line: &'a str) -> Option<Code<'a>> {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let rights = words.next()?;
        let offset = words.next()?;
        let path = words.nth(2).filter(|path| path.starts_with('/'))?;
        let name = path.rsplit('/').next()?;
        let runtime = ["libc.so", "libc-", "ld-linux", "ld-", "libpthread"];
        let wanted = rights.contains('x') && !runtime.iter().any(|prefix| name.starts_with(prefix));
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some(Code { start: number(start)?, end: number(end)?, offset: number(offset)?, path }).filter(|_| wanted)
    }

    /// `function+0x12 in /path`
    fn symbol(&self, address: u64) -> Option<String> {
        let bytes = std::fs::read(self.path).ok()?;
        let file = ElfFile64::<object::Endianness>::parse(bytes.as_slice()).ok()?;
        let offset = address - self.start + self.offset;
        let here = file.segments().find_map(|segment| {
            let (begin, size) = segment.file_range();
            (begin..begin + size).contains(&offset).then(|| segment.address() + offset - begin)
        })?;
        let mut symbols = file.symbols().chain(file.dynamic_symbols());
        let covers = |symbol: &object::read::elf::ElfSymbol64<'_, '_>| {
            symbol.kind() == SymbolKind::Text
                && (symbol.address()..symbol.address() + symbol.size().max(1)).contains(&here)
        };
        let symbol = symbols.find(covers)?;
        Some(format!("{}+{:#x} in {}", symbol.name().ok()?, here - symbol.address(), self.path))
    }
}
