//! Everything that is carried by hand for one process.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::attributes::{self, Attributes};
use super::descriptors::{self, Descriptors};
use super::fork_advice::{self, ForkAdvice};
use super::shared_memory::{self, SharedMemory};
use super::signals::{self, ProcessSignals, ThreadSignals};
use super::timers::{self, Timers};
use super::zombies::{self, Zombies};
use crate::inject::{InjectError, Remote};

/// What the supervisor knows from the calls it has seen, so that dear questions need not be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// The process has called madvise(MADV_DONTFORK or MADV_WIPEONFORK).
    pub fork_advice: bool,
    /// The process has called mlock, mlock2 or mlockall. (A lock made by mmap(MAP_LOCKED) alone is not noticed.)
    pub locked: bool,
    /// Paths given to inotify_add_watch, by (device as in `st_dev`, inode) of what they named.
    pub inotify_paths: BTreeMap<(u64, u64), PathBuf>,
}

/// All that fork does not carry of a process, its threads' registers apart.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessState {
    /// Memory that fork treats in its own way.
    pub fork_advice: ForkAdvice,
    /// Contents of shared memory.
    pub shared_memory: SharedMemory,
    /// Descriptors.
    pub descriptors: Descriptors,
    /// Interval and POSIX timers.
    pub timers: Timers,
    /// Attributes of the process.
    pub attributes: Attributes,
    /// Signals pending for the leader.
    pub leader_signals: ThreadSignals,
    /// Signals pending for the process.
    pub signals: ProcessSignals,
    /// Children that ended and were not waited for. The supervisor answers waits from a copy of this list.
    pub zombies: Zombies,
}

/// Captures everything from the stopped leader, before the fork: afterwards call [`after_fork`] on the same process. The
/// signals of other threads are captured with [`signals::capture_thread`] on each.
///
/// # Errors
/// Any trouble with the process; [`InjectError::Unsupported`] names what cannot be carried.
pub fn capture_all(remote: &mut dyn Remote, hints: &Hints) -> Result<ProcessState, InjectError> {
    let zombies = zombies::capture(remote)?;
    let leader_signals = signals::capture_leader(remote)?;
    let signals = signals::capture_process(remote)?;
    let timers = timers::capture(remote)?;
    let attributes = attributes::capture(remote)?;
    let shared_memory = shared_memory::capture(remote)?;
    let descriptors = descriptors::capture(remote, hints)?;
    // Last, because only after_fork undoes it.
    let fork_advice = fork_advice::before_fork(remote, hints)?;
    Ok(ProcessState { fork_advice, shared_memory, descriptors, timers, attributes, leader_signals, signals, zombies })
}

/// Undoes on the original what [`capture_all`] had to do to make it forkable.
///
/// # Errors
/// Any trouble with the process.
pub fn after_fork(state: &ProcessState, remote: &mut dyn Remote) -> Result<(), InjectError> {
    fork_advice::after_fork(&state.fork_advice, remote)
}

/// Puts everything back into the leader of the process that is about to run, its other threads already being there (timers
/// may aim at them). `translate` gives the real id that now stands for a real process or thread id of the captured process.
/// What descriptors stand for is put back where `only` says so of their number; timers, and signals of others that wait for the process,
/// only if they do not come `along_notes`. Returns what could not be brought back.
///
/// # Errors
/// Any trouble with the process.
pub fn put_back_all(
    state: &ProcessState,
    remote: &mut dyn Remote,
    translate: &dyn Fn(i32) -> i32,
    only: &dyn Fn(i32) -> bool,
    along_notes: bool,
) -> Result<Vec<String>, InjectError> {
    // Memory files get their size back before their mappings are written.
    let mut warnings = descriptors::put_back(&state.descriptors, remote, translate, only)?;
    warnings.extend(shared_memory::put_back(&state.shared_memory, remote)?);
    warnings.extend(fork_advice::put_back(&state.fork_advice, remote)?);
    // Timers late, because they run; signals after them, because the expiries that wait are among the signals.
    if !along_notes {
        warnings.extend(descriptors::put_back_locks(&state.descriptors, remote)?);
        warnings.extend(timers::put_back(&state.timers, remote, translate)?);
    }
    warnings.extend(signals::put_back_thread(&state.leader_signals, remote)?);
    let signals = if along_notes { &state.signals.own() } else { &state.signals };
    warnings.extend(signals::put_back_process(signals, remote)?);
    warnings.extend(attributes::put_back(&state.attributes, remote)?);
    Ok(warnings)
}

/// Puts back into a process that was put aside whole, and is to run again, what others may have changed meanwhile because it
/// is shared with them: memory, descriptors, and the time on its timers.
///
/// # Errors
/// Any trouble with the process.
pub fn put_back_shared(
    state: &ProcessState,
    remote: &mut dyn Remote,
    translate: &dyn Fn(i32) -> i32,
    only: &dyn Fn(i32) -> bool,
) -> Result<Vec<String>, InjectError> {
    let mut warnings = shared_memory::put_back(&state.shared_memory, remote)?;
    warnings.extend(descriptors::put_back(&state.descriptors, remote, translate, only)?);
    warnings.extend(descriptors::put_back_locks(&state.descriptors, remote)?);
    Ok(warnings)
}

/// The live children of a process, real id and name: a checkpoint of it alone is refused by their names.
///
/// # Errors
/// [`InjectError::Io`] when /proc cannot be read.
pub fn live_children(remote: &dyn Remote) -> Result<Vec<(Pid, String)>, InjectError> {
    zombies::live_children(remote)
}
