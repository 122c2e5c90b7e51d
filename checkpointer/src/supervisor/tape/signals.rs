//! Signals of a recorded process that come from outside or from timers. One is delivered at a place that the notes can name, and is
//! noted there; along the notes it is put in at the same place, and those that really come are swallowed: timers of copies, or none.
//!
//! There are four such places ([`Place`]): before a call at which the schedule ticks; inside a call that waits, which the kernel leaves
//! with a restart code, and at whose end it decides on replay as it did; right after a call; and while the thread waits for a
//! futex, which is not the kernel's to interrupt. A signal that comes while the thread computes is held until it comes to a call. What
//! the thread causes or sends itself comes again by itself.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use syscalls::Sysno;

use super::super::Supervisor;
use super::calls::{RESTART_CODES, view};
use super::line::{Asked, Entry, SIGNAL, place};
use crate::inject::injector::Injector;
use crate::inject::{InjectError, Remote};
use crate::ptrace::{Change, How, change};
use crate::raw::{self, Registers, SigInfo};
use crate::record::outputs;
use crate::rsp::target::Motion;
use crate::signals::{Disposition, disposition, is_fault, saved_mask};
use crate::supervisor::tasks::{Activity, Task};
use crate::wire::CopyId;

/// How long a signal is held for a thread that makes no call; and for one of a process with a debugger in it, for whose places there is
/// no name at all.
const HELD: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(50));

/// Signals that glibc's threads use among themselves (SIGCANCEL and SIGSETXID, nptl/internaltypes.h).
const OF_THREADS: [i32; 2] = [32, 33];

const ERESTARTSYS: i64 = -512;

/// Where a signal was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) enum Place {
    /// Right before the call with which the schedule comes to the tick behind this one.
    Before(u64),
    /// In the call that is noted with it, which was interrupted.
    Inside,
    /// Right after the call that is noted before it.
    After,
    /// While the thread waited for a futex.
    Waiting,
    /// Behind a tick, at an instruction, where the state is that of a copy.
    Here { tick: u64, pc: u64, copy: CopyId },
}

/// What a debugger has made of a signal: the number that was delivered, 0 if none was; `None` as long as it has not decided.
pub(in crate::supervisor) type Fate = Rc<Cell<Option<i32>>>;

/// A signal in the notes.
#[derive(Debug)]
pub(in crate::supervisor) struct Noted {
    pub number: i32,
    information: Vec<u8>,
    pub place: Place,
    pub fate: Fate,
    /// The user has given it, at a stop.
    pub given: bool,
    /// Keeps the copy that names the place.
    _kept: Option<Rc<()>>,
}

impl Noted {
    fn new(number: i32, information: &SigInfo, place: Place) -> Noted {
        Noted {
            number,
            information: raw::signal_bytes(information),
            place,
            fate: Fate::default(),
            given: false,
            _kept: None,
        }
    }

    pub(super) fn given(number: i32, information: &SigInfo, place: Place, kept: Rc<()>) -> Noted {
        Noted { given: true, ..Noted::at_copy(number, information, place, kept) }
    }

    pub(super) fn at_copy(number: i32, information: &SigInfo, place: Place, kept: Rc<()>) -> Noted {
        Noted { _kept: Some(kept), ..Noted::new(number, information, place) }
    }
}

/// The signal mask that a call which was interrupted had put in the place of the thread's own.
fn mask_of_call(tid: Pid, pid: Pid, call: u32, arguments: &[u64; 6]) -> Option<u64> {
    let thread = view(tid, pid);
    let at = match Sysno::new(call as usize)? {
        Sysno::rt_sigsuspend => arguments[0],
        Sysno::ppoll => arguments[3],
        Sysno::epoll_pwait | Sysno::epoll_pwait2 => arguments[4],
        Sysno::pselect6 => thread.word(arguments[5]).unwrap_or(0),
        _ => 0,
    };
    if at == 0 { None } else { thread.word(at) }
}

