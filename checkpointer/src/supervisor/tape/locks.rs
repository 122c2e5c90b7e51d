//! Locks of files. Calls that take and give them up are answered from the notes: whatever is gone back to, the newest state's locks are
//! held. Where the notes end, the process that goes on for real has them, and where it goes another way, those that it had there.
//!
//! Those of open file descriptions (flock(2), F_OFD_SETLK of fcntl(2)) end when nobody has a descriptor for the description any more, but
//! copies and we keep some. So where the processes that run have closed theirs, they are given up for them.
//!
//! Record locks (F_SETLK) are a process's own, and end with it. So the newest process, where it has some, is not killed when it is left,
//! but kept, stopped, until another one takes them over.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;

use nix::fcntl::{FcntlArg, fcntl};
use nix::unistd::Pid;
use syscalls::Sysno;

use super::{Mark, Supervisor};
use crate::inject::injector::Injector;
use crate::inject::{InjectError, Remote};
use crate::raw;
use crate::supervisor::tasks::Tasks;

/// A description that has, or has had, a lock.
#[derive(Debug)]
pub(super) struct Locked {
    file: OwnedFd,
    name: PathBuf,
}

/// Whether a call takes or gives up such a lock.
pub(super) fn is_about_locks(number: u32, arguments: &[u64; 6]) -> bool {
    const SET: [u64; 4] =
        [libc::F_OFD_SETLK as u64, libc::F_OFD_SETLKW as u64, libc::F_SETLK as u64, libc::F_SETLKW as u64];
    match usize::try_from(number).ok().and_then(Sysno::new) {
        Some(Sysno::flock) => true,
        Some(Sysno::fcntl) => SET.contains(&arguments[1]),
        _ => false,
    }
}

/// Whose a lock is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The process's (F_SETLK).
    Process,
    /// That of the open file description, on records (F_OFD_SETLK).
    Description,
    /// The same, on all of the file (flock(2)).
    Whole,
}

/// A lock that is held through a descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lock {
    number: i32,
    owner: Owner,
    exclusive: bool,
    start: u64,
    /// 0: to the end of the file.
    length: u64,
    /// Device and inode, as the kernel shows them.
    file: String,
}

/// Those that a process holds, or its descriptions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Locks(Vec<Lock>);

impl Locks {
    /// Of a process (proc_pid_fdinfo(5)).
    fn of(pid: Pid) -> Locks {
        let mut found: Vec<Lock> = Vec::new();
        let Ok(listed) = std::fs::read_dir(format!("/proc/{pid}/fdinfo")) else { return Locks::default() };
        for entry in listed.flatten() {
            let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
            let locks = text.lines().filter_map(|line| read_lock(line.strip_prefix("lock:")?, number, pid));
            for lock in locks {
                // A process's own are shown with each of its descriptors for the file.
                let same = |known: &Lock| Lock { number, ..known.clone() } == lock;
                if lock.owner != Owner::Process || !found.iter().any(same) {
                    found.push(lock);
                }
            }
        }
        Locks(found)
    }

    fn has_own(&self) -> bool {
        self.0.iter().any(|lock| lock.owner == Owner::Process)
    }
}

/// `1: POSIX  ADVISORY  WRITE 8547 fe:00:10010788 1 5`
fn read_lock(line: &str, number: i32, pid: Pid) -> Option<Lock> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, kind, _, mode, holder, file, start, end] = fields[..] else { return None };
    let owner = match kind {
        // Another process that has the same open file shows its own there.
        "POSIX" if holder == pid.to_string() => Owner::Process,
        "OFDLCK" => Owner::Description,
        "FLOCK" => Owner::Whole,
        _ => return None,
    };
    let start: u64 = start.parse().ok()?;
    let length = end.parse::<u64>().map_or(0, |end| end - start + 1);
    Some(Lock { number, owner, exclusive: mode == "WRITE", start, length, file: file.to_owned() })
}

