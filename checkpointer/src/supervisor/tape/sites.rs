//! Calls on files that a recorded process makes and notes itself (raw/calls.rs). Where the C library makes them its code is replaced,
//! once it is mapped, by a jump to a page of ours in its reach, and from there to the code that makes the call. The library's `syscall`
//! instruction stays where it is: calls that are left to us are made there, so a thread that waits stands where it would stand anyway.
//!
//! Nobody sees the replaced code: what a debugger reads is what was there, and where it steps or has a breakpoint that is put back
//! for good. Calls that are noted one way can be given the other way.

use nix::unistd::Pid;

use super::super::Supervisor;
use super::super::served::Memory;
use super::kinds::Kind;
use super::line::Rule;
use super::line::{Asked, Found, place};
use super::records::sum_of;
use super::{Pending, Taken};
use crate::inject::PAGE;
use crate::inject::injector::{read_memory, write_memory};
use crate::ptrace::{Change, change};
use crate::raw::{
    self, CALL_MODE, CLOCK_BUFFER, ClockMode, NOTED_DESCRIPTORS, READY_DESCRIPTORS, RECEIVING_DESCRIPTORS,
    SENDING_DESCRIPTORS, STILL_DESCRIPTORS,
};
use crate::record::reads::JUMPS;
use crate::record::vdso::IMAGE;
use crate::rsp::target::{Caught, Motion};

/// Where the code is: on pages behind that of the clocks, from which calls pass the filter, too.
pub(super) const CODE: u64 = IMAGE + PAGE;

/// Bytes of those pages.
#[cfg(test)]
const ROOM: u64 = crate::record::vdso::IMAGE_SIZE - PAGE;

/// Bytes of a jump in our page.
const JUMP: usize = 32;

/// Bytes of `jmp` with a distance.
const NEAR: usize = 5;

/// `xor eax, eax; syscall; cmp rax, -4096; ja` of read(2), but for where that goes.
const READ: [u8; 11] = [0x31, 0xc0, 0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff, 0x77];

/// `ret`
const RET: u8 = 0xc3;

/// Instructions between functions that nobody executes, of [`NEAR`] bytes or more.
const NOPS: [&[u8]; 5] = [
    &[0x0f, 0x1f, 0x44, 0, 0],
    &[0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
    &[0x66, 0x0f, 0x1f, 0x44, 0, 0],
    &[0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
    &[0x0f, 0x1f, 0x80, 0, 0, 0, 0],
];

/// Code that is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Site {
    start: u64,
    original: Vec<u8>,
    replaced: Vec<u8>,
    /// Where the jump out of it is, if that is not its beginning.
    hop: Option<u64>,
}

impl Site {
    fn overlaps(&self, start: u64, end: u64) -> bool {
        start < self.start + self.original.len() as u64 && self.start < end
    }
}

/// All of a program. Which are replaced is in its memory.
#[derive(Debug, Clone, Default)]
pub(in crate::supervisor) struct Sites(std::rc::Rc<Vec<Site>>);

impl Sites {
    /// Puts what was there into bytes that were read from the program's memory.
    pub(in crate::supervisor) fn hide(&self, address: u64, bytes: &mut [u8]) {
        let end = address.saturating_add(bytes.len() as u64);
        for site in self.0.iter().filter(|site| site.overlaps(address, end)) {
            let from = site.start.max(address);
            let to = end.min(site.start + site.original.len() as u64);
            #[allow(clippy::cast_possible_truncation)]
            let part = |base: u64| (from - base) as usize..(to - base) as usize;
            let seen = &mut bytes[part(address)];
            if *seen == site.replaced[part(site.start)] {
                seen.copy_from_slice(&site.original[part(site.start)]);
            }
        }
    }

    /// Puts back what was there where it overlaps with these bytes, in the memory of a program.
    pub(in crate::supervisor) fn put_back(&self, memory: &Memory, start: u64, end: u64) {
        for site in self.0.iter().filter(|site| site.overlaps(start, end)) {
            let mut now = vec![0u8; site.replaced.len()];
            if memory.read(site.start, &mut now) == now.len() && now == site.replaced {
                memory.write(site.start, &site.original).ok();
            }
        }
    }

    /// Whether a thread that stands there is on its way out of a site.
    fn is_hop(&self, at: u64) -> bool {
        self.0.iter().any(|site| site.hop == Some(at))
    }
}

fn is_jump(address: u64) -> bool {
    (JUMPS..JUMPS + PAGE).contains(&address)
}

/// Where the C library's code is mapped in a process.
fn library(pid: Pid) -> Option<(u64, u64)> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    maps.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let executable = words.next()?.contains('x');
        let name = words.nth(3)?.rsplit('/').next()?;
        let is_library = name.starts_with("libc.so.") || name.starts_with("libc-2.");
        let number = |text| u64::from_str_radix(text, 16).ok();
        if executable && is_library { Some((number(start)?, number(end)?)) } else { None }
    })
}

