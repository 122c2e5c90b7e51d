//! Which readings of the monotonic clock are the interpreter's own. CPython reads it whenever it takes a lock (from 3.11 on), also to
//! print or to import something, and where threads wait for each other: a debugger that is written in Python does so, too, and what these
//! readings give is of no matter to the program. They are told by who asks: a function of the interpreter that waits with a limit.
//!
//! The function that reads clocks in the process ([`crate::raw::OWN_CALLERS`]) sees the addresses of its callers on the stack. Where they are
//! depends on code that is always the same, and who waits can be seen from what a function calls, also in a stripped program.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::ops::Range;

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, Register};
use nix::unistd::Pid;
use object::read::elf::ElfFile64;
use object::read::{ReadCache, ReadRef};
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol, ObjectSymbolTable, RelocationTarget};

use crate::raw::{self, CLOCK_STUBS, OWN_CALLERS, OWN_RANGES, OWN_READERS, Registers};
use crate::record::vdso::is_inside;

/// What the interpreter waits by.
const WAITING: [&str; 4] = ["sem_clockwait", "sem_timedwait", "sem_trywait", "pthread_cond_timedwait"];

const READING: &str = "clock_gettime";

/// Bytes of a function that are looked at, at most.
const LONGEST: u64 = 1 << 16;

/// How many words there are at [`OWN_CALLERS`].
const OWN_WORDS: usize = 2 + 2 * (OWN_READERS + OWN_RANGES);

/// Where functions go on that have called one that reads the clock, each with a number of bytes on the stack.
type Readers = Vec<(u64, u64)>;

/// What the function in the process compares with, as it lies at [`crate::raw::OWN_CALLERS`]. Distances are from the stack pointer at
/// its first instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnCallers {
    /// Where the C library goes on behind its call.
    library: u64,
    /// Distance to where the C library's caller goes on.
    to_caller: u64,
    /// Where functions of the interpreter go on that read the clock for others, and the distance to where their callers go on.
    readers: Readers,
    /// The functions that wait.
    waiting: Vec<Range<u64>>,
}

impl OwnCallers {
    /// The words in the process.
    pub fn bytes(&self) -> Vec<u8> {
        let mut words = vec![self.library, self.to_caller];
        words.extend(self.readers.iter().flat_map(|(next, distance)| [*next, *distance]));
        words.resize(2 + 2 * OWN_READERS, 0);
        words.extend(self.waiting.iter().flat_map(|range| [range.start, range.end - range.start]));
        words.resize(OWN_WORDS, 0);
        words.into_iter().flat_map(u64::to_ne_bytes).collect()
    }

    /// Finds it out for a process that has its libraries. None if it is no such interpreter, or not built as is known here.
    pub fn of(pid: Pid) -> Option<OwnCallers> {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
        let library = module(&maps, |name| name.starts_with("libc.so.") || name.starts_with("libc-2."))?;
        let (library, pushed) = library.with(|image| {
            let function = image.function(image.exported(READING)?)?;
            let call = image.calls_of(&function).into_iter().next()?;
            Some((call.next, call.pushed?))
        })?;
        let to_caller = pushed + 8;
        let interpreter = module(&maps, |name| name.starts_with("libpython3"))
            .or_else(|| module(&maps, |name| name.starts_with("python3")))?;
        let (readers, waiting) = interpreter.with(|image| image.waiting())?;
        let readers = readers.into_iter().map(|(next, pushed)| (next, to_caller + 8 + pushed)).collect();
        Some(OwnCallers { library, to_caller, readers, waiting })
    }
}

/// Whether a thread that stands in the function that reads clocks, or where that has sent it, was sent there to wait.
pub(super) fn is_own(pid: Pid, registers: &Registers) -> bool {
    if !is_inside(registers.rip) && !(CLOCK_STUBS..OWN_CALLERS).contains(&registers.rip) {
        return false;
    }
    let mut bytes = [0u8; 8 * OWN_WORDS];
    raw::read_remote(pid, OWN_CALLERS, &mut bytes);
    let (words, _) = bytes.as_chunks::<8>();
    let own: Vec<u64> = words.iter().copied().map(u64::from_ne_bytes).collect();
    let on_stack = |distance: u64| {
        let mut bytes = [0u8; 8];
        raw::read_remote(pid, registers.rsp + distance, &mut bytes);
        u64::from_ne_bytes(bytes)
    };
    if on_stack(0) != own[0] {
        return false;
    }
    let caller = on_stack(own[1]);
    let (readers, ranges) = own[2..].split_at(2 * OWN_READERS);
    let reader = readers.chunks_exact(2).find(|pair| pair[0] == caller);
    let caller = reader.map_or(caller, |pair| on_stack(pair[1]));
    ranges.chunks_exact(2).any(|range| caller.wrapping_sub(range[0]) < range[1])
}

