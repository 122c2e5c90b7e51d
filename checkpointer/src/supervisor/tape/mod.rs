//! Recording in a session. What the recorded process (the debugger's own, where the program lives in it; else the program that is
//! served) does outside and learns from there is noted, from the first copy on. A copy knows its place in these notes; a process
//! that comes from it gets its inputs from them and does no effect again, until it comes to their end, where it goes on for real.
//!
//! Descriptors are the newest state's at any time: copies share the open file descriptions, along the notes nobody touches
//! them, and what is made along the notes is given out again as it was then ([`gift`]). So nothing needs to be exchanged when the end
//! of the notes is reached; only regular files, which a copy finds where they stood then, are set to where they stand.
//!
//! Noted is what the table of system calls says: each thread has its own notes. Threads run one at a time, and whose turn it is is
//! noted, too ([`schedule`], and `turns` in the supervisor).

mod calls;
mod children;
mod clocks;
mod counter;
mod family;
mod gift;
mod given;
mod held;
mod hidden;
mod kinds;
mod lent;
mod line;
mod locks;
mod loops;
mod mapped;
mod own_readings;
mod places;
mod printed;
mod prints;
mod queued;
mod records;
mod relocated;
pub(in crate::supervisor) mod schedule;
mod signals;
pub(in crate::supervisor) mod sites;
mod store;
mod subject;
mod timers;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use nix::sys::stat::FileStat;
use nix::unistd::Pid;
use syscalls::Sysno;

use super::Supervisor;
use super::deadlock::Deadlock;
use super::spinning::Watch;
use crate::inject::injector::Injector;
use crate::inject::{InjectError, Remote};
use crate::raw::SigInfo;
use crate::snapshot::timers::Timers;
use crate::wire::{self, Event, Parted, Purpose};
pub(in crate::supervisor) use calls::{Pending, Taken, view};
pub(in crate::supervisor) use clocks::install as install_clocks;
use gift::Counter;
use held::set_offsets;
use kinds::Kinds;
use line::{Line, Places, Rule, SCHEDULE};
use printed::{Own, Reader};
pub(in crate::supervisor) use prints::Printing;
use schedule::{Cause, Schedule, Stand, Turn};
pub(in crate::supervisor) use signals::{Fate, Place};
use store::Store;

/// Bytes of notes in memory, and in their file, beyond which nothing is noted any more.
const MOST: (u64, u64) = (1 << 30, 8 << 30);

/// A place in the notes.
#[derive(Debug, Clone, Default)]
pub(in crate::supervisor) struct Mark {
    line: Rc<RefCell<Line>>,
    at: Places,
    /// How many bytes threads have come into what is noted there, if they have noted it themselves.
    into: Places,
    /// What the process has been given of that.
    loaded: Option<clocks::Loaded>,
    kinds: Kinds,
    /// Where it is in what has been printed.
    reader: Reader,
    /// The process has come to the end of the notes since it was started.
    live: bool,
    /// Its filter traps what is left out for line editors, too.
    filtered: bool,
    /// Whose turn it is.
    schedule: Schedule,
    /// Masks of threads that stand at a signal in a call with a mask of its own, which is in force.
    masks: BTreeMap<i32, u64>,
    /// Its timers when they were last known, with threads by the ids that the program knows.
    timers: Option<Rc<Timers>>,
    /// Its locks behind the last call about them.
    locks: Option<Rc<locks::Locks>>,
    /// Signals of others that waited for the process it comes from, and that it has not got since.
    waiting: Vec<(i32, SigInfo)>,
}

impl Mark {
    /// A signal that has waited has come, or has been taken by a call.
    fn has_come(&mut self, number: i32) {
        if let Some(at) = self.waiting.iter().position(|(waiting, _)| *waiting == number) {
            self.waiting.remove(at);
        }
    }

    /// The process is the newest again, and the only one to have what it has.
    fn release(&self) {
        for kind in self.kinds.values() {
            if let kinds::Kind::Noted { held, .. } = kind {
                held.release();
            }
        }
    }

