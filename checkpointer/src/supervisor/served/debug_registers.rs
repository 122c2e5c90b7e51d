//! The processor's four debug registers (Intel SDM vol. 3, 18.2): breakpoints and watchpoints without a byte in memory.

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::raw;
use crate::rsp::target::Kind;

/// One register in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    kind: Kind,
    /// As the debugger names it.
    address: u64,
    length: u64,
    /// What this register covers of it.
    at: u64,
    bytes: u64,
}

/// What the registers are used for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::supervisor) struct DebugRegisters {
    slots: [Option<Slot>; 4],
}

/// What the hardware of a thread has been told.
pub(in crate::supervisor) type Applied = [u64; 5];

impl DebugRegisters {
    /// Takes as many registers as it needs.
    pub(super) fn insert(&mut self, kind: Kind, address: u64, length: u64) -> Result<(), i32> {
        if self.slots.iter().flatten().any(|slot| (slot.kind, slot.address, slot.length) == (kind, address, length)) {
            return Ok(());
        }
        let pieces = if kind == Kind::Hardware { vec![(address, 1)] } else { pieces(address, length) };
        let free = self.slots.iter().filter(|slot| slot.is_none()).count();
        if pieces.is_empty() {
            return Err(libc::EINVAL);
        }
        if pieces.len() > free {
            return Err(libc::ENOSPC);
        }
        for (at, bytes) in pieces {
            if let Some(slot) = self.slots.iter_mut().find(|slot| slot.is_none()) {
                *slot = Some(Slot { kind, address, length, at, bytes });
            }
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, kind: Kind, address: u64, length: u64) {
        for slot in &mut self.slots {
            if slot.is_some_and(|slot| (slot.kind, slot.address, slot.length) == (kind, address, length)) {
                *slot = None;
            }
        }
    }

    /// Whether any is in use.
    pub(super) fn are_used(&self) -> bool {
        self.slots.iter().any(Option::is_some)
    }

    /// The values of the registers 0 to 3 and 7.
    fn values(&self) -> Applied {
        let mut values = [0; 5];
        for (index, slot) in self.slots.iter().enumerate() {
            let Some(slot) = slot else { continue };
            values[index] = slot.at;
            let access = match slot.kind {
                Kind::Software | Kind::Hardware => 0,
                Kind::Write => 1,
                Kind::Read | Kind::Access => 3,
            };
            let length = match slot.bytes {
                2 => 1,
                4 => 3,
                8 => 2,
                _ => 0,
            };
            values[4] |= 1 << (index * 2) | (access | length << 2) << (16 + index * 4);
        }
        values
    }

    /// Tells the hardware of a stopped thread, if it has not been told.
    pub(super) fn apply(&self, tid: Pid, applied: &mut Applied) -> Result<(), Errno> {
        let wanted = self.values();
        if wanted == *applied {
            return Ok(());
        }
        // Off first: an address may not be changed to what its enabled length does not fit.
        raw::set_debug_register(tid, 7, 0)?;
        for index in 0..4 {
            if wanted[index] != applied[index] {
                raw::set_debug_register(tid, index, wanted[index])?;
            }
        }
        raw::set_debug_register(tid, 7, wanted[4])?;
        *applied = wanted;
        Ok(())
    }

    /// What a thread that has stopped for a debug register has met: kind and address of the debugger's naming.
    pub(super) fn met(&self, tid: Pid) -> Option<(Kind, u64)> {
        let status = raw::debug_register(tid, 6).ok()?;
        let index = (0..4).find(|index| status & 1 << index != 0 && self.slots[*index].is_some())?;
        raw::set_debug_register(tid, 6, 0).ok();
        self.slots[index].map(|slot| (slot.kind, slot.address))
    }
}

/// Aligned pieces of 1, 2, 4 or 8 bytes that cover a range.
fn pieces(address: u64, length: u64) -> Vec<(u64, u64)> {
    let (mut at, end) = (address, address.saturating_add(length));
    let mut pieces = Vec::new();
    while at < end && pieces.len() <= 4 {
        let bytes = [8, 4, 2, 1].into_iter().find(|bytes| at % bytes == 0 && at + bytes <= end).unwrap_or(1);
        pieces.push((at, bytes));
        at += bytes;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_covered_by_aligned_pieces() {
        assert_eq!(pieces(0x1000, 8), [(0x1000, 8)]);
        assert_eq!(pieces(0x1001, 4), [(0x1001, 1), (0x1002, 2), (0x1004, 1)]);
        assert_eq!(pieces(0x1000, 24).len(), 3);
    }

    #[test]
    fn a_write_watch_of_four_bytes_is_encoded_as_the_manual_says() {
        let mut registers = DebugRegisters::default();
        registers.insert(Kind::Write, 0x2000, 4).unwrap();
        assert_eq!(registers.values(), [0x2000, 0, 0, 0, 1 | 0b1101 << 16]);
        registers.insert(Kind::Hardware, 0x3000, 1).unwrap();
        assert_eq!(registers.values()[4], 1 | 1 << 2 | 0b1101 << 16);
        registers.remove(Kind::Hardware, 0x3000, 1);
        assert_eq!(registers.slots.iter().flatten().count(), 1);
        assert_eq!(registers.insert(Kind::Access, 0x4001, 32), Err(libc::ENOSPC));
    }
}
