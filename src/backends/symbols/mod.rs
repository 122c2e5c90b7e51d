//! What the engine must know of a native program without asking its debugger: where the statements of a function begin, and
//! where the frames of a stack are. Read from the debugging information of the files that the program has mapped.

mod module;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use module::Module;

/// Registers, in DWARF's order.
#[derive(Debug, Clone, Copy)]
pub struct Registers {
    /// The instruction pointer.
    pub pc: u64,
    /// rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15.
    pub general: [u64; 16],
}

/// How to compute the canonical address of the frame of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The stack pointer and this.
    StackPointer(i64),
    /// The base pointer and this.
    BasePointer(i64),
}

/// A frame of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnwoundFrame {
    /// The instruction pointer in it: for all but the innermost, where it goes on.
    pub pc: u64,
    /// Its canonical address (DW_CFA): the stack pointer of its caller right before the call.
    pub cfa: u64,
    /// Its function, if known.
    pub function: Option<String>,
}

/// A function with debugging information.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name as linked.
    pub name: String,
    /// Addresses that belong to it, in the program's memory.
    pub ranges: Vec<(u64, u64)>,
}

/// The beginning of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its first instruction.
    pub address: u64,
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u32,
}

/// The calls inlined into a function that an instruction is in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inlined {
    /// How many, one in the other.
    pub depth: u32,
    /// How many of them, from the innermost outwards, begin with this instruction: a debugger that stops there can show the
    /// program before each of these calls, and enters them without letting the program go.
    pub beginning: u32,
}

/// A mapping of a file that can be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mapping {
    start: u64,
    end: u64,
    offset: u64,
    path: PathBuf,
}

/// A program's files and what is known of them.
#[derive(Default)]
pub struct Symbols {
    text: String,
    mappings: Vec<Mapping>,
    /// Where code is, of files or not.
    code: Vec<(u64, u64)>,
    modules: HashMap<PathBuf, Option<Rc<Module>>>,
    /// Where separate debugging information is looked for.
    folders: Vec<PathBuf>,
    /// Whether the debugger's steps stop at every row of a line table, and not only where a statement begins.
    every_row: bool,
}

/// Functions of the C library that lead elsewhere.
const JUMPS: [&str; 7] =
    ["longjmp", "_longjmp", "siglongjmp", "__libc_siglongjmp", "__longjmp_chk", "setcontext", "swapcontext"];

const RSP: usize = 7;
const RBP: usize = 6;

impl Symbols {
    /// Of a program of which nothing is mapped yet.
    pub fn new() -> Self {
        Symbols::default()
    }

    /// The same, for a debugger whose steps stop at every row of a line table, and not only where a statement begins.
    pub fn by_rows(every_row: bool) -> Self {
        Symbols { every_row, ..Symbols::default() }
    }

    /// Tells where separate debugging information is: what the debugger finds there, and nothing else, counts.
    pub fn set_folders(&mut self, list: &str) {
        let folders: Vec<PathBuf> =
            std::env::split_paths(list).filter(|folder| !folder.as_os_str().is_empty()).collect();
        if self.folders != folders {
            self.folders = folders;
            self.modules.clear();
        }
    }

    /// Tells what is mapped: the text of /proc/PID/maps.
    pub fn set_maps(&mut self, text: &str) {
        if self.text == text {
            return;
        }
        self.text = text.to_owned();
        self.mappings = text.lines().filter_map(mapping).collect();
        self.code = text.lines().filter_map(code).collect();
    }

    fn is_code(&self, pc: u64) -> bool {
        self.code.iter().any(|(start, end)| (*start..*end).contains(&pc))
    }

    /// The module at an address, and by how much it is moved from where it was linked.
    fn module_at(&mut self, pc: u64) -> Option<(Rc<Module>, u64)> {
        let mapping = self.mappings.iter().find(|mapping| (mapping.start..mapping.end).contains(&pc))?.clone();
        let module = self
            .modules
            .entry(mapping.path.clone())
            .or_insert_with(|| Module::load(&mapping.path, &self.folders).map(Rc::new))
            .clone()?;
        let bias = self.bias(&module, &mapping)?;
        Some((module, bias))
    }

