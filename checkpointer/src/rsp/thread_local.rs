//! Where a thread-local variable is (`qGetTLSAddr`), for programs with glibc: what libthread_db would answer.
//!
//! glibc describes the layout of its own structures in constants for debuggers: `_thread_db_STRUCT_FIELD` are three words of
//! 32 bits, the field's size in bits, its count and its offset (glibc's nptl_db/structs.def and db_info.c). The rest is the ABI
//! (Drepper, "ELF Handling For Thread-Local Storage", variant II): the thread pointer leads to the thread's vector of blocks.

use object::read::elf::ElfFile64;
use object::{Object, ObjectSymbol};

use super::target::{Target, Tid};

/// An entry of the vector that has no block yet (glibc's TLS_DTV_UNALLOCATED).
const UNALLOCATED: u64 = u64::MAX;

/// More lists of modules than any program has.
const MOST_LISTS: usize = 4096;

/// A file that the program has mapped and that may define what is looked for.
struct Image {
    bytes: Vec<u8>,
    /// What is added to its addresses.
    bias: u64,
}

impl Image {
    fn open(path: &str, mapped_at: u64) -> Option<Image> {
        let bytes = std::fs::read(path).ok()?;
        let file = ElfFile64::<object::Endianness>::parse(bytes.as_slice()).ok()?;
        let lowest = object::ObjectSegment::address(&object::Object::segments(&file).next()?);
        Some(Image { bias: mapped_at.wrapping_sub(lowest & !0xfff), bytes })
    }

    /// Address of a symbol in the program.
    fn symbol(&self, name: &str) -> Option<u64> {
        let file = ElfFile64::<object::Endianness>::parse(self.bytes.as_slice()).ok()?;
        let named = |symbol: &object::read::elf::ElfSymbol64<'_, '_>| {
            !symbol.is_undefined() && symbol.name().is_ok_and(|found| found == name)
        };
        let symbol = file.dynamic_symbols().find(named).or_else(|| file.symbols().find(named))?;
        Some(symbol.address().wrapping_add(self.bias))
    }
}

/// The C library, the dynamic linker and the program itself, as they are mapped.
fn images(target: &dyn Target) -> Vec<Image> {
    let Some(pid) = target.real_process() else { return Vec::new() };
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let mut images = Vec::new();
    let mut seen = Vec::new();
    for line in maps.lines() {
        // proc_pid_maps(5): range, permissions, offset, device, inode, path.
        let mut fields = line.split_whitespace();
        let (Some(range), Some(offset), Some(at)) = (fields.next(), fields.nth(1), line.find('/')) else { continue };
        let path = &line[at..];
        let name = path.rsplit('/').next().unwrap_or(path);
        let wanted = ["libc.", "libc-", "libpthread", "ld-", "ld."].iter().any(|start| name.starts_with(start));
        if offset.bytes().any(|digit| digit != b'0') || seen.contains(&path) {
            continue;
        }
        seen.push(path);
        let start = range.split('-').next().and_then(|start| u64::from_str_radix(start, 16).ok());
        if let (Some(start), true) = (start, wanted || std::path::Path::new(path) == program) {
            images.extend(Image::open(path, start));
        }
    }
    images
}

/// glibc as this program has it.
struct Glibc<'t> {
    target: &'t mut dyn Target,
    images: Vec<Image>,
}

