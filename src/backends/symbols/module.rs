//! One file: its lines, its functions and its call-frame information.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use gimli::{
    BaseAddresses, CfaRule, DebugFrame, Dwarf, EhFrame, EndianRcSlice, LittleEndian, RegisterRule, UnwindContext,
    UnwindSection,
};
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol};

use super::{Caller, Inlined, RBP, RSP, Rule, word};

type Slice = EndianRcSlice<LittleEndian>;

/// Bytes of a page.
const PAGE: u64 = 4096;

/// Ranges of addresses as linked.
type Ranges = Vec<(u64, u64)>;

/// A file.
pub(super) struct Module {
    /// Offset in the file, size there, address as linked, of what is loaded.
    segments: Vec<(u64, u64, u64)>,
    dwarf: Option<Dwarf<Slice>>,
    /// Units with the addresses they cover.
    units: Vec<(Rc<gimli::Unit<Slice>>, Ranges)>,
    /// Functions and rows of units that have been read.
    read: RefCell<HashMap<usize, Rc<Contents>>>,
    /// Symbols: address, size, name. Sorted.
    symbols: Vec<(u64, u64, String)>,
    eh_frame: Option<EhFrame<Slice>>,
    debug_frame: Option<DebugFrame<Slice>>,
    bases: BaseAddresses,
    rows: RefCell<HashMap<u64, Option<Row>>>,
}

/// Functions and where they are.
type Functions = Vec<(String, Ranges)>;

/// What a unit has.
struct Contents {
    functions: Functions,
    /// Calls that were inlined, the outer ones before those in them.
    inlined: Vec<Ranges>,
    /// Address, file, line, and whether a sequence ends there. Sorted by address.
    lines: Vec<Line>,
}

struct Line {
    address: u64,
    file: Rc<PathBuf>,
    line: u32,
    statement: bool,
    /// gdb has it in its table.
    begins: bool,
    end: bool,
}

fn firsts(functions: &Functions) -> Vec<u64> {
    functions.iter().filter_map(|(_, ranges)| ranges.first().map(|(from, _)| *from)).collect()
}

/// How to go from a frame to its caller.
#[derive(Debug, Clone)]
pub(super) struct Row {
    cfa: (usize, i64),
    /// For each register: kept at this offset from the canonical address, or not kept at all.
    kept: Vec<(usize, Kept)>,
    /// The column of the return address.
    back: Kept,
    signal: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// In memory at this offset from the canonical address.
    At(i64),
    /// It is this.
    Is(i64),
    /// Nowhere.
    Lost,
    /// As it is.
    Same,
    /// In memory at an address that an expression computes from the stack pointer: the frame of a signal.
    FromStack(i64),
}

impl Row {
    /// Whether nobody has called the function.
    pub(super) fn is_first(&self) -> bool {
        self.back == Kept::Lost
    }

    pub(super) fn rule(self) -> Option<Rule> {
        match self.cfa.0 {
            RSP => Some(Rule::StackPointer(self.cfa.1)),
            RBP => Some(Rule::BasePointer(self.cfa.1)),
            _ => None,
        }
    }

    pub(super) fn unwind(
        &self,
        known: &[Option<u64>; 16],
        read: &mut dyn FnMut(u64, &mut [u8]) -> bool,
    ) -> Option<Caller> {
        let add = |base: u64, offset: i64| base.wrapping_add_signed(offset);
        let stack = known[RSP]?;
        let cfa = match self.cfa {
            (usize::MAX, offset) => word(read, add(stack, offset))?,
            (register, offset) => add(known[register]?, offset),
        };
        let mut find = |kept: Kept, now: Option<u64>| match kept {
            Kept::At(offset) => word(read, add(cfa, offset)),
            Kept::Is(offset) => Some(add(cfa, offset)),
            Kept::FromStack(offset) => word(read, add(stack, offset)),
            Kept::Same => now,
            Kept::Lost => None,
        };
        let back = find(self.back, None)?;
        let mut saved = *known;
        for (register, kept) in &self.kept {
            saved[*register] = find(*kept, known[*register]);
        }
        if !self.kept.iter().any(|(register, _)| *register == RSP) {
            saved[RSP] = Some(cfa);
        }
        Some((cfa, back, self.signal, saved))
    }
}

