//! What a call has written, read off the row.

use super::given::vectors;
use super::thread::Thread;
use crate::syscalls::{Class, Output, Shape};

/// Capacities of buffers whose length the kernel replaces, noted before the call.
pub(crate) fn capacities(thread: &Thread, shape: &Shape, arguments: &[u64; 6]) -> Vec<u64> {
    let argument = |index: u8| arguments[usize::from(index)];
    let mut found = Vec::new();
    for output in shape.outputs.iter() {
        match output {
            // Nothing is asked for there.
            Output::ValueResult(_, length) if argument(*length) == 0 => found.push(0),
            Output::ValueResult(_, length) => found.push(thread.half(argument(*length)).unwrap_or(0).into()),
            Output::Message(header) => {
                found.push(thread.half(argument(*header) + 8).unwrap_or(0).into());
                found.push(thread.word(argument(*header) + 40).unwrap_or(0));
            }
            _ => {}
        }
    }
    found
}

/// Ranges of memory that a finished call may have written: address and length.
pub(crate) fn ranges(
    thread: &Thread,
    shape: &Shape,
    arguments: &[u64; 6],
    capacities: &[u64],
    result: i64,
) -> Vec<(u64, u64)> {
    let argument = |index: u8| arguments[usize::from(index)];
    let count = u64::try_from(result).ok();
    let mut capacities = capacities.iter().copied();
    let mut found = Vec::new();
    for output in shape.outputs.iter().copied() {
        if let Output::Always(pointer, length) = output {
            found.push((argument(pointer), length as u64));
            continue;
        }
        let Some(count) = count else { continue };
        match output {
            Output::Always(..) => {}
            Output::Fixed(pointer, length) => found.push((argument(pointer), length as u64)),
            Output::Result(pointer, most) => found.push((argument(pointer), count.min(argument(most)))),
            Output::ResultAnd(pointer, more) => found.push((argument(pointer), count + more as u64)),
            Output::Items(pointer, size) => found.push((argument(pointer), count * size as u64)),
            Output::Array(pointer, size, items) => {
                found.push((argument(pointer), (argument(items) & 0xffff_ffff) * size as u64));
            }
            Output::Whole(pointer, length) => found.push((argument(pointer), argument(length))),
            Output::Pages(pointer, length) => found.push((argument(pointer), argument(length).div_ceil(4096))),
            Output::Bits(pointer, bits) => found.push((argument(pointer), argument(bits).div_ceil(8))),
            Output::ValueResult(pointer, length) => {
                let capacity = capacities.next().unwrap_or(0);
                if argument(length) == 0 {
                    continue;
                }
                let filled = u64::from(thread.half(argument(length)).unwrap_or(0)).min(capacity);
                found.push((argument(pointer), filled));
                found.push((argument(length), 4));
            }
            Output::Vector(pointer, items) => {
                distribute(&mut found, &vectors(thread, argument(pointer), argument(items)), count);
            }
            Output::Message(header) => {
                let (name, control) = (capacities.next().unwrap_or(0), capacities.next().unwrap_or(0));
                message(&mut found, thread, argument(header), count, Some((name, control)));
            }
            Output::Messages(headers) => {
                for index in 0..count {
                    let header = argument(headers) + 64 * index;
                    found.push((header, 64));
                    if shape.class == Class::Input {
                        let length = thread.half(header + 56).unwrap_or(0).into();
                        message(&mut found, thread, header, length, None);
                    }
                }
            }
            Output::Interfaces(header) => {
                // netdevice(7): the length, which the kernel sets, and the buffer.
                let length = u64::from(thread.half(argument(header)).unwrap_or(0));
                found.push((thread.word(argument(header) + 8).unwrap_or(0), length));
                found.push((argument(header), 4));
            }
            Output::Sets => {
                let bytes = (argument(0) & 0xffff_ffff).div_ceil(64) * 8;
                found.extend((1..4).map(|index| (argument(index), bytes)));
            }
        }
    }
    found.retain(|(address, length)| *address != 0 && *length > 0);
    found
}

fn distribute(found: &mut Vec<(u64, u64)>, vectors: &[(u64, u64)], mut left: u64) {
    for (start, length) in vectors {
        let part = left.min(*length);
        found.push((*start, part));
        left -= part;
    }
}

/// A `struct msghdr` that was received into: name, data, ancillary data and the header itself.
fn message(found: &mut Vec<(u64, u64)>, thread: &Thread, header: u64, length: u64, capacities: Option<(u64, u64)>) {
    let word = |offset: u64| thread.word(header + offset).unwrap_or(0);
    let (name, control) = capacities.unwrap_or((u64::MAX, u64::MAX));
    found.push((word(0), u64::from(thread.half(header + 8).unwrap_or(0)).min(name)));
    distribute(found, &vectors(thread, word(16), word(24)), length);
    found.push((word(32), word(40).min(control)));
    found.push((header, 56));
}

/// What is in those ranges.
pub(crate) fn read(thread: &Thread, ranges: &[(u64, u64)]) -> Vec<(u64, Vec<u8>)> {
    #[allow(clippy::cast_possible_truncation)]
    let contents = ranges.iter().map(|(address, length)| (*address, thread.read(*address, *length as usize)));
    contents.filter(|(_, bytes)| !bytes.is_empty()).collect()
}

/// Numbers of the descriptors that came with the message of a header (unix(7), SCM_RIGHTS).
pub(crate) fn passed(thread: &Thread, header: u64) -> Vec<u32> {
    let mut found = Vec::new();
    let (Some(control), Some(length)) = (thread.word(header + 32), thread.word(header + 40)) else {
        return found;
    };
    let mut at = 0;
    // struct cmsghdr: length with the header, level, type; aligned to words
    while at + 16 <= length {
        let here = control + at;
        let (Some(size), Some(level), Some(kind)) = (thread.word(here), thread.half(here + 8), thread.half(here + 12))
        else {
            break;
        };
        if size < 16 {
            break;
        }
        if (level.cast_signed(), kind.cast_signed()) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            found.extend((16..size).step_by(4).filter_map(|offset| thread.half(here + offset)));
        }
        at += size.div_ceil(8) * 8;
    }
    found
}
