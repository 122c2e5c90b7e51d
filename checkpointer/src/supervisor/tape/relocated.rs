//! Outputs of a call that is answered from the notes: where a debugger shares the process, its buffers may be elsewhere this time.

use std::borrow::Cow;

use super::line::Entry;
use crate::record::given::vectors;
use crate::record::outputs;
use crate::record::thread::Thread;
use crate::syscalls::{Output, Shape};

/// An address and what is to be written there.
type Written<'e> = (u64, Cow<'e, [u8]>);

/// `struct msghdr`, and with its length `struct mmsghdr`.
const HEADER: usize = 56;
const HEADER_AND_LENGTH: u64 = 64;

/// The outputs of a call, at the addresses that the process gives now.
pub(super) fn places_now<'e>(
    thread: &Thread,
    shape: &Shape,
    arguments: &[u64; 6],
    entry: &'e Entry,
) -> Vec<Written<'e>> {
    let then = entry.outputs.iter().map(|(address, kept)| (*address, kept.bytes()));
    let headers = |index: u8| (entry.asked.arguments[usize::from(index)], arguments[usize::from(index)]);
    for output in shape.outputs.iter() {
        match output {
            Output::Message(index) => return message(thread, headers(*index), &then.collect::<Vec<_>>()),
            Output::Messages(index) => {
                let count = u64::try_from(entry.result).unwrap_or(0);
                return messages(thread, headers(*index), count, &then.collect::<Vec<_>>());
            }
            Output::Vector(..) => {
                let capacities = outputs::capacities(thread, shape, arguments);
                let ranges = outputs::ranges(thread, shape, arguments, &capacities, entry.result);
                return ranges.into_iter().zip(then).map(|((address, _), (_, bytes))| (address, bytes)).collect();
            }
            _ => {}
        }
    }
    if *arguments == entry.asked.arguments {
        return then.collect();
    }
    then.filter_map(|(address, bytes)| {
        let arguments = entry.asked.arguments.iter().zip(arguments);
        let nearest = arguments.filter(|(then, _)| **then <= address).max_by_key(|(then, _)| **then)?;
        Some((nearest.1 + (address - nearest.0), bytes))
    })
    .collect()
}

/// Several messages: what belongs to each begins with its header and length.
fn messages<'e>(thread: &Thread, (was, is): (u64, u64), count: u64, then: &[Written<'e>]) -> Vec<Written<'e>> {
    let begin = |index: u64| {
        let header = was + HEADER_AND_LENGTH * index;
        then.iter().position(|(address, bytes)| *address == header && bytes.len() as u64 == HEADER_AND_LENGTH)
    };
    let mut found = Vec::new();
    for index in 0..count {
        let Some(first) = begin(index) else { continue };
        let last = begin(index + 1).filter(|_| index + 1 < count).unwrap_or(then.len());
        let at = HEADER_AND_LENGTH * index;
        found.extend(message(thread, (was + at, is + at), &then[first..last]));
    }
    found
}

/// One message. Of its header only what the kernel writes is taken: the addresses in it are those of then.
fn message<'e>(thread: &Thread, (was, is): (u64, u64), then: &[Written<'e>]) -> Vec<Written<'e>> {
    let Some((_, header)) = then.iter().find(|(address, bytes)| *address == was && bytes.len() >= HEADER) else {
        return Vec::new();
    };
    let word = |offset: usize| {
        header.get(offset..offset + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes)
    };
    let now = |offset: u64| thread.word(is + offset).unwrap_or(0);
    let (name, control) = (word(0), word(32));
    let mut found = Vec::new();
    // msg_namelen; msg_controllen and msg_flags; msg_len
    for (from, to) in [(8, 12), (40, 52), (56, 60)] {
        if let Some(bytes) = header.get(from..to) {
            found.push((is + from as u64, Cow::Owned(bytes.to_vec())));
        }
    }
    let mut data = Vec::new();
    for (address, bytes) in then.iter().filter(|(address, _)| *address != was) {
        if *address == name {
            found.push((now(0), bytes.clone()));
        } else if *address == control {
            found.push((now(32), bytes.clone()));
        } else {
            data.extend_from_slice(bytes);
        }
    }
    let mut left = data.as_slice();
    for (address, length) in vectors(thread, now(16), now(24)) {
        let (part, rest) = left.split_at(left.len().min(usize::try_from(length).unwrap_or(0)));
        found.push((address, Cow::Owned(part.to_vec())));
        left = rest;
    }
    found.retain(|(address, bytes)| *address != 0 && !bytes.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::getpid;

    /// `struct msghdr` with two buffers, and those, in our own memory.
    fn header(name: &[u8], vectors: &[u64; 4], control: &[u8], lengths: (u32, u64)) -> [u64; 7] {
        let at = |bytes: &[u8]| bytes.as_ptr() as u64;
        [at(name), lengths.0.into(), vectors.as_ptr() as u64, 2, at(control), lengths.1, 0]
    }

    #[test]
    fn a_message_goes_where_its_header_says_now() {
        let thread = Thread { id: 0, process: 0, tid: getpid(), pid: getpid(), stopped: None };
        let buffers = [[0u8; 8]; 4];
        let vectors = [buffers[1].as_ptr() as u64, 2, buffers[2].as_ptr() as u64, 8];
        let is = header(&buffers[0], &vectors, &buffers[3], (110, 8));
        // Then there was no name, and everything was elsewhere.
        let was = [16u64, 0, 32, 2, 48, 4, 8];
        let bytes: Vec<u8> = was.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let then = [(64, b"ab".as_slice()), (72, b"cde"), (48, b"cccc"), (1000, &bytes)];
        let then: Vec<Written> = then.into_iter().map(|(at, bytes)| (at, Cow::Borrowed(bytes))).collect();
        let at = is.as_ptr() as u64;
        let mut found = message(&thread, (1000, at), &then);
        found.sort();
        let place = |index: usize| buffers[index].as_ptr() as u64;
        let words = [4u64.to_ne_bytes().as_slice(), &8u32.to_ne_bytes()].concat();
        let mut wanted: Vec<Written> = vec![
            (at + 8, vec![0; 4].into()),
            (at + 40, words.into()),
            (place(1), b"ab".to_vec().into()),
            (place(2), b"cde".to_vec().into()),
            (place(3), b"cccc".to_vec().into()),
        ];
        wanted.sort();
        assert_eq!(found, wanted);
    }
}