    /// Whether as much has happened. A call in which a thread waits may be finished here and not there: it is another's turn.
    pub(in crate::supervisor) fn is_as_far_as(&self, other: &Mark) -> bool {
        self.schedule.tick == other.schedule.tick
            && line::place(&self.at, SCHEDULE) == line::place(&other.at, SCHEDULE)
            && self.has_read_as_much_as(other)
    }

    /// Whether the thread whose turn it is has noted, or been given, as much without a stop, which is no tick of the schedule.
    fn has_read_as_much_as(&self, other: &Mark) -> bool {
        // A thread whose turn it is not may have made its call in one of them and still stand before it in the other one.
        let calls = |mark: &Mark, thread: i32| matches!(mark.schedule.stand(thread), Stand::Held | Stand::Called);
        let thread = self.schedule.last;
        let far = |mark: &Mark| (line::place(&mark.at, thread), line::place(&mark.into, thread));
        calls(self, thread) || calls(other, thread) || far(self) == far(other)
    }

    /// Whether all but one thread have come to the end of the notes.
    fn others_are_at_end(&self, thread: i32) -> bool {
        let line = self.line.borrow();
        let mut places = self.at.clone();
        places.insert(thread, line.end(thread));
        line.ends_at(&places)
    }

    /// Whether a thread that has come to the end of its notes has come there too early.
    fn is_early(&self, thread: i32, rule: line::Rule) -> bool {
        let line = self.line.borrow();
        match rule {
            // The newest process is at the end; to ask that of each thread that there has been costs more with each.
            line::Rule::Exact => !self.live && !line.ends_at(&self.at),
            _ => line.chooses_turns && !self.others_are_at_end(thread),
        }
    }

    /// Where it is, for diagnostics.
    pub(in crate::supervisor) fn words(&self) -> String {
        format!("tick {} at {:?} of a line that ends at {:?}", self.schedule.tick, self.at, self.line.borrow().ends())
    }

    /// Memory that the kernel has written by itself.
    pub(in crate::supervisor) fn left_areas(&self) -> Vec<(u64, u64)> {
        self.schedule.left_out()
    }

    /// Whether what copies share with what stands behind this descriptor is to be put back when one of them runs: not where it is
    /// left as the newest state has it.
    pub(in crate::supervisor) fn puts_back(&self, number: i32) -> bool {
        !matches!(self.kinds.get(&number), Some(kinds::Kind::Noted { regular: false, .. }))
    }
}

