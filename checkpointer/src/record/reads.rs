//! Reads and writes without a stop, and a few other calls that never wait (readlink, stat, access, lseek). Where the C library makes
//! these its code is replaced, when it is mapped, by a jump to ours, which makes the call from a page that the filter lets pass and
//! logs what it gave, or takes it from the log (raw/vdso.rs). Reads and writes only of descriptors that never keep anybody waiting; all
//! others come to the tracer as they were going to.
//!
//! The same code is replaced in recording and replay, so a replay is the same execution still.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use syscalls::Sysno;

use super::log::{Call, Identity, Mapped};
use super::thread::Thread;
use super::{Trouble, vdso};
use crate::inject::injector::Injector;
use crate::inject::{PAGE, Remote};
use crate::raw::{NOTED_DESCRIPTORS, READY_DESCRIPTORS};

/// A page for the jumps, in reach of libraries: right above where the kernel puts the first one, and as far below the stack as
/// it may grow to without that being asked for (mmap_base in arch/x86/mm/mmap.c).
pub(crate) const JUMPS: u64 = 0x7fff_f800_0000;

/// `xor eax, eax; syscall; cmp rax, -4096`, as the C library has it.
const READ: [u8; 10] = [0x31, 0xc0, 0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff];

/// Bytes of one jump.
const JUMP: usize = 32;

/// Whether an address is among the jumps.
pub(super) fn is_inside(address: u64) -> bool {
    (JUMPS..JUMPS + PAGE).contains(&address)
}

/// Maps the page. Where the address is taken nothing is replaced.
pub(super) fn install(injector: &mut Injector) {
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE) as u64;
    let executable = (libc::PROT_READ | libc::PROT_EXEC) as u64;
    injector.call(Sysno::mmap, [JUMPS, PAGE, executable, flags, u64::MAX, 0]).ok();
}

/// Replaces reads in code that has just been mapped, if it is the C library's.
pub(super) fn replace(thread: &Thread, call: &Call) -> Result<(), Trouble> {
    let Some(Mapped::File(Identity { path, .. })) = &call.mapped else { return Ok(()) };
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let is_library = name.starts_with(b"libc.so.") || name.starts_with(b"libc-2.");
    if !is_library || call.arguments[2] & libc::PROT_EXEC as u64 == 0 {
        return Ok(());
    }
    let jumps = thread.read(JUMPS, PAGE as usize);
    let mut free = jumps.chunks_exact(JUMP).enumerate().filter(|(_, jump)| jump[0] == 0).map(|(index, _)| index);
    #[allow(clippy::cast_possible_truncation)]
    let code = thread.read(call.result.cast_unsigned(), call.arguments[1] as usize);
    let quiet = vdso::quiet_functions().map(|(number, function)| (quiet_code(number), function));
    // One pass: there are a million bytes of code and a few hundred system calls in it.
    for at in syscalls_in(&code) {
        let here = call.result.cast_unsigned() + at as u64;
        let is = |before: usize, wanted: &[u8]| {
            at.checked_sub(before).and_then(|from| code.get(from..from + wanted.len())) == Some(wanted)
        };
        // Where the jump is put, what it is to reach, and where the code goes on.
        let found = if is(2, &READ) {
            Some((here, None, here + 8))
        } else {
            quiet.iter().find(|(wanted, _)| is(5, wanted)).map(|(_, function)| (here - 5, Some(*function), here + 2))
        };
        let Some((site, function, next)) = found else { continue };
        let Some(index) = free.next() else { return Ok(()) };
        let jump = JUMPS + (index * JUMP) as u64;
        let length = if function.is_some() { 21 } else { 27 };
        let (Some(there), Some(back)) = (distance(site + 5, jump), distance(jump + length, next)) else { continue };
        thread.write(jump, &function.map_or_else(|| jump_code(back), |function| quiet_jump(function, back)))?;
        // jmp there; what is left of the instructions is not executed
        let mut replaced = vec![0xe9];
        replaced.extend(there.to_le_bytes());
        replaced.extend(if function.is_some() { [0x66, 0x90].as_slice() } else { &[0x0f, 0x1f, 0x00] });
        thread.write(site, &replaced)?;
    }
    Ok(())
}

/// Where `syscall` instructions are, or bytes that look like them.
fn syscalls_in(code: &[u8]) -> impl Iterator<Item = usize> {
    code.windows(2).enumerate().filter(|(_, bytes)| *bytes == [0x0f, 0x05]).map(|(at, _)| at)
}

