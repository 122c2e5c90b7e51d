//! The replacement of the vDSO: clocks are read inside the program, into a buffer and out of it, without a stop.
//!
//! The image is a shared object of one page as the dynamic linker, libc and Go's runtime look for it (vdso(7)): one
//! loadable segment, a dynamic section, four symbols and a hash table.

use syscalls::Sysno;

use super::Trouble;
use super::thread::Thread;
use crate::inject::injector::Injector;
use crate::inject::{CODE_PAGE, EXEMPT_PAGES, PAGE, Remote};
use crate::raw::{self, CLOCK_BUFFER, CLOCK_ENTRY, CLOCK_HEADER, READY_DESCRIPTORS};

/// Where the image is. Calls from here pass the filter.
pub(crate) const IMAGE: u64 = CODE_PAGE + 2 * PAGE;

/// Bytes of the image's pages.
pub(crate) const IMAGE_SIZE: u64 = (EXEMPT_PAGES - 2) * PAGE;

/// Bytes of the buffer with its header.
pub(crate) const BUFFER_SIZE: u64 = READY_DESCRIPTORS - CLOCK_BUFFER;

/// Bytes of entries that fit.
pub(crate) const CAPACITY: u64 = (BUFFER_SIZE - CLOCK_HEADER) / CLOCK_ENTRY * CLOCK_ENTRY;

/// Whether an address is in the code.
pub(crate) fn is_inside(address: u64) -> bool {
    (IMAGE..IMAGE + IMAGE_SIZE).contains(&address)
}

/// Maps image and buffer into a process; `replayed` says which way the buffer is used.
pub(super) fn install(injector: &mut Injector, replayed: bool) -> Result<(), Trouble> {
    let writable = (libc::PROT_READ | libc::PROT_WRITE) as u64;
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE) as u64;
    injector.call(Sysno::mmap, [IMAGE, IMAGE_SIZE + BUFFER_SIZE + PAGE, writable, flags, u64::MAX, 0])?;
    injector.write(IMAGE, &image(raw::vdso_functions()))?;
    injector.write(CLOCK_BUFFER, &header(replayed))?;
    let executable = (libc::PROT_READ | libc::PROT_EXEC) as u64;
    injector.call(Sysno::mprotect, [IMAGE, IMAGE_SIZE, executable, 0, 0, 0])?;
    Ok(())
}

