//! Checksums of what goes out with a call.

use std::hash::Hasher;

use super::thread::Thread;
use crate::syscalls::{Given, Row};

/// The most bytes of one buffer that are looked at.
const MOST: u64 = 1 << 20;

/// A checksum of everything that goes out with a call; 0 if the row says that nothing does.
pub(crate) fn digest(thread: &Thread, row: &Row, arguments: &[u64; 6]) -> u64 {
    if row.given.is_empty() {
        return 0;
    }
    let mut sum = std::hash::DefaultHasher::new();
    let argument = |index: &u8| arguments[usize::from(*index)];
    for given in row.given {
        match given {
            Given::Bytes(pointer, length) => add(&mut sum, thread, argument(pointer), argument(length)),
            Given::Address(pointer, length) => {
                #[allow(clippy::cast_possible_truncation)]
                let bytes = thread.read(argument(pointer), argument(length).min(MOST) as usize);
                sum.write(of_address(&bytes));
            }
            Given::Path(pointer) => sum.write(&thread.text(argument(pointer))),
            Given::Vector(pointer, count) => vector(&mut sum, thread, argument(pointer), argument(count)),
            Given::Message(pointer) => {
                let (Some(vectors), Some(count)) =
                    (thread.word(argument(pointer) + 16), thread.word(argument(pointer) + 24))
                else {
                    continue;
                };
                vector(&mut sum, thread, vectors, count);
            }
        }
    }
    sum.finish()
}

fn add(sum: &mut impl Hasher, thread: &Thread, address: u64, length: u64) {
    if address != 0 {
        #[allow(clippy::cast_possible_truncation)]
        sum.write(&thread.read(address, length.min(MOST) as usize));
    }
}

/// The bytes of a `struct sockaddr` that the kernel reads: what lies behind them is whatever was on the stack. glibc's question
/// to nscd, which is asked before any name is looked up, is such a one.
fn of_address(bytes: &[u8]) -> &[u8] {
    let family = bytes.first_chunk().map_or(0, |family| u16::from_ne_bytes(*family));
    let end = match i32::from(family) {
        // A path ends at its zero byte; a name that begins with one is as long as is said (unix(7)).
        libc::AF_UNIX if bytes.get(2).is_some_and(|first| *first != 0) => {
            2 + bytes[2..].iter().position(|byte| *byte == 0).unwrap_or(bytes.len() - 2)
        }
        // Family, port and address (ip(7)); the rest is padding.
        libc::AF_INET => 8,
        _ => bytes.len(),
    };
    &bytes[..end.min(bytes.len())]
}

fn vector(sum: &mut impl Hasher, thread: &Thread, address: u64, count: u64) {
    for (start, length) in vectors(thread, address, count) {
        add(sum, thread, start, length);
    }
}

/// Reads an array of `struct iovec`.
pub(crate) fn vectors(thread: &Thread, address: u64, count: u64) -> Vec<(u64, u64)> {
    // UIO_MAXIOV
    #[allow(clippy::cast_possible_truncation)]
    let bytes = thread.read(address, 16 * count.min(1024) as usize);
    let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_ne_bytes);
    bytes.chunks_exact(16).map(|pair| (word(&pair[..8]), word(&pair[8..]))).collect()
}

#[cfg(test)]
mod tests {
    use super::of_address;

    #[test]
    fn what_lies_behind_an_address_does_not_count() {
        assert_eq!(of_address(b"\x01\0/run/nscd\0rest of the stack"), b"\x01\0/run/nscd");
        assert_eq!(of_address(b"\x01\0/run/nscd"), b"\x01\0/run/nscd");
        assert_eq!(of_address(b"\x01\0\0name\0of"), b"\x01\0\0name\0of");
        assert_eq!(of_address(b"\x02\0\0\x50\x7f\0\0\x01paddings"), b"\x02\0\0\x50\x7f\0\0\x01");
        assert_eq!(of_address(b"\x01"), b"\x01");
        assert_eq!(of_address(b""), b"");
    }
}
