//! The code of trampolines (Intel SDM vol. 2). What it needs for itself is kept in its own page and not on the stack: what lies
//! below the stack pointer would be read by whoever uses a variable before it has set it, and the program would not be the same.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use iced_x86::{
    BlockEncoder, BlockEncoderOptions, Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionBlock,
    Mnemonic,
};

use super::plan::SHORT;
use crate::raw::Registers;
use crate::wire::{FrameRegister, Ran, Spot};

/// Bytes of `jmp rel32`, which leads to a trampoline.
pub(super) const JUMP: usize = 5;

/// Bytes of the longest instruction.
pub(super) const LONGEST: usize = 15;

/// Words of memory that a fence looks at by itself.
pub(super) const WORDS: usize = 8;

/// Entries of a table of jumps, at most.
const MOST_JUMPS: u64 = 4096;

/// Bytes of code for one jump, at most.
pub(super) const ROOM: u64 = 1536;

pub(super) const INT3: u8 = 0xcc;

/// Where things are in the page of data.
pub(super) mod data {
    use super::{Ran, WORDS};

    pub(in super::super) const RAX: u64 = 0;
    pub(in super::super) const RCX: u64 = 8;
    pub(in super::super) const RDX: u64 = 16;
    /// How many hits are left until it is to be stopped.
    pub(in super::super) const LEFT: u64 = 24;
    /// Where the next hit is noted.
    pub(in super::super) const NEXT: u64 = 32;
    pub(in super::super) const FIRST: u64 = 40;
    pub(in super::super) const END: u64 = 48;
    /// Not 0 while hits count: it is the turn of a thread whose do.
    pub(in super::super) const COUNTS: u64 = 56;
    /// What comparisons need, for each its registers and then addresses and values of the words that it looks at.
    const COMPARISONS: u64 = 64;
    const REGISTERS: u64 = 8 * 16;
    const COMPARISON: u64 = REGISTERS + 16 * WORDS as u64;

    pub(in super::super) const fn register(which: super::Which, index: u64) -> u64 {
        COMPARISONS + COMPARISON * which as u64 + 8 * index
    }

    pub(in super::super) const fn word(which: super::Which, index: u64) -> u64 {
        register(which, 0) + REGISTERS + 16 * index
    }

    /// The hits that are noted: the frame, and the number of the spot.
    pub(in super::super) const HITS: u64 = COMPARISONS + 2 * COMPARISON;
    pub(in super::super) const HIT: u64 = 16;
    /// One more than is told: the last may be taken back.
    pub(in super::super) const KEPT: u64 = Ran::LAST as u64 + 1;
    /// The lowest frame of each spot.
    pub(in super::super) const LEVELS: u64 = HITS + HIT * KEPT;
}

/// What the state is compared with at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor::served) enum Which {
    /// The fence's.
    Fence,
    /// That in which the thread is noted to be left, or to get a signal.
    Awaited,
}

/// What is known of the functions whose code may be moved.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Where something jumps to.
    targets: BTreeSet<u64>,
    /// Ranges of functions of which all jumps are known.
    known: Vec<(u64, u64)>,
    /// Their instructions.
    starts: BTreeSet<u64>,
    /// Targets with the branches that lead to them, other than calls and tables.
    branches: BTreeSet<(u64, u64)>,
}

impl Known {
    /// Reads the ranges of one function. `word` reads the program's memory: tables of jumps are there.
    pub(super) fn read(&mut self, ranges: &[(u64, Vec<u8>)], word: impl Fn(u64) -> Option<[u8; 8]>) {
        let mut known = true;
        let mut starts = Vec::new();
        let (mut tables, mut by_table) = (BTreeSet::new(), false);
        for (start, bytes) in ranges {
            for instruction in Decoder::with_ip(64, bytes, *start, DecoderOptions::NONE).iter() {
                starts.push(instruction.ip());
                match instruction.flow_control() {
                    FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch | FlowControl::Call => {
                        self.targets.insert(instruction.near_branch_target());
                        if instruction.flow_control() != FlowControl::Call {
                            self.branches.insert((instruction.near_branch_target(), instruction.ip()));
                        }
                    }
                    FlowControl::IndirectBranch => by_table = true,
                    FlowControl::Exception if instruction.is_invalid() => known = false,
                    _ => {}
                }
                if instruction.memory_displacement64() != 0 {
                    tables.insert(instruction.memory_displacement64());
                }
            }
        }
        if by_table {
            // Whatever the function names may be one. Too many targets do no harm, none at all is not believed.
            let inside =
                |at: &u64| ranges.iter().any(|(start, bytes)| (*start..*start + bytes.len() as u64).contains(at));
            let found = tables.iter().flat_map(|table| jumps_of(*table, &inside, &word));
            let before = self.targets.len();
            self.targets.extend(found.collect::<Vec<_>>());
            known &= self.targets.len() > before;
        }
        if known {
            self.known.extend(ranges.iter().map(|(start, bytes)| (*start, start + bytes.len() as u64)));
            self.starts.extend(starts);
        }
    }

