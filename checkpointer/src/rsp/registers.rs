//! The registers of x86-64 as gdb names and numbers them (features/i386/*.xml of gdb), and where the kernel keeps each.

use std::fmt::Write as _;
use std::sync::LazyLock;

use super::target::ThreadRegisters;
use crate::raw::Registers;

/// Where a register is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A word of `struct user_regs_struct`, by its index.
    General(usize),
    /// Bytes of the XSAVE area.
    Extended(usize),
    /// The x87 tag word, which XSAVE keeps one bit a register.
    Tags,
    /// A field of two bytes of the XSAVE area that is told as four.
    Half(usize),
    /// Nothing keeps it; zero.
    Nothing,
}

/// One register.
#[derive(Debug, Clone)]
struct Register {
    name: String,
    /// Bytes.
    size: usize,
    kind: &'static str,
    place: Place,
    feature: &'static str,
}

/// Index of each general register in `struct user_regs_struct`.
const GENERAL: &[(&str, usize)] = &[
    ("rax", 10),
    ("rbx", 5),
    ("rcx", 11),
    ("rdx", 12),
    ("rsi", 13),
    ("rdi", 14),
    ("rbp", 4),
    ("rsp", 19),
    ("r8", 9),
    ("r9", 8),
    ("r10", 7),
    ("r11", 6),
    ("r12", 3),
    ("r13", 2),
    ("r14", 1),
    ("r15", 0),
    ("rip", 16),
];

/// How many general registers there are; the flags have this number.
pub const GENERAL_COUNT: usize = GENERAL.len();

const SEGMENTS: &[(&str, usize)] = &[("cs", 17), ("ss", 20), ("ds", 23), ("es", 24), ("fs", 25), ("gs", 26)];

const CORE: &str = "org.gnu.gdb.i386.core";
const SSE: &str = "org.gnu.gdb.i386.sse";
const AVX: &str = "org.gnu.gdb.i386.avx";
const AVX512: &str = "org.gnu.gdb.i386.avx512";

/// Bits of XSTATE_BV, and indices of CPUID leaf 0xD.
const X87: u32 = 0;
const AVX_STATE: u32 = 2;
const MASKS: u32 = 5;
const ZMM_HIGH: u32 = 6;
const ZMM_16_31: u32 = 7;
const PKRU: u32 = 9;

/// Where the processor keeps a component of its extended state; `None` if it has it not.
fn component(index: u32) -> Option<usize> {
    use std::arch::x86_64::__cpuid_count;
    let has_xsave = __cpuid_count(1, 0).ecx & 1 << 27 != 0;
    let known = has_xsave && __cpuid_count(0xd, 0).eax & 1 << index != 0;
    known.then(|| __cpuid_count(0xd, index).ebx as usize)
}

static ALL: LazyLock<Vec<Register>> = LazyLock::new(all);