    /// By how much the file of a mapping is moved: where its first segment is mapped tells which of those that fit it is.
    fn bias(&self, module: &Module, mapping: &Mapping) -> Option<u64> {
        let biases = || module.linked_at(mapping.offset).map(|linked| mapping.start.wrapping_sub(linked));
        let is_there = |bias: &u64| {
            let first = module.first_page().wrapping_add(*bias);
            self.mappings.iter().any(|other| other.start == first && other.path == mapping.path)
        };
        biases().find(is_there).or_else(|| biases().next())
    }

    /// The function at an address, if there is debugging information for it.
    pub fn function_at(&mut self, pc: u64) -> Option<Function> {
        let (module, bias) = self.module_at(pc)?;
        let (name, ranges) = module.function_at(pc.wrapping_sub(bias))?;
        let ranges = ranges.into_iter().map(|(from, to)| (from.wrapping_add(bias), to.wrapping_add(bias))).collect();
        Some(Function { name, ranges })
    }

    /// Where the functions begin that have lines.
    pub fn entries(&mut self) -> Vec<u64> {
        let mut mappings = self.mappings.clone();
        mappings.dedup_by(|one, other| one.path == other.path);
        let mut entries = Vec::new();
        for mapping in mappings {
            let Some((module, bias)) = self.module_at(mapping.start) else { continue };
            entries.extend(module.entries().into_iter().map(|address| address.wrapping_add(bias)));
        }
        entries.sort_unstable();
        entries.dedup();
        entries
    }

    /// Where the functions begin that lead to another place of the program though nobody calls it there and nobody returns: setjmp(3),
    /// makecontext(3).
    pub fn jumps(&mut self) -> Vec<u64> {
        let mut mappings = self.mappings.clone();
        mappings.dedup_by(|one, other| one.path == other.path);
        // Other libraries need not be read for that.
        let main = self.mappings.first().map(|mapping| mapping.path.clone());
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        mappings.retain(|one| Some(&one.path) == main.as_ref() || name(&one.path).starts_with("libc"));
        let mut jumps = Vec::new();
        for mapping in mappings {
            let Some((module, bias)) = self.module_at(mapping.start) else { continue };
            jumps.extend(module.named(&JUMPS).map(|address| address.wrapping_add(bias)));
        }
        jumps.sort_unstable();
        jumps.dedup();
        jumps
    }

    /// The file of the code at an address.
    pub fn file_at(&self, pc: u64) -> Option<&Path> {
        let within = |mapping: &&Mapping| (mapping.start..mapping.end).contains(&pc);
        self.mappings.iter().find(within).map(|mapping| mapping.path.as_path())
    }

    /// Every address at which a line of a function begins, or where a debugger stops that knows lines by their beginnings: at calls
    /// that were inlined, too.
    pub fn statements(&mut self, function: &Function) -> Vec<Statement> {
        let Some(&(first, _)) = function.ranges.first() else { return Vec::new() };
        let Some((module, bias)) = self.module_at(first) else { return Vec::new() };
        let ranges = function.ranges.iter().map(|(from, to)| (from.wrapping_sub(bias), to.wrapping_sub(bias)));
        let every_row = self.every_row;
        let mut found = Vec::new();
        for (from, to) in ranges {
            module.statements(from, to, every_row, &mut |address, file, line| {
                found.push(Statement { address: address.wrapping_add(bias), file: file.to_owned(), line });
            });
            if !every_row {
                module.inlined_calls(from, to, &mut |address, file, line| {
                    found.push(Statement { address: address.wrapping_add(bias), file: file.to_owned(), line });
                });
            }
        }
        found.sort_by_key(|statement| statement.address);
        found
    }

    /// The statement that an address belongs to, and where its line's code is in the function; `None` where that cannot be said
    /// (optimised code).
    pub fn line_around(&mut self, pc: u64) -> Option<(Statement, Vec<(u64, u64)>)> {
        let function = self.function_at(pc)?;
        let &[(from, to)] = function.ranges.as_slice() else { return None };
        let (module, bias) = self.module_at(pc)?;
        if !module.is_plain(from.wrapping_sub(bias), to.wrapping_sub(bias)) {
            return None;
        }
        let statements = self.statements(&function);
        let at = statements.partition_point(|statement| statement.address <= pc).checked_sub(1)?;
        let here = statements[at].clone();
        let ends = statements.iter().skip(1).map(|next| next.address).chain([to]);
        let rows = statements.iter().zip(ends).filter(|(one, _)| (&one.file, one.line) == (&here.file, here.line));
        let code = rows.map(|(one, end)| (one.address, end)).collect();
        Some((here, code))
    }

