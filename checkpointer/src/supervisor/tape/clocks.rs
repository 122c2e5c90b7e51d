//! Clocks of a recorded process are read without a stop: by functions in the place of its vDSO ([`crate::raw::ClockMode`]), which note
//! what they gave in a buffer in the process, or take it from there. So are calls on files made ([`super::sites`]). Copies carry the
//! buffer; it is emptied into the notes at the next stop that matters, and filled from them when the thread comes to such an entry.
//! So a place in the notes may be in the middle of one.
//!
//! The buffer has room for one thread. Of several it is that of the one whose turn it is, which nobody leaves in the middle of an entry.
//! What is noted in it is no tick of the schedule, so whoever has had its turn for long enough is asked for a call that is
//! ([`Supervisor::ask_for_call`]). Calls are made for us to see when there is no room in the buffer or something else comes next in it.

use std::rc::Rc;

use nix::unistd::Pid;
use syscalls::Sysno;

use super::counter::trap_counter;
use super::kinds::Kind;
use super::line::{Asked, Entry, Rule, place};
use super::own_readings::OwnCallers;
use super::records::{Record, Used};
use super::sites;
use super::{Pending, Supervisor};
use crate::inject::injector::{Injector, write_memory};
use crate::inject::{InjectError, PAGE, Remote};
use crate::ptrace::{Change, change};
use crate::raw::{self, CALL_MODE, CLOCK_BUFFER, CLOCK_HEADER, CLOCK_STUBS, ClockMode, OWN_CALLERS};
use crate::record::reads::JUMPS;
use crate::record::vdso::{BUFFER_SIZE, CAPACITY, IMAGE, IMAGE_SIZE, image, is_inside};
use crate::supervisor::tasks::Task;

/// Where in the header the modes begin.
const MODES: u64 = CLOCK_BUFFER + 16;

/// What is in the buffer of a process that replays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Loaded {
    /// Index of the entry with what was noted.
    index: usize,
    /// There are some.
    any: bool,
    /// What is not among them is none of the notes' concern.
    closed: bool,
}

/// Puts the functions into a program that has just been loaded.
///
/// # Errors
/// The addresses are taken, or the program is gone.
pub(in crate::supervisor) fn install(tid: Pid) -> Result<(), InjectError> {
    let mut injector = Injector::borrow(tid, tid)?;
    let writable = (libc::PROT_READ | libc::PROT_WRITE) as u64;
    let executable = (libc::PROT_READ | libc::PROT_EXEC) as u64;
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE) as u64;
    // The page of the bits for descriptors, and the one behind.
    let length = IMAGE_SIZE + BUFFER_SIZE + 2 * PAGE;
    injector.call(Sysno::mmap, [IMAGE, length, writable, flags, u64::MAX, 0])?;
    injector.write(IMAGE, &image(raw::clock_functions()))?;
    injector.write(CLOCK_STUBS, raw::clock_stubs())?;
    injector.write(MODES, &modes(ClockMode::Plain, ClockMode::Plain, Rule::Exact, false))?;
    injector.write(sites::CODE, raw::call_code())?;
    injector.write(CALL_MODE, &(ClockMode::Trapped as u64).to_ne_bytes())?;
    injector.call(Sysno::mprotect, [IMAGE, IMAGE_SIZE, executable, 0, 0, 0])?;
    injector.call(Sysno::mprotect, [CLOCK_STUBS, PAGE, executable, 0, 0, 0])?;
    trap_counter(&mut injector, true)?;
    // Where that is taken calls are not replaced.
    injector.call(Sysno::mmap, [JUMPS, PAGE, executable, flags, u64::MAX, 0]).ok();
    injector.finish()
}

/// A search for how a process tells a debugger's own readings of clocks. It takes a while to read an interpreter, which meanwhile gets
/// to its first prompt.
pub(super) type Search = (Pid, std::thread::JoinHandle<Option<OwnCallers>>);