    /// There are branches from elsewhere to these.
    pub(super) fn is_led_to(&mut self, targets: impl IntoIterator<Item = u64>) {
        self.targets.extend(targets);
    }

    /// Where instructions begin of which all is known.
    pub(super) fn starts(&self, within: Range<u64>) -> impl Iterator<Item = u64> {
        self.starts.range(within).copied()
    }

    /// The branches that lead to an address.
    pub(super) fn branches_to(&self, target: u64) -> impl Iterator<Item = u64> {
        self.branches.range((target, 0)..=(target, u64::MAX)).map(|(_, from)| *from)
    }

    /// The instructions that `need` bytes at an address would take the place of, if they can be executed elsewhere and nothing leads
    /// into their middle. `taken` are addresses that must stay.
    pub(super) fn displaced(
        &self,
        at: u64,
        bytes: &[u8],
        taken: &BTreeSet<u64>,
        need: usize,
    ) -> Option<Vec<Instruction>> {
        let mut found: Vec<Instruction> = Vec::new();
        let known = self.known.iter().any(|(start, end)| (*start..*end).contains(&at));
        for instruction in Decoder::with_ip(64, bytes, at, DecoderOptions::NONE).iter() {
            let here = instruction.ip();
            if here >= at + need as u64 {
                return Some(found);
            }
            if taken.contains(&here) || here != at && (!known || self.targets.contains(&here)) {
                return None;
            }
            if found.last().is_some_and(is_last) || !can_be_moved(&instruction) {
                return None;
            }
            found.push(instruction);
        }
        let end = found.last().map_or(at, Instruction::next_ip);
        (end >= at + need as u64).then_some(found)
    }
}

/// Where the entries of a table lead, if it is one: distances from it, or addresses.
fn jumps_of(table: u64, inside: &impl Fn(&u64) -> bool, word: &impl Fn(u64) -> Option<[u8; 8]>) -> Vec<u64> {
    let distances = (0..MOST_JUMPS).map_while(|index| {
        let [a, b, c, d, ..] = word(table.wrapping_add(4 * index))?;
        #[allow(clippy::cast_sign_loss)]
        Some(table.wrapping_add(i64::from(i32::from_le_bytes([a, b, c, d])) as u64)).filter(inside)
    });
    let addresses = (0..MOST_JUMPS)
        .map_while(|index| Some(u64::from_le_bytes(word(table.wrapping_add(8 * index))?)).filter(inside));
    distances.chain(addresses).collect()
}

/// Whether what follows an instruction is not what is executed next.
fn is_last(instruction: &Instruction) -> bool {
    !matches!(instruction.flow_control(), FlowControl::Next | FlowControl::ConditionalBranch)
}

fn can_be_moved(instruction: &Instruction) -> bool {
    // One in which a thread can be for long is not left in a trampoline.
    let brief = !matches!(instruction.mnemonic(), Mnemonic::Syscall | Mnemonic::Sysenter);
    let flow = match instruction.flow_control() {
        FlowControl::Next | FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch | FlowControl::Return => {
            true
        }
        FlowControl::Call => instruction.code() == Code::Call_rel32_64,
        _ => false,
    };
    !instruction.is_invalid() && brief && flow
}

/// A piece of code that is being written.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    pub(super) at: u64,
    data: u64,
    pub(super) bytes: Vec<u8>,
    /// For instructions of the program, where they are executed instead.
    pub(super) onward: BTreeMap<u64, u64>,
    /// Where branches lead to that would lead to these.
    redirected: &'a BTreeMap<u64, u64>,
}

/// A relative branch whose target is not known yet.
struct Branch(usize);

impl<'a> Writer<'a> {
    pub(super) fn new(at: u64, data: u64, redirected: &'a BTreeMap<u64, u64>) -> Self {
        Writer { at, data, bytes: Vec::new(), onward: BTreeMap::new(), redirected }
    }