impl Module {
    pub(super) fn load(path: &Path, folders: &[PathBuf]) -> Option<Module> {
        let data = read_file(path)?;
        let file = object::File::parse(&*data).ok()?;
        let segments = file.segments().map(|one| (one.file_range().0, one.file_range().1, one.address())).collect();
        let separate = separate_file(path, &file, folders);
        let separate = separate.as_deref().and_then(|data| object::File::parse(data).ok());
        let debug = separate.as_ref().filter(|file| file.section_by_name(".debug_info").is_some()).unwrap_or(&file);
        let dwarf = debug.section_by_name(".debug_info").and_then(|_| {
            Dwarf::load(|id| Ok::<_, gimli::Error>(section(debug, id.name()).unwrap_or_else(|| slice(&[])))).ok()
        });
        let bases = BaseAddresses::default()
            .set_eh_frame(file.section_by_name(".eh_frame").map_or(0, |section| section.address()))
            .set_text(file.section_by_name(".text").map_or(0, |section| section.address()))
            .set_got(file.section_by_name(".got").map_or(0, |section| section.address()));
        let mut symbols: Vec<(u64, u64, String)> = debug
            .symbols()
            .chain(file.dynamic_symbols())
            .filter(|symbol| symbol.kind() == object::SymbolKind::Text && symbol.address() != 0)
            .filter_map(|symbol| Some((symbol.address(), symbol.size(), symbol.name().ok()?.to_owned())))
            .collect();
        symbols.sort_unstable();
        let units = dwarf.as_ref().map(units_of).unwrap_or_default();
        let eh_frame = section(&file, ".eh_frame").map(EhFrame::from);
        let debug_frame = section(debug, ".debug_frame").map(DebugFrame::from);
        Some(Module {
            segments,
            dwarf,
            units,
            read: RefCell::default(),
            symbols,
            eh_frame,
            debug_frame,
            bases,
            rows: RefCell::default(),
        })
    }

