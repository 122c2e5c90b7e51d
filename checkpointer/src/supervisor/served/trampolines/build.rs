//! Building the trampolines of a run: which there are, their code and their data.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use iced_x86::Instruction;

use super::code::{self, Known, ROOM, Which, Writer, data};
use super::plan::{self, Kind, Planned};
use super::{Patch, Trampolines, Trap};
use crate::inject::PAGE;
use crate::supervisor::served::Memory;
use crate::wire::{Hit, Ran, Spot};

/// Places that may have one, at most.
const MOST_PLACES: usize = 4096;

/// What is wanted of a run, for its trampolines.
pub(super) struct Wanted<'r> {
    pub(super) spots: &'r [Spot],
    pub(super) states: Vec<State>,
    pub(super) last: &'r VecDeque<Hit>,
    pub(super) left: u64,
    /// Where there are breakpoints that stay.
    pub(super) taken: BTreeSet<u64>,
}

/// A state with which the program's is compared.
pub(super) struct State {
    pub(super) which: Which,
    /// Its instruction, and whether that is a call to the system.
    pub(super) pc: u64,
    pub(super) in_call: bool,
    pub(super) registers: [u64; 16],
}

impl State {
    /// What a call to the system leaves in r11 are flags, with those of whoever has stepped over it.
    fn compares_r11(&self) -> bool {
        const ALL_FLAGS: u64 = 0x3f_ffff;
        self.which == Which::Awaited && self.registers[15] > ALL_FLAGS
    }
}

/// Code and data of trampolines that lie at `at`; `None` if there is nothing that they could do.
pub(super) fn written(
    at: u64,
    wanted: &Wanted<'_>,
    functions: &Known,
    memory: &Memory,
) -> Option<(Trampolines, Vec<u8>)> {
    let places: BTreeSet<u64> =
        wanted.spots.iter().map(|spot| spot.address).chain(wanted.states.iter().map(|state| state.pc)).collect();
    if places.len() > MOST_PLACES {
        return None;
    }
    let plan = plan::planned(&places, functions, &wanted.taken, memory);
    let size = (plan.len() as u64 * ROOM).next_multiple_of(PAGE);
    let base = at + size;
    let end = base + (data::LEVELS + 8 * wanted.spots.len() as u64).next_multiple_of(PAGE);
    let mut made = Trampolines {
        range: at..end,
        data: base,
        patches: Vec::new(),
        inserted: false,
        onward: BTreeMap::new(),
        original: BTreeMap::new(),
        traps: BTreeMap::new(),
        compared: [None; 2],
        left: wanted.left,
        next_word: [0; 2],
        retired: false,
        counts: true,
        awaited: None,
    };
    let mut bytes = vec![0u8; usize::try_from(end - at).ok()?];
    let begins: BTreeMap<u64, u64> =
        plan.iter().zip(0..).map(|(planned, index)| (planned.address, at + index * ROOM)).collect();
    let begin = |planned: &Planned| Some((planned.address, *begins.get(&planned.address)?));
    // Branches lead to those first, others lead by their boards to the last.
    let mut redirected = BTreeMap::new();
    for kind in [Kind::ByBranches, Kind::Long, Kind::Short] {
        for planned in plan.iter().filter(|planned| planned.kind() == kind) {
            let added = made.add(planned, (&begins, &redirected), wanted, (memory, &places), &mut bytes);
            if kind == Kind::ByBranches && added.is_some() {
                redirected.extend(begin(planned));
            }
        }
    }
    let mut set = |offset: u64, value: u64| {
        #[allow(clippy::cast_possible_truncation)]
        let index = (size + offset) as usize;
        bytes[index..index + 8].copy_from_slice(&value.to_le_bytes());
    };
    let ring = base + data::HITS;
    let first = wanted.last.len().saturating_sub(Ran::LAST);
    for (index, hit) in (0u64..).zip(wanted.last.iter().skip(first)) {
        set(data::HITS + data::HIT * index, hit.frame);
        set(data::HITS + data::HIT * index + 8, hit.spot.into());
    }
    let noted = (wanted.last.len() - first) as u64;
    set(data::LEFT, wanted.left);
    set(data::NEXT, ring + data::HIT * noted);
    set(data::FIRST, ring);
    set(data::END, ring + data::HIT * data::KEPT);
    for (index, spot) in (0u64..).zip(wanted.spots) {
        set(data::LEVELS + 8 * index, spot.at_least);
    }
    set(data::COUNTS, 1);
    for state in &wanted.states {
        for (index, register) in (0u64..).zip(state.registers) {
            set(data::register(state.which, index), register);
        }
        for index in 0..code::WORDS as u64 {
            // Equal to itself.
            set(data::word(state.which, index), base + data::FIRST);
            set(data::word(state.which, index) + 8, ring);
        }
    }
    let by_stops = places.iter().filter(|place| !made.onward.contains_key(place) && !redirected.contains_key(place));
    tracing::debug!("trampolines for {} places, by stops: {:x?}", places.len(), by_stops.collect::<Vec<_>>());
    (!made.patches.is_empty()).then_some((made, bytes))
}

