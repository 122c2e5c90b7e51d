//! The fence: the place in the execution where the program equals a copy of it. Two native states that are equal have the same
//! future, so equality is the exact meaning of "arrived".
//!
//! What other threads do in the meantime is not recorded, so one of them need not be where it was. Then its stack is not compared:
//! a place would never be met again in a program whose threads wake up now and then.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Instant;

use nix::unistd::Pid;
use syscalls::Sysno;

use super::allocations::OURS;
use super::differences::may_differ;
use super::trampolines::frames::interrupted_stack;
use super::{Supervisor, Trampolines};
use crate::inject::injector::Injector;
use crate::inject::{InjectError, PAGE, Remote};
use crate::raw::{self, Registers};
use crate::rsp::target::{Stop, Why};
use crate::snapshot::threads::wind_back;
use crate::supervisor::tape::Mark;
use crate::wire::{CopyId, Event, Functions, RunEnd};

/// Bytes that are compared at once.
const CHUNK: usize = 1 << 18;

/// Bytes of the stack that are compared before everything else.
const STACK: u64 = 16 * 1024;

const RED_ZONE: u64 = 128;

/// Bytes of a word.
const WORD: usize = 8;

/// What is so near to the stack pointer of a thread is taken for its stack, or what is thread-local.
const NEAR: u64 = 1 << 20;

/// What has to be met.
#[derive(Debug)]
pub(in crate::supervisor) struct Fence {
    /// Real id of the copy's process.
    copy: Pid,
    /// The instruction pointer there.
    pub(super) pc: u64,
    pub(super) registers: Registers,
    /// It stands right before a system call that was interrupted: what the kernel leaves in registers is not compared.
    pub(super) in_call: bool,
    /// The thread, as the program knows it.
    thread: i32,
    /// The place in the notes.
    mark: Option<Mark>,
    /// Where the last comparison failed: most likely there again.
    hint: Option<u64>,
    /// Memory that differs without meaning: restartable sequences (the kernel writes the processor's number there), and what is dead of
    /// stacks while there are two of them.
    left_out: Vec<(u64, u64)>,
    /// The thread runs on its alternate stack.
    on_alternate: bool,
    /// The other threads.
    others: Vec<Other>,
    /// Functions of which the code around it may be changed.
    pub(super) functions: Functions,
    /// How often its instruction was met, and not the state.
    pub(super) missed: u32,
}

/// A thread that the program has beside the one that is to arrive.
#[derive(Debug, Clone, Copy)]
struct Other {
    /// Its id, as the program knows it.
    thread: i32,
    pc: u64,
    stack: u64,
}

impl Other {
    /// Whether it waits now where it waited then, by the real id that it has now.
    fn is_there(&self, now: Pid) -> bool {
        // proc_pid_syscall(5): the last two are the stack pointer and the instruction pointer, but for a thread that runs.
        let text = std::fs::read_to_string(format!("/proc/{now}/syscall")).unwrap_or_default();
        let number = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok();
        let mut last = text.split_whitespace().rev().map(number);
        let (Some(Some(pc)), Some(Some(stack))) = (last.next(), last.next()) else { return false };
        // A call that was interrupted to make the copy has been wound back to its instruction.
        stack == self.stack && (pc == self.pc || pc == self.pc + 2)
    }
}

impl Supervisor {
    /// Puts up a fence at the state of a copy, or takes it away.
    ///
    /// `functions` are those of which the code around it may be changed.
    pub(in crate::supervisor) fn set_fence(&mut self, at: Option<CopyId>, functions: Functions) -> Result<(), String> {
        if !self.served.running {
            self.take_down_trampolines();
        }
        if let Some(fence) = self.fence.take() {
            self.served.breakpoints.change(fence.pc, |wanted| wanted.fence = false);
        }
        let Some(at) = at else { return Ok(()) };
        let fence = Fence { functions, ..self.fence_of(at)? };
        self.served.breakpoints.change(fence.pc, |wanted| wanted.fence = true);
        self.fence = Some(fence);
        Ok(())
    }

