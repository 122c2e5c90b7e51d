//! The system calls that nix lacks, each a small function with the reason why it is sound. The only unsafe code of the
//! workspace is here and in `launch.rs`.

mod calls;
mod clocks;
mod state;
mod vdso;

pub use calls::*;
pub use clocks::*;
pub use state::*;
pub use vdso::*;

use std::cell::Cell;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::unistd::Pid;

/// Registers of a stopped thread (`struct user_regs_struct`).
pub use libc::user_regs_struct as Registers;

/// `NT_X86_XSTATE`: everything that XSAVE knows (x87, SSE, AVX, AVX-512, PKRU, AMX). From `linux/elf.h`.
const NT_X86_XSTATE: usize = 0x202;

/// Room for the largest XSAVE area in use (AMX tiles need 11 KiB).
const XSTATE_MAX: usize = 16 * 1024;

/// From `linux/ptrace.h`; libc has them for glibc only.
const PTRACE_GETSIGMASK: libc::c_uint = 0x420a;
const PTRACE_SETSIGMASK: libc::c_uint = 0x420b;

/// One `siginfo_t`, as bytes: it is passed through, never interpreted but for the fields below.
#[derive(Clone, Copy)]
pub struct SigInfo(pub libc::siginfo_t);

impl std::fmt::Debug for SigInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigInfo({})", self.0.si_signo)
    }
}

fn ptrace(request: libc::c_uint, tid: Pid, address: usize, data: usize) -> Result<libc::c_long, Errno> {
    // SAFETY: every caller in this file passes pointers to live buffers of the size that the request needs.
    let answer = unsafe { libc::ptrace(request, tid.as_raw(), address, data) };
    Errno::result(answer)
}

/// Registers that are all zero.
pub fn no_registers() -> Registers {
    // SAFETY: plain numbers, for which zero is a value.
    unsafe { std::mem::zeroed() }
}

thread_local! {
    /// The registers that were read last, with their thread: they are asked for several times at each stop. What could make them
    /// others is in this file, and forgets them: a report of the thread, its being let go, and setting them.
    static READ_LAST: Cell<Option<(Pid, Registers)>> = const { Cell::new(None) };
}

fn forget_registers(tid: Pid) {
    if READ_LAST.get().is_some_and(|(known, _)| known == tid) {
        READ_LAST.set(None);
    }
}

/// Registers of a stopped thread.
///
/// # Errors
/// ESRCH when the thread is not stopped by us (killed while stopped, if its registers have not been read since it stopped).
pub fn registers(tid: Pid) -> Result<Registers, Errno> {
    if let Some((_, registers)) = READ_LAST.get().filter(|(known, _)| *known == tid) {
        return Ok(registers);
    }
    let registers = nix::sys::ptrace::getregs(tid)?;
    READ_LAST.set(Some((tid, registers)));
    Ok(registers)
}

/// Sets the registers of a stopped thread.
///
/// # Errors
/// ESRCH as above; EIO for values that the kernel refuses.
pub fn set_registers(tid: Pid, registers: &Registers) -> Result<(), Errno> {
    // Not known from here on: the kernel does not take all bits as they are given.
    forget_registers(tid);
    nix::sys::ptrace::setregs(tid, *registers)
}

/// Extended processor state of a stopped thread.
///
/// # Errors
/// ESRCH as above.
pub fn extended_state(tid: Pid) -> Result<Vec<u8>, Errno> {
    let mut area = vec![0u8; XSTATE_MAX];
    let mut vector = libc::iovec { iov_base: area.as_mut_ptr().cast(), iov_len: area.len() };
    ptrace(libc::PTRACE_GETREGSET, tid, NT_X86_XSTATE, (&raw mut vector) as usize)?;
    area.truncate(vector.iov_len);
    Ok(area)
}

/// Sets what [`extended_state`] gave.
///
/// # Errors
/// ESRCH as above; EINVAL for an area of another processor.
pub fn set_extended_state(tid: Pid, area: &[u8]) -> Result<(), Errno> {
    let vector = libc::iovec { iov_base: area.as_ptr().cast_mut().cast(), iov_len: area.len() };
    ptrace(libc::PTRACE_SETREGSET, tid, NT_X86_XSTATE, (&raw const vector) as usize)?;
    Ok(())
}