/// What is found in code that begins at an address, and for each the number of the call and where its `syscall` is.
fn find(code: &[u8], base: u64) -> Vec<(Site, u32, u64)> {
    let calls = raw::call_functions();
    let mut found: Vec<(Site, u32, u64)> = Vec::new();
    // One pass: there are a million bytes, and some hundred system calls in them.
    for at in syscalls_in(code) {
        let here = |at: usize| base + at as u64;
        if at >= 2 && code[at - 2..].starts_with(&READ) {
            // Behind the first `ret`: its own one, or that of a thread that is one of several, which may be cancelled in there.
            let behind = (at + 11..=at + i8::MAX as usize).find(|behind| {
                let free = |nop: &&[u8]| code.get(*behind..).is_some_and(|code| code.starts_with(nop));
                let taken = found.iter().any(|(site, ..)| site.hop == Some(here(*behind)));
                code.get(*behind - 1) == Some(&RET) && NOPS.iter().any(free) && !taken
            });
            if let Some(padding) = behind {
                let length = padding + NEAR - (at - 2);
                let original = code[at - 2..][..length].to_vec();
                let mut replaced = original.clone();
                #[allow(clippy::cast_possible_truncation)]
                replaced[..2].copy_from_slice(&[0xeb, (padding - at) as u8]);
                let hop = Some(here(padding));
                found.push((Site { start: here(at - 2), original, replaced, hop }, 0, here(at)));
            }
            continue;
        }
        // `mov eax, number; syscall`
        let Some(number) = at.checked_sub(NEAR).filter(|from| code[*from] == 0xb8) else { continue };
        let wanted = code[number + 1..].first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        if let Some((call, _)) = calls.iter().find(|(call, _)| *call != 0 && Some(*call) == wanted) {
            // The `syscall` belongs to it: somebody may have a breakpoint there.
            let original = code[number..at + 2].to_vec();
            let site = Site { start: here(number), replaced: original.clone(), original, hop: None };
            found.push((site, *call, here(at)));
        }
    }
    found
}

/// Where `syscall` instructions are, or bytes that look like them.
fn syscalls_in(code: &[u8]) -> impl Iterator<Item = usize> {
    code.windows(2).enumerate().filter(|(_, bytes)| *bytes == [0x0f, 0x05]).map(|(at, _)| at)
}

/// `movabs r11, syscall; mov ecx, function; jmp rcx`
fn jump_to(function: u64, syscall: u64) -> Vec<u8> {
    let mut code = vec![0x49, 0xbb];
    code.extend(syscall.to_le_bytes());
    code.push(0xb9);
    #[allow(clippy::cast_possible_truncation)]
    code.extend((function as u32).to_le_bytes());
    code.extend([0xff, 0xe1]);
    code
}

/// Replaces the calls of a process that has mapped its C library.
fn replace(pid: Pid) -> std::io::Result<Sites> {
    let Some((start, end)) = library(pid) else { return Ok(Sites::default()) };
    let mut code = vec![0u8; usize::try_from(end - start).unwrap_or(0)];
    read_memory(pid, start, &mut code)?;
    let mut sites = Vec::new();
    let mut jumps = Vec::new();
    #[allow(clippy::cast_possible_truncation)]
    for (mut site, call, syscall) in find(&code, start).into_iter().take(PAGE as usize / JUMP) {
        let Some((_, offset)) = raw::call_functions().into_iter().find(|(number, _)| *number == call) else { continue };
        let jump = JUMPS + jumps.len() as u64;
        let from = site.hop.unwrap_or(site.start);
        let Ok(distance) = i32::try_from(jump.wrapping_sub(from + NEAR as u64).cast_signed()) else { continue };
        let at = (from - site.start) as usize;
        site.replaced[at] = 0xe9;
        site.replaced[at + 1..at + NEAR].copy_from_slice(&distance.to_le_bytes());
        jumps.extend(jump_to(CODE + offset, syscall));
        jumps.resize(jumps.len().next_multiple_of(JUMP), 0xcc);
        sites.push(site);
    }
    write_memory(pid, JUMPS, &jumps)?;
    for site in &sites {
        write_memory(pid, site.start, &site.replaced)?;
    }
    tracing::debug!("{} places in the C library of {pid} are replaced", sites.len());
    Ok(Sites(sites.into()))
}