/// What the supervisor knows of recording.
#[derive(Debug)]
pub(in crate::supervisor) struct Recording {
    /// The client has asked for it.
    pub(in crate::supervisor) wanted: bool,
    /// It is on: a copy has been taken, and nothing has happened that cannot be noted.
    pub(in crate::supervisor) on: bool,
    /// What is done now is the debugger's or its user's affair: it is neither noted nor taken from the notes.
    aside: bool,
    /// What is done now is the program's own doing, and not only the user's.
    runs: bool,
    /// The user sees what the program prints now, and so it is noted.
    heard: bool,
    /// The process has done something else than is noted, and nobody sees what it does: it is let into no call any more.
    lost: bool,
    /// How a debugger in the recorded process prints.
    own: Option<Rc<Own>>,
    /// The program that is served is recorded, not the session's own process.
    pub(in crate::supervisor) served: bool,
    /// The process has our functions for reading clocks.
    pub(in crate::supervisor) clocks: bool,
    /// What becomes of calls that the process can make itself, once it has been told.
    calls_are: Option<crate::raw::ClockMode>,
    /// What it has been told of its readings of clocks, likewise.
    clocks_are: Option<Vec<u8>>,
    /// The thread whose turn it is has been asked for a call that we see.
    asked: bool,
    /// Readings of clocks by a debugger in the process are told by their callers.
    told: bool,
    /// How, which is being found out.
    search: Option<clocks::Search>,
    mark: Mark,
    lines: Vec<Rc<RefCell<Line>>>,
    store: Rc<Store>,
    /// When the session began.
    began: (i64, i64),
    /// How names of the client's own descriptors begin.
    client: Vec<u8>,
    counter: Option<Counter>,
    /// It has been stopped: threads are still to be let go that stand because it is not their turn.
    pub(in crate::supervisor) loosened: bool,
    /// Nobody's turn comes.
    pub(in crate::supervisor) deadlock: Option<Deadlock>,
    /// What is known of the thread whose turn it is while it makes no call.
    pub(in crate::supervisor) watch: Option<Watch>,
    /// Loops that change nothing, by the instructions on their way round.
    pub(in crate::supervisor) loops: std::collections::HashSet<Vec<u64>>,
    /// What the place of a signal is compared with.
    pub(in crate::supervisor) place: Option<(crate::wire::CopyId, super::served::Fence)>,
    /// Where a place for a signal is looked for.
    sought: Option<places::Sought>,
    /// How often its instruction was come to by a stop, and not in this state.
    missed: Option<(crate::wire::CopyId, u32)>,
    /// How long threads are let go on that make no call.
    pub(in crate::supervisor) patience: loops::Patience,
    /// Copies that name places of signals and turns, as long as those are noted.
    places: Vec<(std::rc::Weak<()>, crate::wire::CopyId)>,
    /// Files that are mapped and show what is written to them.
    mapped: mapped::Watched,
    /// What is to be put back, now that the notes have ended.
    timers_due: Option<Rc<Timers>>,
    /// Since when a thread makes no call behind the end of the notes, and behind which tick.
    without_timers: Option<(u64, std::time::Instant)>,
    /// Children that share memory with the process.
    family: family::Family,
    /// Children that have ended, by id.
    ended: std::collections::HashMap<i32, crate::snapshot::zombies::Zombie>,
    /// Descriptions with locks.
    locked: Vec<locks::Locked>,
    /// A lock has been taken.
    locks_used: bool,
    /// Those that are to be had, now that the notes have ended.
    locks_due: Option<Rc<locks::Locks>>,
    /// The threads of a process that was the newest, and is there for its locks alone.
    keeper: super::tasks::Tasks,
    /// Calls that were looked at since, to see how closely they follow each other.
    looked_at: (u32, std::time::Instant),
}

impl Recording {
    pub(in crate::supervisor) fn new() -> Recording {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        // The kernel's time stamps lag behind by a tick (10 ms at most).
        let began = now.saturating_sub(std::time::Duration::from_millis(20));
        Recording {
            wanted: false,
            on: false,
            aside: false,
            runs: true,
            heard: false,
            lost: false,
            own: None,
            served: false,
            clocks: false,
            calls_are: None,
            clocks_are: None,
            asked: false,
            told: false,
            search: None,
            mark: Mark::default(),
            lines: Vec::new(),
            store: Rc::default(),
            began: (began.as_secs().cast_signed(), began.subsec_nanos().into()),
            client: format!("/proc/{}/fd/", std::os::unix::process::parent_id()).into_bytes(),
            counter: None,
            loosened: false,
            deadlock: None,
            watch: None,
            loops: Default::default(),
            place: None,
            missed: None,
            patience: loops::Patience::default(),
            sought: None,
            places: Vec::new(),
            mapped: mapped::Watched::default(),
            timers_due: None,
            without_timers: None,
            family: Default::default(),
            ended: Default::default(),
            locked: Vec::new(),
            locks_used: false,
            locks_due: None,
            keeper: Default::default(),
            looked_at: (0, std::time::Instant::now()),
        }
    }

    /// Bytes that have been noted since the session began.
    pub(in crate::supervisor) fn noted_bytes(&self) -> u64 {
        self.store.all()
    }

