//! What is done to a program that has just been loaded, when it is recorded and when it is replayed: the injector's pages, no
//! time but through us, the recorded random bytes.

use nix::unistd::Pid;
use syscalls::Sysno;

use super::log::Loaded;
use super::mapping::identity;
use super::thread::Thread;
use super::{Trouble, reads, vdso};
use crate::inject::Remote;
use crate::inject::injector::Injector;
use crate::inject::page;
use crate::ptrace::{Change, change};
use crate::raw::{self, Registers};

/// Prepares the program and tells what must be the same on replay.
pub(super) fn at_recording(thread: &Thread) -> Result<Loaded, Trouble> {
    prepare(thread, false)?;
    reads::note_all(thread)?;
    let random = auxiliary(thread, libc::AT_RANDOM).and_then(|(_, address)| thread.read(address, 16).try_into().ok());
    let link = format!("/proc/{}/exe", thread.pid);
    let program = std::fs::read_link(&link)
        .and_then(|path| std::fs::metadata(&link).map(|metadata| identity(&path, &metadata)))
        .ok();
    use std::os::unix::ffi::OsStringExt;
    let directory = std::fs::read_link(format!("/proc/{}/cwd", thread.pid)).unwrap_or_default();
    Ok(Loaded {
        program,
        directory: directory.into_os_string().into_vec(),
        random: random.unwrap_or([0; 16]),
        kept: None,
    })
}

/// Prepares the program as it was prepared when recorded.
pub(super) fn at_replay(thread: &Thread, loaded: &Loaded) -> Result<(), Trouble> {
    prepare(thread, true)?;
    if let Some((_, address)) = auxiliary(thread, libc::AT_RANDOM) {
        thread.write(address, &loaded.random)?;
    }
    Ok(())
}

/// Gives the program the name that it was loaded by, which is as long as the one that was used.
pub(super) fn rename(thread: &Thread, name: &[u8]) -> Result<(), Trouble> {
    match auxiliary(thread, libc::AT_EXECFN) {
        Some((_, address)) => thread.write(address, name),
        None => Ok(()),
    }
}

/// From the stop that reports an exec. The stop is inside the call, whose result would overwrite ours: leave it first.
fn prepare(thread: &Thread, replayed: bool) -> Result<(), Trouble> {
    leave_call(thread)?;
    page::install(thread.pid)?;
    let mut injector = Injector::borrow(thread.tid, thread.tid)?;
    const PR_SET_TSC: u64 = 26;
    const PR_TSC_SIGSEGV: u64 = 2;
    injector.call(Sysno::prctl, [PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0, 0])?;
    vdso::install(&mut injector, replayed)?;
    reads::install(&mut injector);
    injector.finish()?;
    // Instead of the kernel's own way to tell the time without a system call (vdso(7)).
    if let Some((entry, _)) = auxiliary(thread, libc::AT_SYSINFO_EHDR) {
        thread.write(entry + 8, &vdso::IMAGE.to_ne_bytes())?;
    }
    Ok(())
}

/// From inside a call to right after it.
pub(super) fn leave_call(thread: &Thread) -> Result<(), Trouble> {
    let left =
        raw::resume(libc::PTRACE_SYSCALL, thread.tid, 0).is_ok() && next_stop(thread.tid) == Some(Change::Syscall);
    if left { Ok(()) } else { Err(Trouble::Gone(thread.id)) }
}

/// From right before a call to outside of it, the instruction still to be executed.
pub(super) fn wind_back(thread: &mut Thread, registers: Registers) -> Result<(), Trouble> {
    let mut skipped = registers;
    skipped.orig_rax = u64::MAX;
    thread.set_registers(&skipped)?;
    leave_call(thread)?;
    let mut again = registers;
    again.rip -= 2;
    again.rax = registers.orig_rax;
    again.orig_rax = u64::MAX;
    thread.set_registers(&again)?;
    thread.stopped = Some(crate::ptrace::Stopped::reported(thread.tid));
    Ok(())
}

fn next_stop(tid: Pid) -> Option<Change> {
    raw::wait(Some(tid), true).ok().flatten().map(|(_, status)| change(status))
}

/// An entry of the auxiliary vector (getauxval(3)) of a program at its first instruction: where the entry is, and its value.
pub(crate) fn auxiliary(thread: &Thread, kind: libc::c_ulong) -> Option<(u64, u64)> {
    let mut at = raw::registers(thread.tid).ok()?.rsp;
    // The number of arguments, the arguments, the environment, each with a null pointer at its end.
    at += 8 + 8 * (thread.word(at)? + 1);
    while thread.word(at)? != 0 {
        at += 8;
    }
    at += 8;
    loop {
        let (found, value) = (thread.word(at)?, thread.word(at + 8)?);
        if found == kind {
            return Some((at, value));
        }
        if found == libc::AT_NULL {
            return None;
        }
        at += 16;
    }
}