fn all() -> Vec<Register> {
    let mut list = Vec::new();
    let mut add = |name: String, size: usize, kind: &'static str, place: Place, feature: &'static str| {
        list.push(Register { name, size, kind, place, feature });
    };
    for (name, index) in GENERAL {
        let kind = match *name {
            "rip" => "code_ptr",
            "rsp" | "rbp" => "data_ptr",
            _ => "int64",
        };
        add((*name).to_owned(), 8, kind, Place::General(*index), CORE);
    }
    add("eflags".to_owned(), 4, "i386_eflags", Place::General(18), CORE);
    for (name, index) in SEGMENTS {
        add((*name).to_owned(), 4, "int32", Place::General(*index), CORE);
    }
    for index in 0..8 {
        add(format!("st{index}"), 10, "i387_ext", Place::Extended(32 + 16 * index), CORE);
    }
    let control = [
        ("fctrl", Place::Half(0)),
        ("fstat", Place::Half(2)),
        ("ftag", Place::Tags),
        ("fiseg", Place::Nothing),
        ("fioff", Place::Extended(8)),
        ("foseg", Place::Nothing),
        ("fooff", Place::Extended(16)),
        ("fop", Place::Half(6)),
    ];
    for (name, place) in control {
        add(name.to_owned(), 4, "int", place, CORE);
    }
    for index in 0..16 {
        add(format!("xmm{index}"), 16, "vec128", Place::Extended(160 + 16 * index), SSE);
    }
    add("mxcsr".to_owned(), 4, "i386_mxcsr", Place::Extended(24), SSE);
    add("orig_rax".to_owned(), 8, "int", Place::General(15), "org.gnu.gdb.i386.linux");
    add("fs_base".to_owned(), 8, "int", Place::General(21), "org.gnu.gdb.i386.segments");
    add("gs_base".to_owned(), 8, "int", Place::General(22), "org.gnu.gdb.i386.segments");
    if let Some(at) = component(AVX_STATE) {
        for index in 0..16 {
            add(format!("ymm{index}h"), 16, "uint128", Place::Extended(at + 16 * index), AVX);
        }
    }
    if let (Some(masks), Some(high), Some(more)) = (component(MASKS), component(ZMM_HIGH), component(ZMM_16_31)) {
        for index in 0..16 {
            add(format!("xmm{}", 16 + index), 16, "vec128", Place::Extended(more + 64 * index), AVX512);
        }
        for index in 0..16 {
            add(format!("ymm{}h", 16 + index), 16, "uint128", Place::Extended(more + 64 * index + 16), AVX512);
        }
        for index in 0..8 {
            add(format!("k{index}"), 8, "uint64", Place::Extended(masks + 8 * index), AVX512);
        }
        for index in 0..16 {
            add(format!("zmm{index}h"), 32, "v2ui128", Place::Extended(high + 32 * index), AVX512);
        }
        for index in 0..16 {
            add(format!("zmm{}h", 16 + index), 32, "v2ui128", Place::Extended(more + 64 * index + 32), AVX512);
        }
    }
    if let Some(at) = component(PKRU) {
        add("pkru".to_owned(), 4, "int32", Place::Extended(at), "org.gnu.gdb.i386.pkeys");
    }
    list
}