    /// Whether a file has not been changed since the session began. Files that the kernel makes up have no age.
    fn is_old(&self, stat: &FileStat) -> bool {
        (stat.st_ctime, stat.st_ctime_nsec) < self.began && stat.st_ino != 0 && stat.st_blksize != 0 && {
            // /proc and /sys: no file system of theirs has blocks.
            stat.st_size == 0 || stat.st_blocks > 0 || stat.st_mode & libc::S_IFMT == libc::S_IFDIR
        }
    }

    /// Counts a call; true now and then, when they follow each other closely.
    fn are_dense(&mut self) -> bool {
        const MANY: u32 = 128;
        self.looked_at.0 += 1;
        if self.looked_at.0 < MANY {
            return false;
        }
        let dense = self.looked_at.1.elapsed() < std::time::Duration::from_millis(100);
        self.looked_at = (0, std::time::Instant::now());
        dense
    }

    fn rule(&self) -> Rule {
        match (self.served, self.told) {
            (true, _) => Rule::Exact,
            (false, false) => Rule::Shared,
            (false, true) => Rule::Told,
        }
    }

    /// The place now, for a copy that is made of a process with these timers, for which these signals of others wait.
    pub(in crate::supervisor) fn mark_of_copy(
        &self,
        timers: Option<Timers>,
        waiting: Vec<(i32, SigInfo)>,
    ) -> Option<Mark> {
        self.mark().map(|mut mark| {
            if mark.live {
                mark.waiting.clear();
            }
            mark.waiting.extend(waiting);
            Mark { timers: timers.map(Rc::new), ..mark }
        })
    }

    /// The place now, if there is one.
    pub(in crate::supervisor) fn mark(&self) -> Option<Mark> {
        self.on.then(|| self.mark.clone())
    }

    /// A process runs that is at this place.
    pub(in crate::supervisor) fn go_to(&mut self, mark: Option<Mark>) {
        self.timers_due = None;
        self.tell_anew();
        self.locks_due = None;
        self.family = Default::default();
        self.on = mark.is_some();
        self.mark = mark.unwrap_or_default();
        if self.mark.live {
            self.mark.release();
        }
    }

    /// As [`Recording::go_to`], for a fresh copy: it may stand behind the newest state.
    pub(in crate::supervisor) fn begin_from(&mut self, mark: Option<Mark>) {
        self.timers_due = None;
        self.tell_anew();
        self.locks_due = None;
        self.family = Default::default();
        self.on = mark.is_some();
        self.mark = mark.unwrap_or_default();
        self.mark.live = false;
        self.mark.schedule = std::mem::take(&mut self.mark.schedule).of_copy();
        tracing::debug!("from tick {} on", self.mark.schedule.tick);
    }

    /// What has been found out of a program is not true of the one that has been loaded in its place.
    pub(in crate::supervisor) fn forget_search(&mut self) {
        self.search = None;
    }

    /// Another process runs, or another program: it is to be told again what becomes of its calls, and is where the notes are.
    fn tell_anew(&mut self) {
        (self.lost, self.deadlock) = (false, None);
        (self.calls_are, self.clocks_are, self.asked) = (None, None, false);
    }

    /// Another program: nothing is noted of it yet.
    pub(in crate::supervisor) fn begin_anew(&mut self) {
        self.timers_due = None;
        self.tell_anew();
        self.locks_due = None;
        self.family = Default::default();
        self.on = false;
        self.mark = Mark::default();
        self.mapped.forget_stored_in();
        self.loops.clear();
    }

    /// Who waits for whom.
    pub(in crate::supervisor) fn waits(&self) -> &[schedule::Wait] {
        self.mark.schedule.waits()
    }

    /// Whether what the process does next is not what is noted, and must not be done.
    pub(in crate::supervisor) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Whose turn it is.
    pub(in crate::supervisor) fn schedule(&mut self) -> &mut Schedule {
        &mut self.mark.schedule
    }

    /// Whether the thread whose turn it is has been asked for a call that we see.
    pub(in crate::supervisor) fn has_asked(&self) -> bool {
        self.asked
    }

    /// Whether what happens now happens for the first time.
    pub(in crate::supervisor) fn is_live(&self) -> bool {
        self.mark.live
    }

