//! What a recorded process has noted itself, without a stop: readings of clocks, and calls on files, pipes and sockets. The layout is that of
//! `raw/clocks.rs` and `raw/calls.rs`. Pure.

use std::rc::Rc;

use super::held::Held;
use super::line::{Asked, Rule};
use crate::raw::{CALL_BASE, CLOCK_ENTRY, STREAM_CALL, call_sum};
use crate::syscalls;

const TIME_OF_DAY: u32 = 0x100;
const TIME: u32 = 0x101;
const PROCESSOR: u32 = 0x102;

/// Bytes of a record but for what was read.
const HEAD: usize = CLOCK_ENTRY as usize;

const READ: u32 = libc::SYS_read as u32;
const PREAD: u32 = libc::SYS_pread64 as u32;
const WRITE: u32 = libc::SYS_write as u32;
const PWRITE: u32 = libc::SYS_pwrite64 as u32;
const LSEEK: u32 = libc::SYS_lseek as u32;
const STAT: u32 = libc::SYS_newfstatat as u32;
const READLINK: u32 = libc::SYS_readlink as u32;
const ACCESS: u32 = libc::SYS_access as u32;
const RECEIVE: u32 = libc::SYS_recvfrom as u32;
const SEND: u32 = libc::SYS_sendto as u32;

/// A file that calls in a buffer were made on, by its descriptor.
#[derive(Debug, Clone)]
pub(super) struct Used {
    pub number: i32,
    pub held: Held,
    pub name: Rc<str>,
}

/// One clock that was read, or one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record(Vec<u8>);

impl Record {
    /// The one that begins there in a buffer.
    pub fn at(bytes: &[u8], from: usize) -> Option<Record> {
        let rest = bytes.get(from..)?;
        let head = Record(rest.get(..HEAD)?.to_vec());
        Some(Record(rest.get(..HEAD + head.given())?.to_vec()))
    }

    /// Those in a buffer from a place on, with where each one begins.
    pub fn all(bytes: &[u8], from: usize) -> impl Iterator<Item = (usize, Record)> {
        let mut next = from;
        std::iter::from_fn(move || {
            let record = Record::at(bytes, next)?;
            let begins = next;
            next += record.length();
            Some((begins, record))
        })
    }

    fn half(&self, at: usize) -> u32 {
        self.0[at..at + 4].first_chunk().map_or(0, |half| u32::from_ne_bytes(*half))
    }

    fn word(&self, at: usize) -> u64 {
        self.0[at..at + 8].first_chunk().map_or(0, |word| u64::from_ne_bytes(*word))
    }

    /// The number of the call that it is, if it is one.
    fn call(&self) -> Option<u32> {
        (self.half(0) & !STREAM_CALL).checked_sub(CALL_BASE)
    }

    /// Whether it is one on a pipe, a socket or the like.
    fn is_of_stream(&self) -> bool {
        self.half(0) & STREAM_CALL != 0
    }

    /// Bytes of what was read.
    fn given(&self) -> usize {
        let result = self.word(8).cast_signed();
        match self.call() {
            Some(READ | PREAD | READLINK | RECEIVE) => usize::try_from(result).unwrap_or(0),
            Some(STAT) if result == 0 => 144,
            _ => 0,
        }
    }

    /// Bytes that it takes in a buffer.
    pub fn length(&self) -> usize {
        self.0.len().next_multiple_of(HEAD)
    }

    /// Whether it is a call.
    pub fn is_call(&self) -> bool {
        self.call().is_some()
    }

    /// Whether it may be a debugger's that shares the process: it only asks, about files or about the interpreter's clock.
    pub fn is_query(&self, rule: Rule) -> bool {
        match self.call() {
            Some(call) => !matches!(call, WRITE | PWRITE) && !self.is_of_stream(),
            None => rule != Rule::Told && self.half(0) == libc::CLOCK_MONOTONIC.cast_unsigned(),
        }
    }

    /// The descriptor that it is about.
    fn descriptor(&self) -> Option<i32> {
        // The checksum of no path is its seed: the flags of the call (stat(2), AT_EMPTY_PATH).
        const OF_DESCRIPTOR: u64 = libc::AT_EMPTY_PATH as u64;
        let by_number = match self.call()? {
            READ | PREAD | WRITE | PWRITE | LSEEK | RECEIVE | SEND => true,
            STAT => self.word(24) == OF_DESCRIPTOR,
            _ => false,
        };
        by_number.then(|| self.half(4).cast_signed())
    }