impl Supervisor {
    /// A signal is about to be delivered to a thread. What becomes of the stop: the signal may not be for now.
    pub(in crate::supervisor) fn sort_signal(&mut self, tid: Pid, number: i32) -> Change {
        let now = Change::Signal(number);
        let Some(task) = self.tasks.get(&tid) else { return now };
        let pid = task.pid;
        if !self.recording.on || self.recorded_leader() != Some(pid) || self.recording.schedule().ending {
            return now;
        }
        let Some(Activity::Stopped(stopped)) = &task.activity else { return now };
        let Some((_, information)) = stopped.signal else { return now };
        if number == libc::SIGTRAP || OF_THREADS.contains(&number) || is_fault(number, &information) {
            return now;
        }
        let at = self.place_of(tid);
        // These come from a call that is not made along the notes.
        let by_call = matches!(number, libc::SIGPIPE | libc::SIGXFSZ) && at == Some(Place::After);
        if !by_call && self.is_its_own(pid, &information) && !self.is_let_in_by_call(tid, number, at) {
            return now;
        }
        if self.recording.has_loose_signals() {
            return now;
        }
        let live = self.recording.is_live();
        let aside = self.is_aside();
        let action = disposition(tid, number);
        if live && !aside {
            let told = self.is_served(tid) && self.running.is_none() && !self.is_passed(number);
            match action {
                Disposition::Stops => return now,
                Disposition::Ignored if told => return now,
                _ => {}
            }
            if action != Disposition::Ignored
                && let Some(task) = self.tasks.get_mut(&tid)
                && let Some(at) = at
            {
                task.arriving = Some(at);
                return now;
            }
        }
        // Where nothing more is noted it is as good as new, unless it only looks at what has been.
        let counts = live || self.recording.is_at_end() && self.running.is_none();
        tracing::debug!(
            "signal {number} to {tid} is {}: live {live}, aside {aside}, {action:?}, {at:?}",
            if counts { "held" } else { "swallowed" }
        );
        if let Some(task) = self.tasks.get_mut(&tid) {
            if let Some(Activity::Stopped(stopped)) = &mut task.activity {
                stopped.signal = None;
            }
            if counts && action != Disposition::Ignored {
                task.deferred.push(number, information);
            }
        }
        Change::Interrupted
    }

    /// Whether a signal was sent by the process itself, or by us for the client.
    fn is_its_own(&self, pid: Pid, information: &SigInfo) -> bool {
        const BY_CALLS: [i32; 3] = [libc::SI_USER, libc::SI_TKILL, libc::SI_QUEUE];
        let sender = raw::sender(information).filter(|_| BY_CALLS.contains(&information.0.si_code));
        sender.is_some_and(|sender| sender == self.virtual_id(pid) || sender == self.main_virtual)
    }

    /// Where a thread stands that is about to get a signal, if that has a name.
    fn place_of(&mut self, tid: Pid) -> Option<Place> {
        let registers = raw::registers(tid).ok()?;
        let result = registers.rax.cast_signed();
        let known = self.virtual_id(tid);
        let task = self.tasks.get(&tid)?;
        let Some(pending) = task.pending.as_ref() else {
            if task.made.is_some_and(|then| then == registers) && !self.has_noted_more(task.pid) {
                return Some(Place::After);
            }
            // Futexes never reach the kernel: it was made to look so ([`Supervisor::interrupt_waits`]).
            let waited = registers.orig_rax == Sysno::futex.id() as u64 && result == ERESTARTSYS;
            return (waited && self.recording.schedule().current == Some(known)).then_some(Place::Waiting);
        };
        // That it was interrupted has been seen at its end.
        let inside = pending.is_plain() && registers.rip == pending.rip && RESTART_CODES.contains(&result);
        let may_be_missing = self.recording.rule().is_shared() && pending.asked.query;
        (inside && !may_be_missing).then_some(Place::Inside)
    }

