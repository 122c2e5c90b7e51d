//! Memory that fork treats in its own way: MADV_DONTFORK ranges are missing in the child, MADV_WIPEONFORK ranges are
//! zeroed in it, locks (mlock(2), MAP_LOCKED, mlockall(2)) are not inherited.
//!
//! Order at a checkpoint: [`before_fork`] on the original, fork, [`after_fork`] on the original. The copy keeps no advice,
//! so that it can be forked in its turn; [`put_back`] gives advice and locks to the process that is about to run.

use serde::{Deserialize, Serialize};
use syscalls::Sysno;

use super::maps;
use super::scratch::{call, refusal};
use super::state::Hints;
use crate::inject::{InjectError, Remote};

/// First address and length.
type Range = (u64, u64);

/// The ranges that fork would not have carried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkAdvice {
    dont_fork: Vec<Range>,
    wipe_on_fork: Vec<Range>,
    /// Locked ranges, and whether pages are locked only once they are touched (MLOCK_ONFAULT).
    locked: Vec<(Range, bool)>,
    /// mlockall(MCL_FUTURE) is in force, and whether with MCL_ONFAULT.
    locked_future: Option<bool>,
    /// What cannot be carried.
    lost: Vec<String>,
}

/// Finds the ranges and makes them forkable. Does nothing without a hint, because it needs smaps.
///
/// # Errors
/// Any trouble with the process; a refused madvise.
pub fn before_fork(remote: &mut dyn Remote, hints: &Hints) -> Result<ForkAdvice, InjectError> {
    let mut state = ForkAdvice::default();
    if !hints.fork_advice && !hints.locked {
        return Ok(state);
    }
    // The flags that mlockall(MCL_FUTURE) leaves for new mappings are seen only in a new mapping. A shared one, because
    // it never merges with its neighbours.
    let shared = (libc::MAP_SHARED | libc::MAP_ANONYMOUS) as u64;
    let probe = call(remote, Sysno::mmap, &[0, maps::PAGE, 0, shared, u64::MAX, 0])?;
    let mappings = maps::with_flags(remote);
    call(remote, Sysno::munmap, &[probe, maps::PAGE])?;
    for (mapping, flags) in mappings? {
        let has = |flag: &str| flags.iter().any(|other| other == flag);
        let range = (mapping.start, mapping.end - mapping.start);
        if mapping.start == probe {
            state.locked_future = has("lo").then(|| has("lf"));
            continue;
        }
        if has("lo") {
            state.locked.push((range, has("lf")));
        }
        if has("dc") && has("io") {
            // madvise_vma_behavior refuses MADV_DOFORK on VM_SPECIAL mappings.
            state.lost.push(format!("the device memory at {:x} ({}) is not in a copy", mapping.start, mapping.name));
        } else if has("dc") {
            state.dont_fork.push(range);
        } else if has("wf") {
            state.wipe_on_fork.push(range);
        }
    }
    advise(remote, &state.dont_fork, libc::MADV_DOFORK)?;
    advise(remote, &state.wipe_on_fork, libc::MADV_KEEPONFORK)?;
    Ok(state)
}

/// Gives the original its advice back after the fork.
///
/// # Errors
/// Any trouble with the process; a refused madvise.
pub fn after_fork(state: &ForkAdvice, remote: &mut dyn Remote) -> Result<(), InjectError> {
    advise(remote, &state.dont_fork, libc::MADV_DONTFORK)?;
    advise(remote, &state.wipe_on_fork, libc::MADV_WIPEONFORK)
}

/// Gives advice and locks to the process that is about to run.
///
/// # Errors
/// Any trouble with the process; a refused madvise. A refused lock (RLIMIT_MEMLOCK) becomes a warning.
pub fn put_back(state: &ForkAdvice, remote: &mut dyn Remote) -> Result<Vec<String>, InjectError> {
    after_fork(state, remote)?;
    let mut warnings = state.lost.clone();
    for ((start, length), on_fault) in &state.locked {
        if let Err(errno) = refusal(call(remote, Sysno::mlock2, &[*start, *length, u64::from(*on_fault)]))? {
            warnings.push(format!("the memory lock at {start:x}: {errno}"));
        }
    }
    if let Some(on_fault) = state.locked_future {
        let flags = libc::MCL_FUTURE | if on_fault { libc::MCL_ONFAULT } else { 0 };
        if let Err(errno) = refusal(call(remote, Sysno::mlockall, &[flags as u64]))? {
            warnings.push(format!("mlockall(MCL_FUTURE): {errno}"));
        }
    }
    Ok(warnings)
}

fn advise(remote: &mut dyn Remote, ranges: &[Range], advice: i32) -> Result<(), InjectError> {
    for (start, length) in ranges {
        call(remote, Sysno::madvise, &[*start, *length, advice as u64])?;
    }
    Ok(())
}