/// Brings the only thread of a process, where it is in the code of a call, to the instruction by which it leaves it.
pub(super) fn go_to_exit(tid: Pid) {
    const TRAP: u8 = 0xcc;
    let length = raw::call_code().len() as u64;
    let exits = raw::call_exits().map(|offset| CODE + offset);
    let at = |tid: Pid| raw::registers(tid).map_or(0, |registers| registers.rip);
    let inside = |rip: u64| (CODE..CODE + length).contains(&rip) && !exits.contains(&rip);
    if !inside(at(tid)) {
        return;
    }
    let change_exits = |change: &dyn Fn(&mut [u8])| {
        for exit in exits {
            let mut code = [0u8; 2];
            #[allow(clippy::cast_possible_truncation)]
            code.copy_from_slice(&raw::call_code()[(exit - CODE) as usize..][..2]);
            change(&mut code);
            write_memory(tid, exit, &code).ok();
        }
    };
    change_exits(&|code| code[0] = TRAP);
    while inside(at(tid)) {
        if raw::resume(libc::PTRACE_CONT, tid, 0).is_err() {
            break;
        }
        let Ok(Some((_, status))) = raw::wait(Some(tid), true) else { break };
        if matches!(change(status), Change::Exited(_) | Change::Killed(_)) {
            return;
        }
        if let Ok(mut registers) = raw::registers(tid)
            && exits.contains(&(registers.rip - 1))
        {
            registers.rip -= 1;
            raw::set_registers(tid, &registers).ok();
        }
    }
    change_exits(&|_| {});
}

impl Supervisor {
    /// Whether a thread that stands there is on its way to or from our code for calls.
    pub(super) fn is_on_the_way_to_calls(&self, rip: u64) -> bool {
        is_jump(rip) || self.served.sites.is_hop(rip)
    }

    /// Replaces the calls in the C library of the recorded process, once that has mapped it.
    pub(in crate::supervisor) fn replace_calls(&mut self, pid: Pid) {
        if !self.recording.clocks || self.recorded_leader() != Some(pid) || !self.served.sites.0.is_empty() {
            return;
        }
        self.search_own_callers(pid);
        match replace(pid) {
            Ok(sites) => self.served.sites = sites,
            Err(error) => tracing::info!("process {pid} makes its calls on files by stops: {error}"),
        }
    }

    /// Puts back what was replaced where a thread of the program is about to step.
    pub(in crate::supervisor) fn step_from(&self, tid: Pid, motion: Motion) {
        let Some(program) = self.program.as_ref().filter(|_| !self.served.sites.0.is_empty()) else { return };
        let range = match motion {
            Motion::Continue => return,
            Motion::Step => None,
            Motion::Range { start, end } => Some((start, end)),
        };
        let at = raw::registers(tid).map_or(0, |registers| registers.rip);
        self.served.sites.put_back(&program.memory, at, at + 1);
        if let Some((start, end)) = range {
            self.served.sites.put_back(&program.memory, start, end);
        }
    }

    /// Tells the recorded process, one of whose threads is about to go on, what is to become of its calls.
    pub(in crate::supervisor) fn tune_calls(&mut self, tid: Pid) {
        if self.served.sites.0.is_empty() || !self.recording.clocks {
            return;
        }
        let Some(task) = self.tasks.get(&tid) else { return };
        let pid = task.pid;
        if self.recorded_leader() != Some(pid) {
            return;
        }
        let makes_process = task.pending.as_ref().is_some_and(Pending::makes_process);
        // A signal that waits, a password, and locks that are to be given up want calls that we see.
        let looked_at = task.deferred.any() || task.watched || makes_process || !self.recording.locked.is_empty();
        let caught = self.served.caught != Caught::None && self.running.is_none();
        if self.takes_turns(tid)
            && self.recording.mark.schedule.current.is_some_and(|current| self.real_id(current) != tid)
        {
            // It is in the kernel, and another one runs.
            return;
        }
        let alone = self.has_buffer(tid);
        let noted = self.recording.on && !self.is_aside();
        let ending = noted && self.recording.schedule().ending;
        let mode = if looked_at || caught || ending || !alone {
            ClockMode::Trapped
        } else if !noted {
            ClockMode::Plain
        } else if self.recording.mark.live {
            ClockMode::Record
        } else {
            ClockMode::Replay
        };
        if self.recording.calls_are != Some(mode) {
            raw::write_remote(pid, CALL_MODE, &(mode as u64).to_ne_bytes());
            self.recording.calls_are = Some(mode);
        }
    }