    /// Whether it is chosen now whose turn it is: nothing is noted of that.
    pub(in crate::supervisor) fn chooses_turns(&self) -> bool {
        self.mark.live || self.mark.line.borrow().chooses_turns && self.next_turn().is_none()
    }

    /// The next turn, where it is noted.
    pub(in crate::supervisor) fn next_turn(&self) -> Option<Rc<Turn>> {
        self.mark.line.borrow().turn(&self.mark.at)
    }

    /// The next turn has come.
    pub(in crate::supervisor) fn take_turn(&mut self) {
        *self.mark.at.entry(SCHEDULE).or_default() += 1;
    }

    /// Notes a turn, and that it has come.
    pub(in crate::supervisor) fn note_turn(&mut self, to: i32, cause: Cause, late: bool) {
        let turn = Turn { tick: self.mark.schedule.tick, to, cause, late };
        let mut line = self.mark.line.borrow_mut();
        line.push_turn(turn);
        self.mark.at.insert(SCHEDULE, line.end(SCHEDULE));
    }

    /// Whether nothing is noted that has not come.
    pub(in crate::supervisor) fn is_at_end(&self) -> bool {
        self.mark.line.borrow().ends_at(&self.mark.at)
    }

    /// How a debugger in the process prints.
    pub(in crate::supervisor) fn know_own(&mut self, own: Option<&wire::Own>) -> Result<(), String> {
        let read = own.map(Own::new).transpose();
        let read = read.map_err(|error| format!("what the debugger prints cannot be recognised: {error}"))?;
        self.own = read.map(Rc::new);
        Ok(())
    }

    /// Somebody who waited for input goes on.
    pub(in crate::supervisor) fn goes_on(&mut self) {
        self.mark.reader.goes_on();
    }

    /// What is done until this is called again is for this; whether the user sees what is printed.
    pub(in crate::supervisor) fn set_purpose(&mut self, purpose: Purpose, heard: bool) {
        let newest = || {
            let line = self.mark.line.borrow();
            self.mark.live || self.mark.at.iter().all(|(thread, at)| *at == line.end(*thread))
        };
        self.aside = match purpose {
            Purpose::Program => false,
            Purpose::Question => true,
            Purpose::Change => !newest(),
        };
        self.runs = purpose == Purpose::Program;
        self.heard = heard;
        if purpose == Purpose::Change && heard {
            self.mark.reader.change();
        }
    }

    /// Passes over what is left, which could be missing.
    fn go_to_end(&mut self) {
        let line = self.mark.line.borrow();
        for (thread, at) in &mut self.mark.at {
            *at = line.end(*thread);
        }
    }

    /// Whether signals of others are to wait again for a process at the end of the notes.
    fn has_waiting(&self) -> bool {
        let line = self.mark.line.borrow();
        line.newest.as_ref().map_or(!self.mark.waiting.is_empty(), |newest| newest.has_signals())
    }

    /// Whether signals come when they come: the notes have been ended, and there are none behind this place.
    pub(in crate::supervisor) fn has_loose_signals(&self) -> bool {
        let line = self.mark.line.borrow();
        line.ended.is_some() && !line.has_signals_behind(&self.mark.at)
    }

    /// Copies that are kept for the notes alone.
    pub(in crate::supervisor) fn copies_of_notes(&self) -> Vec<crate::wire::CopyId> {
        self.places.iter().map(|(_, copy)| *copy).collect()
    }

    /// Forgets what no copy needs.
    pub(in crate::supervisor) fn forget<'m>(&mut self, marks: impl Iterator<Item = &'m Mark>) {
        let mut marks: Vec<&Mark> = marks.collect();
        if self.on {
            marks.push(&self.mark);
        }
        let threads: Vec<i32> = marks.iter().flat_map(|mark| mark.at.keys().copied()).collect();
        let oldest: Places = threads
            .into_iter()
            .map(|thread| (thread, marks.iter().map(|mark| line::place(&mark.at, thread)).min().unwrap_or(0)))
            .collect();
        for known in &self.lines {
            known.borrow_mut().forget(&oldest);
        }
        Reader::forget(&marks.iter().map(|mark| &mark.reader).collect::<Vec<_>>());
        if marks.is_empty() {
            self.ended.clear();
            self.lines.clear();
        }
    }
}

