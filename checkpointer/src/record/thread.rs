//! A traced thread, as recorder and replayer know it.

use std::hash::Hasher;

use nix::unistd::Pid;

use super::Trouble;
use crate::inject::injector::{read_memory, write_memory};
use crate::ptrace::{Change, How, Stopped, change};
use crate::raw::{self, Registers};

/// A traced thread.
#[derive(Debug)]
pub(crate) struct Thread {
    /// Its id when it was recorded.
    pub id: i32,
    /// Its process's id when it was recorded.
    pub process: i32,
    /// Its real id.
    pub tid: Pid,
    /// The real id of its process.
    pub pid: Pid,
    /// Set while it is stopped.
    pub stopped: Option<Stopped>,
}

impl Thread {
    /// A thread that a wait has just reported as stopped.
    pub fn stopped(id: i32, process: i32, tid: Pid, pid: Pid) -> Thread {
        Thread { id, process, tid, pid, stopped: Some(Stopped::reported(tid)) }
    }

    fn gone(&self) -> Trouble {
        Trouble::Gone(self.id)
    }

    /// Its registers; it must be stopped.
    pub fn registers(&self) -> Result<Registers, Trouble> {
        raw::registers(self.tid).map_err(|_| self.gone())
    }

    /// Sets its registers; it must be stopped.
    pub fn set_registers(&self, registers: &Registers) -> Result<(), Trouble> {
        raw::set_registers(self.tid, registers).map_err(|_| self.gone())
    }

    /// Lets it go, with the signal that was left in its stop.
    pub fn resume(&mut self, how: How) -> Result<(), Trouble> {
        let stopped = self.stopped.take().ok_or(Trouble::Gone(self.id))?;
        stopped.resume(how).map(|_| ()).map_err(|_| self.gone())
    }

    /// Up to `length` bytes of its memory: fewer if not all can be read.
    pub fn read(&self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0u8; length];
        let got = raw::read_remote(self.tid, address, &mut bytes);
        if got < length && read_memory(self.tid, address, &mut bytes).is_ok() {
            return bytes;
        }
        bytes.truncate(got);
        bytes
    }

    /// A word of its memory.
    pub fn word(&self, address: u64) -> Option<u64> {
        self.read(address, 8).try_into().ok().map(u64::from_ne_bytes)
    }

    /// Half a word of its memory.
    pub fn half(&self, address: u64) -> Option<u32> {
        self.read(address, 4).try_into().ok().map(u32::from_ne_bytes)
    }

    /// A string of its memory, at most as long as a path may be.
    pub fn text(&self, address: u64) -> Vec<u8> {
        const LONGEST: usize = 4096;
        const PAGE: u64 = 4096;
        let mut text = Vec::new();
        while text.len() < LONGEST {
            let at = address + text.len() as u64;
            // Page by page: the string may end right before one that is not mapped.
            #[allow(clippy::cast_possible_truncation)]
            let piece = self.read(at, (PAGE - at % PAGE).min(256) as usize);
            let end = piece.iter().position(|byte| *byte == 0);
            text.extend_from_slice(&piece[..end.unwrap_or(piece.len())]);
            if end.is_some() || piece.is_empty() {
                break;
            }
        }
        text
    }

    /// Writes its memory, as a system call would.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Trouble> {
        if bytes.is_empty() || raw::write_remote(self.tid, address, bytes) == bytes.len() {
            return Ok(());
        }
        write_memory(self.tid, address, bytes).map_err(|source| {
            crate::inject::InjectError::Io { what: "writing the memory", pid: self.pid.as_raw(), source }.into()
        })
    }
}

/// The arguments of a call about to be made.
pub(crate) fn arguments(registers: &Registers) -> [u64; 6] {
    [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9]
}

/// A checksum of what registers hold besides the arguments of a call.
pub(super) fn state_of(registers: &Registers) -> u64 {
    let mut sum = std::hash::DefaultHasher::new();
    for word in [
        registers.rip,
        registers.rsp,
        registers.rbp,
        registers.rbx,
        registers.r12,
        registers.r13,
        registers.r14,
        registers.r15,
        registers.fs_base,
        registers.gs_base,
    ] {
        sum.write_u64(word);
    }
    sum.finish()
}

/// Waits until a program that was started to be recorded has been loaded.
///
/// # Errors
/// What its exec failed with.
pub(super) fn await_program(tid: Pid) -> std::io::Result<()> {
    loop {
        let Some((_, status)) = raw::wait(Some(tid), true)? else { continue };
        match change(status) {
            Change::Exec => return Ok(()),
            Change::Exited(error) => return Err(std::io::Error::from_raw_os_error(error)),
            Change::Killed(_) => return Err(std::io::Error::from_raw_os_error(libc::ESRCH)),
            Change::Signal(signal) => raw::resume(libc::PTRACE_CONT, tid, signal)?,
            _ => raw::resume(libc::PTRACE_CONT, tid, 0)?,
        }
    }
}

/// An instruction that reads the time-stamp counter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CounterRead {
    /// `rdtscp`: the processor's number comes with it.
    pub with_processor: bool,
}

/// Whether a thread that got a fault stands at such an instruction.
pub(crate) fn counter_read(thread: &Thread, registers: &Registers) -> Option<CounterRead> {
    match thread.read(registers.rip, 3).as_slice() {
        [0x0f, 0x31, ..] => Some(CounterRead { with_processor: false }),
        [0x0f, 0x01, 0xf9] => Some(CounterRead { with_processor: true }),
        _ => None,
    }
}

impl CounterRead {
    /// The registers after the instruction.
    pub fn answer(self, mut registers: Registers, value: u64, processor: u32) -> Registers {
        registers.rax = value & 0xffff_ffff;
        registers.rdx = value >> 32;
        registers.rip += 2;
        if self.with_processor {
            registers.rcx = processor.into();
            registers.rip += 1;
        }
        registers
    }
}

/// Kills the processes of these threads and waits for the end of each.
pub(super) fn end<'a>(threads: impl Iterator<Item = &'a Thread>) {
    let mut left = std::collections::HashSet::new();
    for thread in threads {
        left.insert(thread.tid);
        crate::ptrace::kill(thread.pid).ok();
    }
    while !left.is_empty() {
        let Ok(Some((tid, status))) = raw::wait(None, true) else { return };
        if libc::WIFSTOPPED(status) {
            // The stop before the end, or the first of one that nobody knows yet.
            crate::ptrace::kill(tid).ok();
            raw::resume(libc::PTRACE_CONT, tid, 0).ok();
        } else {
            left.remove(&tid);
        }
    }
}