    /// Notes in the recorded process what a descriptor stands for.
    pub(super) fn note_kind(&mut self, pid: Pid, number: i32, kind: Option<Kind>) {
        let rule = self.recording.rule();
        // Which it is among: those that never keep anybody waiting, those that do not change, those that are tried.
        let sets_of = |kind: Option<&Kind>| match kind {
            Some(Kind::Still) => [false, true, false, false],
            Some(Kind::Noted { regular: true, name, .. }) => {
                // Files of the kernel's own may wait for news.
                let ready = !["/proc/", "/sys/"].iter().any(|folder| name.starts_with(folder));
                [ready, false, false, false]
            }
            Some(Kind::Noted { held, tries, .. }) => {
                [rule == Rule::Exact && held.is_endless(), false, tries.receives, tries.sends]
            }
            _ => [false; 4],
        };
        let sets = sets_of(kind.as_ref());
        let former = match kind {
            Some(kind) => self.recording.mark.kinds.insert(number, kind),
            None => self.recording.mark.kinds.remove(&number),
        };
        let bit = u64::try_from(number).unwrap_or(u64::MAX);
        // One of which nothing was known is in none.
        let changes = sets != former.as_ref().map_or([false; 4], |former| sets_of(Some(former)));
        if !self.recording.clocks || bit >= NOTED_DESCRIPTORS || !changes {
            return;
        }
        let places = [READY_DESCRIPTORS, STILL_DESCRIPTORS, RECEIVING_DESCRIPTORS, SENDING_DESCRIPTORS];
        for (bits, set) in places.into_iter().zip(sets) {
            let mut byte = [0u8];
            let place = bits + bit / 8;
            if raw::read_remote(pid, place, &mut byte) == byte.len() {
                let mask = 1 << (bit % 8);
                byte[0] = if set { byte[0] | mask } else { byte[0] & !mask };
                raw::write_remote(pid, place, &byte);
            }
        }
    }

    /// The checksum of what goes out with a call that is looked up in the notes.
    pub(super) fn sum_of_call(&self, tid: Pid, pid: Pid, number: u32, arguments: &[u64; 6]) -> u64 {
        if self.recording.mark.live || self.served.sites.0.is_empty() {
            return 0;
        }
        let thread = super::calls::view(tid, pid);
        #[allow(clippy::cast_possible_truncation)]
        sum_of(number, arguments, |at| thread.text(at), |at, length| thread.read(at, length as usize))
    }

    /// A call that comes to us, and that was made without a stop when it was made first: the schedule did not tick then, and does not now.
    /// Nor does it matter what it is about: a terminal's state for example is nothing that would be noted of a call that comes to us.
    pub(super) fn taken_from_records(&mut self, tid: Pid, pid: Pid, registers: &raw::Registers) -> Option<Taken> {
        #[allow(clippy::cast_possible_truncation)]
        let number = registers.orig_rax as u32;
        let exact = self.recording.rule() == Rule::Exact;
        let ours = raw::call_functions().iter().any(|(call, _)| *call == number);
        if !(ours || exact && reads_clock(number))
            || self.recording.mark.live
            || self.is_aside()
            || self.served.sites.0.is_empty()
        {
            return None;
        }
        self.sync_clocks();
        let mut arguments = crate::record::thread::arguments(registers);
        let row = crate::syscalls::find(registers.orig_rax)?;
        arguments[crate::syscalls::arity(row.name)..].fill(0);
        let known = self.virtual_id(tid);
        let mark = &self.recording.mark;
        let at = place(&mark.at, known);
        if exact {
            mark.line.borrow().records(known, at)?;
        }
        #[allow(clippy::cast_possible_truncation)]
        let about = match mark.kinds.get(&(arguments[0] as i32)) {
            Some(Kind::Noted { name, .. }) => Some(std::rc::Rc::clone(name)),
            _ => None,
        };
        let sum = self.sum_of_call(tid, pid, number, &arguments);
        let asked = Asked { number, arguments, given: 0, query: true, sum, about };
        let found = mark.line.borrow().find(known, at, place(&mark.into, known), &asked, self.recording.rule());
        match found {
            Found::Record(index, end, record) if exact || record.is_call() => {
                self.record_again(tid, *registers, &asked, &record);
                self.advance_into(known, index, end);
                Some(Taken::Answered)
            }
            _ => None,
        }
    }