    /// A signal is shown to the debugger of a thread, or delivered to it: it is noted, if that has not been done.
    pub(in crate::supervisor) fn note_arrival(&mut self, tid: Pid, signal: Option<&(i32, SigInfo)>) {
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        let (Some(at), Some((number, information))) = (task.arriving.take(), signal) else { return };
        let pid = task.pid;
        if !self.recording.on || !self.recording.is_live() {
            return;
        }
        self.sync_clocks();
        let known = self.virtual_id(tid);
        let noted = Noted::new(*number, information, at);
        let fate = Rc::clone(&noted.fate);
        tracing::debug!("signal {number} to {known}: {at:?}");
        let Ok(registers) = raw::registers(tid) else { return };
        let mut entry = match at {
            Place::Inside => {
                self.family_stands();
                let Some(pending) = self.tasks.get_mut(&tid).and_then(|task| task.pending.take()) else { return };
                let thread = view(tid, pid);
                let result = registers.rax.cast_signed();
                let arguments = pending.asked.arguments;
                let ranges = outputs::ranges(&thread, &pending.shape, &arguments, &pending.capacities, result);
                self.recording.schedule().lands(known, ranges.iter().copied());
                let outputs = outputs::read(&thread, &ranges);
                self.leaves_call(tid);
                Entry::new(pending.asked, result, outputs, &self.recording.store)
            }
            _ => Entry::of_signal(&self.recording.store),
        };
        entry.signal = Some(noted);
        self.push_entry(known, entry);
        #[allow(clippy::cast_possible_truncation)]
        let (call, arguments) = (registers.orig_rax as u32, crate::record::thread::arguments(&registers));
        let interrupted =
            at == Place::Inside || at == Place::After && registers.rax.cast_signed() == -i64::from(libc::EINTR);
        if interrupted && let Some(mask) = mask_of_call(tid, pid, call, &arguments) {
            self.mask_meanwhile(tid, known, mask);
        }
        self.know_fate(tid, fate);
    }

    /// The mask of a call is in force until the handler has begun, which finds the thread's own in its frame.
    fn mask_meanwhile(&mut self, tid: Pid, known: i32, mask: u64) {
        // That of before the call, where it has one of its own (kernel/ptrace.c, PTRACE_GETSIGMASK).
        if let Ok(own) = raw::signal_mask(tid)
            && raw::set_signal_mask(tid, mask).is_ok()
        {
            self.recording.mark.masks.insert(known, own);
        }
    }

    /// Lets a thread into the handler of a signal if it stands in a call with a mask of its own. False if something else has come.
    pub(in crate::supervisor) fn enter_handler(&mut self, tid: Pid) -> bool {
        let known = self.virtual_id(tid);
        if !self.recording.on {
            return true;
        }
        let Some(own) = self.recording.mark.masks.remove(&known) else { return true };
        let Some(task) = self.tasks.get_mut(&tid) else { return true };
        let signalled = matches!(&task.activity, Some(Activity::Stopped(stopped)) if stopped.signal.is_some());
        if !signalled {
            raw::set_signal_mask(tid, own).ok();
            return true;
        }
        // A single step from here stops before the first instruction of the handler (arch/x86, signal_setup_done).
        if let Some(Activity::Stopped(stopped)) = task.activity.take() {
            task.activity = stopped.resume(How::Step).ok().map(Activity::Running);
        }
        let Ok(Some((_, status))) = raw::wait(Some(tid), true) else { return false };
        let what = self.record(tid, status);
        if what != Change::Signal(libc::SIGTRAP) {
            self.react(tid, what);
            return false;
        }
        if let Some(task) = self.tasks.get_mut(&tid)
            && let Some(Activity::Stopped(stopped)) = &mut task.activity
        {
            stopped.signal = None;
        }
        if let Ok(registers) = raw::registers(tid) {
            raw::write_remote(tid, saved_mask(registers.rsp), &own.to_ne_bytes());
        }
        true
    }

    fn know_fate(&mut self, tid: Pid, fate: Fate) {
        if self.is_served(tid) {
            self.set_fate(tid, fate);
        }
    }