    /// The addresses, as linked, that an offset in the file at which a mapping begins can have. A mapping begins at the page in which
    /// its segment does, where another one can end or begin (lld packs them so); what mprotect(2) has split off begins inside one.
    pub(super) fn linked_at(&self, offset: u64) -> impl Iterator<Item = u64> + '_ {
        let begins = move |(from, _, _): &&(u64, u64, u64)| from - from % PAGE == offset;
        let within = move |(from, size, _): &&(u64, u64, u64)| offset + PAGE > *from && offset < from + size.max(&1);
        let found = self.segments.iter().filter(begins).chain(self.segments.iter().filter(within));
        found.map(move |(from, _, address)| address.wrapping_add(offset).wrapping_sub(*from))
    }

    /// Where the page of its first segment is linked.
    pub(super) fn first_page(&self) -> u64 {
        self.segments.first().map_or(0, |(_, _, address)| address - address % PAGE)
    }

    fn contents(&self, index: usize) -> Rc<Contents> {
        if let Some(known) = self.read.borrow().get(&index) {
            return Rc::clone(known);
        }
        let made = Rc::new(self.dwarf.as_ref().map_or_else(
            || Contents { functions: Vec::new(), inlined: Vec::new(), lines: Vec::new() },
            |dwarf| {
                let (functions, inlined) = functions_of(dwarf, &self.units[index].0).unwrap_or_default();
                let lines = lines_of(dwarf, &self.units[index].0).unwrap_or_default();
                Contents { functions, inlined, lines }
            },
        ));
        self.read.borrow_mut().insert(index, Rc::clone(&made));
        made
    }

    fn unit_at(&self, pc: u64) -> Option<usize> {
        self.units.iter().position(|(_, ranges)| ranges.iter().any(|(from, to)| (*from..*to).contains(&pc)))
    }

    pub(super) fn function_at(&self, pc: u64) -> Option<(String, Ranges)> {
        let contents = self.contents(self.unit_at(pc)?);
        let found =
            contents.functions.iter().find(|(_, ranges)| ranges.iter().any(|(from, to)| (*from..*to).contains(&pc)));
        found.cloned()
    }

    /// The first address of every function.
    pub(super) fn entries(&self) -> Vec<u64> {
        let units = (0..self.units.len()).map(|unit| self.contents(unit));
        units.flat_map(|contents| firsts(&contents.functions)).collect()
    }

    /// How many inlined calls an address is in, and how many of them, from the innermost outwards, begin right there.
    pub(super) fn inlined_at(&self, pc: u64) -> Inlined {
        let Some(unit) = self.unit_at(pc) else { return Inlined::default() };
        let contents = self.contents(unit);
        let within = |ranges: &&Ranges, at: u64| ranges.iter().any(|(from, to)| (*from..*to).contains(&at));
        let around: Vec<&Ranges> = contents.inlined.iter().filter(|ranges| within(ranges, pc)).collect();
        // gdb, skip_inline_frames: the block's first address, or one that is reached from outside the block.
        let begins = |ranges: &&&Ranges| {
            ranges.first().is_some_and(|(from, _)| *from == pc) || !within(ranges, pc.wrapping_sub(1))
        };
        let beginning = around.iter().rev().take_while(begins).count();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Inlined { depth: count(around.len()), beginning: count(beginning) }
    }

    /// Where functions of these names as linked begin.
    pub(super) fn named<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = u64> + 'a {
        self.symbols.iter().filter(|(_, _, name)| names.contains(&name.as_str())).map(|(address, ..)| *address)
    }

    pub(super) fn function_named(&self, name: &str) -> Option<(String, Ranges)> {
        self.function_that(|known| known == name)
    }

    /// The function whose name as linked is such.
    pub(super) fn function_that(&self, is: impl Fn(&str) -> bool) -> Option<(String, Ranges)> {
        let (address, ..) = self.symbols.iter().find(|(_, _, known)| is(known))?;
        self.function_at(*address)
    }

    /// The name of what is at an address, by debugging information or by the symbols.
    pub(super) fn name_at(&self, pc: u64) -> Option<String> {
        if let Some((name, _)) = self.function_at(pc) {
            return Some(name);
        }
        let index = self.symbols.partition_point(|(address, ..)| *address <= pc).checked_sub(1)?;
        let (address, size, name) = &self.symbols[index];
        (*size == 0 || pc < address + size).then(|| name.clone())
    }

    /// Calls `found` for each address between two at which inlined code begins and no line does, with the line whose code goes on there:
    /// gdb stops before such a call (infrun.c, process_event_stop_test).
    pub(super) fn inlined_calls(&self, from: u64, to: u64, found: &mut dyn FnMut(u64, &Path, u32)) {
        let Some(unit) = self.unit_at(from) else { return };
        let contents = self.contents(unit);
        let begins: BTreeSet<u64> =
            contents.inlined.iter().flatten().map(|(begin, _)| *begin).filter(|at| (from..to).contains(at)).collect();
        for at in begins {
            let behind = contents.lines.partition_point(|line| line.address <= at);
            let there = contents.lines[..behind].iter().rev().take_while(|line| line.address == at);
            let Some(last) = behind.checked_sub(1).map(|index| &contents.lines[index]) else { continue };
            if !there.into_iter().any(|line| line.statement) && !last.end && last.line != 0 {
                found(at, &last.file, last.line);
            }
        }
    }

    /// Calls `found` for each line that begins between two addresses, or, for `every_row`, goes on there with code that the
    /// compiler has moved.
    pub(super) fn statements(&self, from: u64, to: u64, every_row: bool, found: &mut dyn FnMut(u64, &Path, u32)) {
        let Some(unit) = self.unit_at(from) else { return };
        let contents = self.contents(unit);
        let begin = contents.lines.partition_point(|line| line.address < from);
        for line in contents.lines[begin..].iter().take_while(|line| line.address < to) {
            if (line.statement || every_row) && !line.end && line.line != 0 {
                found(line.address, &line.file, line.line);
            }
        }
    }

    /// Whether the code between two addresses is in the order of its lines: every row of the line table there begins a statement,
    /// and nothing is inlined. Optimised code is not.
    pub(super) fn is_plain(&self, from: u64, to: u64) -> bool {
        let Some(unit) = self.unit_at(from) else { return false };
        let contents = self.contents(unit);
        let begin = contents.lines.partition_point(|line| line.address < from);
        let mut rows = contents.lines[begin..].iter().take_while(|line| line.address < to);
        let inlined = |ranges: &Ranges| ranges.iter().any(|(first, last)| *first < to && *last > from);
        rows.all(|row| row.statement && row.line != 0 && !row.end) && !contents.inlined.iter().any(inlined)
    }

    /// Whether a line begins at an address in the eyes of gdb.
    pub(super) fn begins_line(&self, at: u64) -> bool {
        let Some(unit) = self.unit_at(at) else { return false };
        let contents = self.contents(unit);
        let begin = contents.lines.partition_point(|line| line.address < at);
        let mut there = contents.lines[begin..].iter().take_while(|line| line.address == at);
        there.any(|line| line.begins && line.statement && !line.end && line.line != 0)
    }

    /// The line and file of a row of gdb's table that begins at an address and is no statement.
    pub(super) fn moved_code_at(&self, at: u64) -> Option<(PathBuf, u32)> {
        let contents = self.contents(self.unit_at(at)?);
        let begin = contents.lines.partition_point(|line| line.address < at);
        let there = contents.lines[begin..].iter().take_while(|line| line.address == at);
        let row = there.filter(|line| line.begins && !line.end && line.line != 0).last()?;
        (!row.statement && !self.begins_line(at)).then(|| (row.file.as_ref().clone(), row.line))
    }

    /// The row of the call-frame information for an address.
    pub(super) fn row_at<T>(&self, pc: u64, with: impl FnOnce(Row) -> T) -> Option<T> {
        if let Some(known) = self.rows.borrow().get(&pc) {
            return known.clone().map(with);
        }
        let found = self.eh_frame.as_ref().and_then(|section| row_in(section, &self.bases, pc));
        let found = found.or_else(|| self.debug_frame.as_ref().and_then(|section| row_in(section, &self.bases, pc)));
        self.rows.borrow_mut().insert(pc, found.clone());
        found.map(with)
    }
}

