//! Files that the recorded program has mapped shared (mmap(2), MAP_SHARED). What others write to such a file is seen by the program
//! without any call, so there is nothing to note; and what the program itself writes to it by calls is not written again along the
//! notes. That either happens is noticed (inotify(7)), and the recording stops. Stores of another process into a mapping of its own are
//! told by nobody: whoever has the file mapped when it is mapped here is looked for, and who maps it later is not found.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

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
    names: BTreeMap<WatchDescriptor, PathBuf>,
}

impl Watched {
    fn add(&mut self, link: &Path, name: PathBuf) -> nix::Result<()> {
        let queue = match &self.queue {
            Some(queue) => queue,
            None => self.queue.insert(Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?),
        };
        let watch = queue.add_watch(link, AddWatchFlags::IN_MODIFY)?;
        self.names.insert(watch, name);
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
        if let Err(error) = self.recording.mapped.add(&link, name.clone()) {
            tracing::info!("changes of {} are not noticed: {error}", name.display());
        }
        const PROT_WRITE: u64 = libc::PROT_WRITE as u64;
        if registers.rdx & PROT_WRITE != 0
            && let Some(other) = Self::other_with(file.dev(), file.ino())
        {
            self.stop_recording(&format!(
                "{} is mapped by process {other}, too, whose stores are not noticed",
                name.display()
            ));
        }
    }

    /// A process that we do not trace and that has a file mapped shared and can write there.
    fn other_with(device: u64, inode: u64) -> Option<Pid> {
        let device = format!("{:02x}:{:02x}", libc::major(device), libc::minor(device));
        let inode = inode.to_string();
        let has = |text: &str| {
            text.lines().any(|line| {
                let mut words = line.split_whitespace().skip(1);
                let shared = words.next().is_some_and(|rights| rights.contains('w') && rights.ends_with('s'));
                shared && words.nth(1) == Some(&device) && words.next() == Some(&inode)
            })
        };
        let processes = std::fs::read_dir("/proc").ok()?.flatten();
        let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).map(Pid::from_raw);
        let maps = |pid: &Pid| std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
        ids.into_iter().find(|pid| has(&maps(pid)) && !is_ours(*pid))
    }

    /// Looks whether a file has changed that the program has mapped.
    pub(in crate::supervisor) fn notice_mapped(&mut self) {
        let Some(queue) = &self.recording.mapped.queue else { return };
        let Ok(changes) = queue.read_events() else { return };
        let named = changes.first().and_then(|change| self.recording.mapped.names.get(&change.wd));
        if let Some(name) = named.map(|name| name.display().to_string()) {
            self.stop_recording(&format!("{name} is written to while the program has it mapped"));
        }
    }
}

/// Whether a process is part of the session.
fn is_ours(pid: Pid) -> bool {
    let us = format!("TracerPid:\t{}", std::process::id());
    proc_text(&format!("/proc/{pid}/status")).is_some_and(|text| text.lines().any(|line| line == us))
}