/// A file that a process has mapped.
struct Module {
    path: String,
    /// Where its first byte is.
    start: u64,
}

/// The one whose file's name is so.
fn module(maps: &str, is: impl Fn(&str) -> bool) -> Option<Module> {
    maps.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (start, _) = words.next()?.split_once('-')?;
        let first = words.nth(1)?.bytes().all(|digit| digit == b'0');
        let path = words.nth(2)?;
        let found = first && is(path.rsplit('/').next()?);
        found.then_some(Module { path: path.to_owned(), start: u64::from_str_radix(start, 16).ok()? })
    })
}

impl Module {
    /// What is found in its file.
    fn with<T>(&self, find: impl FnOnce(&Image) -> Option<T>) -> Option<T> {
        let cache = ReadCache::new(File::open(&self.path).ok()?);
        find(&Image::read(&cache, self.start)?)
    }
}

/// Code of a module, at its addresses in the process.
struct Image<'d> {
    /// Each section that has code.
    code: Vec<(u64, &'d [u8])>,
    /// Where functions begin, in order (`.eh_frame_hdr`, Linux Standard Base, 10.6.2).
    begins: Vec<u64>,
    /// Words that say where another module has something, by name.
    slots: HashMap<u64, &'d str>,
    exported: HashMap<&'d str, u64>,
}

/// A call that a function makes.
struct Made {
    /// The instruction behind it.
    next: u64,
    /// Bytes that the function has pushed before. None where the code is not come to from above.
    pushed: Option<u64>,
}

impl<'d> Image<'d> {
    fn read<R: ReadRef<'d>>(data: R, start: u64) -> Option<Image<'d>> {
        let file = ElfFile64::<object::Endianness, R>::parse(data).ok()?;
        let bias = start.wrapping_sub(file.segments().next()?.address() & !0xfff);
        let place = |address: u64| bias.wrapping_add(address);
        let sections = file.sections().filter(|section| section.kind() == object::SectionKind::Text);
        let code = sections.filter_map(|section| Some((place(section.address()), section.data().ok()?))).collect();
        let table = file.section_by_name(".eh_frame_hdr")?;
        let begins = begins(place(table.address()), table.data().ok()?)?;
        let symbols = file.dynamic_symbol_table()?;
        let linked = |relocation: &object::Relocation| match relocation.target() {
            RelocationTarget::Symbol(index) => symbols.symbol_by_index(index).ok()?.name().ok(),
            _ => None,
        };
        let slots = file.dynamic_relocations()?;
        let slots = slots.filter_map(|(at, relocation)| Some((place(at), linked(&relocation)?))).collect();
        let exported = file.dynamic_symbols().filter(|symbol| symbol.is_definition());
        let exported = exported.filter_map(|symbol| Some((symbol.name().ok()?, place(symbol.address())))).collect();
        Some(Image { code, begins, slots, exported })
    }

    fn exported(&self, name: &str) -> Option<u64> {
        self.exported.get(name).copied()
    }

    /// The function in which an instruction is.
    fn function(&self, pc: u64) -> Option<Range<u64>> {
        let next = self.begins.partition_point(|begin| *begin <= pc);
        let start = *self.begins.get(next.checked_sub(1)?)?;
        let end = self.begins.get(next).copied().unwrap_or(u64::MAX).min(start + LONGEST);
        (start..end).contains(&pc).then_some(start..end)
    }