impl Trampolines {
    /// Adds what has been planned.
    pub(super) fn add(
        &mut self,
        planned: &Planned,
        (begins, redirected): (&BTreeMap<u64, u64>, &BTreeMap<u64, u64>),
        wanted: &Wanted<'_>,
        (memory, places): (&Memory, &BTreeSet<u64>),
        bytes: &mut [u8],
    ) -> Option<()> {
        let jump = match planned.board {
            None if planned.bytes == 0 => Vec::new(),
            Some(board) if !self.patches.iter().any(|host| host.range().contains(&board)) => return None,
            Some(board) => code::short_jump(planned.address, board)?.to_vec(),
            None => {
                let to = |place: u64| begins.get(&place).copied();
                let mut jump = code::jump(planned.address, to(planned.address)?)?.to_vec();
                for &(board, place) in &planned.boards {
                    jump.resize(usize::try_from(board - planned.address).ok()?, code::INT3);
                    jump.extend(code::jump(planned.address + jump.len() as u64, to(place)?)?);
                }
                jump
            }
        };
        let mut original = vec![0u8; jump.len()];
        if memory.read(planned.address, &mut original) != jump.len() {
            return None;
        }
        let begin = *begins.get(&planned.address)?;
        let mut writer = Writer::new(begin, self.data, redirected);
        let mut traps = Vec::new();
        let mut compared = [None; 2];
        for instruction in &planned.instructions {
            let here = instruction.ip();
            for state in wanted.states.iter().filter(|state| state.pc == here) {
                let made = writer.compare(state.which, state.in_call, state.compares_r11());
                traps.push((made.trap, Trap::Same { which: state.which, pc: here, differs: made.behind }));
                compared[state.which as usize] = Some(made);
            }
            for (index, spot) in (0..).zip(wanted.spots).filter(|(_, spot)| spot.address == here) {
                traps.push((writer.count(index, spot)?, Trap::Hit { pc: here, spot: index }));
            }
            writer.displaced(instruction)?;
        }
        writer.back(planned.instructions.last()?.next_ip())?;
        let met = planned.instructions.iter().map(Instruction::ip).filter(|ip| places.contains(ip)).collect();
        let code = writer.bytes;
        if code.len() as u64 > ROOM {
            return None;
        }
        let patch = Patch { address: planned.address, places: met, original, jump, board: planned.board };
        let index = usize::try_from(begin - self.range.start).ok()?;
        bytes.get_mut(index..index + code.len())?.copy_from_slice(&code);
        self.traps.extend(traps);
        self.original.extend(writer.onward.iter().map(|(original, moved)| (*moved, *original)));
        if planned.kind() != Kind::ByBranches {
            self.patches.push(patch);
            self.onward.extend(writer.onward);
        }
        for (known, made) in self.compared.iter_mut().zip(compared) {
            *known = made.or(*known);
        }
        Some(())
    }
}