    /// Whether this is what a call that came to the tracer asks for.
    pub fn is_for(&self, asked: &Asked, files: &[Used], rule: Rule) -> bool {
        let [first, second, third, fourth, fifth, _] = asked.arguments;
        #[allow(clippy::cast_possible_truncation)]
        let half = |word: u64| word as u32;
        let Some(call) = self.call() else {
            let which = match syscalls::name(asked.number.into()) {
                "clock_gettime" => half(first),
                "gettimeofday" => TIME_OF_DAY,
                "time" => TIME,
                "getcpu" => PROCESSOR,
                _ => return false,
            };
            return which == self.half(0) && (rule != Rule::Shared || !self.is_query(rule) || second == self.word(24));
        };
        if call != asked.number {
            return false;
        }
        let words = [self.word(16), self.word(24)];
        let of_path = |pointer: u64| words[1] == asked.sum && (rule.is_shared() || words[0] == pointer);
        let same = match call {
            READ => third == words[1],
            RECEIVE => [fourth, third] == words && fifth == 0,
            SEND => fourth == words[0] && fifth == 0 && self.sums(asked) == words[1],
            PREAD => [fourth, third] == words,
            LSEEK => [second, third] == words,
            WRITE => self.sums(asked) == words[1],
            PWRITE => fourth == words[0] && self.sums(asked) == words[1],
            STAT => half(first) == self.half(4) && of_path(second),
            READLINK | ACCESS => of_path(first),
            _ => false,
        };
        let Some(number) = self.descriptor().filter(|_| same) else { return same };
        // A debugger's own files have the same numbers at other times.
        let named = files.iter().find(|file| file.number == number).map(|file| &file.name);
        half(first).cast_signed() == number && (rule == Rule::Exact || named == asked.about.as_ref())
    }

    /// The checksum that it has if it wrote what is asked for.
    fn sums(&self, asked: &Asked) -> u64 {
        // Of what was not written as a whole only the length counts.
        let count = asked.arguments[2];
        if self.word(8) == count { asked.sum } else { call_sum(count, &[]) }
    }

    /// What the call returned.
    pub fn result(&self) -> i64 {
        match self.half(0) {
            TIME => self.word(8).cast_signed(),
            _ if self.is_call() => self.word(8).cast_signed(),
            _ => self.half(4).cast_signed().into(),
        }
    }

    /// What it wrote, where the call asks for it.
    pub fn outputs(&self, asked: &Asked) -> Vec<(u64, Vec<u8>)> {
        let [first, second, third, ..] = asked.arguments;
        let mut outputs = match self.half(0) {
            _ if self.is_call() => {
                let to = if self.call() == Some(STAT) { third } else { second };
                let given = self.0[HEAD..].to_vec();
                if given.is_empty() { Vec::new() } else { vec![(to, given)] }
            }
            TIME => vec![(first, self.0[8..16].to_vec())],
            _ if self.half(4) != 0 => Vec::new(),
            TIME_OF_DAY => vec![(first, self.0[8..24].to_vec()), (second, self.0[24..32].to_vec())],
            PROCESSOR => vec![(first, self.0[8..12].to_vec()), (second, self.0[16..20].to_vec())],
            _ => vec![(second, self.0[8..24].to_vec())],
        };
        outputs.retain(|(address, _)| *address != 0);
        outputs
    }