    /// The inlined calls that an address is in.
    pub fn inlined_at(&mut self, pc: u64) -> Inlined {
        let Some((module, bias)) = self.module_at(pc) else { return Inlined::default() };
        module.inlined_at(pc.wrapping_sub(bias))
    }

    /// Whether there are line numbers for the code at an address.
    pub fn has_lines(&mut self, pc: u64) -> bool {
        self.module_at(pc).is_some_and(|(module, bias)| module.function_at(pc.wrapping_sub(bias)).is_some())
    }

    /// Whether the code at an address belongs to a function that has a name.
    pub fn is_named(&mut self, pc: u64) -> bool {
        self.module_at(pc).is_some_and(|(module, bias)| module.name_at(pc.wrapping_sub(bias)).is_some())
    }

    /// Whether a line begins exactly at an address.
    pub fn begins_line(&mut self, pc: u64) -> bool {
        let Some((module, bias)) = self.module_at(pc) else { return false };
        module.begins_line(pc.wrapping_sub(bias))
    }

    /// Where the line begins whose code, moved there by the compiler, goes on exactly at an address: a step that comes out of a call to
    /// such a place ends at one of these, though a step from there goes over them (gdb, process_event_stop_test: "ignore the line
    /// number to make sure we don't ignore a subsequent entry with the same line number").
    pub fn beginnings_of_moved(&mut self, pc: u64) -> Vec<u64> {
        let Some(function) = self.function_at(pc) else { return Vec::new() };
        let Some((module, bias)) = self.module_at(pc) else { return Vec::new() };
        let Some((file, line)) = module.moved_code_at(pc.wrapping_sub(bias)) else { return Vec::new() };
        let same = |statement: &Statement| statement.file == file && statement.line == line;
        let addresses: Vec<u64> =
            self.statements(&function).into_iter().filter(same).map(|statement| statement.address).collect();
        // gdb's own table has not all of them.
        addresses.into_iter().filter(|address| self.begins_line(*address)).collect()
    }

    /// How to compute the frame of the instruction at an address.
    pub fn frame_rule(&mut self, pc: u64) -> Option<Rule> {
        let (module, bias) = self.module_at(pc)?;
        module.row_at(pc.wrapping_sub(bias), |row| row.rule())?
    }

    /// The first statement of main behind its prologue.
    pub fn main_statement(&mut self) -> Option<u64> {
        // The program itself is mapped first.
        let main = self.mappings.first()?.clone();
        let module = self
            .modules
            .entry(main.path.clone())
            .or_insert_with(|| Module::load(&main.path, &self.folders).map(Rc::new));
        let module = Rc::clone(module.as_ref()?);
        let bias = self.bias(&module, &main)?;
        // What Rust calls main is called by one that the compiler makes, which has no lines.
        let (ranges, made) = match module.function_named("main") {
            Some((_, ranges)) => (ranges, false),
            None => (module.function_that(is_main_of_rust)?.1, true),
        };
        let &(from, to) = ranges.first()?;
        let mut found = Vec::new();
        module.statements(from, to, false, &mut |address, _, line| found.push((address, line)));
        // The second row of a function is behind its prologue (as gdb finds it, skip_prologue_using_sal). In a function that does not
        // begin with a frame pointer gdb skips nothing (amd64_analyze_prologue), unless LLVM has compiled it (amd64_skip_prologue).
        let second = found.get(1).or(found.first())?.0;
        let framed = matches!(module.row_at(second, |row| row.rule()).flatten(), Some(Rule::BasePointer(_)));
        let at = if framed || made || self.every_row { second } else { from };
        Some(at.wrapping_add(bias))
    }

