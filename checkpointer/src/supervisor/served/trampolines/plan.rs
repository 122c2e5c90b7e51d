//! Where jumps go. A jump to a trampoline is five bytes long, and often there is no room for it: gcc begins a loop by a jump to its
//! condition, right behind an instruction of four bytes that counts. There a jump of two bytes leads to a *board*, a long jump near
//! by that nobody else comes to: it lies among instructions that have been displaced, behind the jump that leads to them.
//! An instruction of one byte (`continue` and `return` are a `nop`) is left as it is, and what branches to it is displaced and leads
//! to its trampoline; whoever comes to it otherwise is stopped.

use std::collections::BTreeSet;

use iced_x86::Instruction;

use super::code::{JUMP, Known, LONGEST};
use crate::supervisor::served::Memory;

/// Bytes of `jmp rel8`.
pub(super) const SHORT: usize = 2;

/// How far a short jump leads.
const NEAR: u64 = 127;

/// Boards behind one jump, at most.
const MOST_BOARDS: usize = 3;

/// Bytes that are left between boards, at most.
const MOST_GAPS: usize = 2;

/// Instructions that are to be displaced, by a jump at the first of them.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) address: u64,
    pub(super) instructions: Vec<Instruction>,
    /// Boards that lie here, behind the jump, and which of the others has a jump of two bytes to it.
    pub(super) boards: Vec<(u64, u64)>,
    /// Where the board is by which this one is reached.
    pub(super) board: Option<u64>,
    /// How many bytes of the program are replaced, boards included; none if branches lead to it.
    pub(super) bytes: usize,
}

/// How a thread comes to a trampoline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// By a jump.
    Long,
    /// By a jump of two bytes and a board.
    Short,
    /// By what branches to it.
    ByBranches,
}

impl Planned {
    pub(super) fn kind(&self) -> Kind {
        match (self.board, self.bytes) {
            (Some(_), _) => Kind::Short,
            (None, 0) => Kind::ByBranches,
            (None, _) => Kind::Long,
        }
    }

    fn new(address: u64, instructions: Vec<Instruction>, bytes: usize) -> Planned {
        Planned { address, instructions, boards: Vec::new(), board: None, bytes }
    }

    /// Where the next board would lie: not where an instruction of the program begins, as a thread that stands there would seem to be on
    /// the board.
    fn next_board(&self) -> Option<u64> {
        let begin = self.boards.last().map_or(self.address, |(board, _)| *board) + JUMP as u64;
        let last = (self.address + self.bytes as u64).checked_sub(JUMP as u64)?;
        (begin..=last).find(|board| !self.has(*board))
    }

    fn has(&self, place: u64) -> bool {
        self.instructions.iter().any(|instruction| instruction.ip() == place)
    }
}

/// Whether a short jump at one address leads to another.
fn is_near(from: u64, to: u64) -> bool {
    let end = from + SHORT as u64;
    if to >= end { to - end <= NEAR } else { end - to <= NEAR + 1 }
}

/// What is known of a program's code, for a plan.
struct Code<'c> {
    functions: &'c Known,
    memory: &'c Memory,
    taken: &'c BTreeSet<u64>,
}

impl Code<'_> {
    /// Instructions that a jump of so many bytes at an address takes the place of, if they can be displaced.
    fn displaced(&self, at: u64, need: usize) -> Option<Vec<Instruction>> {
        let mut there = [0u8; JUMP * (MOST_BOARDS + 1) + MOST_GAPS + LONGEST];
        let read = self.memory.read(at, &mut there);
        self.functions.displaced(at, &there[..read], self.taken, need)
    }
}

/// Which instructions are displaced for these places. A place that is in none of them is met by stops.
pub(super) fn planned(
    places: &BTreeSet<u64>,
    functions: &Known,
    taken: &BTreeSet<u64>,
    memory: &Memory,
) -> Vec<Planned> {
    let code = Code { functions, memory, taken };
    let mut covered = BTreeSet::new();
    let mut narrow = Vec::new();
    for &place in places {
        if !covered.contains(&place) {
            match code.displaced(place, JUMP) {
                Some(instructions) => covered.extend(instructions.iter().map(Instruction::ip)),
                None => narrow.push(place),
            }
        }
    }
    // First those that are hard to please.
    let mut plan: Vec<Planned> = Vec::new();
    for place in narrow {
        if !plan.iter().any(|planned| planned.has(place)) {
            plan_narrow(place, &code, &mut plan);
        }
    }
    let mut by_branches = Vec::new();
    for &place in places {
        if plan.iter().any(|planned| planned.has(place)) {
            continue;
        }
        // One of those others may be where it would end.
        let jump = plan_wide(place, &code, &mut plan).or_else(|| plan_narrow(place, &code, &mut plan));
        if jump.is_none() {
            by_branches.extend(code.displaced(place, 1).map(|instructions| Planned::new(place, instructions, 0)));
        }
    }
    for from in by_branches.iter().flat_map(|planned| functions.branches_to(planned.address)) {
        if !plan.iter().any(|planned| planned.has(from)) {
            plan_wide(from, &code, &mut plan).or_else(|| plan_narrow(from, &code, &mut plan));
        }
    }
    plan.extend(by_branches);
    plan
}

/// Plans a jump of the usual length.
fn plan_wide(place: u64, code: &Code<'_>, plan: &mut Vec<Planned>) -> Option<()> {
    let free = !overlap(plan, place, place + JUMP as u64);
    let instructions = code.displaced(place, JUMP).filter(|_| free)?;
    plan.push(Planned::new(place, instructions, JUMP));
    Some(())
}

/// Whether something is planned for bytes in a range.
fn overlap(plan: &[Planned], from: u64, to: u64) -> bool {
    plan.iter().any(|other| from < other.address + other.bytes as u64 && other.address < to)
}

/// Plans a short jump, and a place for its board.
fn plan_narrow(place: u64, code: &Code<'_>, plan: &mut Vec<Planned>) -> Option<()> {
    let own = place..place + SHORT as u64;
    let instructions = code.displaced(place, SHORT).filter(|_| !overlap(plan, own.start, own.end))?;
    let near = |host: &Planned| host.next_board().is_some_and(|board| is_near(place, board));
    let host = match plan.iter().position(near) {
        Some(host) => host,
        None => {
            let taken = |from: u64, to: u64| from < own.end && own.start < to || overlap(plan, from, to);
            let found = new_host(place, code, taken)?;
            plan.push(found);
            plan.len() - 1
        }
    };
    let board = plan[host].next_board()?;
    plan[host].boards.push((board, place));
    plan.push(Planned { board: Some(board), ..Planned::new(place, instructions, SHORT) });
    Some(())
}

/// Instructions near a place that can be displaced and leave room for a board, several if that can be had.
fn new_host(place: u64, code: &Code<'_>, overlaps: impl Fn(u64, u64) -> bool) -> Option<Planned> {
    let near = place.saturating_sub(NEAR + 1 + JUMP as u64)..place + NEAR;
    let gaps = |boards: usize| (0..=MOST_GAPS).map(move |gaps| JUMP * (boards + 1) + gaps);
    (1..=MOST_BOARDS).rev().flat_map(gaps).find_map(|bytes| {
        code.functions.starts(near.clone()).find_map(|at| {
            if overlaps(at, at + bytes as u64) {
                return None;
            }
            let found = Planned::new(at, code.displaced(at, bytes)?, bytes);
            found.next_board().is_some_and(|board| is_near(place, board)).then_some(found)
        })
    })
}
