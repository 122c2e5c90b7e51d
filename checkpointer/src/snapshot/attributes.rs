//! Attributes of a process that fork resets. Found by trying each on Linux 6.18; the rest of prctl(2) and fork(2)
//! (I/O priority, timer slack, memory barrier registration, securebits, no_new_privs, limits, umask, working directory,
//! terminal, session, dumpable, THP, KSM, personality, oom_score_adj) is inherited. Two things are lost and are seen by
//! nobody but one who asks: CPU times start at 0, and the *default* timer slack (what PR_SET_TIMERSLACK 0 goes back to)
//! becomes the slack that was in force. Record locks (fcntl F_SETLK) are in `descriptors::record_locks`.

use serde::{Deserialize, Serialize};
use syscalls::Sysno;

use super::scratch::{call, refusal, result};
use crate::inject::{InjectError, Remote};
use crate::raw::{self, Scheduling, SyscallUserDispatch};

/// What the leader of a process had set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// PR_SET_PDEATHSIG; `copy_process` clears it.
    parent_death_signal: i32,
    /// PR_SET_CHILD_SUBREAPER; of a new `signal_struct` it is not copied.
    child_subreaper: bool,
    /// Only when SCHED_FLAG_RESET_ON_FORK is on, which `sched_fork` obeys and clears.
    scheduling: Option<Scheduling>,
    /// Only when on; `copy_process` turns it off.
    dispatch: Option<SyscallUserDispatch>,
}

/// Notes the attributes of the leader: two injected calls.
///
/// # Errors
/// Any trouble with the process.
pub fn capture(remote: &mut dyn Remote) -> Result<Attributes, InjectError> {
    const RESET_ON_FORK: u64 = 1;
    let scratch = remote.scratch();
    call(remote, Sysno::prctl, &[libc::PR_GET_PDEATHSIG as u64, scratch])?;
    call(remote, Sysno::prctl, &[libc::PR_GET_CHILD_SUBREAPER as u64, scratch + 4])?;
    let answers = result::<8>(remote, 0)?;
    let tid = remote.tid().as_raw();
    Ok(Attributes {
        parent_death_signal: i32::from(answers[0]),
        child_subreaper: answers[4] != 0,
        scheduling: raw::scheduling(tid).ok().filter(|scheduling| scheduling.flags & RESET_ON_FORK != 0),
        dispatch: raw::syscall_user_dispatch(tid).ok().filter(|dispatch| dispatch.mode != 0),
    })
}

/// Sets again what is not the default. Call it when nothing more is injected by way of the program's own code:
/// system-call dispatch would turn such calls into SIGSYS.
///
/// # Errors
/// Any trouble with the process but a refusal by the kernel, which becomes a warning.
pub fn put_back(state: &Attributes, remote: &mut dyn Remote) -> Result<Vec<String>, InjectError> {
    let mut warnings = Vec::new();
    let mut set = |option: i32, value: u64, name: &str, remote: &mut dyn Remote| {
        if value != 0
            && let Err(errno) = refusal(call(remote, Sysno::prctl, &[option as u64, value]))?
        {
            warnings.push(format!("{name}: {errno}"));
        }
        Ok::<_, InjectError>(())
    };
    set(libc::PR_SET_PDEATHSIG, state.parent_death_signal as u64, "the parent-death signal", remote)?;
    set(libc::PR_SET_CHILD_SUBREAPER, u64::from(state.child_subreaper), "being a child subreaper", remote)?;
    let tid = remote.tid().as_raw();
    if let Some(scheduling) = &state.scheduling
        && let Err(error) = raw::set_scheduling(tid, scheduling)
    {
        warnings.push(format!("the scheduling policy: {error}"));
    }
    if let Some(dispatch) = &state.dispatch
        && let Err(error) = raw::set_syscall_user_dispatch(tid, dispatch)
    {
        warnings.push(format!("system-call user dispatch: {error}"));
    }
    Ok(warnings)
}