/// Types that a feature needs before its registers.
fn types(feature: &str) -> &'static str {
    match feature {
        CORE => concat!(
            "<flags id=\"i386_eflags\" size=\"4\"><field name=\"\" start=\"22\" end=\"31\"/>",
            "<field name=\"CF\" start=\"0\" end=\"0\"/><field name=\"\" start=\"1\" end=\"1\"/>",
            "<field name=\"PF\" start=\"2\" end=\"2\"/><field name=\"AF\" start=\"4\" end=\"4\"/>",
            "<field name=\"ZF\" start=\"6\" end=\"6\"/><field name=\"SF\" start=\"7\" end=\"7\"/>",
            "<field name=\"TF\" start=\"8\" end=\"8\"/><field name=\"IF\" start=\"9\" end=\"9\"/>",
            "<field name=\"DF\" start=\"10\" end=\"10\"/><field name=\"OF\" start=\"11\" end=\"11\"/>",
            "<field name=\"NT\" start=\"14\" end=\"14\"/><field name=\"RF\" start=\"16\" end=\"16\"/>",
            "<field name=\"VM\" start=\"17\" end=\"17\"/><field name=\"AC\" start=\"18\" end=\"18\"/>",
            "<field name=\"VIF\" start=\"19\" end=\"19\"/><field name=\"VIP\" start=\"20\" end=\"20\"/>",
            "<field name=\"ID\" start=\"21\" end=\"21\"/></flags>"
        ),
        SSE => concat!(
            "<vector id=\"v8bf16\" type=\"bfloat16\" count=\"8\"/><vector id=\"v8h\" type=\"ieee_half\" count=\"8\"/><vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>",
            "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/><vector id=\"v16i8\" type=\"int8\" count=\"16\"/>",
            "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/><vector id=\"v4i32\" type=\"int32\" count=\"4\"/>",
            "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/><union id=\"vec128\"><field name=\"v8_bfloat16\" type=\"v8bf16\"/><field name=\"v8_half\" type=\"v8h\"/>",
            "<field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>",
            "<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>",
            "<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>",
            "<field name=\"uint128\" type=\"uint128\"/></union>",
            "<flags id=\"i386_mxcsr\" size=\"4\"><field name=\"IE\" start=\"0\" end=\"0\"/>",
            "<field name=\"DE\" start=\"1\" end=\"1\"/><field name=\"ZE\" start=\"2\" end=\"2\"/>",
            "<field name=\"OE\" start=\"3\" end=\"3\"/><field name=\"UE\" start=\"4\" end=\"4\"/>",
            "<field name=\"PE\" start=\"5\" end=\"5\"/><field name=\"DAZ\" start=\"6\" end=\"6\"/>",
            "<field name=\"IM\" start=\"7\" end=\"7\"/><field name=\"DM\" start=\"8\" end=\"8\"/>",
            "<field name=\"ZM\" start=\"9\" end=\"9\"/><field name=\"OM\" start=\"10\" end=\"10\"/>",
            "<field name=\"UM\" start=\"11\" end=\"11\"/><field name=\"PM\" start=\"12\" end=\"12\"/>",
            "<field name=\"FZ\" start=\"15\" end=\"15\"/></flags>"
        ),
        AVX512 => concat!(
            "<vector id=\"v8bf16\" type=\"bfloat16\" count=\"8\"/><vector id=\"v8h\" type=\"ieee_half\" count=\"8\"/><vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>",
            "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/><vector id=\"v16i8\" type=\"int8\" count=\"16\"/>",
            "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/><vector id=\"v4i32\" type=\"int32\" count=\"4\"/>",
            "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/><union id=\"vec128\"><field name=\"v8_bfloat16\" type=\"v8bf16\"/><field name=\"v8_half\" type=\"v8h\"/>",
            "<field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>",
            "<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>",
            "<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>",
            "<field name=\"uint128\" type=\"uint128\"/></union><vector id=\"v2ui128\" type=\"uint128\" count=\"2\"/>"
        ),
        _ => "",
    }
}

/// The target description.
pub fn description() -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>\
         <architecture>i386:x86-64</architecture><osabi>GNU/Linux</osabi>",
    );
    let mut feature = "";
    for (number, register) in ALL.iter().enumerate() {
        if register.feature != feature {
            if !feature.is_empty() {
                text.push_str("</feature>");
            }
            feature = register.feature;
            write!(text, "<feature name=\"{feature}\">{}", types(feature)).ok();
        }
        let group = match register.feature {
            CORE if register.name.starts_with("st") || register.name.starts_with('f') && register.size == 4 => {
                if register.name == "fs" {
                    ""
                } else {
                    " group=\"float\""
                }
            }
            SSE | AVX | AVX512 => " group=\"vector\"",
            "org.gnu.gdb.i386.linux" => " group=\"system\"",
            _ => "",
        };
        let Register { name, size, kind, .. } = register;
        write!(text, "<reg name=\"{name}\" bitsize=\"{}\" type=\"{kind}\" regnum=\"{number}\"{group}/>", size * 8).ok();
    }
    text.push_str("</feature></target>");
    text
}