impl Glibc<'_> {
    fn symbol(&self, name: &str) -> Option<u64> {
        self.images.iter().find_map(|image| image.symbol(name))
    }

    fn bytes<const N: usize>(&mut self, address: u64) -> Option<[u8; N]> {
        let mut bytes = [0u8; N];
        (self.target.read(address, &mut bytes).ok()? == N).then_some(bytes)
    }

    fn word(&mut self, address: u64) -> Option<u64> {
        self.bytes(address).map(u64::from_le_bytes)
    }

    fn offset(&mut self, field: &str) -> Option<u64> {
        let at = self.symbol(&format!("_thread_db_{field}"))?;
        self.bytes(at + 8).map(u32::from_le_bytes).map(u64::from)
    }

    fn size(&mut self, structure: &str) -> Option<u64> {
        let at = self.symbol(&format!("_thread_db_sizeof_{structure}"))?;
        self.bytes(at).map(u32::from_le_bytes).map(u64::from)
    }

    /// A field of a structure at an address.
    fn field(&mut self, at: u64, field: &str) -> Option<u64> {
        let offset = self.offset(field)?;
        self.word(at.wrapping_add(offset))
    }

    /// The generation in which a module got its number; what a thread's vector has from before is another module's.
    fn generation(&mut self, module: u64) -> Option<u64> {
        let first = match self.symbol("_rtld_global") {
            Some(global) => self.field(global, "rtld_global__dl_tls_dtv_slotinfo_list")?,
            // Linked statically, the list is a variable of its own.
            None => {
                let list = self.symbol("_dl_tls_dtv_slotinfo_list")?;
                self.word(list)?
            }
        };
        let size = self.size("dtv_slotinfo")?;
        let slots = self.offset("dtv_slotinfo_list_slotinfo")?;
        let (mut list, mut before) = (first, 0);
        for _ in 0..MOST_LISTS {
            if list == 0 {
                return None;
            }
            let length = self.field(list, "dtv_slotinfo_list_len")?;
            if module - before < length {
                return self.field(list + slots + (module - before) * size, "dtv_slotinfo_gen");
            }
            before += length;
            list = self.field(list, "dtv_slotinfo_list_next")?;
        }
        None
    }
}

/// Address of what stands at an offset of a module's thread-local block, for one thread. The module by its `link_map`; 0 is a
/// program without one, which is linked statically.
///
/// # Errors
/// In words: no glibc that can be understood, or no block yet.
pub(super) fn address(target: &mut dyn Target, tid: Tid, offset: u64, link_map: u64) -> Result<u64, String> {
    let pointer = target.thread_pointer(tid).map_err(|_| format!("thread {tid} is not stopped"))?;
    let images = images(target);
    let mut glibc = Glibc { target, images };
    let strange = || "the C library of the program does not say how it keeps thread-local variables".to_owned();
    let mut module = 1;
    if link_map != 0 {
        module = glibc.field(link_map, "link_map_l_tls_modid").ok_or_else(strange)?;
        if module == 0 {
            return Err("this module has no thread-local variables".to_owned());
        }
        // Blocks at a fixed distance from the thread pointer are there as soon as the thread is; 0 and -1 stand for none.
        let fixed = glibc.field(link_map, "link_map_l_tls_offset").filter(|at| !matches!(*at, 0 | u64::MAX));
        if let Some(distance) = fixed {
            return Ok(pointer.wrapping_sub(distance).wrapping_add(offset));
        }
    }
    let absent = || {
        format!("thread {tid} has no storage yet for the thread-local variables of this module: it has not used one")
    };
    // struct pthread begins at the thread pointer; its vector has the generation in entry 0, and its length before that.
    let vector = glibc.field(pointer, "pthread_dtvp").filter(|at| *at != 0).ok_or_else(strange)?;
    let entry = glibc.offset("dtv_t_pointer_val").ok_or_else(strange)?;
    let size = glibc.symbol("_thread_db_dtv_dtv").and_then(|at| glibc.bytes(at)).ok_or_else(strange)?;
    // Its size is told in bits.
    let size = u64::from(u32::from_le_bytes(size)) / 8;
    let length = glibc.field(vector.wrapping_sub(size), "dtv_t_counter").ok_or_else(strange)?;
    let known = glibc.field(vector, "dtv_t_counter").ok_or_else(strange)?;
    if module > length || (link_map != 0 && glibc.generation(module).is_none_or(|needed| needed > known)) {
        return Err(absent());
    }
    match glibc.word(vector.wrapping_add(module.wrapping_mul(size)).wrapping_add(entry)) {
        None | Some(0 | UNALLOCATED) => Err(absent()),
        Some(block) => Ok(block.wrapping_add(offset)),
    }
}
