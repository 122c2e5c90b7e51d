//! The copy itself: clone() injected into the leader of a stopped process.

use nix::unistd::Pid;
use syscalls::Sysno;

use super::threads::{ThreadState, await_birth};
use crate::inject::InjectError;
use crate::inject::injector::Injector;
use crate::raw;

/// Forks the stopped process `pid` through its leader. The copy has one thread, with the leader's state as in `leader`, and
/// is stopped. CLONE_PARENT makes it a child of the holder and nobody's child inside the session.
///
/// # Errors
/// ENOMEM or EAGAIN from the kernel; killed meanwhile.
pub fn fork(pid: Pid, leader: &ThreadState) -> Result<Pid, InjectError> {
    begin(pid, leader)?.finish()
}

/// A fork that the kernel is at work on. [`Forking::finish`] must follow.
#[derive(Debug)]
#[must_use]
pub struct Forking<'l> {
    injector: Injector,
    leader: &'l ThreadState,
}

/// Begins to fork a process, so that another one can be forked meanwhile: to copy page tables takes a millisecond for each hundred megabytes.
///
/// # Errors
/// As for [`fork`].
pub fn begin(pid: Pid, leader: &ThreadState) -> Result<Forking<'_>, InjectError> {
    let mut injector = Injector::borrow(pid, pid)?;
    let mut flags = libc::CLONE_PARENT | libc::SIGCHLD;
    if leader.clear_tid != 0 {
        flags |= libc::CLONE_CHILD_CLEARTID;
    }
    #[allow(clippy::cast_sign_loss)]
    injector.begin_call(Sysno::clone, [flags as u64, 0, 0, leader.clear_tid, 0, 0])?;
    Ok(Forking { injector, leader })
}

impl Forking<'_> {
    /// Waits for the copy.
    ///
    /// # Errors
    /// As for [`fork`].
    pub fn finish(mut self) -> Result<Pid, InjectError> {
        self.injector.end_call(Sysno::clone)?;
        let Some(copy) = self.injector.born.take() else {
            return Err(InjectError::Unsupported("a copy was made but not reported".to_owned()));
        };
        await_birth(copy)?;
        let killed = |_| InjectError::Killed { tid: copy.as_raw() };
        raw::set_registers(copy, &self.leader.registers).map_err(killed)?;
        raw::set_signal_mask(copy, self.leader.mask).map_err(killed)?;
        self.injector.finish()?;
        Ok(copy)
    }
}