impl Lock {
    /// Takes it through a process's descriptor, or gives it up. False if that is refused.
    fn set(&self, taken: bool, remote: &mut Injector) -> Result<bool, InjectError> {
        let number = self.number as u64;
        let made = if self.owner == Owner::Whole {
            let how = match (taken, self.exclusive) {
                (false, _) => libc::LOCK_UN,
                (true, true) => libc::LOCK_EX | libc::LOCK_NB,
                (true, false) => libc::LOCK_SH | libc::LOCK_NB,
            };
            remote.call(Sysno::flock, [number, how as u64, 0, 0, 0, 0])
        } else {
            let kind = match (taken, self.exclusive) {
                (false, _) => libc::F_UNLCK,
                (true, true) => libc::F_WRLCK,
                (true, false) => libc::F_RDLCK,
            };
            let how = if self.owner == Owner::Process { libc::F_SETLK } else { libc::F_OFD_SETLK };
            // struct flock: l_type and l_whence in the first word, then l_start, l_len, l_pid.
            let words = [kind as u64, self.start, self.length, 0].map(u64::to_ne_bytes);
            let at = remote.scratch();
            remote.write(at, words.as_flattened())?;
            remote.call(Sysno::fcntl, [number, how as u64, at, 0, 0, 0])
        };
        match made {
            Ok(_) => Ok(true),
            Err(InjectError::Call { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Gives up the record locks of a stopped process.
fn release_own(pid: Pid) {
    let locks = Locks::of(pid);
    let own = locks.0.iter().filter(|lock| lock.owner == Owner::Process);
    let released = || -> Result<(), InjectError> {
        let mut injector = Injector::borrow(pid, pid)?;
        for lock in own {
            lock.set(false, &mut injector)?;
        }
        injector.finish()
    };
    if let Err(error) = released() {
        tracing::warn!("locks of process {pid} are not given up: {error}");
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

/// Whether a descriptor still stands for the file of a lock.
fn is_open(pid: Pid, lock: &Lock) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(found) = std::fs::metadata(format!("/proc/{pid}/fd/{}", lock.number)) else { return false };
    let (major, minor) = (libc::major(found.dev()), libc::minor(found.dev()));
    lock.file == format!("{major:02x}:{minor:02x}:{}", found.ino())
}

impl Supervisor {
    /// The locks that a process holds now, if any has ever been taken.
    pub(super) fn locks_of(&self, pid: Pid) -> Option<Rc<Locks>> {
        self.recording.locks_used.then(|| Rc::new(Locks::of(pid)))
    }

    /// A call about locks has been made.
    pub(super) fn locks_change(&mut self, pid: Pid) -> Option<Rc<Locks>> {
        self.recording.locks_used = true;
        let locks = self.locks_of(pid);
        self.recording.mark.locks.clone_from(&locks);
        locks
    }

    /// Of what was live and is about to be killed: without the newest process, if it has record locks, which it keeps.
    pub(in crate::supervisor) fn without_keeper(&mut self, former: Tasks, newest: Option<Pid>) -> Tasks {
        let Some(newest) = newest else { return former };
        let own = Locks::of(newest).has_own() && former.values().all(|task| task.is_stopped());
        if !own {
            return former;
        }
        let (keeper, rest): (Tasks, Tasks) = former.into_iter().partition(|(_, task)| task.pid == newest);
        tracing::debug!("process {newest} keeps its locks");
        self.end_keeper();
        self.recording.keeper = keeper;
        rest
    }

    /// The process that is about to be left, if it is the newest and there may be locks.
    pub(in crate::supervisor) fn newest_with_locks(&self) -> Option<Pid> {
        let recording = &self.recording;
        self.recorded_leader().filter(|_| recording.on && recording.mark.live && recording.locks_used)
    }

    /// Whether a process that is at this place may be the one that has the newest state's locks.
    pub(in crate::supervisor) fn keeps_locks(&self, mark: Option<&Mark>) -> bool {
        self.recording.locks_used && mark.is_some_and(|mark| mark.live)
    }

    /// Nobody needs to keep locks any more.
    pub(in crate::supervisor) fn end_keeper(&mut self) {
        let keeper = std::mem::take(&mut self.recording.keeper);
        if let Some(task) = keeper.values().next() {
            release_own(task.pid);
        }
        self.kill_tasks(&keeper);
    }

    /// A process that goes on for real has these locks, and nobody else of ours has any.
    pub(super) fn take_locks(&mut self, pid: Pid, tid: Pid, wanted: &Locks) {
        self.end_keeper();
        let served = self.recording.served;
        for aside in self.copies.values().filter_map(|copy| copy.aside(served)).filter(|aside| *aside != pid) {
            release_own(aside);
        }
        let now = Locks::of(pid);
        let taken = || -> Result<Vec<i32>, InjectError> {
            let mut refused = Vec::new();
            let mut injector = Injector::borrow(pid, tid)?;
            for lock in now.0.iter().filter(|lock| !wanted.0.contains(lock)) {
                lock.set(false, &mut injector)?;
            }
            for lock in wanted.0.iter().filter(|lock| !now.0.contains(lock)) {
                // It may have been closed since.
                let there = is_open(pid, lock);
                if there && !lock.set(true, &mut injector)? {
                    refused.push(lock.number);
                }
            }
            injector.finish()?;
            Ok(refused)
        };
        match taken() {
            Ok(refused) => {
                if let Some(number) = refused.first() {
                    let name = std::fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap_or_default();
                    self.stop_recording(&format!("the lock of {} is held by somebody else now", name.display()));
                }
            }
            Err(error) => tracing::warn!("locks are not taken again: {error}"),
        }
    }

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