    /// What is held for threads that are about to be copied comes to them later, where it can be noted.
    pub(in crate::supervisor) fn hold_arriving(&mut self, leader: Pid) {
        let arriving = |at: Option<Place>| matches!(at, Some(Place::After | Place::Waiting));
        let threads = self.tasks.iter().filter(|(_, task)| task.pid == leader && arriving(task.arriving));
        for tid in threads.map(|(tid, _)| *tid).collect::<Vec<_>>() {
            let kept = if self.is_served(tid) { self.take_kept_signal(tid) } else { None };
            let Some(task) = self.tasks.get_mut(&tid) else { continue };
            task.arriving = None;
            let stands_at = match &mut task.activity {
                Some(Activity::Stopped(stopped)) => stopped.signal.take(),
                _ => None,
            };
            if let Some((number, information)) = kept.or(stands_at) {
                task.deferred.push(number, information);
            }
        }
    }

    /// A thread stands before a call at which the schedule ticks. Whether it gets a signal first; then it has been seen to.
    pub(in crate::supervisor) fn signal_before(&mut self, tid: Pid, known: i32) -> bool {
        if self.is_aside() {
            return false;
        }
        let tick = self.recording.schedule().tick;
        if !self.recording.is_live() {
            if let Some((index, entry)) = self.signal_next(known)
                && entry.signal.as_ref().is_some_and(|signal| signal.place == Place::Before(tick))
            {
                self.advance(known, index + 1);
                if self.back_out(tid) {
                    self.put_signal(tid, &entry, None);
                }
                return true;
            }
            if !self.recording.is_at_end() {
                return false;
            }
            if self.recording.has_waiting() {
                self.sync_clocks();
                self.go_live();
            }
        }
        let Some(task) = self.tasks.get(&tid) else { return false };
        if !task.deferred.any() {
            return false;
        }
        if !self.recording.is_live() {
            self.sync_clocks();
            self.go_live();
        }
        self.forget_sought();
        if !self.back_out(tid) {
            return true;
        }
        let mask = raw::signal_mask(tid).unwrap_or(0);
        let Some(task) = self.tasks.get_mut(&tid) else { return true };
        let blocked = |number: i32| mask & 1 << (number - 1) != 0;
        let Some((number, information)) = task.deferred.take_next(mask) else { return true };
        if !blocked(number) {
            task.arriving = Some(Place::Before(tick));
        }
        // One that has been blocked meanwhile is queued again by the kernel (kernel/signal.c, ptrace_signal), and comes when that ends.
        self.inject_signal(tid, number, information, None);
        if blocked(number) {
            self.let_go(tid, How::Continue);
        } else {
            self.arrives(tid, number);
        }
        true
    }

    /// What is noted next for a thread, if it is a signal.
    pub(super) fn signal_next(&mut self, known: i32) -> Option<(usize, Rc<Entry>)> {
        self.sync_clocks();
        let mark = &self.recording.mark;
        let rule = self.recording.rule();
        mark.line.borrow().signal(known, place(&mark.at, known), rule)
    }

    /// A call has been answered from the notes. Whether a signal follows at once; then the thread has been seen to.
    pub(in crate::supervisor) fn signal_follows(&mut self, tid: Pid) -> bool {
        if !self.recording.on || self.recording.is_live() || self.is_aside() {
            return false;
        }
        let known = self.virtual_id(tid);
        let Some((index, entry)) = self.signal_next(known) else { return false };
        let after = entry.signal.as_ref().is_some_and(|signal| signal.place == Place::After);
        if !after || index != place(&self.recording.mark.at, known) {
            return false;
        }
        let Ok(asked) = raw::registers(tid) else { return false };
        self.advance(known, index + 1);
        if self.leave_skipped(tid) {
            let interrupted = asked.rax.cast_signed() == -i64::from(libc::EINTR);
            let call = self.recording.mark.line.borrow().call_before(known, index).filter(|_| interrupted);
            self.put_signal(tid, &entry, call.map(|number| (number, asked)));
        }
        true
    }

    /// From right before a call that is not made to right behind it.
    fn leave_skipped(&mut self, tid: Pid) -> bool {
        raw::resume(libc::PTRACE_SYSCALL, tid, 0).is_ok()
            && matches!(raw::wait(Some(tid), true), Ok(Some((_, status))) if change(status) == Change::Syscall)
    }

