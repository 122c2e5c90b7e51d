//! Memory that the recorded process shares with its children (MAP_SHARED). What they store there it sees without any call, and along
//! the notes they do not run. So where there is such memory, children run only while the process is in calls that are noted, and
//! stand while it computes: what they have stored shows when such a call is over, and is noted by comparison.
//!
//! Futexes there are calls like any other ([`Supervisor::shared_futex`]): who waits for whom is the kernel's affair.

use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::super::Supervisor;
use super::calls::{Call, Taken};
use super::lent::{differences, read};
use super::line::{Asked, Entry, MEMORY, place};
use crate::raw::{self, Registers};
use crate::snapshot::maps::{self, Mapping};
use crate::snapshot::shared_memory::is_carried;
use crate::supervisor::tasks::{Activity, parent_of, proc_text};

/// More than this is not compared each time.
const MOST: u64 = 64 << 20;

/// How long children stand while the process makes no call. It may wait for what one of them stores.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of children that share memory with the recorded process.
#[derive(Debug, Default)]
pub(super) struct Family {
    /// There are some.
    shares: bool,
    /// They stand, and since when.
    held: Option<Instant>,
    /// The memory when they were let go.
    then: Vec<(Mapping, Vec<u8>)>,
    /// What they have stored since, and has not been noted.
    due: Vec<Stored>,
}

/// What was stored in a mapping, by addresses.
type Stored = (Mapping, Vec<(u64, Vec<u8>)>);

impl Family {
    /// Whether children stand.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }
}

/// Shared memory of a process in which others may store something that it sees.
fn shared_by(pid: Pid) -> Vec<Mapping> {
    let found = maps::shared_by(pid.as_raw()).unwrap_or_default();
    found.into_iter().filter(|mapping| mapping.writable && is_carried(mapping)).collect()
}

impl Supervisor {
    /// Whether a thread belongs to a child of the recorded process.
    pub(in crate::supervisor) fn is_family(&self, tid: Pid) -> bool {
        let leader = self.recorded_leader();
        self.tasks.get(&tid).is_some_and(|task| Some(task.pid) != leader && Some(task.pid) != self.main)
    }

    /// Whether a thread stands because the recorded process computes.
    pub(in crate::supervisor) fn stands_for_parent(&self, tid: Pid) -> bool {
        self.recording.family.is_held() && self.is_family(tid)
    }

    fn family(&self) -> Vec<Pid> {
        self.tasks.keys().copied().filter(|tid| self.is_family(*tid)).collect()
    }

    /// Whether a process has been made by the recorded one.
    pub(in crate::supervisor) fn is_new_child(&self, tid: Pid) -> bool {
        self.recording.on && self.is_family(tid) && parent_of(tid) == self.recorded_leader()
    }

    /// A thread or a process has been made.
    pub(in crate::supervisor) fn child_is_born(&mut self, parent: Pid, newborn: Pid) {
        if self.takes_turns(parent) && self.is_family(newborn) {
            self.family_grows();
        }
    }

    /// The recorded process has made a child, which stands, or a child has mapped what the process may have mapped, too.
    pub(in crate::supervisor) fn family_grows(&mut self) {
        let Some(leader) = self.recorded_leader() else { return };
        if !self.recording.on || !self.recording.is_live() || self.recording.schedule().ending {
            return;
        }
        let mapped = shared_by(leader);
        if mapped.is_empty() {
            return;
        }
        let size: u64 = mapped.iter().map(|mapping| mapping.end - mapping.start).sum();
        if size > MOST {
            let size = size >> 20;
            return self.stop_recording(&format!(
                "a child shares {size} MiB of memory with the program, which is too much to see what it stores there"
            ));
        }
        self.recording.family.shares = true;
        self.hold_family();
        let inside =
            |task: &crate::supervisor::tasks::Task| task.pending.as_ref().is_some_and(|pending| pending.inside);
        if self.tasks.values().any(|task| task.pid == leader && inside(task)) {
            self.release_family();
        }
    }

