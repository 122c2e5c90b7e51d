//! Breakpoints in the served program's memory. Their bytes are there only while it runs: at a stop, and so in every copy, its
//! memory is its own.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use nix::unistd::Pid;

use crate::supervisor::tape::sites::Sites;

/// `int3`
pub(super) const TRAP: u8 = 0xcc;

/// Memory of a process, kept open.
#[derive(Debug)]
pub(in crate::supervisor) struct Memory {
    file: File,
}

impl Memory {
    pub(in crate::supervisor) fn open(pid: Pid) -> std::io::Result<Memory> {
        Ok(Memory { file: OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem"))? })
    }

    /// Reads as much as there is from the start.
    pub(in crate::supervisor) fn read(&self, address: u64, buffer: &mut [u8]) -> usize {
        let mut done = 0;
        while done < buffer.len() {
            match self.file.read_at(&mut buffer[done..], address.wrapping_add(done as u64)) {
                Ok(n) if n > 0 => done += n,
                _ => {
                    // A long read fails as a whole where its end is not mapped: page by page, then.
                    let page = 4096 - (address.wrapping_add(done as u64) % 4096) as usize;
                    let end = buffer.len().min(done + page);
                    if end == buffer.len() {
                        break;
                    }
                    match self.file.read_at(&mut buffer[done..end], address.wrapping_add(done as u64)) {
                        Ok(n) if n > 0 => done += n,
                        _ => break,
                    }
                }
            }
        }
        done
    }

    pub(in crate::supervisor) fn write(&self, address: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all_at(bytes, address)
    }
}

/// Who wants a breakpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::supervisor) struct Wanted {
    /// The debugger.
    pub(super) debugger: bool,
    /// A run without it.
    pub(super) spot: Option<u32>,
    /// A fence.
    pub(super) fence: bool,
    /// Turns: a thread is to be left there when it spins.
    pub(super) spin: bool,
    /// A place for a signal is looked for there.
    pub(super) sought: bool,
    /// The program's entry, where it is kept for the first time.
    pub(super) origin: bool,
    /// Where the dynamic linker comes by when it has mapped or unmapped something.
    pub(super) mapped: bool,
}

impl Wanted {
    fn any(self) -> bool {
        self.debugger || self.spot.is_some() || self.fence || self.spin || self.sought || self.origin || self.mapped
    }
}

/// The breakpoints of a program, and what is in its memory for them.
#[derive(Debug, Clone, Default)]
pub(in crate::supervisor) struct Breakpoints {
    wanted: BTreeMap<u64, Wanted>,
    /// Conditions of the debugger's, as agent expressions.
    conditions: BTreeMap<u64, Vec<Vec<u8>>>,
    /// Original bytes under those that are in memory now.
    inserted: BTreeMap<u64, u8>,
    /// Where a thread that spins is expected.
    spin: Option<u64>,
}

impl Breakpoints {
    pub(in crate::supervisor) fn at(&self, address: u64) -> Option<Wanted> {
        self.wanted.get(&address).copied()
    }

    pub(super) fn change(&mut self, address: u64, change: impl FnOnce(&mut Wanted)) {
        let wanted = self.wanted.entry(address).or_default();
        change(wanted);
        if !wanted.any() {
            self.wanted.remove(&address);
        }
    }

    /// Where a thread that spins is expected now; gives back where it was, if that is another place.
    pub(super) fn expect_spin(&mut self, at: Option<u64>) -> Option<Option<u64>> {
        let before = self.spin;
        if at == before && at.is_none_or(|at| self.at(at).is_some_and(|wanted| wanted.spin)) {
            return None;
        }
        if let Some(before) = before {
            self.change(before, |wanted| wanted.spin = false);
        }
        if let Some(at) = at {
            self.change(at, |wanted| wanted.spin = true);
        }
        self.spin = at;
        Some(before)
    }

    /// Sets the conditions of one of the debugger's.
    pub(super) fn set_conditions(&mut self, address: u64, conditions: Vec<Vec<u8>>) {
        if conditions.is_empty() {
            self.conditions.remove(&address);
        } else {
            self.conditions.insert(address, conditions);
        }
    }