    /// A thread stands before a call that was interrupted by a signal.
    pub(super) fn interrupted_again(&mut self, tid: Pid, registers: &Registers, entry: &Rc<Entry>) {
        let mut skipped = *registers;
        skipped.orig_rax = u64::MAX;
        raw::set_registers(tid, &skipped).ok();
        if !self.leave_skipped(tid) {
            return;
        }
        // The kernel decides between EINTR and making the call again, as it did when it was noted.
        let interrupted = Registers { rax: entry.result.cast_unsigned(), ..*registers };
        raw::set_registers(tid, &interrupted).ok();
        self.put_signal(tid, entry, Some((entry.asked.number, interrupted)));
    }

    /// It is the turn of a thread that waits for a futex. Whether a signal has ended that; then the thread has been seen to.
    pub(in crate::supervisor) fn signal_while_waiting(&mut self, tid: Pid, known: i32) -> bool {
        let Some((index, entry)) = self.signal_next(known) else { return false };
        if entry.signal.as_ref().is_none_or(|signal| signal.place != Place::Waiting) {
            return false;
        }
        self.recording.take_turn();
        self.advance(known, index + 1);
        self.interrupt_wait(tid, known);
        self.sync_clocks();
        self.recording.schedule().turn_to(known);
        self.take_buffer();
        let Some(number) = self.stand_at_noted(tid, &entry, None) else { return true };
        if self.is_served(tid) && self.turn_at_signal_is_last(tid) {
            return true;
        }
        self.arrives(tid, number);
        true
    }

    /// Puts a noted signal in where a thread stands, and lets it go. The call is the one that it stands in, and what it was made with.
    pub(super) fn put_signal(&mut self, tid: Pid, entry: &Rc<Entry>, call: Option<(u32, Registers)>) {
        if let Some(number) = self.stand_at_noted(tid, entry, call) {
            self.arrives(tid, number);
        }
    }

    /// Makes a thread stand at a noted signal; which one that is.
    fn stand_at_noted(&mut self, tid: Pid, entry: &Rc<Entry>, call: Option<(u32, Registers)>) -> Option<i32> {
        let signal = entry.signal.as_ref()?;
        if signal.place == Place::Inside {
            self.take_off(tid, signal.number);
        }
        let known = self.virtual_id(tid);
        self.recording.mark.has_come(signal.number);
        tracing::debug!("signal {} to {known} again: {:?}", signal.number, signal.place);
        let pid = self.tasks.get(&tid).map_or(tid, |task| task.pid);
        let mask = call.and_then(|(number, registers)| {
            mask_of_call(tid, pid, number, &crate::record::thread::arguments(&registers))
        });
        self.inject_signal(tid, signal.number, raw::signal_of_bytes(&signal.information), mask);
        self.know_fate(tid, Rc::clone(&signal.fate));
        Some(signal.number)
    }

    /// A thread that is stopped anywhere is made to stand at a signal; its registers stay what they are.
    pub(in crate::supervisor) fn inject_signal(
        &mut self,
        tid: Pid,
        number: i32,
        information: SigInfo,
        mask: Option<u64>,
    ) {
        let pid = self.tasks.get(&tid).map_or(tid, |task| task.pid);
        // The stop behind an injected call is one at a signal, and takes another one in its place.
        let there = || -> Result<(), InjectError> {
            let mut injector = Injector::borrow(pid, tid)?;
            injector.call(Sysno::getpid, [0; 6])?;
            injector.finish()
        };
        if let Err(error) = there() {
            tracing::warn!("signal {number} does not come to {tid}: {error}");
            return;
        }
        let known = self.virtual_id(tid);
        if let Some(mask) = mask {
            self.mask_meanwhile(tid, known, mask);
        }
        if let Some(task) = self.tasks.get_mut(&tid)
            && let Some(Activity::Stopped(stopped)) = &mut task.activity
        {
            stopped.signal = Some((number, information));
        }
    }