    pub(super) fn here(&self) -> u64 {
        self.at + self.bytes.len() as u64
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// An instruction with a word of the data; `after` bytes of an operand follow.
    fn word(&mut self, instruction: &[u8], offset: u64, after: u64) {
        self.put(instruction);
        let displacement = distance(self.here() + 4 + after, self.data + offset);
        self.put(&displacement.to_le_bytes());
    }

    fn branch(&mut self, instruction: &[u8]) -> Branch {
        self.put(instruction);
        self.put(&[0; 4]);
        Branch(self.bytes.len())
    }

    fn lands(&mut self, branch: &Branch) {
        let displacement = distance(self.at + branch.0 as u64, self.here());
        self.bytes[branch.0 - 4..branch.0].copy_from_slice(&displacement.to_le_bytes());
    }

    /// Keeps rax, the flags (in rax) and rcx.
    fn save(&mut self) {
        self.word(&[0x48, 0x89, 0x05], data::RAX, 0);
        // lahf; seto al
        self.put(&[0x9f, 0x0f, 0x90, 0xc0]);
        self.word(&[0x48, 0x89, 0x0d], data::RCX, 0);
    }

    fn restore(&mut self) {
        self.word(&[0x48, 0x8b, 0x0d], data::RCX, 0);
        // add $0x7f, al overflows if there was an overflow; sahf leaves that flag.
        self.put(&[0x04, 0x7f, 0x9e]);
        self.word(&[0x48, 0x8b, 0x05], data::RAX, 0);
    }

    /// Counts and notes a hit; where the trap is that ends the run.
    pub(super) fn count(&mut self, index: u32, spot: &Spot) -> Option<u64> {
        self.save();
        self.word(&[0x48, 0x89, 0x15], data::RDX, 0);
        self.word(&[0x48, 0x83, 0x3d], data::COUNTS, 1);
        self.put(&[0]);
        let idle = self.branch(&[0x0f, 0x84]);
        let mut skip = None;
        match spot.frame {
            Some((register, offset)) => {
                // lea offset(%rsp), %rcx or lea offset(%rbp), %rcx
                match register {
                    FrameRegister::StackPointer => self.put(&[0x48, 0x8d, 0x8c, 0x24]),
                    FrameRegister::BasePointer => self.put(&[0x48, 0x8d, 0x8d]),
                }
                self.put(&i32::try_from(offset).ok()?.to_le_bytes());
                self.word(&[0x48, 0x3b, 0x0d], data::LEVELS + 8 * u64::from(index), 0);
                skip = Some(self.branch(&[0x0f, 0x82]));
            }
            None => self.put(&[0x31, 0xc9]),
        }
        self.word(&[0x48, 0x8b, 0x15], data::NEXT, 0);
        // mov %rcx, (%rdx); movl $index, 8(%rdx); add $16, %rdx
        self.put(&[0x48, 0x89, 0x0a, 0xc7, 0x42, 0x08]);
        self.put(&index.to_le_bytes());
        self.put(&[0x48, 0x83, 0xc2, 0x10]);
        // cmp, cmovae: the first comes after the last.
        self.word(&[0x48, 0x3b, 0x15], data::END, 0);
        self.word(&[0x48, 0x0f, 0x43, 0x15], data::FIRST, 0);
        self.word(&[0x48, 0x89, 0x15], data::NEXT, 0);
        self.word(&[0x48, 0x83, 0x2d], data::LEFT, 1);
        self.put(&[1]);
        let goes_on = self.branch(&[0x0f, 0x85]);
        self.word(&[0x48, 0x8b, 0x15], data::RDX, 0);
        self.restore();
        let trap = self.here();
        self.put(&[INT3]);
        self.lands(&goes_on);
        if let Some(skip) = skip {
            self.lands(&skip);
        }
        self.lands(&idle);
        self.word(&[0x48, 0x8b, 0x15], data::RDX, 0);
        self.restore();
        Some(trap)
    }

    /// Compares with the registers and the words of a state. In a call the kernel has changed rcx and r11.
    pub(super) fn compare(&mut self, which: Which, in_call: bool, with_r11: bool) -> Compared {
        self.save();
        let mut differ = Vec::new();
        let from = self.here();
        // rsp, rbp, rbx, rsi, rdi, rdx
        for (index, modrm) in [(0, 0x25), (1, 0x2d), (2, 0x1d), (3, 0x35), (4, 0x3d), (5, 0x15)] {
            self.word(&[0x48, 0x3b, modrm], data::register(which, index), 0);
            differ.push(self.branch(&[0x0f, 0x85]));
        }
        // r8, r9, r10, r12, r13, r14, r15
        for (index, modrm) in [(6, 0x05), (7, 0x0d), (8, 0x15), (9, 0x25), (10, 0x2d), (11, 0x35), (12, 0x3d)] {
            self.word(&[0x4c, 0x3b, modrm], data::register(which, index), 0);
            differ.push(self.branch(&[0x0f, 0x85]));
        }
        if !in_call {
            self.word(&[0x48, 0x3b, 0x0d], data::register(which, 13), 0);
            differ.push(self.branch(&[0x0f, 0x85]));
        }
        if with_r11 {
            self.word(&[0x4c, 0x3b, 0x1d], data::register(which, 15), 0);
            differ.push(self.branch(&[0x0f, 0x85]));
        }
        self.word(&[0x48, 0x8b, 0x0d], data::RAX, 0);
        self.word(&[0x48, 0x3b, 0x0d], data::register(which, 14), 0);
        differ.push(self.branch(&[0x0f, 0x85]));
        for index in 0..WORDS as u64 {
            self.word(&[0x48, 0x8b, 0x0d], data::word(which, index), 0);
            // mov (%rcx), %rcx
            self.put(&[0x48, 0x8b, 0x09]);
            self.word(&[0x48, 0x3b, 0x0d], data::word(which, index) + 8, 0);
            differ.push(self.branch(&[0x0f, 0x85]));
        }
        let to = self.here();
        self.restore();
        let trap = self.here();
        self.put(&[INT3]);
        let differs = self.here();
        for branch in differ {
            self.lands(&branch);
        }
        self.restore();
        Compared { trap, comparing: (from, to), differs, behind: self.here() }
    }

    /// A displaced instruction.
    pub(super) fn displaced(&mut self, instruction: &Instruction) -> Option<()> {
        self.onward.insert(instruction.ip(), self.here());
        if instruction.flow_control() == FlowControl::Call {
            // The return address is the program's: push imm32, sign-extended; movl $high, 4(%rsp); jmp.
            let back = instruction.next_ip().to_le_bytes();
            self.put(&[0x68]);
            self.put(&back[..4]);
            self.put(&[0xc7, 0x44, 0x24, 0x04]);
            self.put(&back[4..]);
            let next = self.here() + JUMP as u64;
            self.put(&[0xe9]);
            self.put(&reach(next, instruction.near_branch_target())?.to_le_bytes());
            return Some(());
        }
        self.moved(instruction)
    }

    /// The way back.
    pub(super) fn back(&mut self, to: u64) -> Option<()> {
        self.moved(&Instruction::with_branch(Code::Jmp_rel32_64, to).ok()?)
    }

    /// One instruction, by itself: a branch to its neighbours leads to where they are in the program.
    fn moved(&mut self, instruction: &Instruction) -> Option<()> {
        let mut one = [*instruction];
        if let Some(to) = self.redirected.get(&instruction.near_branch_target())
            && matches!(instruction.flow_control(), FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch)
        {
            one[0].set_near_branch64(*to);
        }
        let block = InstructionBlock::new(&one, self.here());
        let encoded = BlockEncoder::encode(64, block, BlockEncoderOptions::NONE).ok()?;
        self.bytes.extend(encoded.code_buffer);
        Some(())
    }
}

/// Where the parts of a comparison are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compared {
    /// The trap where all is equal.
    pub(super) trap: u64,
    /// Where words are read that may be mapped no more.
    pub(super) comparing: (u64, u64),
    /// Where it goes on when something differs.
    pub(super) differs: u64,
    /// Behind all.
    pub(super) behind: u64,
}