/// The target description as lldb's own server words it: how a register is shown, and what it is for.
pub fn lldb_description() -> String {
    let mut text =
        String::from("<?xml version=\"1.0\"?><target version=\"1.0\"><architecture>x86_64</architecture><feature>");
    let mut offset = 0;
    for (number, register) in ALL.iter().enumerate() {
        let Register { name, size, place, .. } = register;
        let shown = match place {
            Place::Extended(_) if *size >= 10 => "encoding=\"vector\" format=\"vector-uint8\"",
            _ => "encoding=\"uint\" format=\"hex\"",
        };
        let group = match place {
            Place::General(_) => "General Purpose Registers",
            _ => "Floating Point Registers",
        };
        let role = match name.as_str() {
            "rip" => " generic=\"pc\"",
            "rsp" => " generic=\"sp\"",
            "rbp" => " generic=\"fp\"",
            "eflags" => " generic=\"flags\" altname=\"rflags\"",
            _ => "",
        };
        write!(
            text,
            "<reg name=\"{name}\" bitsize=\"{}\" regnum=\"{number}\" offset=\"{offset}\" {shown} group=\"{group}\"{role}/>",
            size * 8
        )
        .ok();
        offset += size;
    }
    text.push_str("</feature></target>");
    text
}

/// How many registers there are.
pub fn count() -> usize {
    ALL.len()
}

/// Name, size in bytes, and offset in the `g` packet of a register.
pub fn info(number: usize) -> Option<(&'static str, usize, usize)> {
    let register = ALL.get(number)?;
    Some((&register.name, register.size, ALL[..number].iter().map(|register| register.size).sum()))
}

/// Number of a register by its name.
pub fn named(name: &str) -> Option<usize> {
    ALL.iter().position(|register| register.name == name)
}

fn word(registers: &Registers, index: usize) -> u64 {
    words(registers)[index]
}

fn words(r: &Registers) -> [u64; 27] {
    [
        r.r15, r.r14, r.r13, r.r12, r.rbp, r.rbx, r.r11, r.r10, r.r9, r.r8, r.rax, r.rcx, r.rdx, r.rsi, r.rdi,
        r.orig_rax, r.rip, r.cs, r.eflags, r.rsp, r.ss, r.fs_base, r.gs_base, r.ds, r.es, r.fs, r.gs,
    ]
}

fn word_mut(r: &mut Registers, index: usize) -> &mut u64 {
    match index {
        0 => &mut r.r15,
        1 => &mut r.r14,
        2 => &mut r.r13,
        3 => &mut r.r12,
        4 => &mut r.rbp,
        5 => &mut r.rbx,
        6 => &mut r.r11,
        7 => &mut r.r10,
        8 => &mut r.r9,
        9 => &mut r.r8,
        10 => &mut r.rax,
        11 => &mut r.rcx,
        12 => &mut r.rdx,
        13 => &mut r.rsi,
        14 => &mut r.rdi,
        15 => &mut r.orig_rax,
        16 => &mut r.rip,
        17 => &mut r.cs,
        18 => &mut r.eflags,
        19 => &mut r.rsp,
        20 => &mut r.ss,
        21 => &mut r.fs_base,
        22 => &mut r.gs_base,
        23 => &mut r.ds,
        24 => &mut r.es,
        25 => &mut r.fs,
        _ => &mut r.gs,
    }
}

/// The value of a general register, if it is one and as wide as a word.
pub fn general(registers: &Registers, number: u16) -> Option<u64> {
    match ALL.get(usize::from(number))? {
        Register { place: Place::General(index), size: 8, .. } => Some(word(registers, *index)),
        _ => None,
    }
}

/// A register's bytes.
pub fn get(registers: &ThreadRegisters, number: usize) -> Option<Vec<u8>> {
    let register = ALL.get(number)?;
    let area = &registers.extended;
    let slice = |at: usize, size: usize| area.get(at..at + size).map(<[u8]>::to_vec);
    Some(match register.place {
        Place::General(index) => word(&registers.general, index).to_le_bytes()[..register.size].to_vec(),
        Place::Extended(at) => slice(at, register.size).unwrap_or_else(|| vec![0; register.size]),
        Place::Half(at) => {
            let mut bytes = slice(at, 2).unwrap_or_else(|| vec![0; 2]);
            bytes.extend([0, 0]);
            bytes
        }
        Place::Tags => u32::from(full_tags(area)).to_le_bytes().to_vec(),
        Place::Nothing => vec![0; register.size],
    })
}