    pub(super) fn conditions(&self, address: u64) -> Option<&[Vec<u8>]> {
        self.conditions.get(&address).map(Vec::as_slice)
    }

    pub(super) fn addresses(&self) -> Vec<u64> {
        self.wanted.keys().copied().collect()
    }

    /// Takes away all that are not the debugger's.
    pub(super) fn only_debugger(&mut self) {
        self.wanted.retain(|_, wanted| {
            *wanted = Wanted { debugger: wanted.debugger, ..Wanted::default() };
            wanted.debugger
        });
    }

    /// All are gone, with the memory that they were in.
    pub(super) fn clear(&mut self) {
        self.wanted.clear();
        self.conditions.clear();
        self.inserted.clear();
    }

    /// What is in memory is not: this is another process, whose memory is its own.
    pub(in crate::supervisor) fn forget_inserted(&mut self) {
        self.inserted.clear();
    }

    /// Puts them into memory. One whose memory is not there is left out.
    pub(super) fn insert(&mut self, memory: &Memory, sites: &Sites) {
        for &address in self.wanted.keys() {
            if self.inserted.contains_key(&address) {
                continue;
            }
            sites.put_back(memory, address, address + 1);
            let mut byte = [0u8];
            if memory.read(address, &mut byte) == 1 && memory.write(address, &[TRAP]).is_ok() {
                self.inserted.insert(address, byte[0]);
            }
        }
    }

    /// Puts those into memory, too, whose memory was not there before, or was mapped anew.
    pub(super) fn insert_again(&mut self, memory: &Memory, sites: &Sites) {
        let is_there = |address: u64| {
            let mut byte = [0u8];
            memory.read(address, &mut byte) == 1 && byte[0] == TRAP
        };
        self.inserted.retain(|address, _| is_there(*address));
        self.insert(memory, sites);
    }

    /// Takes them out of memory.
    pub(super) fn remove(&mut self, memory: &Memory) {
        for (address, byte) in std::mem::take(&mut self.inserted) {
            restore(memory, address, byte);
        }
    }

    /// Takes one out for a moment; true if it was in.
    pub(super) fn lift(&mut self, address: u64, memory: &Memory) -> bool {
        match self.inserted.remove(&address) {
            Some(byte) => {
                restore(memory, address, byte);
                true
            }
            None => false,
        }
    }

    pub(super) fn is_inserted(&self, address: u64) -> bool {
        self.inserted.contains_key(&address)
    }

    /// Takes ours out of the memory of another process that has inherited it.
    pub(in crate::supervisor) fn clean(&self, memory: &Memory) {
        for (address, byte) in &self.inserted {
            restore(memory, *address, *byte);
        }
    }

    /// Puts what the program has into bytes that were read from its memory.
    pub(in crate::supervisor) fn hide(&self, address: u64, bytes: &mut [u8]) {
        let end = address.saturating_add(bytes.len() as u64);
        for (at, byte) in self.inserted.range(address..end) {
            #[allow(clippy::cast_possible_truncation)]
            if let Some(seen) = bytes.get_mut((at - address) as usize) {
                *seen = *byte;
            }
        }
    }

    /// Takes bytes that are to be written; gives back what is to be in memory.
    pub(super) fn write(&mut self, address: u64, bytes: &[u8]) -> Vec<u8> {
        let mut written = bytes.to_vec();
        let end = address.saturating_add(bytes.len() as u64);
        for (at, byte) in self.inserted.range_mut(address..end) {
            #[allow(clippy::cast_possible_truncation)]
            let index = (at - address) as usize;
            *byte = bytes[index];
            written[index] = TRAP;
        }
        written
    }
}

fn restore(memory: &Memory, address: u64, byte: u8) {
    let mut now = [0u8];
    // The program may have written something else there meanwhile, or unmapped it.
    if memory.read(address, &mut now) == 1 && now[0] == TRAP {
        memory.write(address, &[byte]).ok();
    }
}
