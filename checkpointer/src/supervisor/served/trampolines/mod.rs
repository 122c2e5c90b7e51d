//! Trampolines: spots that are met often in a run, and its fence, are counted and compared by code in the program itself, some
//! nanoseconds each instead of the ten to a hundred microseconds of a stop. A jump takes the place of the instructions at a
//! spot; it leads to a copy of them behind code that counts, notes the hit, and traps when it is the one that was wanted. A fence compares
//! registers, and the words in which it was found to differ before, and traps only if all of them are the same.
//!
//! They are there only while a run goes on (and it has one thread): whenever the program is stopped its code and its instruction
//! pointer are its own.

mod build;
mod code;
pub(super) mod frames;
mod functions;
mod plan;
mod threads;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use nix::unistd::Pid;
use syscalls::Sysno;

use super::{Fence, Memory, Supervisor};
use crate::inject::{PAGE, Remote};
use crate::raw;
use crate::wire::{CopyId, Functions, Hit};
use build::{State, Wanted, written};
use code::{Compared, Known, Which, data};
use plan::Kind;

/// How far from the code they are: within the reach of a jump, and away from where the program's next mappings come.
const AWAY: u64 = 0x7000_0000;

/// A jump in the program's code.
#[derive(Debug)]
struct Patch {
    address: u64,
    /// The spots and the fence that are met in its trampoline.
    places: Vec<u64>,
    original: Vec<u8>,
    /// The jump, and the boards behind it.
    jump: Vec<u8>,
    /// Where the board is to which it leads, in another one.
    board: Option<u64>,
}

impl Patch {
    fn range(&self) -> Range<u64> {
        self.address..self.address + self.jump.len() as u64
    }

    /// Whether an address is that of something that the jump has replaced, other than what begins where the jump does.
    fn has_in_middle(&self, address: u64) -> bool {
        address != self.address && self.range().contains(&address)
    }

    fn replace(&self, memory: &Memory, was: &[u8], becomes: &[u8]) {
        let mut now = vec![0u8; was.len()];
        // The program may have written something else there meanwhile, or unmapped it.
        if memory.read(self.address, &mut now) == was.len() && now == *was {
            memory.write(self.address, becomes).ok();
        }
    }
}

/// What a trap in a trampoline means.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trap {
    /// The hit that was wanted, of this spot at this instruction.
    Hit { pc: u64, spot: u32 },
    /// All that is compared is the same; if the rest is not, it goes on at `differs`.
    Same { which: Which, pc: u64, differs: u64 },
}

/// Where a thread has left a trampoline.
#[derive(Debug, Clone, Copy)]
pub(super) enum Met {
    /// It was in none, or has left by itself.
    Nothing,
    /// Before a trap.
    Trap(Trap),
    /// Before an instruction of the program, whose hits have been counted.
    Instruction,
}

/// A function, and what is known of it.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Around {
    pub(in crate::supervisor) range: Range<u64>,
    functions: Known,
}

/// Those of a run.
#[derive(Debug)]
pub(in crate::supervisor) struct Trampolines {
    range: Range<u64>,
    data: u64,
    patches: Vec<Patch>,
    /// The jumps are in the program's code.
    inserted: bool,
    /// For instructions of the program that were displaced, where they are executed instead.
    onward: BTreeMap<u64, u64>,
    /// The other way round.
    original: BTreeMap<u64, u64>,
    traps: BTreeMap<u64, Trap>,
    /// By [`Which`].
    compared: [Option<Compared>; 2],
    /// Hits that were left when they were put up.
    left: u64,
    /// Words that are looked at: the next to be replaced.
    next_word: [usize; 2],
    /// Hits count: it is the turn of a thread whose do.
    counts: bool,
    /// The state in which a thread is awaited, and where.
    awaited: Option<(CopyId, u64)>,
    /// They are not used any more, and are still mapped.
    retired: bool,
}

impl Trampolines {
    /// Where they are in memory.
    pub(super) fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// Whether they are not used any more.
    pub(super) fn are_retired(&self) -> bool {
        self.retired
    }

    fn contains(&self, address: u64) -> bool {
        self.range.contains(&address)
    }

    /// Whether they have taken the place of the instruction at an address.
    pub(super) fn displace(&self, address: u64) -> bool {
        self.patches.iter().any(|patch| patch.range().contains(&address)) || self.onward.contains_key(&address)
    }

    /// The state in which a thread is awaited, if that is compared with each time it comes there.
    pub(super) fn awaits(&self) -> Option<CopyId> {
        let (copy, at) = self.awaited.filter(|_| !self.retired)?;
        self.patches.iter().any(|patch| patch.places.contains(&at)).then_some(copy)
    }