fn row_in<S: UnwindSection<Slice>>(section: &S, bases: &BaseAddresses, pc: u64) -> Option<Row>
where
    S::Offset: gimli::UnwindOffset<usize>,
{
    let entry = section.fde_for_address(bases, pc, S::cie_from_offset).ok()?;
    let mut context = UnwindContext::new();
    let row = entry.unwind_info_for_address(section, bases, &mut context, pc).ok()?;
    let signal = entry.is_signal_trampoline();
    let encoding = entry.cie().encoding();
    let cfa = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } if register.0 < 16 => (usize::from(register.0), *offset),
        // What glibc says of its signal trampoline: DW_OP_breg7 N; DW_OP_deref.
        CfaRule::Expression(expression) => (usize::MAX, stack_offset(&expression.get(section).ok()?, encoding)?),
        CfaRule::RegisterAndOffset { .. } => return None,
    };
    let kept_of = |rule: &RegisterRule<usize>| match rule {
        RegisterRule::Undefined => Kept::Lost,
        RegisterRule::SameValue => Kept::Same,
        RegisterRule::Offset(offset) => Kept::At(*offset),
        RegisterRule::ValOffset(offset) => Kept::Is(*offset),
        RegisterRule::Expression(expression) => expression
            .get(section)
            .ok()
            .and_then(|expression| stack_offset(&expression, encoding))
            .map_or(Kept::Lost, Kept::FromStack),
        _ => Kept::Lost,
    };
    let mut kept = Vec::new();
    let mut back = Kept::Lost;
    for (register, rule) in row.registers() {
        match register.0 {
            16 => back = kept_of(rule),
            number if number < 16 => kept.push((usize::from(number), kept_of(rule))),
            _ => {}
        }
    }
    Some(Row { cfa, kept, back, signal })
}

