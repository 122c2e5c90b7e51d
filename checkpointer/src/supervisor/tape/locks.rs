//! Locks of open file descriptions (flock(2), F_OFD_SETLK of fcntl(2)). Such a lock ends when nobody has a descriptor for the
//! description any more, but copies and we keep some. So where the processes that run have closed theirs, it is given up for them.
//!
//! What the newest state has given up is not taken again for a process that goes another way from a place where it had the lock.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, fcntl};
use nix::unistd::Pid;
use syscalls::Sysno;

use super::Supervisor;
use crate::raw;

/// A description that has, or has had, a lock.
#[derive(Debug)]
pub(super) struct Locked {
    file: OwnedFd,
    name: PathBuf,
}

/// Whether a call takes or gives up such a lock.
pub(super) fn is_about_locks(number: u32, arguments: &[u64; 6]) -> bool {
    const SET: [u64; 2] = [libc::F_OFD_SETLK as u64, libc::F_OFD_SETLKW as u64];
    match usize::try_from(number).ok().and_then(Sysno::new) {
        Some(Sysno::flock) => true,
        Some(Sysno::fcntl) => SET.contains(&arguments[1]),
        _ => false,
    }
}

impl Locked {
    fn of(pid: Pid, number: i32) -> Option<Locked> {
        let handle = raw::pidfd_open(pid.as_raw()).ok()?;
        let file = raw::pidfd_getfd(handle.as_fd(), number).ok()?;
        Some(Locked { file, name: std::fs::read_link(format!("/proc/{pid}/fd/{number}")).ok()? })
    }

    /// Whether a process has a descriptor for it. The names are compared first: most differ.
    fn is_open_in(&self, pid: Pid) -> bool {
        let Ok(listed) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        listed.flatten().any(|entry| {
            let number = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
            // A file that has been renamed or removed has another name in all of them.
            let name = std::fs::read_link(entry.path());
            let own = std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&self.file)));
            let same = name.is_ok_and(|name| name == self.name || own.is_ok_and(|own| own == name));
            same && number.is_some_and(|number| raw::same_file(self.file.as_fd(), pid, number))
        })
    }

    fn give_up(&self) {
        let all = libc::flock { l_type: libc::F_UNLCK as i16, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
        let record = fcntl(&self.file, FcntlArg::F_OFD_SETLK(&all)).map(|_| ());
        if let Err(error) = record.and(raw::unlock(self.file.as_fd())) {
            tracing::warn!("a lock of {} is not given up: {error}", self.name.display());
        }
    }
}

impl Supervisor {
    /// A lock may have been taken through this descriptor.
    pub(super) fn note_lock(&mut self, pid: Pid, number: i32) {
        let known = self.recording.locked.iter().any(|one| raw::same_file(one.file.as_fd(), pid, number));
        if !known && let Some(locked) = Locked::of(pid, number) {
            self.recording.locked.push(locked);
        }
    }

    /// Gives up the locks of descriptions that nobody who runs has open.
    pub(in crate::supervisor) fn give_up_locks(&mut self) {
        if self.recording.locked.is_empty() || !self.recording.on || !self.recording.mark.live {
            return;
        }
        let mut running: Vec<Pid> = self.tasks.values().map(|task| task.pid).collect();
        running.sort_unstable();
        running.dedup();
        self.recording.locked.retain(|locked| {
            let open = running.iter().any(|pid| locked.is_open_in(*pid));
            if !open {
                tracing::debug!("{} is closed everywhere, and its locks end", locked.name.display());
                locked.give_up();
            }
            open
        });
    }
}