impl Supervisor {
    /// Whether something is done now that is neither noted nor taken from the notes.
    pub(super) fn is_aside(&self) -> bool {
        self.recording.aside && self.running.is_none()
    }

    /// Real id of the process that is recorded.
    pub(super) fn recorded_leader(&self) -> Option<Pid> {
        if !self.recording.wanted {
            return None;
        }
        if self.recording.served {
            self.program.as_ref().filter(|program| !program.is_attached()).map(|program| program.leader)
        } else {
            self.main
        }
    }

    /// A process is about to be copied: it is recorded from now on, if it can be.
    pub(super) fn note_copy(&mut self, leader: Pid) {
        if self.recorded_leader() != Some(leader) {
            return;
        }
        self.sync_clocks();
        self.give_up_locks();
        self.hold_arriving(leader);
        if !self.recording.on {
            if self.recording.mark.line.borrow().ended.is_some() {
                return;
            }
            if self.recording.counter.is_none() {
                match Counter::open() {
                    Ok(counter) => self.recording.counter = Some(counter),
                    Err(error) => return self.stop_recording(&format!("no socket for descriptors: {error}")),
                }
                raise_limit();
            }
            self.recording.on = true;
            self.recording.mark.live = true;
            self.recording.mark.reader = Reader::new(&self.recording.store);
            self.recording.mark.schedule = Schedule::of(self.virtual_id(leader));
            let line = Rc::clone(&self.recording.mark.line);
            self.recording.lines.push(line);
            self.empty_clocks();
        }
        self.know_all(leader);
        if let Err(error) = self.see_to_input(leader, leader) {
            self.stop_recording(&format!("reads of what is not the terminal any more cannot be seen: {error}"));
        }
    }

    /// Where the standard input of a process that a debugger shares is not the terminal, reads of it are to be noted.
    fn see_to_input(&mut self, pid: Pid, tid: Pid) -> Result<(), InjectError> {
        if self.recording.served || self.recording.mark.filtered {
            return Ok(());
        }
        if matches!(self.kind(pid, 0), None | Some(kinds::Kind::Terminal(_))) {
            return Ok(());
        }
        const SET_MODE_FILTER: u64 = libc::SECCOMP_SET_MODE_FILTER as u64;
        const FOR_ALL_THREADS: u64 = libc::SECCOMP_FILTER_FLAG_TSYNC;
        let code = crate::syscalls::completion();
        let mut injector = Injector::borrow(pid, tid)?;
        let scratch = injector.scratch();
        // struct sock_fprog, then its instructions (linux/filter.h)
        let mut bytes = (code.len() as u64).to_ne_bytes().to_vec();
        bytes.extend((scratch + 16).to_ne_bytes());
        for one in &code {
            bytes.extend(one.code.to_ne_bytes());
            bytes.extend([one.jt, one.jf]);
            bytes.extend(one.k.to_ne_bytes());
        }
        injector.write(scratch, &bytes)?;
        injector.call(Sysno::seccomp, [SET_MODE_FILTER, FOR_ALL_THREADS, scratch, 0, 0, 0])?;
        injector.finish()?;
        self.recording.mark.filtered = true;
        Ok(())
    }

    /// From here on nothing is noted: copies that are taken are restored as well as can be, and run on for real.
    pub(super) fn stop_recording(&mut self, why: &str) {
        if !self.recording.on {
            return;
        }
        self.sync_clocks();
        // That can have led here, too.
        if !std::mem::replace(&mut self.recording.on, false) {
            return;
        }
        tracing::info!("recording stops: {why}");
        self.recording.loosened = true;
        // Its threads run side by side from here on.
        self.unpin();
        self.free_family();
        self.tune_clocks();
        let mut line = self.recording.mark.line.borrow_mut();
        (line.ended, line.newest) = (Some(why.to_owned()), None);
        drop(line);
        self.tell(Event::Unrecorded(why.to_owned()));
    }

