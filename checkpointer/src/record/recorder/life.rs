//! Births and deaths of threads and processes, and the programs that they load.

use nix::unistd::Pid;

use super::{Phase, Recorder, Task};
use crate::ptrace::{Change, How, change};
use crate::raw;
use crate::record::log::What;
use crate::record::thread::Thread;
use crate::record::{Trouble, prepare};
use crate::syscalls::{Class, Row};

/// The most programs that are kept: each takes a descriptor.
const MOST_KEPT: usize = 400;

/// Where clone writes the ids of what it makes (clone(2)).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ids {
    /// In the caller's memory.
    pub parent: Option<u64>,
    /// In the new one's memory.
    pub child: Option<u64>,
    /// A descriptor, in the caller's memory.
    pub descriptor: Option<u64>,
    /// The new one is a thread of the same process.
    pub thread: bool,
    /// The caller waits until the new one has loaded a program or ended.
    pub lends: bool,
    /// The new one has the caller's memory.
    pub memory: bool,
    /// The new one has the caller's descriptors.
    pub descriptors: bool,
}

impl Ids {
    /// The words in the caller's memory.
    pub fn words(self) -> Vec<u64> {
        [self.parent, self.descriptor].into_iter().flatten().collect()
    }
}

/// Reads the arguments of clone, clone3, fork or vfork.
pub(crate) fn ids(thread: &Thread, row: &Row, arguments: &[u64; 6]) -> Ids {
    let (flags, parent, child, descriptor) = match row.name {
        "clone" => (arguments[0], arguments[2], arguments[3], arguments[2]),
        // struct clone_args: flags, pidfd, child_tid, parent_tid
        "clone3" => {
            let bytes = thread.read(arguments[0], 4 * 8);
            let (words, _) = bytes.as_chunks::<8>();
            let word = |index: usize| words.get(index).map_or(0, |word| u64::from_ne_bytes(*word));
            (word(0), word(3), word(2), word(1))
        }
        name => return Ids { lends: name == "vfork", memory: name == "vfork", ..Ids::default() },
    };
    let wanted = |flag: libc::c_int, address: u64| (flags & flag as u64 != 0 && address != 0).then_some(address);
    Ids {
        parent: wanted(libc::CLONE_PARENT_SETTID, parent),
        child: wanted(libc::CLONE_CHILD_SETTID, child),
        descriptor: wanted(libc::CLONE_PIDFD, descriptor),
        thread: flags & libc::CLONE_THREAD as u64 != 0,
        lends: flags & libc::CLONE_VFORK as u64 != 0,
        memory: flags & libc::CLONE_VM as u64 != 0,
        descriptors: flags & libc::CLONE_FILES as u64 != 0,
    }
}

impl Recorder {
    /// A program has been loaded by its first process.
    pub(super) fn loaded(&mut self, id: i32) -> Result<(), Trouble> {
        let task = self.task(id)?;
        let mut loaded = prepare::at_recording(&task.thread)?;
        let pid = task.thread.pid;
        task.phase = Phase::Ready;
        task.lent = false;
        task.pending = None;
        task.entered = false;
        task.interrupted = None;
        task.point = Some(task.thread.registers()?);
        loaded.kept = self.keep(pid);
        self.push(id, What::Loaded(loaded))
    }

    /// Keeps a program that was written since the recording began. Its descriptor here, if it was.
    fn keep(&mut self, pid: Pid) -> Option<i32> {
        use std::os::fd::AsRawFd;
        use std::os::unix::fs::MetadataExt;
        let link = format!("/proc/{pid}/exe");
        let metadata = std::fs::metadata(&link).ok()?;
        let touched = i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
        if touched < self.began || self.kept.len() >= MOST_KEPT {
            return None;
        }
        match self.kept.entry((metadata.dev(), metadata.ino(), touched)) {
            std::collections::btree_map::Entry::Occupied(entry) => Some(entry.get().as_raw_fd()),
            std::collections::btree_map::Entry::Vacant(entry) => {
                Some(entry.insert(std::fs::File::open(link).ok()?).as_raw_fd())
            }
        }
    }

    /// A thread has loaded another program; the other threads of its process are gone.
    pub(super) fn executed(&mut self, id: i32) -> Result<(), Trouble> {
        let former = nix::sys::ptrace::getevent(Pid::from_raw(id)).ok().and_then(|id| i32::try_from(id).ok());
        if let Some(former) = former
            && former != id
        {
            // The caller has the leader's id now (ptrace(2), "execve(2) under ptrace").
            let call = self.tasks.remove(&former).and_then(|task| task.pending);
            self.task(id)?.pending = call;
            return Err(self.refused(id, "execve from a thread that is not the first of its process"));
        }
        self.loaded(id)
    }