/// Sets a register. False if there is none of that number, or not so many bytes.
pub fn set(registers: &mut ThreadRegisters, number: usize, bytes: &[u8]) -> bool {
    let Some(register) = ALL.get(number) else { return false };
    if bytes.len() < register.size {
        return false;
    }
    let bytes = &bytes[..register.size];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = registers.extended.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    match register.place {
        Place::General(index) => {
            let mut word = [0u8; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            *word_mut(&mut registers.general, index) = u64::from_le_bytes(word);
            return true;
        }
        Place::Extended(at) => put(at, bytes),
        Place::Half(at) => put(at, &bytes[..2]),
        Place::Tags => {
            let full = u16::from_le_bytes([bytes[0], bytes[1]]);
            let short = (0..8).filter(|index| full >> (2 * index) & 3 != 3).fold(0u8, |tags, index| tags | 1 << index);
            put(4, &[short]);
        }
        Place::Nothing => {}
    }
    // What is written is in use from now on (XSTATE_BV).
    let used = match register.feature {
        AVX => 1 << AVX_STATE | 2,
        AVX512 => 1 << MASKS | 1 << ZMM_HIGH | 1 << ZMM_16_31 | 1 << AVX_STATE | 2,
        SSE => 2,
        CORE => 1 << X87,
        _ => 1u64 << PKRU,
    };
    if let Some(place) = registers.extended.get_mut(512..520) {
        let now = u64::from_le_bytes([place[0], place[1], place[2], place[3], place[4], place[5], place[6], place[7]]);
        place.copy_from_slice(&(now | used).to_le_bytes());
    }
    true
}

/// The tag word of FSAVE from the one of FXSAVE (Intel SDM vol. 1, table 10-3 and section 8.1.7).
fn full_tags(area: &[u8]) -> u16 {
    let short = area.get(4).copied().unwrap_or(0);
    let top = usize::from(area.get(3).copied().unwrap_or(0) >> 3 & 7);
    let mut tags = 0u16;
    for physical in 0..8 {
        let tag = if short & 1 << physical == 0 {
            3
        } else {
            let at = 32 + 16 * ((physical + 8 - top) % 8);
            let bytes = area.get(at..at + 10).unwrap_or(&[0; 10]);
            let exponent = u16::from_le_bytes([bytes[8], bytes[9]]) & 0x7fff;
            let zero = bytes[..8].iter().all(|byte| *byte == 0);
            match exponent {
                0x7fff => 2,
                0 if zero => 1,
                0 => 2,
                _ if bytes[7] & 0x80 != 0 => 0,
                _ => 2,
            }
        };
        tags |= tag << (2 * physical);
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blank() -> ThreadRegisters {
        ThreadRegisters { general: crate::raw::no_registers(), extended: vec![0; 4096] }
    }

    #[test]
    fn what_is_set_is_got() {
        let mut registers = blank();
        for number in 0..count() {
            let (name, size, _) = info(number).unwrap();
            if matches!(name, "fiseg" | "foseg" | "ftag") {
                continue;
            }
            let mut bytes: Vec<u8> = (0..size).map(|index| (number + index) as u8 | 1).collect();
            if matches!(name, "fctrl" | "fstat" | "fop") {
                bytes[2..].fill(0);
            }
            assert!(set(&mut registers, number, &bytes));
            assert_eq!(get(&registers, number), Some(bytes), "{name}");
        }
        assert!(!set(&mut registers, count(), &[0; 64]) && !set(&mut registers, 0, &[0]));
    }

    #[test]
    fn an_empty_stack_of_the_x87_has_all_tags_set() {
        assert_eq!(full_tags(&blank().extended), 0xffff);
    }
}
