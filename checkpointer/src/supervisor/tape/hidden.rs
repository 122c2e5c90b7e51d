//! Descriptors for whose end somebody waits (pipes, sockets, pseudo-terminals) are in no copy that stands still: when the
//! process that runs closes its own, the other end must see that. A copy has placeholders in their places, and is given what the
//! newest process had left there, or nothing if that had closed it, when it is started.

use nix::unistd::Pid;
use std::os::fd::{AsFd, OwnedFd};
use syscalls::Sysno;

use super::Supervisor;
use super::held::Held;
use super::kinds::Kind;
use super::subject::closes_on_exec;
use crate::inject::injector::Injector;
use crate::inject::{InjectError, Remote};

/// How many are given at once; the kernel takes 253 (unix(7), SCM_RIGHTS).
const MANY: usize = 200;

impl Supervisor {
    fn fleeting(&self) -> Vec<(i32, Held)> {
        let kinds = self.recording.mark.kinds.iter();
        let mut found: Vec<(i32, Held)> = kinds
            .filter_map(|(number, kind)| match kind {
                Kind::Noted { held, .. } if held.is_fleeting() => Some((*number, held.clone())),
                _ => None,
            })
            .collect();
        found.sort_unstable_by_key(|(number, _)| *number);
        found
    }

    /// A copy has been made of the recorded process.
    pub(in crate::supervisor) fn hide_ends(&self, copy: Pid) -> Result<(), InjectError> {
        let fleeting = self.fleeting();
        if !self.recording.on || fleeting.is_empty() {
            return Ok(());
        }
        let mut injector = Injector::borrow(copy, copy)?;
        let scratch = injector.scratch();
        injector.write(scratch, b"/dev/null\0")?;
        #[allow(clippy::cast_sign_loss)]
        let here = libc::AT_FDCWD as u64;
        let nothing = injector.call(Sysno::openat, [here, scratch, libc::O_RDWR as u64, 0, 0, 0])?;
        for (number, _) in fleeting {
            let flags = if closes_on_exec(copy, number) { libc::O_CLOEXEC as u64 } else { 0 };
            injector.call(Sysno::dup3, [nothing, u64::from(number.unsigned_abs()), flags, 0, 0, 0])?;
        }
        injector.call(Sysno::close, [nothing, 0, 0, 0, 0, 0])?;
        injector.finish()
    }

    /// A copy is about to run.
    pub(in crate::supervisor) fn show_ends(&self, pid: Pid, remote: &mut dyn Remote) -> Result<(), InjectError> {
        let Some(counter) = self.recording.counter.as_ref().filter(|_| self.recording.on) else { return Ok(()) };
        let kept: Vec<(i32, OwnedFd)> =
            self.fleeting().into_iter().filter_map(|(number, held)| Some((number, held.duplicate()?))).collect();
        for some in kept.chunks(MANY) {
            let gifts: Vec<_> =
                some.iter().map(|(number, file)| (*number, closes_on_exec(pid, *number), file.as_fd())).collect();
            counter.give(remote, &gifts)?;
        }
        Ok(())
    }
}