/// `mov eax, number; syscall`
fn quiet_code(number: u32) -> [u8; 7] {
    let mut code = [0xb8, 0, 0, 0, 0, 0x0f, 0x05];
    code[1..5].copy_from_slice(&number.to_le_bytes());
    code
}

/// `lea r11, [rip + 9]; mov ecx, function; jmp rcx; syscall; jmp back`, as in [`jump_code`].
fn quiet_jump(function: u64, back: i32) -> Vec<u8> {
    #[allow(clippy::cast_possible_truncation)]
    let function = function as u32;
    let mut code = vec![0x4c, 0x8d, 0x1d, 9, 0, 0, 0, 0xb9];
    code.extend(function.to_le_bytes());
    code.extend([0xff, 0xe1, 0x0f, 0x05, 0xe9]);
    code.extend(back.to_le_bytes());
    code
}

fn distance(from: u64, to: u64) -> Option<i32> {
    i32::try_from(to.wrapping_sub(from).cast_signed()).ok()
}

/// `lea r11, [rip + 9]; mov ecx, read; jmp rcx; syscall; cmp rax, -4096; jmp back`: r11 is behind the `syscall`, which is for the tracer.
fn jump_code(back: i32) -> Vec<u8> {
    #[allow(clippy::cast_possible_truncation)]
    let function = vdso::read_function() as u32;
    let mut code = vec![0x4c, 0x8d, 0x1d, 9, 0, 0, 0, 0xb9];
    code.extend(function.to_le_bytes());
    code.extend([0xff, 0xe1, 0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff, 0xe9]);
    code.extend(back.to_le_bytes());
    code
}

/// Notes whether a descriptor never keeps a reader waiting. `lent`: the memory is a parent's, whose descriptors are others.
pub(super) fn note(thread: &Thread, descriptor: u64, lent: bool) -> Result<(), Trouble> {
    if descriptor >= NOTED_DESCRIPTORS {
        return Ok(());
    }
    let ready = !lent && never_waits(thread, descriptor);
    let place = READY_DESCRIPTORS + descriptor / 8;
    let Some(byte) = thread.read(place, 1).first().copied() else { return Ok(()) };
    let bit = 1 << (descriptor % 8);
    let noted = if ready { byte | bit } else { byte & !bit };
    if noted == byte { Ok(()) } else { thread.write(place, &[noted]) }
}

/// Notes all descriptors of a program that has just been loaded.
pub(super) fn note_all(thread: &Thread) -> Result<(), Trouble> {
    for entry in std::fs::read_dir(format!("/proc/{}/fd", thread.tid))?.flatten() {
        if let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            note(thread, number, false)?;
        }
    }
    Ok(())
}

fn never_waits(thread: &Thread, descriptor: u64) -> bool {
    let link = format!("/proc/{}/fd/{descriptor}", thread.tid);
    // Files of the kernel's own may wait for news.
    let own = |path: &Path| ["/proc", "/sys", "/dev/shm"].iter().any(|folder| path.starts_with(folder));
    match (std::fs::metadata(&link), std::fs::read_link(&link)) {
        (Ok(metadata), Ok(path)) => metadata.is_file() && !own(&path) || is_endless(&metadata),
        _ => false,
    }
}

/// /dev/null, /dev/zero, /dev/urandom (Documentation/admin-guide/devices.txt).
fn is_endless(metadata: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let device = metadata.rdev();
    metadata.file_type().is_char_device() && libc::major(device) == 1 && matches!(libc::minor(device), 3 | 5 | 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_has_its_parts_where_they_are_expected() {
        let code = jump_code(0x1122_3344);
        assert_eq!(code.len(), 27);
        assert!(code.len() <= JUMP);
        // r11 = 7 + 9 = 16: behind the system call.
        assert_eq!(code[14..16], [0x0f, 0x05]);
        assert_eq!(code[22], 0xe9);
        assert_eq!(code[23..27], 0x1122_3344_i32.to_le_bytes());
        let code = quiet_jump(0x7000_2500, 0x1122_3344);
        assert_eq!((code.len(), &code[14..16]), (21, [0x0f, 0x05].as_slice()));
        assert_eq!(code[17..21], 0x1122_3344_i32.to_le_bytes());
    }
}