/// The header of an empty buffer.
pub(super) fn header(replayed: bool) -> Vec<u8> {
    let words: [u64; 3] = if replayed { [0, 0, 1] } else { [0, CAPACITY, 0] };
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Takes what a recorded thread has put into the buffer.
pub(super) fn take(thread: &Thread) -> Result<Option<Vec<u8>>, Trouble> {
    let used = thread.word(CLOCK_BUFFER).unwrap_or(0).min(CAPACITY);
    if used == 0 {
        return Ok(None);
    }
    #[allow(clippy::cast_possible_truncation)]
    let entries = thread.read(CLOCK_BUFFER + CLOCK_HEADER, used as usize);
    thread.write(CLOCK_BUFFER, &0u64.to_ne_bytes())?;
    Ok(Some(entries))
}

/// Gives a replayed thread the entries that it will use until its next event.
pub(super) fn give(thread: &Thread, entries: &[u8]) -> Result<(), Trouble> {
    thread.write(CLOCK_BUFFER + CLOCK_HEADER, entries)?;
    let words = [0, entries.len() as u64].map(u64::to_ne_bytes);
    thread.write(CLOCK_BUFFER, words.as_flattened())
}

/// Address of the replacement of read(2).
pub(super) fn read_function() -> u64 {
    IMAGE + CODE as u64 + raw::vdso_read()
}

/// Numbers of the other calls that have a replacement, and the addresses of these.
pub(super) fn quiet_functions() -> [(u32, u64); 6] {
    raw::vdso_quiet().map(|(number, offset)| (number, IMAGE + CODE as u64 + offset))
}

/// Bytes of entries that were given and not used.
pub(super) fn unused(thread: &Thread) -> u64 {
    let word = |offset: u64| thread.word(CLOCK_BUFFER + offset).unwrap_or(0);
    word(8).saturating_sub(word(0))
}

/// Places in the image: header, program headers, dynamic section, symbols, names, hash table, versions, code.
const PROGRAM_HEADERS: usize = 64;
const DYNAMIC: usize = 0x100;
const SYMBOLS: usize = 0x200;
const NAMES: usize = 0x300;
const HASH: usize = 0x400;
const VERSION_INDICES: usize = 0x440;
const VERSIONS: usize = 0x460;
const CODE: usize = 0x500;

/// The object's name and the version of its symbols, as the kernel's own has them.
const NAME: &str = "linux-vdso.so.1";
const VERSION: &str = "LINUX_2.6";

/// A shared object with this code and these functions of it.
pub(crate) fn image((code, functions): (&[u8], [(&str, u64); 4])) -> Vec<u8> {
    let mut image = vec![0u8; CODE];
    let names = [NAME, VERSION].into_iter().chain(functions.iter().map(|(name, _)| *name));
    let mut strings = vec![0u8];
    let offsets: Vec<u32> = names
        .map(|name| {
            let at = u32::try_from(strings.len()).unwrap_or(0);
            strings.extend_from_slice(name.as_bytes());
            strings.push(0);
            at
        })
        .collect();
    put(&mut image, NAMES, &strings);
    // Elf64_Sym: name, info (a global function), other, section, value, size. The first one is empty.
    for (index, (_, offset)) in functions.iter().enumerate() {
        let mut symbol = offsets[index + 2].to_le_bytes().to_vec();
        symbol.extend([0x12, 0]);
        symbol.extend(1u16.to_le_bytes());
        symbol.extend((IMAGE + CODE as u64 + offset).to_le_bytes());
        symbol.extend(64u64.to_le_bytes());
        put(&mut image, SYMBOLS + 24 * (index + 1), &symbol);
    }
    // One bucket with a chain through all symbols: buckets, chains, first, then the next of each.
    let count = u32::try_from(functions.len()).unwrap_or(0);
    let chain = (0..=count).map(|symbol| if symbol == 0 || symbol == count { 0 } else { symbol + 1 });
    let hash: Vec<u8> = [1, count + 1, 1].into_iter().chain(chain).flat_map(u32::to_le_bytes).collect();
    put(&mut image, HASH, &hash);
    // The version of each symbol: the second one below; none for the empty one.
    let indices: Vec<u8> = (0..=count).flat_map(|symbol| if symbol == 0 { [0, 0] } else { [2, 0] }).collect();
    put(&mut image, VERSION_INDICES, &indices);
    // Elf64_Verdef: structure's version, flags (the first is the object itself), index, count of names; hash, offset of the name,
    // of the next. Elf64_Verdaux: name, next.
    for (index, (name, offset)) in [NAME, VERSION].into_iter().zip(&offsets).enumerate() {
        let (flags, index, last) = if index == 0 { (1u16, 1u16, false) } else { (0, 2, true) };
        let halves: Vec<u8> = [1, flags, index, 1].into_iter().flat_map(u16::to_le_bytes).collect();
        let words = [hash_of(name), 20, if last { 0 } else { 28 }, *offset, 0];
        let words: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        put(&mut image, VERSIONS + 28 * usize::from(index - 1), &[halves, words].concat());
    }
    let at = |offset: usize| IMAGE + offset as u64;
    // DT_HASH, DT_SYMTAB, DT_STRTAB, DT_STRSZ, DT_SYMENT, DT_SONAME, DT_VERSYM, DT_VERDEF, DT_VERDEFNUM, DT_NULL
    let dynamic: [[u64; 2]; 10] = [
        [4, at(HASH)],
        [6, at(SYMBOLS)],
        [5, at(NAMES)],
        [10, strings.len() as u64],
        [11, 24],
        [14, offsets[0].into()],
        [0x6fff_fff0, at(VERSION_INDICES)],
        [0x6fff_fffc, at(VERSIONS)],
        [0x6fff_fffd, 2],
        [0, 0],
    ];
    let dynamic: Vec<u8> = dynamic.as_flattened().iter().flat_map(|word| word.to_le_bytes()).collect();
    put(&mut image, DYNAMIC, &dynamic);
    let whole = (CODE + code.len()) as u64;
    // Elf64_Phdr: type and flags, offset, virtual and physical address, sizes in the file and in memory, alignment
    let segments: [[u64; 7]; 2] = [
        [1 | (5 << 32), 0, IMAGE, IMAGE, whole, whole, PAGE],
        [2 | (4 << 32), DYNAMIC as u64, at(DYNAMIC), at(DYNAMIC), dynamic.len() as u64, dynamic.len() as u64, 8],
    ];
    let segments: Vec<u8> = segments.as_flattened().iter().flat_map(|word| word.to_le_bytes()).collect();
    put(&mut image, PROGRAM_HEADERS, &segments);
    // Elf64_Ehdr: 64 bits, little-endian; ET_DYN, EM_X86_64, version; entry, program headers, section headers; flags and sizes
    put(&mut image, 0, b"\x7fELF\x02\x01\x01");
    put(&mut image, 16, &[3, 0, 62, 0, 1, 0, 0, 0]);
    put(&mut image, 32, &(PROGRAM_HEADERS as u64).to_le_bytes());
    let sizes: Vec<u8> = [64u16, 56, 2, 64, 0, 0].into_iter().flat_map(u16::to_le_bytes).collect();
    put(&mut image, 52, &sizes);
    image.extend_from_slice(code);
    image
}

/// The hash of a name in ELF (System V ABI, "Hash Table").
fn hash_of(name: &str) -> u32 {
    name.bytes().fold(0, |hash: u32, byte| {
        let hash = (hash << 4).wrapping_add(byte.into());
        let high = hash & 0xf000_0000;
        (hash ^ (high >> 24)) & !high
    })
}

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_the_image_do_not_overlap() {
        for functions in [raw::clock_functions(), raw::vdso_functions()] {
            let image = image(functions);
            assert!(image.len() as u64 <= IMAGE_SIZE);
            assert_eq!(&image[CODE..], functions.0);
        }
        let (_, functions) = raw::vdso_functions();
        let names: usize = functions.iter().map(|(name, _)| name.len() + 1).sum();
        assert!(NAMES + 27 + names <= HASH && SYMBOLS + 24 * (functions.len() + 1) <= NAMES);
        const { assert!(DYNAMIC + 16 * 10 <= SYMBOLS && PROGRAM_HEADERS + 2 * 56 <= DYNAMIC) };
        assert!(HASH + 4 * (3 + functions.len() + 1) <= VERSION_INDICES && VERSIONS + 2 * 28 <= CODE);
        assert!(VERSION_INDICES + 2 * (functions.len() + 1) <= VERSIONS);
        // As linkers have it.
        assert_eq!(hash_of(VERSION), 0x03ae_75f6);
        assert_eq!(IMAGE + IMAGE_SIZE, CLOCK_BUFFER);
    }

    #[test]
    fn every_function_is_reached_through_the_hash_table() {
        let image = image(raw::vdso_functions());
        let half = |at: usize| u32::from_le_bytes(image[at..at + 4].try_into().unwrap());
        let mut symbol = half(HASH + 8) as usize;
        let mut found = Vec::new();
        while symbol != 0 {
            let name = NAMES + half(SYMBOLS + 24 * symbol) as usize;
            let end = image[name..].iter().position(|byte| *byte == 0).unwrap();
            found.push(String::from_utf8(image[name..name + end].to_vec()).unwrap());
            symbol = half(HASH + 12 + 4 * symbol) as usize;
        }
        assert_eq!(found, raw::vdso_functions().1.map(|(name, _)| name.to_owned()));
    }
}
