//! Futexes of threads that take turns (futex(2)): served here and not by the kernel, so that it is the same each time who is woken.

use std::io::Read;
use std::os::fd::AsFd;

use nix::unistd::Pid;
use syscalls::Sysno;

use super::Supervisor;
use super::events::waiting_signals;
use super::tape::Taken;
use super::tape::schedule::{Cause, Moment, Stand, Wait};
use crate::inject::Remote;
use crate::inject::injector::{Injector, read_memory, write_memory};
use crate::raw::{self, Registers};
use crate::signals::{Disposition, disposition};

const WAIT: u64 = 0;
const WAKE: u64 = 1;
const REQUEUE: u64 = 3;
const CMP_REQUEUE: u64 = 4;
const WAKE_OP: u64 = 5;
const WAIT_BITSET: u64 = 9;
const WAKE_BITSET: u64 = 10;
const COMMAND: u64 = 0x7f;
const PRIVATE: u64 = 128;
const REALTIME: u64 = 256;
const ANY: u32 = u32::MAX;

fn word(pid: Pid, address: u64) -> Option<u32> {
    let mut bytes = [0u8; 4];
    read_memory(pid, address, &mut bytes).ok().map(|()| u32::from_ne_bytes(bytes))
}

/// Whether an address is in memory that other processes may have. Elsewhere a futex is the process's own even if it does not say
/// so (futex(2)): the word that tells of a thread's end is such a one.
fn is_shared(pid: Pid, address: u64) -> bool {
    let Ok(mut file) = std::fs::File::open(format!("/proc/{pid}/maps")) else { return true };
    if let Ok(shared) = raw::is_mapped_shared(file.as_fd(), address) {
        return shared;
    }
    let mut maps = String::new();
    if file.read_to_string(&mut maps).is_err() {
        return true;
    }
    let number = |text| u64::from_str_radix(text, 16).unwrap_or(0);
    let found = maps.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        (number(start)..number(end)).contains(&address).then(|| words.next().is_none_or(|rights| rights.ends_with('s')))
    });
    found.unwrap_or(true)
}

const fn failed(errno: i32) -> i64 {
    -(errno as i64)
}

impl Supervisor {
    /// A call at which threads take turns and that is made for none of them; `None` if it is another one.
    pub(super) fn turn_call(&mut self, tid: Pid, pid: Pid, registers: &Registers) -> Option<Taken> {
        let call = usize::try_from(registers.orig_rax).ok().and_then(Sysno::new)?;
        match call {
            Sysno::futex => {
                // Those with priority inheritance are the kernel's alone.
                const OURS: [u64; 7] = [WAIT, WAKE, REQUEUE, CMP_REQUEUE, WAKE_OP, WAIT_BITSET, WAKE_BITSET];
                if !OURS.contains(&(registers.rsi & COMMAND)) {
                    return self.beyond_us(&format!("futex operation {}", registers.rsi & COMMAND));
                }
            }
            Sysno::sched_yield => {}
            Sysno::futex_wait | Sysno::futex_wake | Sysno::futex_requeue | Sysno::futex_waitv => {
                return self.beyond_us(call.name());
            }
            _ => return None,
        }
        let open = call == Sysno::futex && registers.rsi & PRIVATE == 0;
        if open && is_shared(pid, registers.rdi) {
            if let Some(taken) = self.shared_futex(tid, pid, registers) {
                return Some(taken);
            }
            if self.has_children(pid) {
                // They may be who is waited for, and they are not recorded.
                return Some(Taken::Live);
            }
        }
        if !self.is_aside() && !self.comes_to_call(tid, true) {
            return Some(Taken::Left);
        }
        self.leaves_call(tid);
        if call == Sysno::sched_yield {
            return Some(self.yields(tid, registers));
        }
        let result = self.futex(tid, pid, registers);
        Some(match result {
            Some(result) => {
                self.answer_call(tid, *registers, result);
                Taken::Answered
            }
            None => Taken::Left,
        })
    }

    fn beyond_us(&mut self, what: &str) -> Option<Taken> {
        if !self.is_aside() {
            self.stop_recording(&format!("threads cannot take turns at {what}"));
        }
        Some(Taken::Live)
    }

    fn has_children(&self, pid: Pid) -> bool {
        self.live_processes().into_iter().any(|other| other != pid && Some(other) != self.main)
    }

    /// Its turn is over, if there are others.
    fn yields(&mut self, tid: Pid, registers: &Registers) -> Taken {
        self.answer_call(tid, *registers, 0);
        if let Some(schedule) = self.recording.is_live().then(|| self.recording.schedule()) {
            // At its next call.
            schedule.since = None;
        }
        Taken::Answered
    }