/// The blocked signals of a stopped thread; inside sigsuspend, ppoll and pselect the mask that returns afterwards
/// (kernel/ptrace.c, `PTRACE_GETSIGMASK`).
///
/// # Errors
/// ESRCH as above.
pub fn signal_mask(tid: Pid) -> Result<u64, Errno> {
    let mut mask = 0u64;
    ptrace(PTRACE_GETSIGMASK, tid, size_of::<u64>(), (&raw mut mask) as usize)?;
    Ok(mask)
}

/// Sets the blocked signals of a stopped thread.
///
/// # Errors
/// ESRCH as above.
pub fn set_signal_mask(tid: Pid, mask: u64) -> Result<(), Errno> {
    ptrace(PTRACE_SETSIGMASK, tid, size_of::<u64>(), (&raw const mask) as usize)?;
    Ok(())
}

/// The signal that stopped a thread in signal-delivery-stop.
///
/// # Errors
/// EINVAL in a group-stop, ESRCH as above.
pub fn signal_information(tid: Pid) -> Result<SigInfo, Errno> {
    nix::sys::ptrace::getsiginfo(tid).map(SigInfo)
}

/// Replaces it.
///
/// # Errors
/// As for [`signal_information`].
pub fn set_signal_information(tid: Pid, info: &SigInfo) -> Result<(), Errno> {
    nix::sys::ptrace::setsiginfo(tid, &info.0)
}

/// The sender's pid in a signal that carries one.
pub fn sender(info: &SigInfo) -> Option<i32> {
    // Kernel-made signals (si_code > 0) have other things in that place.
    if info.0.si_code > 0 {
        return None;
    }
    // SAFETY: for si_code <= 0 the union holds the sender (sigaction(2)).
    Some(unsafe { info.0.si_pid() })
}

/// Changes the sender's pid in a signal that carries one.
pub fn set_sender(info: &mut SigInfo, pid: i32) {
    // The union begins at offset 16 on x86-64, with si_pid as its first member (asm-generic/siginfo.h).
    // SAFETY: siginfo_t is 128 bytes of plain data.
    unsafe { (&raw mut info.0).cast::<i32>().add(4).write(pid) };
}

/// Head and length of a thread's robust futex list.
///
/// # Errors
/// EPERM when the thread may not be traced, ESRCH when it is gone.
pub fn robust_list(tid: Pid) -> Result<(u64, u64), Errno> {
    let (mut head, mut length) = (0u64, 0u64);
    // SAFETY: the kernel writes one pointer and one size.
    let answer = unsafe { libc::syscall(libc::SYS_get_robust_list, tid.as_raw(), &raw mut head, &raw mut length) };
    Errno::result(answer).map(|_| (head, length))
}

/// Registered restartable-sequence area of a thread: address, size, signature (`PTRACE_GET_RSEQ_CONFIGURATION`).
///
/// # Errors
/// EIO on kernels before 5.13.
pub fn rseq_configuration(tid: Pid) -> Result<(u64, u32, u32), Errno> {
    #[repr(C)]
    #[derive(Default)]
    struct Configuration {
        pointer: u64,
        size: u32,
        signature: u32,
        flags: u32,
        pad: u32,
    }
    const PTRACE_GET_RSEQ_CONFIGURATION: libc::c_uint = 0x420f;
    let mut found = Configuration::default();
    ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, size_of::<Configuration>(), (&raw mut found) as usize)?;
    Ok((found.pointer, found.size, found.signature))
}

/// Leaves a group-stop alone but keeps hearing of the thread (`PTRACE_LISTEN`).
///
/// # Errors
/// EIO when the thread is not in a group-stop.
pub fn listen(tid: Pid) -> Result<(), Errno> {
    forget_registers(tid);
    ptrace(libc::PTRACE_LISTEN, tid, 0, 0).map(|_| ())
}