/// N of an expression that begins with DW_OP_breg7 N.
fn stack_offset(expression: &gimli::Expression<Slice>, encoding: gimli::Encoding) -> Option<i64> {
    let mut operations = expression.clone().operations(encoding);
    match operations.next().ok()?? {
        gimli::Operation::RegisterOffset { register, offset, .. } if usize::from(register.0) == RSP => Some(offset),
        _ => None,
    }
}

fn slice(bytes: &[u8]) -> Slice {
    EndianRcSlice::new(Rc::from(bytes), LittleEndian)
}

fn section(file: &object::File<'_>, name: &str) -> Option<Slice> {
    let data: Cow<'_, [u8]> = file.section_by_name(name)?.uncompressed_data().ok()?;
    Some(slice(&data))
}

fn read_file(path: &Path) -> Option<Vec<u8>> {
    std::fs::read(path).ok()
}

/// The file in which a distribution keeps the debugging information, by build id or by name.
fn separate_file(path: &Path, file: &object::File<'_>, folders: &[PathBuf]) -> Option<Vec<u8>> {
    if let Ok(Some(id)) = file.build_id()
        && id.len() > 1
    {
        let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!(".build-id/{}/{}.debug", &hex[..2], &hex[2..]);
        if let Some(data) = folders.iter().find_map(|folder| read_file(&folder.join(&name))) {
            return Some(data);
        }
    }
    let (name, _) = file.gnu_debuglink().ok()??;
    let name = std::str::from_utf8(name).ok()?;
    let folder = path.parent()?;
    let places = [folder.join(name), folder.join(".debug").join(name)];
    let inner = folder.strip_prefix("/").ok()?;
    let system: Vec<PathBuf> = folders.iter().map(|base| base.join(inner).join(name)).collect();
    places.iter().filter(|place| *place != path).chain(&system).find_map(|place| read_file(place))
}

fn units_of(dwarf: &Dwarf<Slice>) -> Vec<(Rc<gimli::Unit<Slice>>, Ranges)> {
    let mut found = Vec::new();
    let mut headers = dwarf.units();
    while let Ok(Some(header)) = headers.next() {
        let Ok(unit) = dwarf.unit(header) else { continue };
        let mut ranges = Ranges::new();
        if let Ok(mut listed) = dwarf.unit_ranges(&unit) {
            while let Ok(Some(range)) = listed.next() {
                if range.begin < range.end {
                    ranges.push((range.begin, range.end));
                }
            }
        }
        if !ranges.is_empty() {
            found.push((Rc::new(unit), ranges));
        }
    }
    found
}

/// The functions of a unit, and the calls that were inlined into them.
fn functions_of(dwarf: &Dwarf<Slice>, unit: &gimli::Unit<Slice>) -> gimli::Result<(Functions, Vec<Ranges>)> {
    let mut found = Vec::new();
    let mut inlined = Vec::new();
    let mut entries = unit.entries();
    while let Some((_, entry)) = entries.next_dfs()? {
        let is_inlined = entry.tag() == gimli::DW_TAG_inlined_subroutine;
        if entry.tag() != gimli::DW_TAG_subprogram && !is_inlined {
            continue;
        }
        let mut ranges = Ranges::new();
        let mut listed = dwarf.die_ranges(unit, entry)?;
        while let Some(range) = listed.next()? {
            if range.begin < range.end {
                ranges.push((range.begin, range.end));
            }
        }
        if ranges.is_empty() {
            continue;
        }
        if is_inlined {
            inlined.push(ranges);
        } else {
            found.push((name_of(dwarf, unit, entry, 0).unwrap_or_default(), ranges));
        }
    }
    Ok((found, inlined))
}

