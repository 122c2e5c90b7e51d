//! The injector's own two pages in every supervised process: one `syscall` instruction, which the seccomp filter lets
//! through by its address, and scratch memory. Mapped when a program is loaded, inherited by every fork.

use nix::unistd::Pid;
use syscalls::Sysno;

use super::injector::{Injector, read_memory, write_memory};
use super::{CODE_PAGE, InjectError, PAGE, Remote, SCRATCH_PAGE};

/// `syscall; int3`
const CODE: [u8; 3] = [0x0f, 0x05, 0xcc];

/// Maps both pages into a process that has just loaded a program and stands at its first instruction.
///
/// # Errors
/// The process died, or the addresses are taken (a program linked to live there).
pub fn install(pid: Pid) -> Result<(), InjectError> {
    let mut injector = Injector::borrow(pid, pid)?;
    // No `syscall` instruction of ours exists yet: borrow the two bytes under the program counter.
    let place = injector.saved().rip;
    let io = |what| move |source| InjectError::Io { what, pid: pid.as_raw(), source };
    let mut original = [0u8; 2];
    read_memory(pid, place, &mut original).map_err(io("reading the first instruction"))?;
    write_memory(pid, place, &CODE[..2]).map_err(io("writing the first instruction"))?;
    let protection = (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) as u64;
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE) as u64;
    let mapped = injector.call_at(place, Sysno::mmap, [CODE_PAGE, 2 * PAGE, protection, flags, u64::MAX, 0]);
    write_memory(pid, place, &original).map_err(io("writing the first instruction back"))?;
    mapped?;
    injector.write(CODE_PAGE, &CODE)?;
    let executable = (libc::PROT_READ | libc::PROT_EXEC) as u64;
    injector.call(Sysno::mprotect, [CODE_PAGE, PAGE, executable, 0, 0, 0])?;
    let writable = (libc::PROT_READ | libc::PROT_WRITE) as u64;
    injector.call(Sysno::mprotect, [SCRATCH_PAGE, PAGE, writable, 0, 0, 0])?;
    injector.finish()
}
