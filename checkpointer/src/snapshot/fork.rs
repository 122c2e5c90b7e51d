//! The copy itself: clone() injected into the leader of a stopped process.

use nix::unistd::Pid;
use syscalls::Sysno;

use super::threads::{ThreadState, await_birth};
use crate::inject::injector::Injector;
use crate::inject::{InjectError, Remote};
use crate::raw;

/// Forks the stopped process `pid` through its leader. The copy has one thread, with the leader's state as in `leader`, and
/// is stopped. CLONE_PARENT makes it a child of the holder and nobody's child inside the session.
///
/// # Errors
/// ENOMEM or EAGAIN from the kernel; killed meanwhile.
pub fn fork(pid: Pid, leader: &ThreadState) -> Result<Pid, InjectError> {
    let mut injector = Injector::borrow(pid, pid)?;
    let mut flags = libc::CLONE_PARENT | libc::SIGCHLD;
    if leader.clear_tid != 0 {
        flags |= libc::CLONE_CHILD_CLEARTID;
    }
    #[allow(clippy::cast_sign_loss)]
    injector.call(Sysno::clone, [flags as u64, 0, 0, leader.clear_tid, 0, 0])?;
    let Some(copy) = injector.born.take() else {
        return Err(InjectError::Unsupported("a copy was made but not reported".to_owned()));
    };
    await_birth(copy)?;
    let killed = |_| InjectError::Killed { tid: copy.as_raw() };
    raw::set_registers(copy, &leader.registers).map_err(killed)?;
    raw::set_signal_mask(copy, leader.mask).map_err(killed)?;
    injector.finish()?;
    Ok(copy)
}