/// Waits for a change of one thread (or of any, `None`). Returns its id and the raw status; `None` if `block` is false and
/// nothing has happened.
///
/// # Errors
/// ECHILD when there is nothing to wait for.
pub fn wait(tid: Option<Pid>, block: bool) -> Result<Option<(Pid, i32)>, Errno> {
    let mut status = 0;
    let flags = libc::__WALL | if block { 0 } else { libc::WNOHANG };
    loop {
        // SAFETY: waitpid writes one int.
        let answer = unsafe { libc::waitpid(tid.map_or(-1, Pid::as_raw), &raw mut status, flags) };
        match Errno::result(answer) {
            Ok(0) => return Ok(None),
            Ok(who) => {
                forget_registers(Pid::from_raw(who));
                return Ok(Some((Pid::from_raw(who), status)));
            }
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Lets a stopped thread go (`PTRACE_CONT`, `PTRACE_SYSCALL`, `PTRACE_SINGLESTEP`), delivering `signal` unless 0.
///
/// # Errors
/// ESRCH when the thread was killed while it was stopped.
pub fn resume(request: libc::c_uint, tid: Pid, signal: i32) -> Result<(), Errno> {
    forget_registers(tid);
    ptrace(request, tid, 0, usize::try_from(signal).unwrap_or(0)).map(|_| ())
}

/// A debug register of a stopped thread (`PTRACE_PEEKUSER`, struct user of sys/user.h).
///
/// # Errors
/// ESRCH as above.
pub fn debug_register(tid: Pid, index: usize) -> Result<u64, Errno> {
    let mut word = 0u64;
    let offset = std::mem::offset_of!(libc::user, u_debugreg) + index * 8;
    // The bare system call puts the word where `data` points.
    // SAFETY: the kernel writes one word to a live local.
    let answer = unsafe { libc::syscall(libc::SYS_ptrace, libc::PTRACE_PEEKUSER, tid.as_raw(), offset, &raw mut word) };
    Errno::result(answer).map(|_| word)
}

/// Sets one.
///
/// # Errors
/// ESRCH as above; EINVAL for addresses and lengths that the processor does not take.
pub fn set_debug_register(tid: Pid, index: usize, value: u64) -> Result<(), Errno> {
    let offset = std::mem::offset_of!(libc::user, u_debugreg) + index * 8;
    ptrace(libc::PTRACE_POKEUSER, tid, offset, usize::try_from(value).unwrap_or(0)).map(|_| ())
}

/// Copies memory of a process into a buffer (process_vm_readv(2)); how many bytes could be read from the start.
pub fn read_remote(pid: Pid, address: u64, buffer: &mut [u8]) -> usize {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    #[allow(clippy::cast_possible_truncation)]
    let remote = libc::iovec { iov_base: address as usize as *mut libc::c_void, iov_len: buffer.len() };
    // SAFETY: the kernel writes at most `iov_len` bytes into the live buffer.
    let answer = unsafe { libc::process_vm_readv(pid.as_raw(), &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(answer).unwrap_or(0)
}

/// Whether two processes use the same memory (kcmp(2), KCMP_VM). False where it cannot be said.
pub fn same_memory(one: Pid, other: Pid) -> bool {
    const KCMP_VM: libc::c_int = 1;
    // SAFETY: no memory is involved.
    let answer = unsafe { libc::syscall(libc::SYS_kcmp, one.as_raw(), other.as_raw(), KCMP_VM, 0, 0) };
    answer == 0
}

/// Whether a descriptor of ours and one of a process stand for the same open file description (kcmp(2), KCMP_FILE). False where it
/// cannot be said.
pub fn same_file(own: BorrowedFd<'_>, pid: Pid, number: i32) -> bool {
    const KCMP_FILE: libc::c_int = 0;
    let us = std::process::id();
    // SAFETY: no memory is involved.
    let answer = unsafe { libc::syscall(libc::SYS_kcmp, us, pid.as_raw(), KCMP_FILE, own.as_raw_fd(), number) };
    answer == 0
}

/// Gives up a lock of an open file description (flock(2), LOCK_UN).
///
/// # Errors
/// EBADF if it is none of a file.
pub fn unlock(file: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: no memory is involved.
    Errno::result(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_UN) }).map(drop)
}

/// `siginfo_t` as the bytes that it is.
pub fn signal_bytes(info: &SigInfo) -> Vec<u8> {
    let length = size_of::<libc::siginfo_t>();
    // SAFETY: siginfo_t is plain data of that size.
    unsafe { std::slice::from_raw_parts((&raw const info.0).cast::<u8>(), length) }.to_vec()
}

/// A `siginfo_t` of such bytes; what is missing is zero.
pub fn signal_of_bytes(bytes: &[u8]) -> SigInfo {
    let length = bytes.len().min(size_of::<libc::siginfo_t>());
    // SAFETY: all zeros are a siginfo_t, and at most its size is copied over it.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), (&raw mut info).cast::<u8>(), length);
        SigInfo(info)
    }
}

/// Sends a signal of any number to a process.
///
/// # Errors
/// ESRCH, EPERM, EINVAL.
pub fn kill(pid: Pid, signal: i32) -> Result<(), Errno> {
    // SAFETY: no memory is involved.
    Errno::result(unsafe { libc::kill(pid.as_raw(), signal) }).map(|_| ())
}

/// dup2(2) onto a standard descriptor.
///
/// # Errors
/// EBADF.
pub fn duplicate_onto(from: BorrowedFd<'_>, to: RawFd) -> Result<(), Errno> {
    // SAFETY: the target is a standard descriptor that nothing in this process owns.
    Errno::result(unsafe { libc::dup2(from.as_raw_fd(), to) }).map(|_| ())
}

/// Sets the size of a terminal's window.
///
/// # Errors
/// ENOTTY.
pub fn set_window_size(terminal: BorrowedFd<'_>, rows: u16, columns: u16) -> Result<(), Errno> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one struct winsize.
    Errno::result(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }).map(|_| ())
}

/// Writes memory of another process as a system call of its own could (process_vm_writev(2)); how many bytes were written.
pub fn write_remote(pid: Pid, address: u64, bytes: &[u8]) -> usize {
    let local = [std::io::IoSlice::new(bytes)];
    #[allow(clippy::cast_possible_truncation)]
    let remote = [nix::sys::uio::RemoteIoVec { base: address as usize, len: bytes.len() }];
    nix::sys::uio::process_vm_writev(pid, &local, &remote).unwrap_or(0)
}

/// Waits until a child's state may have changed (SIGCHLD, which must be blocked), or for `patience`. False if nothing has
/// been reported in that time.
pub fn wait_for_news(patience: std::time::Duration) -> bool {
    let timeout = libc::timespec {
        tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: patience.subsec_nanos().into(),
    };
    // SAFETY: the set is initialised before it is used; the kernel reads both structures, and is to write nothing.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const timeout) >= 0
    }
}