    /// Whether the recorded process has noted something itself that is not in the notes.
    pub(super) fn has_noted_more(&self, pid: Pid) -> bool {
        let mut used = [0u8; 8];
        self.recording.clocks
            && raw::read_remote(pid, CLOCK_BUFFER, &mut used) == used.len()
            && u64::from_ne_bytes(used) > 0
    }
}

/// Whether a call reads a clock that is read without a stop otherwise ([`super::clocks`]).
fn reads_clock(number: u32) -> bool {
    [libc::SYS_clock_gettime, libc::SYS_gettimeofday, libc::SYS_time].contains(&number.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_has_its_page() {
        assert!(raw::call_code().len() as u64 <= ROOM, "{}", raw::call_code().len());
        assert!(crate::record::vdso::image(raw::clock_functions()).len() as u64 <= PAGE);
        for exit in raw::call_exits() {
            #[allow(clippy::cast_possible_truncation)]
            let code = &raw::call_code()[exit as usize..][..2];
            assert!(matches!(code, [0x41, 0xff] | [0xff, 0xe1]), "{code:x?}");
        }
        assert_eq!(jump_to(0x7000_3000, 0x7fff_f7ed_1234).len(), 17);
    }

    fn read_code() -> Vec<u8> {
        let mut code = vec![0x74, 0x17];
        code.extend(READ);
        code.extend([0x5b, 0xc3, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0, 0x48, 0x83]);
        code
    }

    #[test]
    fn places_are_found_by_how_the_library_makes_its_calls() {
        let mut code = read_code();
        code.extend([0xb8, 1, 0, 0, 0, 0x0f, 0x05, 0xb8, 2, 0, 0, 0, 0x0f, 0x05]);
        let found = find(&code, 0x1000);
        let places: Vec<(u64, u32, u64)> = found.iter().map(|(site, call, at)| (site.start, *call, *at)).collect();
        assert_eq!(places, [(0x1002, 0, 0x1004), (0x101b, 1, 0x1020)]);
        // Where a thread may be cancelled the room is further away, and it is taken once.
        let mut code = READ.to_vec();
        code.extend([0x34, 0x44, 0x89, 0xc7]);
        code.extend(READ);
        code.extend([0x34, 0x90, 0xc3, 0x0f, 0x1f, 0x44, 0, 0]);
        let found = find(&code, 0x1000);
        let hops: Vec<(u64, Option<u64>)> = found.iter().map(|(site, ..)| (site.start, site.hop)).collect();
        assert_eq!(hops, [(0x1000, Some(0x1000 + code.len() as u64 - 5))]);
        assert_eq!(found[0].0.replaced[..2], [0xeb, (code.len() - 5 - 2) as u8]);
        // Without room for a jump behind it, it is left.
        let mut code = read_code();
        code[15] = 0x90;
        assert!(find(&code, 0).is_empty());
    }

    #[test]
    fn what_is_replaced_is_not_seen() {
        let site = Site { start: 100, original: vec![1, 2, 3, 4, 5], replaced: vec![9, 8, 7, 6, 5], hop: None };
        let sites = Sites(vec![site].into());
        let seen = |from: u64, bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            sites.hide(from, &mut bytes);
            bytes
        };
        assert_eq!(seen(99, &[0, 9, 8, 7, 6, 5, 0]), [0, 1, 2, 3, 4, 5, 0]);
        assert_eq!(seen(102, &[7, 6, 5, 4]), [3, 4, 5, 4]);
        assert_eq!(seen(98, &[0, 0, 9]), [0, 0, 1]);
        // It has been put back, or written over.
        assert_eq!(seen(100, &[1, 2, 3, 4, 5]), [1, 2, 3, 4, 5]);
        assert_eq!(seen(100, &[9, 8, 7, 0, 5]), [9, 8, 7, 0, 5]);
    }
}