    /// What a call gives; `None` if its thread waits.
    fn futex(&mut self, tid: Pid, pid: Pid, registers: &Registers) -> Option<i64> {
        let Registers { rdi: address, rsi: operation, rdx: first, r10: fourth, r8: other, r9: last, .. } = *registers;
        #[allow(clippy::cast_possible_truncation)]
        let (value, bits) = (first as u32, last as u32);
        // At least one is woken (kernel/futex/waitwake.c).
        #[allow(clippy::cast_possible_truncation)]
        let count = |word: u64| usize::try_from(word as i32).unwrap_or(0).max(1);
        match operation & COMMAND {
            command @ (WAIT | WAIT_BITSET) => {
                let bits = if command == WAIT { ANY } else { bits };
                if bits == 0 {
                    return Some(failed(libc::EINVAL));
                }
                match word(pid, address) {
                    None => return Some(failed(libc::EFAULT)),
                    Some(found) if found != value => return Some(failed(libc::EAGAIN)),
                    Some(_) => {}
                }
                let until = match fourth {
                    0 => None,
                    _ => Some(until(pid, fourth, operation)?.ok_or(())).transpose().ok()?,
                };
                let known = self.virtual_id(tid);
                if self.back_out(tid) {
                    self.recording.schedule().wait(Wait { thread: known, address, value, bits, until });
                    self.next_turn(Cause::Call);
                }
                None
            }
            WAKE => Some(self.wake_all(address, count(first), ANY)),
            WAKE_BITSET if bits == 0 => Some(failed(libc::EINVAL)),
            WAKE_BITSET => Some(self.wake_all(address, count(first), bits)),
            #[allow(clippy::cast_possible_truncation)]
            CMP_REQUEUE if word(pid, address) != Some(last as u32) => Some(failed(libc::EAGAIN)),
            command @ (REQUEUE | CMP_REQUEUE) => {
                #[allow(clippy::cast_possible_truncation)]
                let (wake, most) = (first as i32, fourth as i32);
                let woken = self.wake_all(address, usize::try_from(wake).unwrap_or(0), ANY);
                let moved = self.recording.schedule().requeue(address, other, usize::try_from(most).unwrap_or(0));
                let moved = i64::try_from(moved).unwrap_or(0);
                Some(if command == REQUEUE { woken } else { woken + moved })
            }
            _ => {
                let Some(before) = word(pid, other) else { return Some(failed(libc::EFAULT)) };
                let (after, holds) = operate(bits, before);
                if write_memory(pid, other, &after.to_ne_bytes()).is_err() {
                    return Some(failed(libc::EFAULT));
                }
                let woken = self.wake_all(address, count(first), ANY);
                let more = if holds { self.wake_all(other, count(fourth), ANY) } else { 0 };
                Some(woken + more)
            }
        }
    }

    fn wake_all(&mut self, address: u64, most: usize, bits: u32) -> i64 {
        let woken = self.recording.schedule().wake(address, most, bits);
        for known in &woken {
            let real = self.real_id(*known);
            self.end_wait(real, *known, 0);
        }
        i64::try_from(woken.len()).unwrap_or(0)
    }

    /// A thread finds the call made in which it waited.
    pub(super) fn end_wait(&mut self, tid: Pid, known: i32, result: i64) {
        self.recording.schedule().unwait(known);
        let Ok(mut registers) = raw::registers(tid) else { return };
        // What `syscall` and the kernel leave (System V ABI, A.2.1).
        registers.rip += 2;
        registers.rcx = registers.rip;
        registers.r11 = registers.eflags;
        registers.rax = result.cast_unsigned();
        registers.orig_rax = u64::MAX;
        raw::set_registers(tid, &registers).ok();
    }

    /// While all wait: a signal that has come for one of them interrupts its call, as it would in the kernel.
    pub(super) fn interrupt_waits(&mut self, pid: Pid) {
        if !self.recording.is_live() && !self.recording.is_at_end() {
            // They come where they are noted.
            return;
        }
        if !self.recording.is_live() {
            self.go_live();
        }
        if self.tasks.get(&pid).is_some_and(|task| task.is_stopped()) {
            self.put_timers_back(pid, pid);
        }
        let mut waiting: Vec<i32> = self.recording.schedule().waits().iter().map(|wait| wait.thread).collect();
        // The first thread is the first choice for one that is the process's (kernel/signal.c, complete_signal).
        let leader = self.virtual_id(pid);
        waiting.sort_by_key(|thread| *thread != leader);
        for known in waiting {
            let real = self.real_id(known);
            if !self.can_have_turn(real) || !self.signal_would_interrupt(real) {
                continue;
            }
            // Another thread may get the signal first. Only from a stop at a signal does the kernel look at what the call has left then.
            let stood = Injector::borrow(pid, real).and_then(|mut injector| {
                injector.call(Sysno::getpid, [0; 6])?;
                injector.finish()
            });
            if let Err(error) = stood {
                tracing::warn!("the wait of {known} is not interrupted: {error}");
                continue;
            }
            self.interrupt_wait(real, known);
            if !self.is_aside() && self.recording.next_turn().is_none() {
                self.recording.note_turn(known, Cause::Interrupted, false);
            }
            return self.give_turn(real, known, false);
        }
    }

