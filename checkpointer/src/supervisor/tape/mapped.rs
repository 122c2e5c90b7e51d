//! Files that the recorded program has mapped shared (mmap(2), MAP_SHARED). What others write to such a file is seen by the program
//! without any call, so there is nothing to note; and what the program itself writes to it by calls is not written again along the
//! notes. That either happens is noticed (inotify(7)), and the recording stops. Stores of another process into a mapping of its own are
//! told by nobody: whoever has the file mapped when it is mapped here is looked for, and who maps it later is not found.
//!
//! What the program stores in such a mapping it stores again along the notes. So what is in the file when it is mapped is noted, and is there
//! again whenever that is come to; and where the newest process goes on, or the notes end, the file has what the newest left in it.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use nix::unistd::Pid;

use super::super::Supervisor;
use super::super::tasks::proc_text;
use super::Recording;
use super::lent::read;
use super::line::{Asked, Entry, Found, MAPPED, place};
use crate::ptrace::{Change, change};
use crate::raw::{self, Registers};
use crate::snapshot::maps;

/// Files that are watched.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Once there are any.
    queue: Option<Inotify>,
    files: BTreeMap<WatchDescriptor, File>,
    /// Those that the program has mapped to store in them: who goes along the notes from before that maps them again.
    stored_in: Vec<File>,
}

/// A file.
#[derive(Debug, Clone)]
struct File {
    name: PathBuf,
    device: u64,
    inode: u64,
    /// When the call began that maps it.
    begun: Instant,
    /// It can be stored in; the file is open for that.
    handle: Option<Rc<std::fs::File>>,
}

/// What a file has in it that was mapped.
#[derive(Debug, Clone)]
pub(super) struct Contents {
    handle: Rc<std::fs::File>,
    bytes: Rc<[u8]>,
}

/// Files and mappings larger than this are not noted.
const MOST: u64 = 256 << 20;

const PAGE: u64 = 4096;