    pub(super) fn fence_of(&self, at: CopyId) -> Result<Fence, String> {
        let part = self
            .copies
            .get(&at)
            .and_then(|copy| copy.program.as_ref().map(|part| (part, &copy.served, copy.mark.clone())))
            .ok_or_else(|| "there is no such state of the program".to_owned())?;
        let (part, served, mark) = part;
        if part.dead {
            return Err("this state of the program was killed from outside".to_owned());
        }
        let threads = part.snapshot.threads();
        let thread = threads.iter().find(|state| state.virtual_id == served.current).or(threads.first());
        let Some(thread) = thread else { return Err("this state of the program has no threads".to_owned()) };
        let registers = thread.registers;
        let mut bytes = [0u8; 2];
        raw::read_remote(part.leader, registers.rip, &mut bytes);
        let ended = mark.iter().flat_map(Mark::left_areas);
        let mut left_out: Vec<_> = threads.iter().filter_map(|state| state.rseq_area()).chain(ended).collect();
        let alone = threads.len() == 1;
        let alternate = if alone { alternate_stack(part.leader) } else { None };
        let on_alternate = alternate.as_ref().is_some_and(|stack| stack.contains(&registers.rsp));
        left_out.extend(alternate.iter().flat_map(|stack| dead_stacks(part.leader, stack, registers.rsp)));
        let others = threads.iter().filter(|state| state.virtual_id != thread.virtual_id);
        let others =
            others.map(|state| Other { thread: state.virtual_id, pc: state.registers.rip, stack: state.registers.rsp });
        Ok(Fence {
            copy: part.leader,
            pc: registers.rip,
            registers,
            in_call: bytes == [0x0f, 0x05],
            thread: thread.virtual_id,
            mark,
            hint: None,
            left_out,
            on_alternate,
            others: others.collect(),
            functions: Vec::new(),
            missed: 0,
        })
    }

    pub(super) fn fence_is_at(&self, address: u64) -> bool {
        self.fence.as_ref().is_some_and(|fence| fence.pc == address)
    }

    /// The thread that has stopped at the fence, if there is one.
    pub(in crate::supervisor) fn fence_thread(&self) -> Option<i32> {
        self.fence.as_ref().map(|fence| fence.thread)
    }

    /// Whether a stopped thread of the program stands at the fence.
    pub(in crate::supervisor) fn fence_met(&mut self, tid: Pid) -> bool {
        let known = self.virtual_id(tid);
        // With one thread there is none to be confused with.
        let alone = self.served_threads().len() == 1;
        self.sync_clocks();
        let Some(program) = &self.program else { return false };
        let Some(fence) = &mut self.fence else { return false };
        if fence.thread != known && !alone {
            return false;
        }
        let Ok(registers) = raw::registers(tid) else { return false };
        // Two rounds of a loop that only prints are told apart by what has been printed.
        if let (Some(then), Some(now)) = (&fence.mark, self.recording.mark())
            && !then.is_as_far_as(&now)
        {
            tracing::trace!("not at the fence: as far as {}, then {}", now.words(), then.words());
            return false;
        }
        if !fence.registers_equal(&registers) {
            tracing::trace!("not at the fence: registers are {registers:x?}, were {:x?}", fence.registers);
            return false;
        }
        let ids = &self.virtual_ids;
        let real = |thread: i32| {
            ids.iter().find(|(_, known)| **known == thread).map_or(Pid::from_raw(thread), |(real, _)| *real)
        };
        let begin = Instant::now();
        let ours = self.trampolines.as_ref().map(Trampolines::range);
        let met = fence.memory_equal(program.leader, ours, real);
        if let Some(running) = &mut self.running {
            // The program stands meanwhile.
            running.spend(begin.elapsed());
        }
        met
    }

    /// Whether a stopped thread of the program has the state of a copy.
    pub(in crate::supervisor) fn state_is(&mut self, tid: Pid, copy: CopyId) -> bool {
        let known = self.recording.place.take().filter(|(then, _)| *then == copy);
        let Some((_, fence)) = known.or_else(|| Some((copy, self.fence_of(copy).ok()?))) else { return false };
        let former = self.fence.replace(fence);
        let is = self.fence_met(tid);
        let fence = std::mem::replace(&mut self.fence, former);
        self.recording.place = fence.map(|fence| (copy, fence));
        if is && !self.vectors_are(tid, copy) {
            tracing::debug!("not the state of {copy:?}: vector registers differ");
            return false;
        }
        is
    }

    /// Whether a stopped thread has in its floating-point and vector registers what the one of a copy has. A fence can do without, but
    /// a loop may change nothing else.
    fn vectors_are(&self, tid: Pid, copy: CopyId) -> bool {
        // Layout of XSAVE (Intel SDM vol. 1, 13.4): the control words and the header, which says what has never been used, are left out.
        const COMPARED: [std::ops::RangeFrom<usize>; 2] = [32.., 576..];
        const END: usize = 416;
        let Some(part) = self.copies.get(&copy).and_then(|copy| copy.program.as_ref()) else { return false };
        let known = self.virtual_id(tid);
        let Some(thread) = part.snapshot.threads().iter().find(|thread| thread.virtual_id == known) else {
            return false;
        };
        let then = match thread.extended() {
            Some(extended) => extended.to_vec(),
            None => raw::extended_state(part.leader).unwrap_or_default(),
        };
        let now = raw::extended_state(tid).unwrap_or_default();
        let [legacy, further] = COMPARED;
        now.get(legacy.start..END) == then.get(legacy.start..END) && now.get(further.clone()) == then.get(further)
    }