    /// Children stand from now on, and what they have stored is known.
    fn hold_family(&mut self) {
        if !self.recording.family.shares || self.recording.family.is_held() {
            return;
        }
        self.recording.family.held = Some(Instant::now());
        for tid in self.family() {
            // One whose child borrows its memory cannot be stopped before that has gone on (kernel/fork.c, wait_for_vfork_done).
            let state = proc_text(&format!("/proc/{tid}/stat")).unwrap_or_default();
            let sleeps_deeply = state.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('D'));
            match self.tasks.get(&tid).and_then(|task| task.activity.as_ref()) {
                Some(Activity::Running(running)) if sleeps_deeply => {
                    running.interrupt().ok();
                }
                Some(Activity::Running(_)) => {
                    self.stop_alone(tid);
                }
                _ => {}
            }
        }
        let Some(leader) = self.recorded_leader() else { return };
        for (mapping, then) in std::mem::take(&mut self.recording.family.then) {
            let now = read(leader, mapping.start, then.len() as u64);
            let changes = differences(&then, &now);
            if !changes.is_empty() {
                let changes = changes.into_iter().map(|(at, bytes)| (mapping.start + at as u64, bytes)).collect();
                self.recording.family.due.push((mapping, changes));
            }
        }
    }

    /// Children run until the process does.
    pub(in crate::supervisor) fn release_family(&mut self) {
        let Some(leader) = self.recorded_leader() else { return };
        if !self.recording.family.shares || !self.recording.family.is_held() {
            return;
        }
        let mapped = shared_by(leader).into_iter().map(|mapping| {
            let bytes = read(leader, mapping.start, mapping.end - mapping.start);
            (mapping, bytes)
        });
        self.recording.family.then = mapped.collect();
        self.let_family_go();
    }

    fn let_family_go(&mut self) {
        self.recording.family.held = None;
        for tid in self.family() {
            let told = self.held.is_some_and(|held| held.pid == tid);
            let rests = |task: &crate::supervisor::tasks::Task| {
                task.is_stopped() && task.parked.is_none() && !task.group_stopped
            };
            if !told && self.tasks.get(&tid).is_some_and(rests) {
                self.let_go(tid, crate::ptrace::How::Continue);
            }
        }
    }

    /// Children run as they like: nothing more is noted, or the process ends.
    pub(in crate::supervisor) fn free_family(&mut self) {
        if std::mem::take(&mut self.recording.family).is_held() {
            self.let_family_go();
        }
    }

    /// A process has ended, or another program runs in it. The last child may be gone.
    pub(in crate::supervisor) fn family_shrinks(&mut self) {
        if self.recording.family.shares && self.family().is_empty() {
            self.hold_family();
            (self.recording.family.shares, self.recording.family.held) = (false, None);
        }
    }

    /// A thread of the recorded process has left a call: children stand.
    pub(in crate::supervisor) fn family_stands(&mut self) {
        self.hold_family();
    }

    /// A thread has been let into a call. While that keeps it, children run.
    pub(in crate::supervisor) fn family_may_run(&mut self, tid: Pid) {
        if !self.recording.family.shares || !self.takes_turns(tid) || !self.recording.is_live() {
            return;
        }
        let pending = self.tasks.get(&tid).and_then(|task| task.pending.as_ref());
        if pending.is_some_and(|pending| pending.inside && pending.is_noted() && !pending.short) {
            self.release_family();
        }
    }

    /// A thread of the recorded process is let go: what children have stored since it was last whose turn is noted, or comes again.
    pub(in crate::supervisor) fn memory_comes(&mut self, tid: Pid) {
        let aside = self.is_aside();
        if !self.recording.on || !self.takes_turns(tid) {
            return;
        }
        let Some(task) = self.tasks.get(&tid) else { return };
        let signalled = matches!(&task.activity, Some(Activity::Stopped(stopped)) if stopped.signal.is_some());
        // One that was interrupted makes its call again.
        if task.pending.as_ref().is_some_and(|pending| pending.inside || !signalled) {
            return;
        }
        let (pid, known) = (task.pid, self.virtual_id(tid));
        if !self.recording.is_live() {
            if !aside {
                self.stored_again(pid, known);
            }
            return;
        }
        self.hold_family();
        let due = std::mem::take(&mut self.recording.family.due);
        if due.is_empty() {
            return;
        }
        self.sync_clocks();
        for (mapping, changes) in due {
            tracing::debug!(
                "{} is stored to by children, behind tick {}",
                mapping.name,
                self.recording.schedule().tick
            );
            let entry = self.entry_of_memory(&mapping, changes);
            self.push_entry(known, entry);
        }
    }

    fn entry_of_memory(&mut self, mapping: &Mapping, changes: Vec<(u64, Vec<u8>)>) -> Entry {
        let device = u64::from(mapping.device.0) << 32 | u64::from(mapping.device.1);
        let tick = self.recording.schedule().tick;
        let arguments = [tick, mapping.start, mapping.end, mapping.offset, device, mapping.inode];
        let asked = Asked { number: MEMORY, arguments, given: 0, query: false, sum: 0, about: None };
        Entry::new(asked, 0, changes, &self.recording.store)
    }

    /// What children have stored at this place in the notes is stored again.
    fn stored_again(&mut self, pid: Pid, known: i32) {
        loop {
            let tick = self.recording.schedule().tick;
            let mark = &self.recording.mark;
            let at = place(&mark.at, known);
            let next = mark.line.borrow().entry(known, at);
            let Some(entry) = next.filter(|entry| entry.asked.number == MEMORY && entry.asked.arguments[0] == tick)
            else {
                break;
            };
            let Some(moved) = place_now(pid, &entry.asked.arguments) else {
                return self.part(&entry.asked.words(), "no such memory");
            };
            for (address, bytes) in &entry.outputs {
                raw::write_remote(pid, address.wrapping_add(moved), &bytes.bytes());
            }
            tracing::debug!("stored again by children, behind tick {tick}");
            self.advance(known, at + 1);
        }
    }

    /// A futex in memory that children have, too: `None` if there are no such children, nor is it noted that there were.
    pub(in crate::supervisor) fn shared_futex(&mut self, tid: Pid, pid: Pid, registers: &Registers) -> Option<Taken> {
        let known = self.virtual_id(tid);
        #[allow(clippy::cast_possible_truncation)]
        let number = registers.orig_rax as u32;
        let noted = || {
            let mark = &self.recording.mark;
            let next = mark.line.borrow().entry(known, place(&mark.at, known));
            next.is_some_and(|entry| entry.asked.number == number)
        };
        let meant = if self.recording.is_live() { self.recording.family.shares } else { noted() };
        if !meant || self.is_aside() {
            return None;
        }
        if !self.comes_to_call(tid, false) {
            return Some(Taken::Left);
        }
        let call = Call::of_futex(registers)?;
        let taken = self.looked_up(tid, pid, registers, call);
        if matches!(taken, Taken::Answered) {
            self.leaves_call(tid);
        }
        Some(taken)
    }

    /// How long nothing needs to be done about children that stand.
    pub(in crate::supervisor) fn family_patience(&self) -> Option<Duration> {
        let since = self.recording.family.held.filter(|_| self.recording.family.shares)?;
        let leader = self.recorded_leader()?;
        let runs = self.tasks.values().any(|task| task.pid == leader && !task.is_stopped());
        runs.then(|| PATIENCE.saturating_sub(since.elapsed()))
    }

    /// The process has made no call for long, while its children stand.
    pub(in crate::supervisor) fn look_at_family(&mut self) {
        if self.family_patience() == Some(Duration::ZERO) {
            self.stop_recording(
                "the program goes on without a system call while children stand that share memory with it, and may wait for them",
            );
        }
    }
}

/// How far from where it was memory is now. The same file is known by its number; what has no file and was mapped since has another
/// one, and is known by where it is.
fn place_now(pid: Pid, arguments: &[u64; 6]) -> Option<u64> {
    let [_, start, end, offset, device, inode] = *arguments;
    let mapped = shared_by(pid);
    let is_same = |mapping: &&Mapping| {
        (u64::from(mapping.device.0) << 32 | u64::from(mapping.device.1), mapping.inode) == (device, inode)
            && mapping.offset == offset
    };
    let there = |mapping: &&Mapping| mapping.start <= start && mapping.end >= end;
    let found = mapped.iter().find(|mapping| is_same(mapping) && there(mapping));
    let found = found.or_else(|| mapped.iter().find(is_same)).map(|mapping| mapping.start.wrapping_sub(start));
    found.or_else(|| mapped.iter().any(|mapping| there(&mapping)).then_some(0))
}