fn modes(clocks: ClockMode, others: ClockMode, rule: Rule, closed: bool) -> Vec<u8> {
    let sharing = match rule {
        Rule::Exact => 0,
        Rule::Shared => 1,
        Rule::Told => 2,
    };
    let words = [clocks as u64, sharing, u64::from(closed), others as u64];
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Whether the process tells a debugger's own readings of clocks by their callers. Finds out how, if it `should` and nobody has tried:
/// that stands in its memory, so copies have it.
fn tells_own(leader: Pid, should: bool, search: &mut Option<Search>) -> bool {
    const TRIED: u64 = 1;
    let mut known = [0u8; 8];
    if raw::read_remote(leader, OWN_CALLERS, &mut known) < known.len() {
        return false;
    }
    let known = u64::from_ne_bytes(known);
    if known != 0 || !should {
        return known > TRIED;
    }
    let searched = search.take().filter(|(pid, _)| *pid == leader).map(|(_, search)| search.join());
    let found = searched.and_then(Result::ok).unwrap_or_else(|| OwnCallers::of(leader));
    tracing::debug!("a debugger's own readings of clocks in {leader} are told by {found:x?}");
    let words = found.as_ref().map_or_else(|| TRIED.to_ne_bytes().to_vec(), OwnCallers::bytes);
    write_memory(leader, OWN_CALLERS, &words).is_ok() && found.is_some()
}

impl Supervisor {
    /// The recorded process has mapped its libraries: an interpreter among them is looked at from now on.
    pub(super) fn search_own_callers(&mut self, leader: Pid) {
        if !self.recording.served {
            self.recording.search = Some((leader, std::thread::spawn(move || OwnCallers::of(leader))));
        }
    }

    /// The recorded process, and the thread whose buffer that is: the only one, or the one whose turn it is. Nobody's while one of several
    /// makes a process: that may have the memory in common, or its own copy of the buffer.
    fn clocked(&self) -> Option<(Pid, Option<Pid>)> {
        let leader = self.recorded_leader().filter(|_| self.recording.clocks)?;
        let mut threads = self.tasks.iter().filter(|(_, task)| task.pid == leader);
        let (first, _) = threads.next()?;
        if threads.next().is_none() {
            return Some((leader, Some(*first)));
        }
        let schedule = &self.recording.mark.schedule;
        let makes_process =
            |task: &Task| task.pid == leader && task.pending.as_ref().is_some_and(Pending::makes_process);
        let current = schedule.current.filter(|_| self.takes_turns(leader) && !self.tasks.values().any(makes_process));
        Some((leader, current.map(|current| self.real_id(current)).filter(|tid| self.tasks.contains_key(tid))))
    }

    /// Whether a thread's calls and readings of clocks can be noted in the process: nobody else runs there.
    pub(super) fn has_buffer(&self, tid: Pid) -> bool {
        self.clocked().is_some_and(|(_, thread)| thread == Some(tid))
    }

    /// The thread whose turn it is has had it for long enough: the next call that it could note itself is one for us to see, at which the
    /// schedule ticks, and it can be left. All that is changed in the running process is how much of its buffer may be used, which each
    /// such call looks at once; which call that is the notes tell, as whenever the buffer is full.
    pub(in crate::supervisor) fn ask_for_call(&mut self, current: i32) {
        let real = self.real_id(current);
        if !self.recording.is_live() || !self.has_buffer(real) {
            return;
        }
        self.recording.asked = true;
        raw::write_remote(real, CLOCK_BUFFER + 8, &0u64.to_ne_bytes());
    }

    /// The process may note its calls itself again.
    fn take_back_asking(&mut self, leader: Pid) {
        if std::mem::take(&mut self.recording.asked) {
            raw::write_remote(leader, CLOCK_BUFFER + 8, &CAPACITY.to_ne_bytes());
        }
    }

    /// It is another thread's turn: the buffer is its own from here on.
    pub(in crate::supervisor) fn take_buffer(&mut self) {
        let Some((leader, thread)) = self.clocked() else { return };
        let Some(thread) = thread else { return self.tune_clocks() };
        if !self.tasks.get(&thread).is_some_and(Task::is_stopped) {
            return;
        }
        self.recording.mark.loaded = None;
        self.take_back_asking(leader);
        if !self.recording.mark.live {
            let known = self.virtual_id(thread);
            self.load_clocks(known);
        }
        self.tune_clocks();
    }

    /// Brings the place in the notes up to what has been read without a stop.
    pub(in crate::supervisor) fn sync_clocks(&mut self) {
        let Some((leader, Some(thread))) = self.clocked() else { return };
        // One that runs may be in the middle of an entry.
        if !self.recording.on || !self.tasks.get(&thread).is_some_and(Task::is_stopped) {
            return;
        }
        let mut header = [0u8; 8];
        if raw::read_remote(leader, CLOCK_BUFFER, &mut header) < header.len() {
            return;
        }
        #[allow(clippy::cast_possible_truncation)]
        let used = u64::from_ne_bytes(header).min(CAPACITY) as usize;
        let known = self.virtual_id(thread);
        if self.recording.mark.live {
            self.take_back_asking(leader);
            if used == 0 {
                return;
            }
            let mut bytes = vec![0u8; used];
            raw::read_remote(leader, CLOCK_BUFFER + CLOCK_HEADER, &mut bytes);
            raw::write_remote(leader, CLOCK_BUFFER, &0u64.to_ne_bytes());
            let files = self.files_of(&bytes);
            let entry = Entry::of_records(&bytes, files, self.recording.rule(), &self.recording.store);
            return self.push_entry(known, entry);
        }
        if !self.recording.mark.loaded.is_some_and(|loaded| loaded.any) {
            return;
        }
        let at = place(&self.recording.mark.at, known);
        let all = self.recording.mark.line.borrow().records(known, at).map_or(0, |entry| entry.recorded);
        if used >= all {
            self.advance(known, at + 1);
        } else {
            self.recording.mark.into.insert(known, used);
        }
    }

    /// The files that calls in a buffer were made on.
    fn files_of(&self, bytes: &[u8]) -> Vec<Used> {
        let used = |number| match self.recording.mark.kinds.get(&number) {
            Some(Kind::Noted { held, name, .. }) => Some(Used { number, held: Rc::clone(held), name: Rc::clone(name) }),
            _ => None,
        };
        Record::descriptors(bytes).into_iter().filter_map(used).collect()
    }

    /// A thread has come to a place in the notes.
    pub(super) fn advance(&mut self, thread: i32, at: usize) {
        self.recording.mark.at.insert(thread, at);
        self.recording.mark.into.remove(&thread);
        self.load_clocks(thread);
        if self.recording.served {
            // A signal may be what comes next, before any call.
            self.expect_spin();
        }
    }

    /// Has come so far in what the process has noted in an entry.
    pub(super) fn advance_into(&mut self, thread: i32, at: usize, into: usize) {
        let all = self.recording.mark.line.borrow().records(thread, at).map_or(0, |entry| entry.recorded);
        if into >= all {
            return self.advance(thread, at + 1);
        }
        self.recording.mark.at.insert(thread, at);
        self.recording.mark.into.insert(thread, into);
        self.recording.mark.loaded = None;
        self.load_clocks(thread);
    }

    /// Gives the process what comes next of what it has noted.
    fn load_clocks(&mut self, known: i32) {
        let Some((leader, Some(thread))) = self.clocked() else { return };
        if self.virtual_id(thread) != known || self.recording.mark.live || !self.recording.on {
            return;
        }
        let at = place(&self.recording.mark.at, known);
        let (bytes, closed) = {
            let line = self.recording.mark.line.borrow();
            let records = line.records(known, at);
            let behind = if records.is_some() { at + 1 } else { at };
            (records.map(|entry| entry.records().into_owned()), line.is_closed(known, behind))
        };
        let loaded = Loaded { index: at, any: bytes.is_some(), closed };
        let former = self.recording.mark.loaded.replace(loaded);
        if former.is_some_and(|former| !former.any && !loaded.any && former.closed == closed) || former == Some(loaded)
        {
            return;
        }
        let bytes = bytes.unwrap_or_default();
        let used = place(&self.recording.mark.into, known) as u64;
        if !bytes.is_empty() {
            raw::write_remote(leader, CLOCK_BUFFER + CLOCK_HEADER, &bytes);
        }
        let words = [used.min(bytes.len() as u64), bytes.len() as u64].map(u64::to_ne_bytes);
        raw::write_remote(leader, CLOCK_BUFFER, words.as_flattened());
        self.tune_clocks();
    }

    /// The process has come to the end of the notes: from here on its buffer is written to.
    pub(super) fn empty_clocks(&mut self) {
        self.recording.mark.into.clear();
        self.recording.mark.loaded = None;
        self.recording.asked = false;
        if let Some((leader, _)) = self.clocked() {
            let words = [0, CAPACITY].map(u64::to_ne_bytes);
            raw::write_remote(leader, CLOCK_BUFFER, words.as_flattened());
        }
        self.tune_clocks();
    }

    /// A fresh copy is about to run, whose buffer is that of another time, or another program, whose buffer is new.
    pub(in crate::supervisor) fn set_clocks_up(&mut self) {
        self.recording.tell_anew();
        let Some((leader, thread)) = self.clocked() else { return };
        self.recording.mark.loaded = None;
        if self.recording.mark.live {
            return self.empty_clocks();
        }
        raw::write_remote(leader, CLOCK_BUFFER, &[0; 16]);
        if let Some(thread) = thread {
            let known = self.virtual_id(thread);
            self.load_clocks(known);
        }
        self.tune_clocks();
    }

    /// Tells the process what is to become of its readings of clocks.
    pub(in crate::supervisor) fn tune_clocks(&mut self) {
        let Some((_, thread)) = self.clocked() else { return };
        let aside = self.recording.aside && self.running.is_none();
        let mode = if !self.recording.on || aside {
            ClockMode::Plain
        } else if thread.is_none() {
            self.recording.mark.loaded = None;
            ClockMode::Trapped
        } else if self.recording.mark.live {
            ClockMode::Record
        } else {
            ClockMode::Replay
        };
        // It was one of several threads, and is alone now.
        if let (ClockMode::Replay, Some(thread), None) = (mode, thread, self.recording.mark.loaded) {
            return self.load_clocks(self.virtual_id(thread));
        }
        self.set_clock_mode(mode);
    }

    pub(super) fn set_clock_mode(&mut self, mode: ClockMode) {
        let Some((leader, _)) = self.clocked() else { return };
        self.recording.told =
            !self.recording.served && tells_own(leader, mode != ClockMode::Plain, &mut self.recording.search);
        let rule = self.recording.rule();
        // A line editor in the process reads these, and is told by its code.
        let others = if rule.is_shared() && mode != ClockMode::Plain { ClockMode::Trapped } else { mode };
        let closed = self.recording.mark.loaded.is_some_and(|loaded| loaded.closed);
        let words = modes(mode, others, rule, closed);
        if self.recording.clocks_are.as_deref() != Some(&*words) {
            raw::write_remote(leader, MODES, &words);
            self.recording.clocks_are = Some(words);
        }
    }

    /// A stopped thread may be in the middle of an entry, which nobody may see: it is brought to the end of the function. What
    /// stopped it, a signal, comes later.
    pub(in crate::supervisor) fn leave_clocks(&self, tid: Pid, what: Change) {
        const MOST: usize = 512;
        const ALL_BUT_TRAP: u64 = !(1 << (libc::SIGTRAP - 1));
        if !self.recording.clocks || !matches!(what, Change::Signal(_) | Change::Interrupted) {
            return;
        }
        let inside = || {
            raw::registers(tid)
                .is_ok_and(|registers| is_inside(registers.rip) || self.is_on_the_way_to_calls(registers.rip))
        };
        if self.tasks.get(&tid).map(|task| task.pid) != self.recorded_leader() || !inside() {
            return;
        }
        let Ok(mask) = raw::signal_mask(tid) else { return };
        raw::set_signal_mask(tid, ALL_BUT_TRAP).ok();
        if self.has_buffer(tid) {
            sites::go_to_exit(tid);
        }
        for _ in 0..MOST {
            if raw::resume(libc::PTRACE_SINGLESTEP, tid, 0).is_err() {
                return;
            }
            let Ok(Some((_, status))) = raw::wait(Some(tid), true) else { return };
            if matches!(change(status), Change::Exited(_) | Change::Killed(_)) || !inside() {
                break;
            }
        }
        raw::set_signal_mask(tid, mask).ok();
    }

    /// A call that came to us, answered from what the process had noted itself.
    pub(super) fn record_again(&mut self, tid: Pid, registers: raw::Registers, asked: &Asked, record: &Record) {
        let Some(pid) = self.tasks.get(&tid).map(|task| task.pid) else { return };
        tracing::trace!("given from what was noted: {record:?} for {asked:?}");
        self.answer_call(tid, registers, record.result());
        for (address, bytes) in record.outputs(asked) {
            if raw::write_remote(pid, address, &bytes) < bytes.len() {
                tracing::warn!("what was read is not given again");
            }
        }
    }
}