    /// A thread goes on whose hits count, or one whose do not.
    pub(super) fn set_counts(&mut self, memory: &Memory, counts: bool) {
        if std::mem::replace(&mut self.counts, counts) != counts {
            self.set_word(memory, data::COUNTS, counts.into());
        }
    }

    /// Whether an instruction is where a state is compared.
    fn is_comparing(&self, pc: u64) -> Option<&Compared> {
        self.compared.iter().flatten().find(|made| (made.comparing.0..made.comparing.1).contains(&pc))
    }

    fn is_in_middle(&self, address: u64) -> bool {
        self.patches.iter().any(|patch| patch.has_in_middle(address))
    }

    /// Whose board lies at an address.
    fn by_board(&self, address: u64) -> Option<u64> {
        self.patches.iter().find(|patch| patch.board == Some(address)).map(|patch| patch.address)
    }

    /// Brings a thread that is on its way from a short jump to a trampoline back to that jump.
    fn leave_board(&self, tid: Pid) {
        if let Ok(mut registers) = raw::registers(tid)
            && let Some(address) = self.by_board(registers.rip)
        {
            registers.rip = address;
            raw::set_registers(tid, &registers).ok();
        }
    }

    fn word(&self, memory: &Memory, offset: u64) -> u64 {
        let mut bytes = [0u8; 8];
        memory.read(self.data + offset, &mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn set_word(&self, memory: &Memory, offset: u64, value: u64) {
        memory.write(self.data + offset, &value.to_le_bytes()).ok();
    }

    /// Puts the jumps into the code.
    fn insert(&mut self, memory: &Memory) {
        if !std::mem::replace(&mut self.inserted, true) {
            for patch in &self.patches {
                patch.replace(memory, &patch.original, &patch.jump);
            }
        }
    }

    /// Takes them out.
    fn remove(&mut self, memory: &Memory) {
        if std::mem::take(&mut self.inserted) {
            self.clean(memory);
        }
    }

    /// Takes them out of the memory of another process that has inherited it.
    fn clean(&self, memory: &Memory) {
        for patch in &self.patches {
            patch.replace(memory, &patch.jump, &patch.original);
        }
    }

    /// Hits that were counted since they were put up.
    fn counted(&self, memory: &Memory) -> u64 {
        self.left.saturating_sub(self.word(memory, data::LEFT))
    }

    /// Counts a hit that was met by a stop; true if it is the one that was wanted.
    fn count(&self, memory: &Memory, spot: u32, frame: u64) -> bool {
        let at = self.word(memory, data::NEXT);
        let mut bytes = [0u8; 16];
        bytes[..8].copy_from_slice(&frame.to_le_bytes());
        bytes[8..12].copy_from_slice(&spot.to_le_bytes());
        memory.write(at, &bytes).ok();
        let next = at + data::HIT;
        let next = if next >= self.word(memory, data::END) { self.word(memory, data::FIRST) } else { next };
        self.set_word(memory, data::NEXT, next);
        let left = self.word(memory, data::LEFT).wrapping_sub(1);
        self.set_word(memory, data::LEFT, left);
        left == 0
    }

    /// Forgets the last so many hits.
    fn take_back(&self, memory: &Memory, hits: u64) {
        self.set_word(memory, data::LEFT, self.word(memory, data::LEFT).wrapping_add(hits));
        let first = self.word(memory, data::FIRST);
        let all = self.word(memory, data::END) - first;
        let next = self.word(memory, data::NEXT) - first;
        self.set_word(memory, data::NEXT, first + (next + all - hits * data::HIT % all) % all);
    }

    /// The last hits, of so many in all.
    fn last(&self, memory: &Memory, hits: u64) -> VecDeque<Hit> {
        let most = data::KEPT;
        let mut bytes = vec![0u8; (most * data::HIT) as usize];
        memory.read(self.data + data::HITS, &mut bytes);
        let next = (self.word(memory, data::NEXT) - self.data - data::HITS) / data::HIT;
        let count = hits.min(most - 1);
        let hit = |back: u64| {
            let index = usize::try_from((next + most - back) % most).unwrap_or(0) * 16;
            let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[index + at + byte]));
            #[allow(clippy::cast_possible_truncation)]
            Hit { number: hits + 1 - back, spot: word(8) as u32, frame: word(0) }
        };
        (1..=count).rev().map(hit).collect()
    }
}