    /// The program stands at the fence.
    pub(in crate::supervisor) fn at_fence(&mut self, tid: Pid) {
        if self.running.is_some() {
            return self.run_over(RunEnd::Fence);
        }
        self.stop_served();
        self.tell(Event::Fence);
        let thread = self.virtual_id(tid);
        // In the middle of a step a debugger would go on after anything but a signal.
        self.tell_stop(&Stop::Thread { tid: thread, why: Why::Signal(libc::SIGINT) });
    }
}

impl Fence {
    fn registers_equal(&self, now: &Registers) -> bool {
        // One that stands at a signal in its call has been wound back in most copies.
        let (mut now, mut then) = (*now, self.registers);
        wind_back(&mut now, None);
        wind_back(&mut then, None);
        let same = [
            (now.rip, then.rip),
            (now.rsp, then.rsp),
            (now.rbp, then.rbp),
            (now.rax, then.rax),
            (now.rbx, then.rbx),
            (now.rdx, then.rdx),
            (now.rsi, then.rsi),
            (now.rdi, then.rdi),
            (now.r8, then.r8),
            (now.r9, then.r9),
            (now.r10, then.r10),
            (now.r12, then.r12),
            (now.r13, then.r13),
            (now.r14, then.r14),
            (now.r15, then.r15),
            (now.fs_base, then.fs_base),
            (now.gs_base, then.gs_base),
        ];
        // The carry, parity, adjust, zero, sign, direction and overflow flags.
        const FLAGS: u64 = 0xcd5;
        // `syscall` leaves the flags in r11, the trap flag of whoever was stepped over it among them.
        const TRAP: u64 = 0x100;
        same.iter().all(|(now, then)| now == then)
            && (self.in_call
                || (now.rcx == then.rcx
                    && now.r11 & !TRAP == then.r11 & !TRAP
                    && now.eflags & FLAGS == then.eflags & FLAGS))
    }

    /// Address and value of the word in which the program differed when it was last compared, if it is one of its memory.
    pub(super) fn difference(&self) -> Option<(u64, u64)> {
        let address = self.hint? & !(WORD as u64 - 1);
        let dead = self.registers.rsp.saturating_sub(RED_ZONE);
        let mut bytes = [0u8; WORD];
        // One that is half dead can be anything.
        let whole = !(address..address + WORD as u64).contains(&dead) || address == dead;
        (whole && raw::read_remote(self.copy, address, &mut bytes) == WORD)
            .then(|| (address, u64::from_le_bytes(bytes)))
    }

    /// Whether all memory that the program can write is the same.
    fn memory_equal(&mut self, live: Pid, ours: Option<Range<u64>>, real: impl Fn(i32) -> Pid) -> bool {
        // A thread that was idle then may be away now.
        let theirs = |hint: &u64| self.others.iter().any(|other| hint.abs_diff(other.stack) < NEAR);
        if let Some(hint) = self.hint.filter(|hint| !theirs(hint))
            && !self.range_equal(live, hint, (hint & !(PAGE - 1)) + PAGE)
        {
            return false;
        }
        // What is below the stack pointer and its red zone (System V ABI, 3.2.2) is dead.
        let alive = self.registers.rsp.saturating_sub(RED_ZONE);
        let near = (alive & !(PAGE - 1)) + STACK;
        if !self.range_equal(live, alive, near) {
            return false;
        }
        let (Ok(mut now), Ok(then)) = (writable(live), writable(self.copy)) else { return false };
        now.retain(|(start, _)| ours.as_ref().is_none_or(|ours| !ours.contains(start)));
        if now != then {
            return false;
        }
        let (away, idle): (Vec<Other>, Vec<Other>) =
            self.others.iter().partition(|other| !other.is_there(real(other.thread)));
        now.iter().all(|(start, end)| {
            let range = *start..*end;
            if range.contains(&alive) && !self.on_alternate {
                return self.range_equal(live, alive, *end);
            }
            if away.iter().any(|other| range.contains(&other.stack)) {
                return true;
            }
            let dead =
                idle.iter().map(|other| other.stack.saturating_sub(RED_ZONE)).find(|alive| range.contains(alive));
            self.range_equal(live, dead.unwrap_or(*start), *end)
        })
    }