    /// Whether a signal has come for a thread, or its process, that anybody takes notice of. One that is ignored interrupts nothing
    /// (kernel/signal.c, prepare_signal); it waits here because the process is traced.
    fn signal_would_interrupt(&self, tid: Pid) -> bool {
        let Some((waiting, blocked)) = waiting_signals(tid) else { return false };
        let told = self.is_served(tid) && self.running.is_none();
        let numbers = (1..=64).filter(|number| waiting & !blocked & 1 << (number - 1) != 0);
        numbers
            .into_iter()
            .any(|number| disposition(tid, number) != Disposition::Ignored || told && !self.is_passed(number))
    }

    /// A thread that waits finds itself in its call, interrupted.
    pub(super) fn interrupt_wait(&mut self, tid: Pid, known: i32) {
        let Ok(mut registers) = raw::registers(tid) else { return };
        // Whether the program sees that it was interrupted is decided by the kernel when the handler returns (signal(7)).
        const ERESTARTSYS: i64 = -512;
        registers.rip += 2;
        registers.orig_rax = Sysno::futex.id() as u64;
        registers.rax = ERESTARTSYS.cast_unsigned();
        raw::set_registers(tid, &registers).ok();
        self.recording.schedule().unwait(known);
    }

    /// The kernel has changed the words that tell of the end of a thread, and woken nobody.
    pub(super) fn wake_for_end(&mut self) {
        let Some(leader) = self.recorded_leader() else { return };
        let other = |wait: &&Wait| word(leader, wait.address).is_some_and(|found| found != wait.value);
        let woken: Vec<i32> = self.recording.schedule().waits().iter().filter(other).map(|wait| wait.thread).collect();
        for known in woken {
            debug_assert_eq!(self.recording.schedule().stand(known), Stand::Waits);
            let real = self.real_id(known);
            self.end_wait(real, known, 0);
        }
    }
}

/// When a wait ends at last; `Some(None)` if that cannot be read.
fn until(pid: Pid, address: u64, operation: u64) -> Option<Option<Moment>> {
    let mut bytes = [0u8; 16];
    if read_memory(pid, address, &mut bytes).is_err() {
        return Some(None);
    }
    let (seconds, nanoseconds) = bytes.split_at(8);
    let number = |bytes: &[u8]| i128::from(i64::from_ne_bytes(bytes.try_into().unwrap_or([0; 8])));
    let given = number(seconds) * 1_000_000_000 + number(nanoseconds);
    let clock = if operation & REALTIME == 0 { libc::CLOCK_MONOTONIC } else { libc::CLOCK_REALTIME };
    // FUTEX_WAIT's is relative, the others' are absolute (futex(2)).
    let begin = match operation & COMMAND {
        WAIT => {
            let (seconds, nanoseconds) = raw::clock_now(clock).unwrap_or_default();
            i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
        }
        _ => 0,
    };
    Some(Some(Moment { clock, nanoseconds: begin + given }))
}

/// FUTEX_WAKE_OP: what the second word becomes, and whether its waiters are woken (futex(2)).
fn operate(encoded: u32, before: u32) -> (u32, bool) {
    let signed = |value: u32| (value << 20).cast_signed() >> 20;
    let (operation, comparison) = (encoded >> 28, encoded >> 24 & 0xf);
    let (mut argument, compared) = (signed(encoded >> 12 & 0xfff), signed(encoded & 0xfff));
    if operation & 8 != 0 {
        argument = 1i32.wrapping_shl(argument.cast_unsigned() & 31);
    }
    let argument = argument.cast_unsigned();
    let after = match operation & 7 {
        0 => argument,
        1 => before.wrapping_add(argument),
        2 => before | argument,
        3 => before & !argument,
        _ => before ^ argument,
    };
    let was = before.cast_signed();
    let holds = match comparison {
        0 => was == compared,
        1 => was != compared,
        2 => was < compared,
        3 => was <= compared,
        4 => was > compared,
        _ => was >= compared,
    };
    (after, holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_word_of_a_wake() {
        // FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_GT, 1), glibc's old condition variables
        let encoded = 4 << 24 | 1;
        assert_eq!(operate(encoded, 2), (0, true));
        assert_eq!(operate(encoded, 1), (0, false));
        // Add -1, and compare with -1.
        let encoded = 1 << 28 | 0xfff << 12 | 0xfff;
        assert_eq!(operate(encoded, 0), (u32::MAX, false));
        assert_eq!(operate(encoded, u32::MAX), (u32::MAX - 1, true));
        // Or with 1 << 3.
        let encoded = (8 | 2) << 28 | 3 << 12;
        assert_eq!(operate(encoded, 1), (9, false));
    }
}
