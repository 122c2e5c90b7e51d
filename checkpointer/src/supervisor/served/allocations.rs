//! Memory in the program that belongs to its debugger, for the code and values of expressions. It lies where the program's own
//! mappings never come, so that it makes no difference to the program, and is no part of its state: it stays with the debugger
//! when the program is exchanged.

use std::collections::BTreeMap;
use std::ops::Range;

use nix::unistd::Pid;
use syscalls::Sysno;

use super::Supervisor;
use crate::inject::injector::Injector;
use crate::inject::{CODE_PAGE, InjectError, PAGE, Remote};
use crate::rsp::target::Errno;

/// What is ours in every program: the injector's pages, and behind them the debugger's memory.
pub(super) const OURS: Range<u64> = CODE_PAGE..FIRST + ROOM;

const FIRST: u64 = CODE_PAGE + 0x100_0000;
const ROOM: u64 = 0x700_0000;

/// The debugger's memory.
#[derive(Debug, Clone, Default)]
pub(in crate::supervisor) struct Allocations {
    /// Length and protection of each block, by address.
    blocks: BTreeMap<u64, (u64, u64)>,
}

impl Allocations {
    /// Room for a block.
    fn place(&self, length: u64) -> Option<u64> {
        let mut at = FIRST;
        for (start, (taken, _)) in &self.blocks {
            if at + length <= *start {
                break;
            }
            at = start + taken;
        }
        (at + length <= FIRST + ROOM).then_some(at)
    }
}

/// A block with what is in it.
pub(in crate::supervisor) struct Block {
    address: u64,
    protection: u64,
    bytes: Vec<u8>,
}

fn map(injector: &mut Injector, address: u64, length: u64, protection: u64) -> Result<(), InjectError> {
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED) as u64;
    injector.call(Sysno::mmap, [address, length, protection, flags, u64::MAX, 0]).map(|_| ())
}

impl Supervisor {
    pub(super) fn injected<T>(&self, work: impl FnOnce(&mut Injector) -> Result<T, InjectError>) -> Result<T, Errno> {
        let leader: Pid = self.program.as_ref().map(|program| program.leader).ok_or(libc::ESRCH)?;
        let done = Injector::borrow(leader, leader).and_then(|mut injector| {
            let done = work(&mut injector)?;
            injector.finish()?;
            Ok(done)
        });
        done.map_err(|error| {
            tracing::warn!("cannot map or unmap memory in the program: {error}");
            libc::ENOMEM
        })
    }

    /// Maps memory for the debugger.
    pub(super) fn allocate(&mut self, length: u64, protection: u64) -> Result<u64, Errno> {
        let length = length.checked_next_multiple_of(PAGE).filter(|length| *length > 0).ok_or(libc::EINVAL)?;
        let address = self.served.allocations.place(length).ok_or(libc::ENOMEM)?;
        self.injected(|injector| map(injector, address, length, protection))?;
        self.served.allocations.blocks.insert(address, (length, protection));
        Ok(address)
    }

    /// Takes it back.
    pub(super) fn deallocate(&mut self, address: u64) -> Result<(), Errno> {
        let (length, _) = self.served.allocations.blocks.remove(&address).ok_or(libc::EINVAL)?;
        self.injected(|injector| injector.call(Sysno::munmap, [address, length, 0, 0, 0, 0])).map(|_| ())
    }

    /// The debugger's memory, to be put into another state of the program.
    pub(in crate::supervisor) fn debugger_blocks(&self) -> Vec<Block> {
        let Some(program) = &self.program else { return Vec::new() };
        let blocks = self.served.allocations.blocks.iter().map(|(&address, &(length, protection))| {
            let mut bytes = vec![0u8; usize::try_from(length).unwrap_or(0)];
            program.memory.read(address, &mut bytes);
            Block { address, protection, bytes }
        });
        blocks.collect()
    }

    /// Puts it there.
    pub(in crate::supervisor) fn put_blocks(&mut self, blocks: &[Block]) {
        if blocks.is_empty() {
            return;
        }
        let mapped = self.injected(|injector| {
            for block in blocks {
                map(injector, block.address, block.bytes.len() as u64, block.protection)?;
            }
            Ok(())
        });
        let Some(program) = self.program.as_ref().filter(|_| mapped.is_ok()) else { return };
        for block in blocks {
            if let Err(error) = program.memory.write(block.address, &block.bytes) {
                tracing::warn!("cannot put the debugger's memory back: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_do_not_overlap_and_gaps_are_used() {
        let mut all = Allocations::default();
        let mut add = |length| {
            let at = all.place(length).unwrap();
            all.blocks.insert(at, (length, 0));
            at
        };
        let (first, second, third) = (add(PAGE), add(3 * PAGE), add(PAGE));
        assert_eq!((second - first, third - second), (PAGE, 3 * PAGE));
        all.blocks.remove(&second);
        assert_eq!(all.place(2 * PAGE), Some(second));
        assert_eq!(all.place(ROOM), None);
    }
}
