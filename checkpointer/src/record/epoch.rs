//! Places without a name. A thread that spins is stopped at some instruction, and without performance counters nothing says how
//! often it has executed that one. So a copy of the process is made right there, and a replay that comes to this event goes on
//! from the copy instead of looking for the place: a new *epoch*. What the thread did between its last event and the
//! place is not executed again.
//!
//! fork copies the memory and the thread itself. The process's other threads stand at events, in the recording as in the
//! replay, so their state is taken from the replay's own process. The numbers of its descriptors are in the log: since its last event
//! the thread may have closed some, which is none.

use std::os::fd::RawFd;

use nix::unistd::Pid;
use syscalls::Sysno;

use super::thread::Thread;
use super::{Trouble, vdso};
use crate::inject::injector::Injector;
use crate::inject::{InjectError, Remote};
use crate::raw;
use crate::snapshot::threads::{self, ThreadState, await_birth};

/// The most bytes of shared memory that a copy is given.
const MOST_SHARED: u64 = 64 << 20;

/// Copies the process of a thread that was stopped between events. The copy is stopped, and holds no descriptor open. `others`
/// are the other processes of the recording.
pub(super) fn copy(thread: &Thread, others: &[Pid]) -> Result<Pid, Trouble> {
    let shared = shared_memory(thread.tid);
    if let Some(why) = hindrance(&shared, others) {
        let what = format!("it runs for long without a system call, and {why}");
        return Err(Trouble::Refused { thread: thread.id, what });
    }
    let mut injector = Injector::borrow(thread.tid, thread.tid)?;
    let mut registers = *injector.saved();
    threads::wind_back(&mut registers, None);
    let mask = injector.mask();
    // Without a signal at its end it is no child that the program could wait for (wait(2), __WCLONE).
    injector.call(Sysno::clone, [0; 6])?;
    let Some(copy) = injector.born.take() else {
        return Err(InjectError::Unsupported("a copy was made but not reported".to_owned()).into());
    };
    await_birth(copy)?;
    injector.leave_with(registers, mask);
    injector.finish()?;
    let mut injector = Injector::borrow(copy, copy)?;
    // Else the other ends of its pipes would never hear that they were closed.
    injector.call(Sysno::close_range, [0, u32::MAX.into(), 0, 0, 0, 0])?;
    for mapping in &shared {
        // Else what the live process writes from here on would show in the copy.
        #[allow(clippy::cast_possible_truncation)]
        let contents = thread.read(mapping.start, (mapping.end - mapping.start) as usize);
        let writable = (libc::PROT_READ | libc::PROT_WRITE) as u64;
        let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED) as u64;
        injector.call(Sysno::mmap, [mapping.start, mapping.end - mapping.start, writable, flags, u64::MAX, 0])?;
        injector.write(mapping.start, &contents)?;
    }
    injector.leave_with(registers, mask);
    injector.finish()?;
    Ok(copy)
}

/// Whether the process of a thread can be copied at all.
pub(super) fn is_possible(thread: &Thread, others: &[Pid]) -> bool {
    hindrance(&shared_memory(thread.tid), others).is_none()
}

/// A writable mapping of memory that may be shared.
struct SharedMapping {
    start: u64,
    end: u64,
    /// Device and inode, as /proc/PID/maps has them.
    file: String,
    line: String,
}

/// Why a private copy of shared memory would not do.
fn hindrance(shared: &[SharedMapping], others: &[Pid]) -> Option<String> {
    let size: u64 = shared.iter().map(|mapping| mapping.end - mapping.start).sum();
    if size > MOST_SHARED {
        return Some(format!("{size} bytes of shared memory are too many for a copy"));
    }
    if shared.is_empty() {
        return None;
    }
    let theirs: Vec<SharedMapping> = others.iter().flat_map(|pid| shared_memory(*pid)).collect();
    let both = shared.iter().find(|mapping| theirs.iter().any(|other| other.file == mapping.file))?;
    Some(format!("{} is shared with another process, which a copy cannot keep", both.line))
}