    fn arrives(&mut self, tid: Pid, number: i32) {
        self.react(tid, Change::Signal(number));
    }

    /// How long signals may be held that threads have not got.
    pub(in crate::supervisor) fn signals_patience(&mut self) -> Option<Duration> {
        self.held_patience().into_iter().chain(self.timers_patience()).min()
    }

    fn held_patience(&self) -> Option<Duration> {
        if !self.recording.on || self.is_aside() {
            return None;
        }
        // A step is over as soon as its thread has a processor.
        let runs = |(tid, task): &(&Pid, &Task)| !task.is_stopped() && !self.makes_one_step(**tid);
        let since = self.tasks.iter().filter(runs).filter_map(|(_, task)| task.deferred.since());
        if let Some(sought) = self.recording.sought.as_ref().filter(|_| since.clone().next().is_some()) {
            return Some(sought.patience());
        }
        let held = self.longest_held();
        since.map(|since| held.saturating_sub(since.elapsed())).min()
    }

    fn longest_held(&self) -> Duration {
        if self.recording.served { HELD.0 } else { HELD.1 }
    }

    /// A thread that has made no call for long gets its signals where it is. That place has no name.
    pub(in crate::supervisor) fn deliver_overdue(&mut self) {
        self.put_overdue_timers_back();
        if self.held_patience() != Some(Duration::ZERO) {
            return;
        }
        let held = self.longest_held();
        let late = |since: Option<Instant>| since.is_some_and(|since| since.elapsed() >= held);
        let due = self
            .tasks
            .iter()
            .find(|(tid, task)| !task.is_stopped() && late(task.deferred.since()) && !self.makes_one_step(**tid));
        let Some(tid) = due.map(|(tid, _)| *tid) else { return };
        let served = self.is_served(tid);
        // Signals have waited while the debugger was at its prompt, too. A step is over at once: it is what comes behind it that has places.
        let steps = served && !matches!(self.motion_of(tid), Some(Motion::Continue));
        if steps && self.served.resumed.is_some_and(|resumed| resumed.elapsed() < held) {
            return;
        }
        if served {
            self.stop_served();
        } else if !self.stop_alone(tid) {
            return;
        }
        let free = !served || self.has_met_nothing(tid);
        if served && free && self.recording.is_live() {
            if self.seek_place(tid) {
                return self.restart_served();
            }
            if self.deliver_in_loop(tid) {
                return;
            }
        }
        let free = !served || self.has_met_nothing(tid);
        let stopped = self.tasks.get_mut(&tid).filter(|task| free && task.is_stopped() && late(task.deferred.since()));
        if let Some((number, information)) = stopped.and_then(|task| task.deferred.take()) {
            let known = self.virtual_id(tid);
            self.stop_recording(&format!(
                "signal {number} comes to thread {known}, which goes on without a system call, and nothing names the place"
            ));
            self.inject_signal(tid, number, information, None);
            if served {
                self.keep_signal(tid, number);
            }
        }
        if served { self.restart_served() } else { self.let_go(tid, How::Continue) }
    }

    /// Interrupts one thread. False if it had something to tell.
    pub(super) fn stop_alone(&mut self, tid: Pid) -> bool {
        let interrupted = match self.tasks.get(&tid).and_then(|task| task.activity.as_ref()) {
            Some(Activity::Running(running)) => running.interrupt().is_ok(),
            _ => false,
        };
        if !interrupted {
            return false;
        }
        let Ok(Some((_, status))) = raw::wait(Some(tid), true) else { return false };
        let what = self.record(tid, status);
        if what == Change::Interrupted {
            return true;
        }
        self.react(tid, what);
        false
    }
}

impl Entry {
    /// A signal that belongs to no call.
    pub(super) fn of_signal(store: &Rc<super::Store>) -> Entry {
        let asked = Asked { number: SIGNAL, arguments: [0; 6], given: 0, query: false, sum: 0, about: None };
        Entry::new(asked, 0, Vec::new(), store)
    }
}