    /// The frames of a stack, the innermost first, at most so many. `read` copies memory of the program.
    pub fn unwind(
        &mut self,
        registers: &Registers,
        read: &mut dyn FnMut(u64, &mut [u8]) -> bool,
        most: usize,
    ) -> Vec<UnwoundFrame> {
        let mut frames = Vec::new();
        let mut known: [Option<u64>; 16] = registers.general.map(Some);
        let mut pc = registers.pc;
        let mut innermost = true;
        while frames.len() < most && pc != 0 {
            // A return address may be the first one behind its function.
            let at = if innermost { pc } else { pc - 1 };
            let function = self.module_at(at).and_then(|(module, bias)| module.name_at(at.wrapping_sub(bias)));
            let row = self.module_at(at).and_then(|(module, bias)| module.row_at(at.wrapping_sub(bias), |row| row));
            let caller = match row {
                // What a thread begins with has no caller, and moves its stack pointer as it likes: one address for all of it.
                // Its very first instructions can have no information at all (clone3 of glibc).
                Some(row) if row.is_first() => Err(()),
                Some(row) => Ok(row.unwind(&known, read)),
                None => match by_base_pointer(&known, read, innermost) {
                    Some((_, back, ..)) if innermost && !self.is_code(back) => Err(()),
                    caller => Ok(caller),
                },
            };
            let Ok(caller) = caller else {
                frames.push(UnwoundFrame { pc, cfa: known[RSP].unwrap_or(0) | FIRST_FRAME, function });
                break;
            };
            let Some((cfa, back, signal, saved)) = caller else {
                frames.push(UnwoundFrame { pc, cfa: known[RSP].unwrap_or(0), function });
                break;
            };
            if frames.last().is_some_and(|inner: &UnwoundFrame| cfa <= inner.cfa) && !signal {
                break;
            }
            frames.push(UnwoundFrame { pc, cfa, function });
            known = saved;
            known[RSP] = known[RSP].or(Some(cfa));
            pc = back;
            // The instruction that a signal interrupted is not a call.
            innermost = signal;
        }
        frames
    }
}

/// Whether a function, by its name as linked, is the main of a program in Rust: `crate::main`, mangled either way.
fn is_main_of_rust(name: &str) -> bool {
    if name.starts_with("_RNvC") {
        return name.ends_with("4main");
    }
    let Some(path) = name.strip_prefix("_ZN") else { return false };
    let digits = path.bytes().take_while(u8::is_ascii_digit).count();
    let behind = path[..digits].parse().ok().and_then(|length: usize| path.get(digits + length..));
    behind.is_some_and(|rest| rest.starts_with("4main17h") && rest.len() == "4main17h".len() + 16 + 1)
}

/// The first frame of a thread is taken to lie within so many bytes, which is more than it takes for arguments.
const FIRST_FRAME: u64 = 0xfff;

/// Canonical address, return address, whether it is a signal's frame, and the registers of the caller.
type Caller = (u64, u64, bool, [Option<u64>; 16]);

fn word(read: &mut dyn FnMut(u64, &mut [u8]) -> bool, address: u64) -> Option<u64> {
    let mut bytes = [0u8; 8];
    read(address, &mut bytes).then(|| u64::from_le_bytes(bytes))
}

/// Where there is no information: code without frames of its own, or one that keeps a base pointer.
fn by_base_pointer(
    known: &[Option<u64>; 16],
    read: &mut dyn FnMut(u64, &mut [u8]) -> bool,
    innermost: bool,
) -> Option<Caller> {
    let (rsp, rbp) = (known[RSP]?, known[RBP]?);
    let mut saved = *known;
    if rbp < rsp || rbp - rsp > 1 << 20 || !rbp.is_multiple_of(8) {
        if !innermost {
            return None;
        }
        // Right at the beginning of a function: the return address is on top.
        let back = word(read, rsp)?;
        saved[RSP] = Some(rsp + 8);
        return Some((rsp + 8, back, false, saved));
    }
    let back = word(read, rbp + 8)?;
    saved[RBP] = Some(word(read, rbp)?);
    saved[RSP] = Some(rbp + 16);
    Some((rbp + 16, back, false, saved))
}

fn range(text: &str) -> Option<(u64, u64)> {
    let (start, end) = text.split_once('-')?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}

/// The range of a mapping that can be executed, of a file or not.
fn code(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split(' ');
    let (addresses, rights) = (words.next()?, words.next()?);
    rights.contains('x').then(|| range(addresses)).flatten()
}

fn mapping(line: &str) -> Option<Mapping> {
    let mut words = line.splitn(6, ' ');
    let (addresses, rights, offset) = (words.next()?, words.next()?, words.next()?);
    let path = words.nth(2)?.trim_start();
    if !rights.contains('x') && !rights.starts_with("r--") || !path.starts_with('/') {
        return None;
    }
    let (start, end) = range(addresses)?;
    Some(Mapping {
        start,
        end,
        offset: u64::from_str_radix(offset, 16).ok()?,
        path: Path::new(path.strip_suffix(" (deleted)").unwrap_or(path)).to_owned(),
    })
}
