//! Functions as the code itself tells of them, for programs of which nobody knows more: the table by which exceptions are handled
//! (`.eh_frame_hdr`, Linux Standard Base, 10.6.2) says where each one begins, and stays in a stripped program.

use std::ops::Range;

use super::code::Known;
use super::{Memory, Supervisor};

/// Bytes of a function, at most.
const LONGEST: u64 = 1 << 20;

/// Bytes of a module's code in which branches are looked for, at most.
const MOST_CODE: u64 = 64 << 20;

/// Entries of the table, at most.
const MOST_FUNCTIONS: u64 = 1 << 20;

/// A mapping of /proc/PID/maps.
struct Mapping<'t> {
    range: Range<u64>,
    executable: bool,
    offset: u64,
    name: &'t str,
}

fn mapping(line: &str) -> Option<Mapping<'_>> {
    let mut words = line.split_whitespace();
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    let (start, end) = words.next()?.split_once('-')?;
    let executable = words.next()?.contains('x');
    let offset = number(words.next()?)?;
    let name = words.nth(2)?;
    Some(Mapping { range: number(start)?..number(end)?, executable, offset, name })
}

/// Reads all of so many bytes.
fn bytes<const N: usize>(memory: &Memory, address: u64) -> Option<[u8; N]> {
    let mut bytes = [0u8; N];
    (memory.read(address, &mut bytes) == N).then_some(bytes)
}

fn word(memory: &Memory, address: u64) -> Option<u64> {
    bytes(memory, address).map(u64::from_le_bytes)
}

/// The table of a module whose first page is mapped at `base`: where it is, and how many functions it names.
fn table(memory: &Memory, base: u64) -> Option<(u64, u64)> {
    const MAGIC: [u8; 5] = [0x7f, b'E', b'L', b'F', 2];
    const PT_LOAD: u32 = 1;
    const PT_GNU_EH_FRAME: u32 = 0x6474_e550;
    // elf(5): e_phoff, e_phentsize, e_phnum; p_type, p_offset, p_vaddr.
    (bytes::<5>(memory, base)? == MAGIC).then_some(())?;
    let headers = base + word(memory, base + 32)?;
    let [size, count] = [54, 56].map(|at| bytes(memory, base + at).map(u16::from_le_bytes));
    let (size, count) = (u64::from(size?), u64::from(count?));
    let (mut bias, mut found) = (None, None);
    for header in (0..count).map(|index| headers + size * index) {
        let address = word(memory, header + 16)?;
        match u32::from_le_bytes(bytes(memory, header)?) {
            PT_LOAD if bias.is_none() => bias = Some(base.wrapping_sub(address - word(memory, header + 8)?)),
            PT_GNU_EH_FRAME => found = Some(address),
            _ => {}
        }
    }
    let at = bias?.wrapping_add(found?);
    // Version 1; a pointer of four bytes, a count of four, and pairs of distances from the table's begin.
    let [1, pointer, 0x03, 0x3b] = bytes::<4>(memory, at)? else { return None };
    (pointer & 0x0f == 0x0b || pointer & 0x0f == 0x03).then_some(())?;
    let count = u64::from(u32::from_le_bytes(bytes(memory, at + 8)?));
    (count <= MOST_FUNCTIONS).then_some((at, count))
}

/// Where the function begins in which an instruction is, and the next one.
fn around(memory: &Memory, (table, count): (u64, u64), pc: u64) -> Option<(u64, Option<u64>)> {
    let begin = |index: u64| {
        let distance = i32::from_le_bytes(bytes(memory, table + 12 + 8 * index)?);
        Some(table.wrapping_add_signed(distance.into()))
    };
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if begin(middle)? <= pc { low = middle + 1 } else { high = middle }
    }
    let next = (low < count).then(|| begin(low)).flatten();
    Some((begin(low.checked_sub(1)?)?, next))
}

/// Where branches with a distance of four bytes lead that are anywhere in some code, if that is in a range. Bytes that only look
/// like one do no harm.
fn far_targets(code: &[u8], start: u64, within: &Range<u64>) -> Vec<u64> {
    let target = |(at, window): (usize, &[u8])| {
        let distance = match *window {
            [0xe9, a, b, c, d, _] => (5, [a, b, c, d]),
            [0x0f, second, a, b, c, d] if second & 0xf0 == 0x80 => (6, [a, b, c, d]),
            _ => return None,
        };
        let behind = start + at as u64 + distance.0;
        Some(behind.wrapping_add_signed(i32::from_le_bytes(distance.1).into())).filter(|to| within.contains(to))
    };
    code.windows(6).enumerate().filter_map(target).collect()
}

impl Supervisor {
    /// Reads the function around an instruction of the program, if it is known where that begins and ends.
    pub(super) fn read_function(&self, known: &mut Known, pc: u64) -> Option<Range<u64>> {
        let program = self.program.as_ref()?;
        let memory = &program.memory;
        let text = std::fs::read_to_string(format!("/proc/{}/maps", program.leader)).ok()?;
        let mappings: Vec<Mapping<'_>> = text.lines().filter_map(mapping).collect();
        let code = mappings.iter().find(|mapping| mapping.executable && mapping.range.contains(&pc))?;
        let first = mappings.iter().rev().filter(|mapping| mapping.range.start <= pc && mapping.offset == 0);
        let base = first.into_iter().find(|mapping| mapping.name == code.name)?.range.start;
        let (start, next) = around(memory, table(memory, base)?, pc)?;
        let end = next.unwrap_or(u64::MAX).min(code.range.end).min(start + LONGEST);
        let function = start..end;
        if !code.range.contains(&start) || !function.contains(&pc) || code.range.end - code.range.start > MOST_CODE {
            return None;
        }
        let read = |range: &Range<u64>| {
            let mut bytes = vec![0u8; usize::try_from(range.end - range.start).ok()?];
            (memory.read(range.start, &mut bytes) == bytes.len()).then_some(bytes)
        };
        // A part that is seldom executed may be elsewhere and lead back here.
        let all = read(&code.range)?;
        known.is_led_to(far_targets(&all, code.range.start, &function));
        known.read(&[(start, read(&function)?)], |address| bytes(memory, address));
        Some(function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_from_elsewhere_are_found() {
        // nop; jmp +0x10; je -0x20; call +0
        let code = [0x90, 0xe9, 0x10, 0, 0, 0, 0x0f, 0x84, 0xe0, 0xff, 0xff, 0xff, 0xe8, 0, 0, 0, 0];
        assert_eq!(far_targets(&code, 0x1000, &(0..0x2000)), [0x1016, 0xfec]);
        assert_eq!(far_targets(&code, 0x1000, &(0x1000..0x2000)), [0x1016]);
    }

    #[test]
    fn our_own_functions_are_known() {
        let memory = Memory::open(nix::unistd::getpid()).expect("memory");
        let text = std::fs::read_to_string("/proc/self/maps").expect("maps");
        let pc = branches_from_elsewhere_are_found as fn() as usize as u64;
        let mappings: Vec<Mapping<'_>> = text.lines().filter_map(mapping).collect();
        let code = mappings.iter().find(|mapping| mapping.range.contains(&pc)).expect("a mapping");
        let first = mappings.iter().find(|mapping| mapping.name == code.name && mapping.offset == 0).expect("a base");
        let table = table(&memory, first.range.start).expect("a table");
        let (start, next) = around(&memory, table, pc + 1).expect("a function");
        assert_eq!(start, pc);
        assert!(next.is_some_and(|next| next > pc + 1));
    }
}