    fn range_equal(&mut self, live: Pid, start: u64, end: u64) -> bool {
        let mut now = vec![0u8; CHUNK];
        let mut then = vec![0u8; CHUNK];
        let mut at = start;
        while at < end {
            #[allow(clippy::cast_possible_truncation)]
            let length = (end - at).min(CHUNK as u64) as usize;
            let got = raw::read_remote(live, at, &mut now[..length]);
            let had = raw::read_remote(self.copy, at, &mut then[..length]);
            let both = got.min(had);
            self.blank(at, &mut now[..both]);
            self.blank(at, &mut then[..both]);
            while now[..both] != then[..both] {
                let Some(differs) = now[..both].iter().zip(&then[..both]).position(|(now, then)| now != then) else {
                    break;
                };
                // A comparison that begins in the midst of a word has not all of it.
                let Some(from) = differs.checked_sub((at as usize + differs) % WORD) else { break };
                let word = |bytes: &[u8]| bytes.get(from..from + WORD).and_then(|word| word.try_into().ok());
                let (Some(is), Some(was)) = (word(&now[..both]), word(&then[..both])) else { break };
                let address = at + from as u64;
                if !may_differ(live, address, u64::from_le_bytes(is), u64::from_le_bytes(was)) {
                    break;
                }
                now[from..from + WORD].copy_from_slice(&was);
            }
            if now[..both] != then[..both] {
                let differs = now.iter().zip(&then).position(|(now, then)| now != then).unwrap_or(0);
                self.hint = Some(at + differs as u64);
                tracing::debug!(
                    "not at the fence: {:#x} is {:#x}, was {:#x}",
                    at + differs as u64,
                    now[differs],
                    then[differs]
                );
                return false;
            }
            if got != had {
                return false;
            }
            if both < length {
                // Not to be read in either: page by page.
                at = (at + both as u64 + PAGE) & !(PAGE - 1);
            } else {
                at += length as u64;
            }
        }
        true
    }

    fn blank(&self, start: u64, bytes: &mut [u8]) {
        for (address, length) in &self.left_out {
            let from = address.saturating_sub(start).min(bytes.len() as u64);
            let to = (address + length).saturating_sub(start).min(bytes.len() as u64);
            #[allow(clippy::cast_possible_truncation)]
            bytes[from as usize..to as usize].fill(0);
        }
    }
}

/// The alternate stack of a stopped process with one thread (sigaltstack(2)).
fn alternate_stack(pid: Pid) -> Option<Range<u64>> {
    let asked = || -> Result<Vec<u8>, InjectError> {
        let mut injector = Injector::borrow(pid, pid)?;
        let scratch = injector.scratch();
        injector.call(Sysno::sigaltstack, [0, scratch, 0, 0, 0, 0])?;
        let mut told = vec![0u8; 24];
        injector.read(scratch, &mut told)?;
        injector.finish()?;
        Ok(told)
    };
    // struct: ss_sp, ss_flags, ss_size
    let told = asked().ok()?;
    let (words, _) = told.as_chunks::<8>();
    let [start, flags, size] = [0, 1, 2].map(|index| words.get(index).copied().map_or(0, u64::from_ne_bytes));
    let enabled = flags & libc::SS_DISABLE as u64 == 0 && size > 0;
    enabled.then(|| start..start + size)
}

/// What is dead of the stacks of a process that has an alternate one: of that, what is below the stack pointer, or all of it; and while
/// it is in use, what is below where the other one was left. Frames of handlers that have returned are there, and what the dynamic linker
/// has saved when it bound a function: vector registers, if the processor had them in use.
fn dead_stacks(pid: Pid, alternate: &Range<u64>, stack: u64) -> Vec<(u64, u64)> {
    if !alternate.contains(&stack) {
        return vec![(alternate.start, alternate.end - alternate.start)];
    }
    let below = stack.saturating_sub(RED_ZONE).max(alternate.start);
    let mut dead = vec![(alternate.start, below - alternate.start)];
    if let Some(left) = interrupted_stack(pid, stack, alternate.end)
        && let Some((start, _)) =
            writable(pid).unwrap_or_default().into_iter().find(|(start, end)| (*start..*end).contains(&left))
        && !(start..left).contains(&alternate.start)
    {
        dead.push((start, left.saturating_sub(RED_ZONE).saturating_sub(start)));
    }
    dead
}

/// Private mappings that can be written, from /proc/PID/maps, neighbours made one.
pub(in crate::supervisor) fn writable(pid: Pid) -> std::io::Result<Vec<(u64, u64)>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut ranges: BTreeMap<u64, u64> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else { continue };
        if !rights.starts_with("rw") || !rights.ends_with('p') {
            continue;
        }
        let Some((start, end)) = range.split_once('-') else { continue };
        let (Ok(start), Ok(end)) = (u64::from_str_radix(start, 16), u64::from_str_radix(end, 16)) else { continue };
        if OURS.contains(&start) {
            continue;
        }
        match ranges.last_entry() {
            Some(mut last) if *last.get() == start => *last.get_mut() = end,
            _ => {
                ranges.insert(start, end);
            }
        }
    }
    Ok(ranges.into_iter().collect())
}