/// Registers that are compared, in the order of the data.
pub(super) fn compared(registers: &Registers) -> [u64; 16] {
    let r = registers;
    [r.rsp, r.rbp, r.rbx, r.rsi, r.rdi, r.rdx, r.r8, r.r9, r.r10, r.r12, r.r13, r.r14, r.r15, r.rcx, r.rax, r.r11]
}

/// A displacement of four bytes, if it reaches so far.
pub(super) fn reach(from: u64, to: u64) -> Option<i32> {
    #[allow(clippy::cast_possible_wrap)]
    i32::try_from(to.wrapping_sub(from) as i64).ok()
}

/// The same within the trampolines, which are a few pages.
fn distance(from: u64, to: u64) -> i32 {
    reach(from, to).unwrap_or(0)
}

/// `jmp` from one place to another.
pub(super) fn jump(from: u64, to: u64) -> Option<[u8; JUMP]> {
    let [a, b, c, d] = reach(from + JUMP as u64, to)?.to_le_bytes();
    Some([0xe9, a, b, c, d])
}

/// The same in two bytes.
pub(super) fn short_jump(from: u64, to: u64) -> Option<[u8; SHORT]> {
    let [distance] = i8::try_from(reach(from + SHORT as u64, to)?).ok()?.to_le_bytes();
    Some([0xeb, distance])
}
