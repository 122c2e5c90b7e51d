//! The time-stamp counter of a recorded process: `rdtsc` and `rdtscp` fault (PR_SET_TSC, prctl(2)), and are answered, from the notes where
//! they are there. Go's runtime seeds with it what it chooses by chance, so no thread of Go would do the same again without.

use nix::unistd::Pid;
use syscalls::Sysno;

use super::super::tasks::Activity;
use super::Supervisor;
use super::line::{Asked, COUNTER, Entry, Found, place};
use crate::inject::injector::Injector;
use crate::inject::{InjectError, Remote};
use crate::ptrace::{Change, How};
use crate::raw::{self, SigInfo};
use crate::record::thread::{CounterRead, Thread, counter_read};

const PR_SET_TSC: u64 = 26;
const PR_TSC_ENABLE: u64 = 1;
const PR_TSC_SIGSEGV: u64 = 2;

/// Lets the instructions fault, or not any more, in a thread and those that it makes.
///
/// # Errors
/// The thread is gone.
pub(super) fn trap_counter(injector: &mut Injector, on: bool) -> Result<(), InjectError> {
    let mode = if on { PR_TSC_SIGSEGV } else { PR_TSC_ENABLE };
    injector.call(Sysno::prctl, [PR_SET_TSC, mode, 0, 0, 0, 0]).map(drop)
}

/// The instruction at which a thread stands that got this signal, if it reads the counter.
fn reads_at(pid: Pid, tid: Pid, number: i32, information: &SigInfo) -> Option<CounterRead> {
    // A general protection fault (arch/x86/kernel/traps.c).
    const SI_KERNEL: i32 = 0x80;
    if number != libc::SIGSEGV || information.0.si_code != SI_KERNEL {
        return None;
    }
    let thread = Thread { id: tid.as_raw(), process: pid.as_raw(), tid, pid, stopped: None };
    counter_read(&thread, &raw::registers(tid).ok()?)
}

/// What the kernel tells of a step (siginfo_t: number, error, code).
fn stepped() -> SigInfo {
    const TRAP_TRACE: i32 = 2;
    raw::signal_of_bytes(&[libc::SIGTRAP, 0, TRAP_TRACE].map(i32::to_ne_bytes).concat())
}

impl Supervisor {
    /// Whether the signal at which a thread has stopped is none: it reads the counter. It has no signal then.
    pub(in crate::supervisor) fn sort_counter(&mut self, tid: Pid, what: Change) -> Change {
        let Some(task) = self.tasks.get_mut(&tid) else { return what };
        let Some(Activity::Stopped(stopped)) = &mut task.activity else { return what };
        let found = stopped.signal.as_ref().and_then(|(number, info)| reads_at(task.pid, tid, *number, info));
        if found.is_none() {
            return what;
        }
        stopped.signal = None;
        Change::Counter
    }

    /// A thread stands before an instruction that reads the counter: it goes on behind it.
    pub(in crate::supervisor) fn reads_counter(&mut self, tid: Pid) {
        let Some(pid) = self.tasks.get(&tid).map(|task| task.pid) else { return };
        let thread = Thread { id: tid.as_raw(), process: pid.as_raw(), tid, pid, stopped: None };
        let Ok(registers) = raw::registers(tid) else { return };
        if let Some(read) = counter_read(&thread, &registers) {
            let recorded = self.recording.on && self.recorded_leader() == Some(pid) && !self.is_aside();
            let (value, processor) = if recorded { self.recorded_counter(tid) } else { raw::time_stamp_counter() };
            raw::set_registers(tid, &read.answer(registers, value, processor)).ok();
        }
        if self.recorded_leader() != Some(pid) {
            // A child that is not recorded has inherited it.
            let freed = Injector::borrow(pid, tid).and_then(|mut injector| {
                trap_counter(&mut injector, false)?;
                injector.finish()
            });
            if let Err(error) = freed {
                tracing::info!("process {pid} reads the counter with a stop: {error}");
            }
        }
        if self.is_served(tid) && self.how_served(tid) == How::Step {
            // The step is over, although the instruction was not executed.
            if let Some(Activity::Stopped(stopped)) = self.tasks.get_mut(&tid).and_then(|task| task.activity.as_mut()) {
                stopped.signal = Some((libc::SIGTRAP, stepped()));
            }
            return self.served_stop(tid, Change::Signal(libc::SIGTRAP));
        }
        if self.is_served(tid) { self.go_on(tid) } else { self.let_go(tid, How::Continue) }
    }

    /// What the counter shows a recorded thread.
    fn recorded_counter(&mut self, tid: Pid) -> (u64, u32) {
        let asked = Asked { number: COUNTER, arguments: [0; 6], given: 0, query: false, sum: 0, about: None };
        let known = self.virtual_id(tid);
        tracing::trace!("{known} reads the time-stamp counter");
        self.sync_clocks();
        while !self.recording.mark.live {
            if self.recording.is_lost() {
                return raw::time_stamp_counter();
            }
            let rule = self.recording.rule();
            let mark = &self.recording.mark;
            let at = place(&mark.at, known);
            let found = mark.line.borrow().find(known, at, place(&mark.into, known), &asked, rule);
            match found {
                Found::Same(index, entry) => {
                    self.advance(known, index + 1);
                    return entry.counter();
                }
                Found::End if !mark.is_early(known, rule) => self.go_live(),
                Found::Other(expected) => self.part(&expected.asked.words(), &asked.words()),
                _ => self.part("nothing more of this thread", &asked.words()),
            }
        }
        let ended = self.recording.mark.line.borrow().ended.clone();
        if let Some(why) = ended {
            self.stop_recording(&why);
            return raw::time_stamp_counter();
        }
        let read = raw::time_stamp_counter();
        let entry = Entry::of_counter(asked, read, &self.recording.store);
        self.push_entry(known, entry);
        read
    }
}