    /// The call that a thread is in has made a process or thread.
    pub(super) fn born(&mut self, id: i32) -> Result<(), Trouble> {
        let born = nix::sys::ptrace::getevent(Pid::from_raw(id)).map_err(|_| Trouble::Gone(id))?;
        let born = Pid::from_raw(i32::try_from(born).map_err(|_| Trouble::Gone(id))?);
        match self.early.iter().position(|early| *early == born) {
            Some(index) => drop(self.early.swap_remove(index)),
            None => match raw::wait(Some(born), true) {
                Ok(Some((_, status))) if change(status) == Change::Interrupted => {}
                // Killed before it began.
                Ok(Some((_, status))) if change(status) == Change::Ending => {
                    raw::resume(libc::PTRACE_CONT, born, 0).ok();
                    return self.go_on(id);
                }
                _ => return self.go_on(id),
            },
        }
        let task = self.task(id)?;
        let Some(pending) = &task.pending else { return self.go_on(id) };
        let Ids { thread, lends, memory, descriptors, .. } = ids(&task.thread, pending.row, &pending.arguments);
        if descriptors && !memory {
            return Err(self.refused(id, "clone with CLONE_FILES and without CLONE_VM"));
        }
        let (process, pid) = if thread { (task.thread.process, task.thread.pid) } else { (born.as_raw(), born) };
        let mut newborn = Task::new(Thread::stopped(born.as_raw(), process, born, pid));
        newborn.point = newborn.thread.registers().ok();
        newborn.lent = memory && !descriptors || task.lent;
        task.entered = true;
        self.push(id, What::Born(born.as_raw()))?;
        self.tasks.insert(born.as_raw(), newborn);
        self.go_on(id)?;
        if lends {
            return Ok(());
        }
        // The end of the call is near, and no other thread must find this one in it.
        while self.tasks.get(&id).is_some_and(|task| task.phase == Phase::Inside) {
            self.wait_for(id)?;
        }
        match self.tasks.get(&id) {
            Some(task) if task.phase == Phase::Finished => self.log_call(id),
            _ => Ok(()),
        }
    }

    /// A thread is about to end.
    pub(super) fn ending(&mut self, id: i32) -> Result<(), Trouble> {
        let status = nix::sys::ptrace::getevent(Pid::from_raw(id)).unwrap_or(0);
        let task = self.task(id)?;
        let before = std::mem::replace(&mut task.phase, Phase::Ending);
        let (process, tid) = (task.thread.process, task.thread.tid);
        let registers = task.thread.registers()?;
        let leader = process == id;
        let siblings: Vec<i32> = self
            .tasks
            .iter()
            .filter(|(other, task)| **other != id && task.thread.process == process)
            .map(|(id, _)| *id)
            .collect();
        if before == Phase::Ending || siblings.iter().any(|other| self.ends_others(*other)) {
            // It goes with its process.
            return self.task(id)?.thread.resume(How::Continue);
        }
        #[allow(clippy::cast_possible_truncation)]
        let status = status as i32;
        // Being killed is the one end that no event of the thread's own comes before.
        let own = before == Phase::Running && status & 0x7f != libc::SIGKILL;
        const EXIT: u64 = libc::SYS_exit as u64;
        let alone = own && registers.orig_rax == EXIT && status & 0x7f == 0;
        if own {
            self.push(id, What::Ended { status, process: !alone })?;
        } else {
            self.push(id, What::Killed)?;
        }
        if !alone {
            for other in siblings {
                self.task(other)?.phase = Phase::Ending;
            }
        }
        self.task(id)?.thread.resume(How::Continue)?;
        // What the kernel does at the end of a thread (a word cleared, its waiters woken) is done when its end is reported. That of a
        // leader is reported with that of its last thread only.
        if alone && leader && self.tasks.values().any(|task| task.thread.process == process && task.thread.id != id) {
            await_zombie(tid);
            return Ok(());
        }
        while self.tasks.values().any(|task| if alone { task.thread.id == id } else { task.thread.process == process })
        {
            match raw::wait(None, true) {
                Ok(Some((tid, status))) => self.dispatch(tid, change(status))?,
                _ => break,
            }
        }
        Ok(())
    }

    /// Whether a thread is in a call that ends the others of its process.
    fn ends_others(&self, id: i32) -> bool {
        self.tasks.get(&id).is_some_and(|task| {
            let executes = |pending: &super::Pending| pending.row.class == Class::Program;
            task.phase == Phase::Inside && task.pending.as_ref().is_some_and(executes)
        })
    }

    /// A thread has ended.
    pub(super) fn ended(&mut self, id: i32, status: i32) -> Result<(), Trouble> {
        let said = self.tasks.remove(&id).is_none_or(|task| task.phase == Phase::Ending);
        if !said {
            // Killed so that the kernel has left out the report that it was about to end (ptrace(2), PTRACE_O_TRACEEXIT).
            self.push(id, What::Killed)?;
        }
        if id == self.root {
            self.status = Some(status);
        }
        Ok(())
    }
}

/// Waits until the leader of a process has ended while its other threads go on: the kernel reports nothing then.
pub(in crate::record) fn await_zombie(tid: Pid) {
    loop {
        let Ok(status) = std::fs::read_to_string(format!("/proc/{tid}/stat")) else { return };
        // After the name in parentheses.
        match status.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next()) {
            Some('Z' | 'X') | None => return,
            Some(_) => drop(nix::sched::sched_yield()),
        }
    }
}
