//! Files that the recorded program has mapped shared (mmap(2), MAP_SHARED). What others write to such a file is seen by the program
//! without any call, so there is nothing to note; and what the program itself writes to it by calls is not written again along the
//! notes. That either happens is noticed (inotify(7)), and the recording stops. Stores of another process into a mapping of its own are
//! told by nobody: whoever has the file mapped when it is mapped here is looked for, and who maps it later is not found.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use nix::unistd::Pid;

use super::super::Supervisor;
use super::super::tasks::proc_text;
use super::Recording;
use crate::raw::Registers;

/// Files that are watched.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Once there are any.
    queue: Option<Inotify>,
    files: BTreeMap<WatchDescriptor, File>,
}

/// A file.
#[derive(Debug, Clone)]
struct File {
    name: PathBuf,
    device: u64,
    inode: u64,
    /// When the call began that maps it.
    begun: Instant,
}

/// So long after its beginning the call that maps a file is over.
const MAPPED: Duration = Duration::from_secs(1);

impl Watched {
    fn add(&mut self, link: &Path, file: File) -> nix::Result<()> {
        let queue = match &self.queue {
            Some(queue) => queue,
            None => self.queue.insert(Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?),
        };
        let watch = queue.add_watch(link, AddWatchFlags::IN_MODIFY)?;
        self.files.insert(watch, file);
        Ok(())
    }
}

impl Recording {
    /// Where changes of files are told.
    pub(in crate::supervisor) fn changes(&self) -> Option<BorrowedFd<'_>> {
        self.mapped.queue.as_ref().map(AsFd::as_fd)
    }
}

impl Supervisor {
    /// A file is about to be mapped shared.
    pub(in crate::supervisor) fn watch_mapping(&mut self, tid: Pid, registers: &Registers) {
        let Some(pid) = self.tasks.get(&tid).map(|task| task.pid) else { return };
        if !self.recording.wanted || self.recorded_leader() != Some(pid) {
            return;
        }
        #[allow(clippy::cast_possible_truncation)]
        let link = PathBuf::from(format!("/proc/{pid}/fd/{}", registers.r8 as u32));
        let (Ok(name), Ok(file)) = (std::fs::read_link(&link), std::fs::metadata(&link)) else { return };
        if !file.is_file() {
            return;
        }
        let mapped = File { name: name.clone(), device: file.dev(), inode: file.ino(), begun: Instant::now() };
        if let Err(error) = self.recording.mapped.add(&link, mapped.clone()) {
            tracing::info!("changes of {} are not noticed: {error}", name.display());
        }
        const PROT_WRITE: u64 = libc::PROT_WRITE as u64;
        if registers.rdx & PROT_WRITE != 0
            && let Some(other) = find(&mapped, |pid, rights| rights.contains('w') && !is_ours(pid))
        {
            self.stop_recording(&format!(
                "{} is mapped by process {other}, too, whose stores are not noticed",
                name.display()
            ));
        }
    }

    /// Looks whether a file has changed that the program or a copy of it has mapped.
    pub(in crate::supervisor) fn notice_mapped(&mut self) {
        let mut written = None;
        let mapped = &mut self.recording.mapped;
        let Some(queue) = &mapped.queue else { return };
        for change in queue.read_events().unwrap_or_default() {
            let Some(file) = mapped.files.get(&change.wd) else { continue };
            if find(file, |pid, _| is_ours(pid)).is_some() {
                written = Some(file.name.display().to_string());
            } else if file.begun.elapsed() > MAPPED {
                // It has been unmapped, and nobody can come back to where it was mapped.
                queue.rm_watch(change.wd).ok();
                mapped.files.remove(&change.wd);
            }
        }
        if let Some(name) = written {
            self.stop_recording(&format!("{name} is written to while the program has it mapped"));
        }
    }
}

/// A process that has a file mapped shared, with rights that will do.
fn find(file: &File, wanted: impl Fn(Pid, &str) -> bool) -> Option<Pid> {
    let device = format!("{:02x}:{:02x}", libc::major(file.device), libc::minor(file.device));
    let inode = file.inode.to_string();
    let has = |pid: Pid| {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        maps.lines().any(|line| {
            let mut words = line.split_whitespace().skip(1);
            let rights = words.next().filter(|rights| rights.ends_with('s'));
            rights.is_some_and(|rights| {
                words.nth(1) == Some(&device) && words.next() == Some(&inode) && wanted(pid, rights)
            })
        })
    };
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).map(Pid::from_raw);
    ids.into_iter().find(|pid| has(*pid))
}

/// Whether a process is part of the session.
fn is_ours(pid: Pid) -> bool {
    let us = format!("TracerPid:\t{}", std::process::id());
    proc_text(&format!("/proc/{pid}/status")).is_some_and(|text| text.lines().any(|line| line == us))
}
