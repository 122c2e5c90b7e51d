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