/// The name of an entry, or of what it is an instance or the definition of.
fn name_of(
    dwarf: &Dwarf<Slice>,
    unit: &gimli::Unit<Slice>,
    entry: &gimli::DebuggingInformationEntry<'_, '_, Slice>,
    depth: u32,
) -> Option<String> {
    if let Ok(Some(name)) = entry.attr_value(gimli::DW_AT_name) {
        let text = dwarf.attr_string(unit, name).ok()?;
        return Some(String::from_utf8_lossy(&gimli::Reader::to_slice(&text).ok()?).into_owned());
    }
    if depth > 4 {
        return None;
    }
    for attribute in [gimli::DW_AT_specification, gimli::DW_AT_abstract_origin] {
        if let Ok(Some(gimli::AttributeValue::UnitRef(offset))) = entry.attr_value(attribute)
            && let Ok(other) = unit.entry(offset)
        {
            return name_of(dwarf, unit, &other, depth + 1);
        }
    }
    None
}

fn lines_of(dwarf: &Dwarf<Slice>, unit: &gimli::Unit<Slice>) -> gimli::Result<Vec<Line>> {
    let Some(program) = unit.line_program.clone() else { return Ok(Vec::new()) };
    let mut files: HashMap<u64, Rc<PathBuf>> = HashMap::new();
    let mut lines: Vec<Line> = Vec::new();
    let mut sequence: Vec<Line> = Vec::new();
    let (mut before, mut discriminated) = (None, false);
    let mut rows = program.rows();
    let text = |value| -> Option<String> {
        let text = dwarf.attr_string(unit, value).ok()?;
        Some(String::from_utf8_lossy(&gimli::Reader::to_slice(&text).ok()?).into_owned())
    };
    while let Some((header, row)) = rows.next_row()? {
        let index = row.file_index();
        let file = files.entry(index).or_insert_with(|| {
            let mut path = unit.comp_dir.as_ref().map_or_else(PathBuf::new, |folder| {
                PathBuf::from(
                    String::from_utf8_lossy(&gimli::Reader::to_slice(folder).unwrap_or_default()).into_owned(),
                )
            });
            if let Some(file) = row.file(header) {
                if let Some(folder) = file.directory(header).and_then(&text) {
                    path.push(folder);
                }
                if let Some(name) = text(file.path_name()) {
                    path.push(name);
                }
            }
            Rc::new(path)
        });
        let line = row.line().map_or(0, |line| u32::try_from(line.get()).unwrap_or(0));
        // gdb leaves out what follows on the same line once that had a discriminator (record_line_p in dwarf2/read.c).
        let goes_on = before == Some((index, line));
        discriminated = goes_on && discriminated || row.discriminator() != 0;
        before = Some((index, line));
        let new = Line {
            address: row.address(),
            file: Rc::clone(file),
            line,
            statement: row.is_stmt(),
            begins: !(goes_on && discriminated),
            end: row.end_sequence(),
        };
        // gdb takes the last of several rows for one address, of the statements among them if there are any
        // (find_pc_sect_line).
        match sequence.last() {
            Some(last) if last.address == new.address && !new.end && last.statement && !new.statement => {}
            Some(last) if last.address == new.address && !new.end && last.begins && !new.begins => {}
            Some(last) if last.address == new.address && !new.end => {
                sequence.pop();
                sequence.push(new);
            }
            _ => sequence.push(new),
        }
        if row.end_sequence() {
            lines.append(&mut sequence);
            before = None;
        }
    }
    lines.sort_by_key(|line| (line.address, !line.end));
    Ok(lines)
}