fn shared_memory(pid: Pid) -> Vec<SharedMapping> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let read = |line: &str| {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let rights = words.next()?;
        let file = format!("{} {}", words.nth(1)?, words.next()?);
        let number = |text| u64::from_str_radix(text, 16).ok();
        let found = SharedMapping { start: number(start)?, end: number(end)?, file, line: line.to_owned() };
        Some(found).filter(|_| rights.starts_with("rw") && rights.ends_with('s'))
    };
    maps.lines().filter_map(read).collect()
}

/// What a copy lacks, of a process in which every thread stands outside of calls.
pub(super) struct Rest {
    /// The thread that the copy has already.
    first: ThreadState,
    others: Vec<ThreadState>,
    /// Numbers of descriptors at the place, and whether they are closed by an exec.
    descriptors: Vec<(RawFd, bool)>,
}

/// Takes the rest from a replayed process. `first` is the thread that was copied.
pub(super) fn rest<'a>(
    first: &Thread,
    others: impl Iterator<Item = &'a Thread>,
    mut descriptors: Vec<(RawFd, bool)>,
) -> Result<Rest, Trouble> {
    let capture = |thread: &Thread| threads::capture(thread.tid, thread.tid, thread.id, None, false, None, false);
    let first_state = capture(first)?;
    let others = others.map(capture).collect::<Result<_, _>>()?;
    descriptors.sort_unstable();
    Ok(Rest { first: first_state, others, descriptors })
}

/// The descriptors of a process, and whether an exec closes them.
pub(super) fn descriptors(process: Pid) -> Result<Vec<(RawFd, bool)>, Trouble> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{process}/fd"))?.flatten() {
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()) else { continue };
        let text = std::fs::read_to_string(format!("/proc/{process}/fdinfo/{number}")).unwrap_or_default();
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok()).unwrap_or(0);
        found.push((number, flags & libc::O_CLOEXEC != 0));
    }
    Ok(found)
}

/// Completes a copy. Returns the real ids of the other threads, in the order in which they were given.
pub(super) fn complete(copy: Pid, rest: &Rest) -> Result<Vec<Pid>, Trouble> {
    let mut injector = Injector::borrow(copy, copy)?;
    injector.write(raw::CLOCK_BUFFER, &vdso::header(true))?;
    injector.call(Sysno::set_tid_address, [rest.first.clear_tid, 0, 0, 0, 0, 0])?;
    threads::mend_leader(&mut injector, &rest.first)?;
    let scratch = injector.scratch();
    let mut opened = None;
    for (number, closed_by_exec) in &rest.descriptors {
        injector.write(scratch, b"/dev/null\0")?;
        let here = i64::from(libc::AT_FDCWD).cast_unsigned();
        let null = match opened {
            Some(null) => null,
            None => {
                // Out of the way of those that are still to come.
                let null = injector.call(Sysno::openat, [here, scratch, libc::O_RDWR as u64, 0, 0, 0])?;
                let last = rest.descriptors.last().map_or(0, |(number, _)| *number) + 1;
                let high =
                    injector.call(Sysno::fcntl, [null, libc::F_DUPFD as u64, last.unsigned_abs().into(), 0, 0, 0])?;
                injector.call(Sysno::close, [null, 0, 0, 0, 0, 0])?;
                *opened.insert(high)
            }
        };
        let flags = if *closed_by_exec { libc::O_CLOEXEC as u64 } else { 0 };
        injector.call(Sysno::dup3, [null, number.unsigned_abs().into(), flags, 0, 0, 0])?;
    }
    if let Some(null) = opened {
        injector.call(Sysno::close, [null, 0, 0, 0, 0, 0])?;
    }
    let made = rest.others.iter().map(|state| threads::recreate(&mut injector, state)).collect::<Result<_, _>>()?;
    injector.finish()?;
    Ok(made)
}

/// Ends a copy that is not needed.
pub(super) fn forget(copy: Pid) {
    crate::ptrace::kill(copy).ok();
    while let Ok(Some((tid, status))) = raw::wait(Some(copy), true) {
        if !libc::WIFSTOPPED(status) {
            return;
        }
        raw::resume(libc::PTRACE_CONT, tid, 0).ok();
    }
}