impl Supervisor {
    /// Puts trampolines up for a run, or for a fence or a place in the notes while the debugger lets the program run; its threads are
    /// stopped. What cannot have one is met by stops as before. Threads must take turns: what a trampoline keeps is there once.
    pub(in crate::supervisor) fn put_up_trampolines(&mut self) {
        let Some(leader) = self.program.as_ref().map(|program| program.leader) else { return };
        let counts = self.running.as_ref().is_none_or(|running| running.wanted.keep_every.is_none());
        let one_by_one = self.served_threads() == [leader] || self.leader_in_turn().is_some();
        if !one_by_one || !counts {
            return;
        }
        self.take_down_trampolines();
        // The bytes of breakpoints are not the program's.
        self.remove_breakpoints();
        let awaited = self.awaited_copy();
        let stays = self.spin_awaited().filter(|_| awaited.is_none());
        let made = self.trampolines_for_run(awaited, stays);
        if let Some((mut trampolines, bytes)) = made {
            let (start, length) = (trampolines.range.start, trampolines.range.end - trampolines.range.start);
            let protection = (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) as u64;
            let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE) as u64;
            let mapped = self.injected(|injector| {
                injector.call(Sysno::mmap, [start, length, protection, flags, u64::MAX, 0])?;
                injector.write(start, &bytes)
            });
            if mapped.is_ok() {
                self.meet_by_trampolines(&trampolines);
                trampolines.awaited = awaited;
                self.trampolines = Some(trampolines);
                // There will be few stops.
                self.unpin();
            }
        }
        self.insert_breakpoints();
    }

    fn trampolines_for_run(
        &self,
        awaited: Option<(CopyId, u64)>,
        stays: Option<u64>,
    ) -> Option<(Trampolines, Vec<u8>)> {
        let program = self.program.as_ref()?;
        let none = (Vec::new(), VecDeque::new(), Functions::new());
        let (spots, last, left, ranges, mut taken) = match &self.running {
            Some(running) => {
                let left = running.wanted.hits.map_or(u64::MAX >> 1, |wanted| wanted - running.hits);
                (&running.wanted.spots, &running.last, left, &running.wanted.functions, BTreeSet::new())
            }
            None => {
                let breakpoints = &self.served.breakpoints;
                let wanted = |at: &u64| breakpoints.at(*at).is_some_and(|wanted| wanted.debugger);
                let taken = breakpoints.addresses().into_iter().filter(wanted).collect();
                (&none.0, &none.1, u64::MAX >> 1, self.fence.as_ref().map_or(&none.2, |fence| &fence.functions), taken)
            }
        };
        taken.extend(stays);
        // Handlers that are running return there.
        for tid in self.served_threads() {
            taken.extend(frames::interrupted(tid));
        }
        let mut functions = Known::default();
        for ranges in ranges {
            let read = |&(start, end): &(u64, u64)| {
                self.served.sites.put_back(&program.memory, start, end);
                let mut bytes = vec![0u8; usize::try_from(end.saturating_sub(start)).unwrap_or(0)];
                let read = program.memory.read(start, &mut bytes);
                bytes.truncate(read);
                (start, bytes)
            };
            let word = |address: u64| {
                let mut bytes = [0u8; 8];
                (program.memory.read(address, &mut bytes) == 8).then_some(bytes)
            };
            functions.read(&ranges.iter().map(read).collect::<Vec<_>>(), word);
        }
        let state = |which: Which, fence: &Fence| State {
            which,
            pc: fence.pc,
            in_call: fence.in_call,
            registers: code::compared(&fence.registers),
        };
        let mut states: Vec<State> = self.fence.iter().map(|fence| state(Which::Fence, fence)).collect();
        if let Some((copy, at)) = awaited
            && let Ok(fence) = self.fence_of(copy)
        {
            self.read_function(&mut functions, at);
            states.push(state(Which::Awaited, &fence));
        }
        let near = spots.first().map(|spot| spot.address).or(states.first().map(|state| state.pc))?;
        let wanted = Wanted { spots, states, last, left, taken };
        written(place_near(program.leader, near)?, &wanted, &functions, &program.memory)
    }

    /// Whether a trampoline can compare the state each time that a thread comes to an instruction.
    pub(in crate::supervisor) fn can_compare_at(&self, around: &mut Around, pc: u64) -> bool {
        let Some(program) = &self.program else { return false };
        if !around.range.contains(&pc) {
            *around = Around::default();
            around.range = self.read_function(&mut around.functions, pc).unwrap_or(pc..pc + 1);
        }
        let plan = plan::planned(&BTreeSet::from([pc]), &around.functions, &BTreeSet::new(), &program.memory);
        plan.iter().any(|planned| planned.kind() != Kind::ByBranches && planned.address == pc)
    }

    /// Breakpoints are not needed where there is a jump.
    fn meet_by_trampolines(&mut self, trampolines: &Trampolines) {
        for &place in trampolines.patches.iter().flat_map(|patch| &patch.places) {
            self.served.breakpoints.change(place, |wanted| {
                wanted.spot = None;
                wanted.fence = false;
            });
        }
    }

    pub(super) fn insert_jumps(&mut self) {
        if let (Some(trampolines), Some(program)) = (&mut self.trampolines, &self.program) {
            trampolines.insert(&program.memory);
        }
    }

    /// Puts those in again whose code was mapped anew.
    pub(super) fn insert_jumps_again(&mut self) {
        if let (Some(trampolines), Some(program)) = (&mut self.trampolines, &self.program) {
            trampolines.inserted = false;
            trampolines.insert(&program.memory);
        }
    }

    pub(super) fn remove_jumps(&mut self) {
        if let (Some(trampolines), Some(program)) = (&mut self.trampolines, &self.program) {
            trampolines.remove(&program.memory);
        }
    }

    /// The same for a child that has inherited them.
    pub(in crate::supervisor) fn clean_jumps(&mut self, memory: &Memory, shared: bool) {
        if let Some(trampolines) = &mut self.trampolines {
            trampolines.clean(memory);
            trampolines.inserted &= !shared;
        }
    }

    /// Counts a hit that a stop has told of, if trampolines count; true if it is the one that was wanted.
    pub(super) fn count_with_trampolines(&mut self, spot: u32, frame: u64) -> Option<bool> {
        let trampolines = self.trampolines.as_ref().filter(|trampolines| !trampolines.retired)?;
        let program = self.program.as_ref()?;
        Some(trampolines.count(&program.memory, spot, frame))
    }

    /// Forgets the last so many hits, if trampolines count.
    pub(super) fn take_back_with_trampolines(&mut self, hits: u64) -> bool {
        let counting = self.trampolines.as_ref().filter(|trampolines| !trampolines.retired);
        let (Some(trampolines), Some(program)) = (counting, &self.program) else { return false };
        trampolines.take_back(&program.memory, hits);
        true
    }

    /// Notes what trampolines have counted: hits of a run and the last of them.
    pub(in crate::supervisor) fn take_counts(&mut self) {
        let (Some(trampolines), Some(program), Some(running)) =
            (&mut self.trampolines, &self.program, &mut self.running)
        else {
            return;
        };
        if trampolines.retired {
            return;
        }
        running.hits += trampolines.counted(&program.memory);
        trampolines.left = trampolines.word(&program.memory, data::LEFT);
        running.last = trampolines.last(&program.memory, running.hits);
    }

    /// Takes the trampolines of a stopped program away.
    pub(in crate::supervisor) fn take_down_trampolines(&mut self) {
        self.take_counts();
        self.remove_jumps();
        let Some(trampolines) = self.trampolines.take() else { return };
        if self.program.is_some() {
            let range = trampolines.range;
            let unmap = [range.start, range.end - range.start, 0, 0, 0, 0];
            self.injected(|injector| injector.call(Sysno::munmap, unmap)).ok();
        }
    }

    /// There is another thread, or something else is awaited, which they are not made for: everything is met by stops again.
    pub(super) fn do_without_trampolines(&mut self) {
        self.take_counts();
        if let Some(running) = &mut self.running {
            // They may come again.
            running.stops = 0;
        }
        self.remove_jumps();
        let Some(trampolines) = &mut self.trampolines else { return };
        let patches = std::mem::take(&mut trampolines.patches);
        trampolines.retired = true;
        // Whoever goes on from a spot is not to pass in there what is met by stops now.
        trampolines.onward.clear();
        for patch in patches {
            self.meet_by_stops(&patch.places);
        }
    }
}

/// A free range of addresses near some code.
fn place_near(pid: Pid, code: u64) -> Option<u64> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let range = |line: &str| {
        let (start, end) = line.split_whitespace().next()?.split_once('-')?;
        Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
    };
    let taken: Vec<(u64, u64)> = maps.lines().filter_map(range).collect();
    const MOST: u64 = 16 << 20;
    let page = code & !(PAGE - 1);
    let below = page.checked_sub(AWAY).filter(|at| *at >= 1 << 20);
    // Where the injector's pages are, a program that is linked to a fixed address has nothing, either.
    let candidates = [below, Some(super::allocations::OURS.end), page.checked_add(AWAY)];
    candidates.into_iter().flatten().find(|at| {
        code::reach(code, *at).is_some() && !taken.iter().any(|(start, end)| *start < at + MOST && *end > *at)
    })
}