    /// The file that it is about among these, and where that stands afterwards, if the call has to do with that.
    pub fn stands<'f>(&self, files: &'f [Used]) -> Option<(&'f Held, i64)> {
        let number = self.descriptor()?;
        let at = match self.call()? {
            READ | WRITE if !self.is_of_stream() => self.word(16),
            LSEEK => self.word(8),
            _ => return None,
        };
        let file = files.iter().find(|file| file.number == number)?;
        Some((&file.held, at.cast_signed())).filter(|(_, at)| *at >= 0)
    }

    /// The name of what it has written to.
    pub fn effect<'f>(&self, files: &'f [Used]) -> Option<&'f Rc<str>> {
        let number = self.descriptor().filter(|_| !self.is_query(Rule::Shared) && self.result() >= 0)?;
        files.iter().find(|file| file.number == number).map(|file| &file.name)
    }

    /// Descriptors of the calls in a buffer, each once.
    pub fn descriptors(bytes: &[u8]) -> Vec<i32> {
        let mut numbers: Vec<i32> = Record::all(bytes, 0).filter_map(|(_, record)| record.descriptor()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

/// The checksum of what goes out with a call that a process could have made without a stop; `text` and `bytes` read its memory.
pub(super) fn sum_of(
    number: u32,
    arguments: &[u64; 6],
    text: impl Fn(u64) -> Vec<u8>,
    bytes: impl Fn(u64, u64) -> Vec<u8>,
) -> u64 {
    let [first, second, third, fourth, ..] = *arguments;
    match number {
        WRITE | PWRITE | SEND if third <= crate::raw::LONGEST_CALL => call_sum(third, &bytes(second, third)),
        STAT => call_sum(fourth, &text(second)),
        READLINK => call_sum(third, &text(first)),
        ACCESS => call_sum(second, &text(first)),
        _ => 0,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A reading of a clock, as it is in a buffer.
    pub fn reading(which: u32, address: u64) -> Vec<u8> {
        record(which, 0, [7, 8, address], &[])
    }

    /// A record with these words.
    pub fn record(which: u32, half: u32, words: [u64; 3], given: &[u8]) -> Vec<u8> {
        let mut bytes = [which.to_ne_bytes(), half.to_ne_bytes()].concat();
        bytes.extend(words.map(u64::to_ne_bytes).as_flattened());
        bytes.extend(given);
        bytes.resize(bytes.len().next_multiple_of(HEAD), 0xee);
        bytes
    }

    /// What a call is known by.
    pub fn asked(number: u32, arguments: &[u64], sum: u64) -> Asked {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        Asked { number, arguments: all, given: 0, query: false, sum, about: None }
    }

    fn read(number: u32, bytes: &[u8]) -> Vec<u8> {
        record(CALL_BASE + READ, number, [bytes.len() as u64, 100 + bytes.len() as u64, 64], bytes)
    }

    #[test]
    fn records_are_taken_apart_as_they_were_put_together() {
        let bytes =
            [reading(0, 0x7000), read(3, b"more than what fits into one of thirty-two"), read(4, b""), reading(1, 1)];
        let whole = bytes.concat();
        let found: Vec<(usize, Record)> = Record::all(&whole, 0).collect();
        let places: Vec<usize> = found.iter().map(|(at, _)| *at).collect();
        assert_eq!(places, [0, 32, 32 + 32 + 64, 160]);
        assert_eq!(found.iter().map(|(_, record)| record.length()).sum::<usize>(), whole.len());
        assert!(!found[0].1.is_call() && found[1].1.is_call() && found[1].1.is_query(Rule::Shared));
        assert_eq!(Record::descriptors(&whole), [3, 4]);
        // One that is cut off is none.
        assert_eq!(Record::all(&whole[..60], 0).count(), 1);
        assert_eq!(Record::all(&whole[..100], 0).count(), 1);
    }

    #[test]
    fn a_reading_goes_where_it_is_asked_for() {
        let record = Record::at(&reading(0, 0x7000), 0).unwrap();
        let call = asked(libc::SYS_clock_gettime as u32, &[0, 0x7000], 0);
        assert!(record.is_for(&call, &[], Rule::Exact));
        assert_eq!(
            (record.result(), record.outputs(&call)),
            (0, vec![(0x7000, [7u64, 8].map(u64::to_ne_bytes).concat())])
        );
    }

    #[test]
    fn a_read_is_given_to_who_reads_as_much_from_the_same_file() {
        let record = Record::at(&read(3, b"abc"), 0).unwrap();
        let file = super::super::held::Slot::new(std::fs::File::open("/dev/null").unwrap().into(), false);
        let files = [Used { number: 3, held: file, name: "/a".into() }];
        let call = |number: u64, count: u64| asked(READ, &[number, 0x1000, count], 0);
        assert!(record.is_for(&call(3, 64), &files, Rule::Exact));
        assert!(!record.is_for(&call(4, 64), &files, Rule::Exact) && !record.is_for(&call(3, 65), &files, Rule::Exact));
        let named = |name: &str| Asked { about: Some(name.into()), ..call(3, 64) };
        assert!(record.is_for(&named("/a"), &files, Rule::Shared));
        assert!(
            !record.is_for(&named("/b"), &files, Rule::Shared) && !record.is_for(&call(3, 64), &files, Rule::Shared)
        );
        assert_eq!((record.result(), record.outputs(&call(3, 64))), (3, vec![(0x1000, b"abc".to_vec())]));
        assert_eq!(record.stands(&files).map(|(_, at)| at), Some(103));
    }

    #[test]
    fn a_write_is_known_by_what_it_wrote() {
        let sum = call_sum(5, b"hello");
        let whole = Record::at(&record(CALL_BASE + WRITE, 3, [5, 5, sum], &[]), 0).unwrap();
        let call = |sum: u64| asked(WRITE, &[3, 0x1000, 5], sum);
        let of = |bytes: &[u8]| sum_of(WRITE, &[3, 0x1000, 5, 0, 0, 0], |_| Vec::new(), |_, _| bytes.to_vec());
        assert!(whole.is_for(&call(of(b"hello")), &[], Rule::Exact));
        assert!(!whole.is_for(&call(of(b"hallo")), &[], Rule::Exact) && !whole.is_query(Rule::Shared));
        let partly = Record::at(&record(CALL_BASE + WRITE, 3, [2, 2, call_sum(5, &[])], &[]), 0).unwrap();
        assert!(partly.is_for(&call(of(b"hello")), &[], Rule::Exact));
    }
}