/// So long after its beginning the call that maps a file is over.
const IN_CALL: Duration = Duration::from_secs(1);

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

    fn note_stored_in(&mut self, file: &File) {
        let known = |known: &File| (known.device, known.inode) == (file.device, file.inode);
        if file.handle.is_some() && !self.stored_in.iter().any(known) {
            self.stored_in.push(file.clone());
        }
    }

    /// Another program: what the former one has mapped is nobody's any more.
    pub(super) fn forget_stored_in(&mut self) {
        self.stored_in.clear();
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
            if self.recording.wanted && self.is_family(tid) {
                self.family_grows();
            }
            return;
        }
        #[allow(clippy::cast_possible_truncation)]
        let link = PathBuf::from(format!("/proc/{pid}/fd/{}", registers.r8 as u32));
        let (Ok(name), Ok(file)) = (std::fs::read_link(&link), std::fs::metadata(&link)) else { return };
        if !file.is_file() {
            return;
        }
        const PROT_WRITE: u64 = libc::PROT_WRITE as u64;
        let stores = registers.rdx & PROT_WRITE != 0;
        let handle = stores.then(|| std::fs::OpenOptions::new().read(true).write(true).open(&link).ok()).flatten();
        let (device, inode, begun) = (file.dev(), file.ino(), Instant::now());
        let mapped = File { name: name.clone(), device, inode, begun, handle: handle.map(Rc::new) };
        if let Err(error) = self.recording.mapped.add(&link, mapped.clone()) {
            tracing::info!("changes of {} are not noticed: {error}", name.display());
        }
        self.recording.mapped.note_stored_in(&mapped);
        if stores && self.recording.on && !self.is_aside() {
            self.map_noted(tid, pid, registers, &name);
        }
        if stores && let Some(other) = find(&mapped, |pid, rights| rights.contains('w') && !is_ours(pid)) {
            self.stop_recording(&format!(
                "{} is mapped by process {other}, too, whose stores are not noticed",
                name.display()
            ));
        }
    }

    /// A mapping that can be stored in is made, and what is in it is noted, or comes again.
    fn map_noted(&mut self, tid: Pid, pid: Pid, registers: &Registers, name: &Path) {
        let known = self.virtual_id(tid);
        let (length, offset) = (registers.rsi, registers.r9);
        let arguments = [length, offset, 0, 0, 0, 0];
        let asked = Asked { number: MAPPED, arguments, given: 0, query: false, sum: 0, about: None };
        self.sync_clocks();
        let again = self.noted_mapping(known, &asked);
        if !self.recording.on || self.recording.is_lost() {
            return;
        }
        if again.is_none() && length > MOST {
            return self.stop_recording(&format!(
                "{} is mapped, and is too large for its contents to be noted",
                name.display()
            ));
        }
        let made = raw::resume(libc::PTRACE_SYSCALL, tid, 0).is_ok()
            && matches!(raw::wait(Some(tid), true), Ok(Some((_, status))) if change(status) == Change::Syscall);
        self.note_made(tid, made);
        let Some(at) = raw::registers(tid).ok().map(|registers| registers.rax).filter(|at| made && at % PAGE == 0)
        else {
            return;
        };
        let Some((index, entry)) = again else {
            let entry = Entry::new(asked, 0, vec![(at, read(pid, at, length))], &self.recording.store);
            return self.push_entry(known, entry);
        };
        for (_, kept) in &entry.outputs {
            let (mut then, now) = (kept.bytes().into_owned(), read(pid, at, length));
            if now.len() < then.len() {
                self.part(&entry.asked.words(), "the same, of a file that is shorter now");
                continue;
            }
            // It has become longer since, and was empty there.
            then.resize(now.len(), 0);
            if now != then {
                raw::write_remote(pid, at, &then);
            }
        }
        if !self.recording.is_live() {
            self.advance(known, index + 1);
        }
    }

    /// What is noted of a mapping that a thread makes; `None` if nothing is, and it is made for the first time.
    fn noted_mapping(&mut self, known: i32, asked: &Asked) -> Option<(usize, Rc<Entry>)> {
        let rule = self.recording.rule();
        while !self.recording.is_live() && !self.recording.is_lost() {
            let mark = &self.recording.mark;
            let at = place(&mark.at, known);
            let found = mark.line.borrow().find(known, at, place(&mark.into, known), asked, rule);
            match found {
                Found::Same(index, entry) => return Some((index, entry)),
                Found::End if !mark.is_early(known, rule) => self.go_live(),
                Found::Other(expected) => self.part(&expected.asked.words(), &asked.words()),
                _ => self.part("nothing more of this thread", &asked.words()),
            }
        }
        let ended = self.recording.mark.line.borrow().ended.clone();
        if let Some(why) = ended {
            self.stop_recording(&why);
        }
        None
    }

    /// The newest process is left, or ends: what is in files that have been mapped to store in them is kept.
    pub(in crate::supervisor) fn keep_contents(&mut self) {
        if !self.recording.on || !self.recording.is_live() {
            return;
        }
        let contents = self.contents_of_mapped();
        self.recording.mark.line.borrow_mut().contents = contents;
    }

    /// What the newest process has left is there again: it goes on, the notes of another one end, or the session does.
    pub(in crate::supervisor) fn newest_is_back(&mut self) {
        let contents = std::mem::take(&mut self.recording.mark.line.borrow_mut().contents);
        self.put_contents_back(&contents);
    }

    /// The notes of a process end, and it goes on: what others have left in files that it has mapped once, and has not now, is there
    /// again. Where it has them mapped they have what it has stored, behind the last call that is noted, too.
    pub(super) fn unmapped_is_back(&mut self) {
        let contents = std::mem::take(&mut self.recording.mark.line.borrow_mut().contents);
        self.put_unmapped_back(&contents);
    }

    fn put_unmapped_back(&mut self, contents: &[Contents]) {
        let mapped = self.recorded_leader().map(|leader| maps::shared_by(leader.as_raw()).unwrap_or_default());
        let mapped = mapped.unwrap_or_default();
        for Contents { handle, bytes } in contents {
            let Ok(file) = handle.metadata() else { continue };
            let (device, inode) = ((libc::major(file.dev()), libc::minor(file.dev())), file.ino());
            let now = mapped.iter().filter(|one| one.writable && (one.device, one.inode) == (device, inode));
            let mut bytes = bytes.to_vec();
            for one in now {
                let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                let (from, to) = (place(one.offset), place(one.offset + (one.end - one.start)));
                handle.read_exact_at(&mut bytes[from..to], one.offset).ok();
            }
            self.put_contents_back(&[Contents { handle: Rc::clone(handle), bytes: bytes.into() }]);
        }
    }

    /// The recorded process ends, for the first time or along the notes.
    pub(in crate::supervisor) fn contents_at_end(&mut self) {
        if self.recording.is_live() {
            self.keep_contents();
        } else if self.recording.on {
            let contents = self.recording.mark.line.borrow().contents.clone();
            if self.recording.is_at_end() {
                // It may have come further than any before it since the last call.
                self.put_unmapped_back(&contents);
                let contents = self.contents_of_mapped();
                self.recording.mark.line.borrow_mut().contents = contents;
            } else {
                // It is still that of the newest.
                self.put_contents_back(&contents);
            }
        }
    }

    fn contents_of_mapped(&self) -> Vec<Contents> {
        let handles = self.recording.mapped.stored_in.iter().filter_map(|file| file.handle.clone());
        let read = |handle: Rc<std::fs::File>| {
            let length = handle.metadata().ok()?.len();
            if length > MOST {
                return None;
            }
            let mut bytes = vec![0; usize::try_from(length).ok()?];
            handle.read_exact_at(&mut bytes, 0).ok()?;
            Some(Contents { handle, bytes: bytes.into() })
        };
        handles.filter_map(read).collect()
    }

    /// Files have again what the newest process has left in them: copies may have stored something else since.
    fn put_contents_back(&mut self, contents: &[Contents]) {
        for Contents { handle, bytes } in contents {
            let mut now = vec![0; bytes.len()];
            if handle.read_exact_at(&mut now, 0).is_ok() && now[..] == bytes[..] {
                continue;
            }
            self.notice_mapped();
            if let Err(error) = handle.write_all_at(bytes, 0) {
                tracing::warn!("a file that was mapped has other contents: {error}");
            }
            // It was us.
            if let Some(queue) = &self.recording.mapped.queue {
                queue.read_events().ok();
            }
        }
    }

    /// Looks whether a file has changed that the program or a copy of it has mapped.
    pub(in crate::supervisor) fn notice_mapped(&mut self) {
        let mut written = None;
        let mapped = &mut self.recording.mapped;
        let Some(queue) = &mapped.queue else { return };
        for change in queue.read_events().unwrap_or_default() {
            let Some(file) = mapped.files.get(&change.wd) else { continue };
            // That a name of it has been removed ends the watch, although it may be open by another one (fs/dcache.c,
            // dentry_unlink_inode): the C library's semaphores have two at first. Only who has it open still comes to it then.
            if change.mask.contains(AddWatchFlags::IN_IGNORED) {
                mapped.files.remove(&change.wd);
                continue;
            }
            if find(file, |pid, _| is_ours(pid)).is_some() {
                written = Some(file.name.display().to_string());
            } else if file.begun.elapsed() > IN_CALL {
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