    fn bytes(&self, range: &Range<u64>) -> &'d [u8] {
        let within = |(start, code): &(u64, &'d [u8])| {
            let from = usize::try_from(range.start.checked_sub(*start)?).ok()?;
            let to = usize::try_from(range.end.saturating_sub(*start)).ok()?.min(code.len());
            code.get(from..to)
        };
        self.code.iter().find_map(within).unwrap_or_default()
    }

    /// Everything that looks like a call with a distance of four bytes, or by a word: where, and where to.
    fn all_calls(&self) -> impl Iterator<Item = (u64, u64)> {
        let stubs: HashMap<u64, u64> = self.stubs().collect();
        let direct = move |to: u64| stubs.get(&to).copied().unwrap_or(to);
        self.code.iter().flat_map(move |(start, code)| {
            let direct = direct.clone();
            code.windows(6).enumerate().filter_map(move |(at, window)| {
                let here = start + at as u64;
                let to = |distance: &[u8], length: u64| {
                    let distance = i32::from_le_bytes(distance.try_into().ok()?);
                    Some((here + length).wrapping_add_signed(distance.into()))
                };
                match window {
                    [0xe8, ..] => Some((here, direct(to(&window[1..5], 5)?))),
                    [0xff, 0x15, ..] => Some((here, to(&window[2..6], 6)?)),
                    _ => None,
                }
            })
        })
    }

    /// Stubs that jump where a word says: where each begins, and the word.
    fn stubs(&self) -> impl Iterator<Item = (u64, u64)> {
        const LANDING: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa]; // endbr64
        self.code.iter().flat_map(move |(start, code)| {
            code.windows(6).enumerate().filter(|(_, window)| window[..2] == [0xff, 0x25]).filter_map(
                move |(at, window)| {
                    let here = start + at as u64;
                    let distance = i32::from_le_bytes(window[2..].try_into().ok()?);
                    let slot = (here + 6).wrapping_add_signed(distance.into());
                    let bnd = usize::from(at > 0 && code[at - 1] == 0xf2);
                    let landing = (at - bnd).checked_sub(4).is_some_and(|before| code[before..at - bnd] == LANDING);
                    let begin = here - bnd as u64 - if landing { 4 } else { 0 };
                    self.slots.contains_key(&slot).then_some((begin, slot))
                },
            )
        })
    }

    /// The calls that a function makes, in the order of its code.
    fn calls_of(&self, function: &Range<u64>) -> Vec<Made> {
        let mut pushed = Some(0u64);
        let mut found = Vec::new();
        for instruction in &mut Decoder::with_ip(64, self.bytes(function), function.start, DecoderOptions::NONE) {
            match instruction.flow_control() {
                FlowControl::Call | FlowControl::IndirectCall => {
                    found.push(Made { next: instruction.next_ip(), pushed });
                }
                FlowControl::Return | FlowControl::Exception | FlowControl::UnconditionalBranch => pushed = None,
                _ => pushed = pushed.and_then(|bytes| bytes.checked_add_signed(pushes(&instruction))),
            }
        }
        found
    }

    /// For an interpreter: where functions go on that read the clock for others, with what they have pushed, and those that wait.
    fn waiting(&self) -> Option<(Readers, Vec<Range<u64>>)> {
        let mut reads = Vec::new();
        let mut waits = HashSet::new();
        let mut called: HashMap<u64, Vec<u64>> = HashMap::new();
        for (at, to) in self.all_calls() {
            let name = self.slots.get(&to).copied();
            if name == Some(READING) {
                reads.push(at);
            } else if name.is_some_and(|name| WAITING.contains(&name)) {
                waits.extend(self.function(at));
            } else if let Some(to) = name.map_or(Some(to), |name| self.exported(name)) {
                called.entry(to).or_default().push(at);
            }
        }
        let callers = |function: &Range<u64>| {
            let sites = called.get(&function.start).into_iter().flatten();
            sites.filter_map(|at| self.function(*at)).collect::<HashSet<_>>()
        };
        let mut readers = Vec::new();
        let mut told = HashSet::new();
        for at in reads {
            let function = self.function(at)?;
            if waits.contains(&function) {
                told.insert(function);
                continue;
            }
            // One that waits asks it, or one that is only there to find out until when to wait.
            let helps = |asking: &Range<u64>| {
                let callers = callers(asking);
                !callers.is_empty() && callers.is_subset(&waits)
            };
            let mut asking = callers(&function);
            asking.retain(|asking| waits.contains(asking) || helps(asking));
            if !asking.is_empty() {
                let made = self.calls_of(&function);
                let call = made.iter().find(|call| (at + 5..=at + 6).contains(&call.next))?;
                readers.push((call.next, call.pushed?));
                told.extend(asking);
            }
        }
        let mut told: Vec<_> = told.into_iter().collect();
        told.sort_by_key(|function| function.start);
        let fit = readers.len() <= OWN_READERS && told.len() <= OWN_RANGES;
        (fit && !waits.is_empty()).then_some((readers, told))
    }
}

/// Where functions begin, from the table of the section that lies here.
fn begins(table: u64, bytes: &[u8]) -> Option<Vec<u64>> {
    // Version 1; a pointer and a count of four bytes, and pairs of distances from the table's begin.
    let ([1, _, 0x03, 0x3b], rest) = bytes.split_first_chunk::<4>()? else { return None };
    let (count, pairs) = rest.get(4..)?.split_first_chunk::<4>()?;
    let (pairs, _) = pairs.as_chunks::<8>();
    let begin = |pair: &[u8; 8]| {
        let distance = i32::from_le_bytes([pair[0], pair[1], pair[2], pair[3]]);
        table.wrapping_add_signed(distance.into())
    };
    Some(pairs.iter().take(u32::from_le_bytes(*count) as usize).map(begin).collect())
}

/// Bytes by which an instruction makes the stack longer.
fn pushes(instruction: &Instruction) -> i64 {
    let bytes = || instruction.immediate(1).cast_signed();
    match instruction.mnemonic() {
        Mnemonic::Sub if instruction.op0_register() == Register::RSP => bytes(),
        Mnemonic::Add if instruction.op0_register() == Register::RSP => -bytes(),
        _ => -i64::from(instruction.stack_pointer_increment()),
    }
}