/// Makes a system call by its number with six arguments of all ones, which no call takes as valid; what the kernel answered.
/// It tells whether the kernel has a call of that number.
pub fn probe_call(number: u32) -> i64 {
    // SAFETY: pointers, descriptors and lengths of all ones are refused by every call.
    let answer = unsafe { libc::syscall(i64::from(number), -1i64, -1i64, -1i64, -1i64, -1i64, -1i64) };
    if answer == -1 { -i64::from(Errno::last_raw()) } else { answer }
}

/// Sends a signal to one thread.
///
/// # Errors
/// ESRCH when it is gone.
pub fn thread_kill(pid: Pid, tid: Pid, signal: i32) -> Result<(), Errno> {
    // SAFETY: takes three integers.
    Errno::result(unsafe { libc::syscall(libc::SYS_tgkill, pid.as_raw(), tid.as_raw(), signal) }).map(|_| ())
}

/// The time-stamp counter and the number of the processor that it was read on.
pub fn time_stamp_counter() -> (u64, u32) {
    // SAFETY: the instruction exists on every x86-64 processor and touches no memory; the call takes nothing.
    let (value, processor) = unsafe { (core::arch::x86_64::_rdtsc(), libc::sched_getcpu()) };
    (value, u32::try_from(processor).unwrap_or(0))
}

/// Ignores a signal; returns what was done with it before.
pub fn ignore(signal: nix::sys::signal::Signal) -> Option<nix::sys::signal::SigHandler> {
    // SAFETY: ignoring runs no code of ours.
    unsafe { nix::sys::signal::signal(signal, nix::sys::signal::SigHandler::SigIgn) }.ok()
}

/// Undoes [`ignore`].
pub fn restore(signal: nix::sys::signal::Signal, before: nix::sys::signal::SigHandler) {
    // SAFETY: the handler was installed before.
    unsafe { nix::sys::signal::signal(signal, before) }.ok();
}