    /// Notes no more where there is no room.
    fn limit_notes(&mut self) {
        let (memory, disk) = self.recording.store.weight();
        if memory > MOST.0 {
            self.stop_recording("the notes have reached their limit of 1 GiB in memory");
        } else if disk > MOST.1 {
            self.stop_recording("the notes have reached their limit of 8 GiB in a file");
        }
    }

    /// The end of the notes: what comes now happens for the first time.
    pub(super) fn go_live(&mut self) {
        if std::mem::replace(&mut self.recording.mark.live, true) {
            return;
        }
        tracing::debug!("the end of the notes at {:?}", self.recording.mark.at);
        let offsets = self.recording.mark.line.borrow().offsets();
        set_offsets(&offsets);
        self.recording.mark.release();
        self.unmapped_is_back();
        self.expect_timers(true);
        self.empty_clocks();
    }

    /// It is another thread's turn than is noted. Where a debugger shares the process that is no other execution yet: objects of the
    /// program lie elsewhere when the debugger has made others before, and what is done in the order of addresses (a set of threads
    /// that are waited for) is done in another one. Calls are still those that are noted for each thread; turns are chosen, and noted,
    /// in a line of their own. False where a debugger does not share the process.
    pub(super) fn part_turns(&mut self, expected: &str, got: &str) -> bool {
        if !self.recording.rule().is_shared() {
            return false;
        }
        tracing::debug!("other turns at {:?}: expected {expected}, got {got}", self.recording.mark.at);
        let line = self.recording.mark.line.borrow().part_turns(&self.recording.mark.at);
        let line = Rc::new(RefCell::new(line));
        self.recording.lines.push(Rc::clone(&line));
        self.recording.mark.line = line;
        true
    }

    /// The process does something else than is noted. Where the user sees what it does, a line of its own begins, and it goes on for
    /// real; in a search or a replay it is lost: it stays where it is, since what it did now would be done for nobody.
    pub(super) fn part(&mut self, expected: &str, got: &str) {
        if self.recording.lost {
            return;
        }
        tracing::debug!("another line at {:?}: expected {expected}, got {got}", self.recording.mark.at);
        if !self.recording.heard {
            self.recording.lost = true;
            let at = self.recording.mark.schedule.tick;
            let (expected, got) = (expected.to_owned(), got.to_owned());
            return self.tell(Event::Parted(Parted { at, expected, got, kept: Vec::new(), lost: true }));
        }
        let former = Rc::clone(&self.recording.mark.line);
        let line = former.borrow().part(&self.recording.mark.at, &self.recording.mark.into);
        let kept = former.borrow().effects_behind(&self.recording.mark.at, &self.recording.mark.into);
        set_offsets(&line.offsets());
        let line = Rc::new(RefCell::new(line));
        self.recording.lines.push(Rc::clone(&line));
        for (thread, at) in &mut self.recording.mark.at {
            *at = line.borrow().end(*thread);
        }
        self.recording.mark.line = line;
        self.recording.mark.reader.part();
        self.recording.mark.live = true;
        self.recording.mark.release();
        self.expect_timers(false);
        self.empty_clocks();
        let at = self.recording.mark.schedule.tick;
        let kept = kept
            .into_iter()
            .map(|(name, times)| if times > 1 { format!("{name} ({times} times)") } else { name.to_string() })
            .collect();
        self.tell(Event::Parted(Parted { at, expected: expected.to_owned(), got: got.to_owned(), kept, lost: false }));
    }
}

/// Descriptors that are noted are kept by us, too. Programs do not inherit the limit: they are started by their holder, which is
/// there by now.
fn raise_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most.min(1 << 20), most));
    if let Err(error) = raised {
        tracing::info!("the limit of descriptors stays: {error}");
    }
}
