//! The served program: what the supervisor does with the threads of the process that a debugger looks at. All-stop: either
//! every thread is stopped, or the program runs.

mod allocations;
mod arguments;
mod breakpoints;
mod catching;
mod debug_registers;
pub(super) mod differences;
mod family;
mod fence;
mod guard;
mod life;
mod pinning;
mod resume;
mod run;
mod signals;
mod start;
mod stepping;
mod stop;
mod target;
mod trampolines;
mod traps;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use nix::unistd::Pid;

use super::Supervisor;
use super::tape::Fate;
use super::tape::sites::Sites;
use allocations::Allocations;
pub(in crate::supervisor) use breakpoints::{Breakpoints, Memory};
pub(in crate::supervisor) use debug_registers::{Applied, DebugRegisters};
pub(in crate::supervisor) use family::Held;
pub(in crate::supervisor) use fence::{Fence, writable};
pub(in crate::supervisor) use guard::Guard;
pub(in crate::supervisor) use pinning::Pinned;
pub(in crate::supervisor) use run::Running;
pub(in crate::supervisor) use target::View;
pub(in crate::supervisor) use trampolines::{Around, Trampolines};

use crate::ptrace::Change;
use crate::raw::{self, SigInfo};
use crate::rsp::target::{Caught, Motion, Tid, Why};
use crate::snapshot::zombies::Zombies;
use crate::wire::CopyId;

/// The process.
#[derive(Debug)]
pub(in crate::supervisor) struct Program {
    /// Real id of its leader.
    pub(in crate::supervisor) leader: Pid,
    /// The id that it knows itself by.
    pub(in crate::supervisor) virtual_id: Tid,
    /// Children that ended before the checkpoint that it comes from.
    pub(in crate::supervisor) zombies: Zombies,
    /// Its memory, kept open.
    pub(super) memory: Memory,
    /// It was attached to, and has no filter of ours.
    pub(super) attached: bool,
}

impl Program {
    /// Whether it was attached to: it was there before the session.
    pub(in crate::supervisor) fn is_attached(&self) -> bool {
        self.attached
    }
}

/// What a thread is in the middle of.
#[derive(Debug, Clone, Default)]
pub(super) struct Control {
    /// What it was let go for; `None` while it is to stay stopped.
    motion: Option<Motion>,
    /// What it stopped for and nobody has been told yet.
    pending: Option<Why>,
    /// The signal that it stands at.
    signal: Option<(i32, SigInfo)>,
    /// The system call that it has entered, where calls are caught.
    entered: Option<u64>,
    /// It stands before that call again, whose entry has been told already.
    again: bool,
    /// The call was made for it, and it stands behind that.
    behind: bool,
    /// An internal breakpoint that was lifted for it to get over.
    lifted: Option<u64>,
    /// What is to be noted of the signal that it stands at.
    fate: Option<Fate>,
}

/// What goes into a checkpoint beside the process itself. Threads by the ids that the program knows.
#[derive(Debug, Clone, Default)]
pub(in crate::supervisor) struct Served {
    pub(super) threads: BTreeMap<Tid, Control>,
    /// The thread that was told of last.
    pub(super) current: Tid,
    pub(super) breakpoints: Breakpoints,
    pub(super) registers: DebugRegisters,
    pub(super) passed: BTreeSet<i32>,
    pub(super) caught: Caught,
    /// Whether it has been let go, by the debugger or by a run without it.
    pub(in crate::supervisor) running: bool,
    /// When the debugger let it go.
    pub(in crate::supervisor) resumed: Option<Instant>,
    /// The process was exchanged since the debugger last looked.
    pub(super) exchanged: bool,
    /// That is to be told as a stop without a reason.
    pub(super) halting: bool,
    /// Programs that are still to be loaded before the first stop.
    pub(super) loading: u32,
    /// Values that are watched for reads, as they were.
    pub(super) watched_values: BTreeMap<(u64, u64), Vec<u8>>,
    /// A stop was asked for, and is to be told as this signal.
    pub(super) interrupting: Option<i32>,
    /// The debugger waits to hear that a vfork'ed child is out of the program's memory.
    pub(super) vforked: bool,
    /// Where the program's sequence of random bytes is.
    pub(super) random: u64,
    /// Where the dynamic linker comes by when it has mapped or unmapped something, once that is known.
    pub(super) linker: Option<u64>,
    /// Where its C library makes calls that it can make without a stop.
    pub(in crate::supervisor) sites: Sites,
    /// Memory in the program that is the debugger's.
    pub(super) allocations: Allocations,
}

impl Served {
    /// That of another state of the program, with what the debugger has set up in this one.
    pub(in crate::supervisor) fn with_settings_of(&self, settings: &Served) -> Served {
        let mut mixed = self.clone();
        mixed.breakpoints = settings.breakpoints.clone();
        mixed.breakpoints.forget_inserted();
        mixed.registers = settings.registers;
        mixed.passed.clone_from(&settings.passed);
        mixed.caught = settings.caught.clone();
        mixed.watched_values.clone_from(&settings.watched_values);
        mixed.allocations = settings.allocations.clone();
        mixed.running = false;
        mixed.exchanged = true;
        mixed
    }
}

impl Supervisor {
    /// Whether a thread is of the served program itself, and not of a child of it.
    pub(in crate::supervisor) fn is_served(&self, tid: Pid) -> bool {
        let Some(program) = &self.program else { return false };
        self.tasks.get(&tid).is_some_and(|task| task.pid == program.leader)
    }

    /// Real ids of the served program's threads.
    pub(super) fn served_threads(&self) -> Vec<Pid> {
        let Some(program) = &self.program else { return Vec::new() };
        self.tasks.iter().filter(|(_, task)| task.pid == program.leader).map(|(tid, _)| *tid).collect()
    }

    pub(super) fn control(&mut self, tid: Pid) -> &mut Control {
        let known = self.virtual_id(tid);
        self.served.threads.entry(known).or_default()
    }

    /// A thread of the served program has stopped on its way.
    pub(in crate::supervisor) fn served_stop(&mut self, tid: Pid, what: Change) {
        match what {
            Change::Seccomp => self.trap(tid),
            Change::Counter => self.reads_counter(tid),
            Change::Syscall => self.served_call(tid),
            Change::GroupStop(_) => self.leave_group_stopped(tid),
            Change::Born => {
                // Whoever steps alone goes without them; the new one does not step.
                self.insert_breakpoints();
                let newborn = self.await_newborn(tid);
                match self.served_birth(tid, newborn) {
                    Some(why) => self.happened(tid, why),
                    None => self.go_on(tid),
                }
            }
            Change::VforkDone if std::mem::take(&mut self.served.vforked) && self.running.is_none() => {
                self.happened(tid, Why::VforkDone);
            }
            Change::VforkDone => {
                self.insert_breakpoints();
                self.go_on(tid);
            }
            Change::Exec => self.served_exec(tid),
            Change::Ending => {
                self.go_on(tid);
                self.turn_has_ended(tid);
            }
            Change::Interrupted | Change::Other(_) => self.go_on(tid),
            Change::Signal(number) => {
                if let Some(why) = self.signalled(tid, number) {
                    self.happened(tid, why);
                }
            }
            Change::Exited(_) | Change::Killed(_) => {}
        }
        self.tell_if_interrupted();
    }

    /// A place for a signal is looked for at an instruction, or not any more.
    pub(in crate::supervisor) fn seek_at(&mut self, at: u64, sought: bool) {
        self.served.breakpoints.change(at, |wanted| wanted.sought = sought);
        let Some(program) = &self.program else { return };
        if sought && self.served.running {
            self.served.breakpoints.insert(&program.memory, &self.served.sites);
        } else if self.served.breakpoints.at(at).is_none() {
            self.served.breakpoints.lift(at, &program.memory);
        }
    }

    /// What a copy knows that is made now: signals that have not been noted come to it along the notes.
    pub(in crate::supervisor) fn served_of_copy(&self) -> Served {
        let mut served = self.served.clone();
        for tid in self.tasks.iter().filter(|(_, task)| task.arriving.is_some()).map(|(tid, _)| *tid) {
            if let Some(control) = served.threads.get_mut(&self.virtual_id(tid)) {
                control.pending.take_if(|why| matches!(why, Why::Signal(_)));
                control.signal = None;
            }
        }
        served
    }

    /// A breakpoint is where the thread whose turn it is is noted to spin, and nowhere else.
    pub(in crate::supervisor) fn expect_spin(&mut self) {
        let at = self.awaited_by_stops();
        let Some(before) = self.served.breakpoints.expect_spin(at) else { return };
        if at.is_some_and(|at| self.trampolines.as_ref().is_some_and(|trampolines| trampolines.displace(at))) {
            // A breakpoint would be in what they have displaced.
            self.do_without_trampolines();
        }
        let Some(program) = self.program.as_ref().filter(|_| self.served.running) else { return };
        if let Some(before) = before
            && self.served.breakpoints.at(before).is_none()
        {
            self.served.breakpoints.lift(before, &program.memory);
        }
        self.served.breakpoints.insert(&program.memory, &self.served.sites);
    }

    /// Whether a thread of the program stands where it is because it was stopped, and has nothing to tell.
    pub(in crate::supervisor) fn has_met_nothing(&mut self, tid: Pid) -> bool {
        let control = self.control(tid);
        control.pending.is_none() && control.signal.is_none() && control.lifted.is_none() && control.motion.is_some()
    }

    /// The place where the thread whose turn it is is noted to be left is known, but nothing is in memory: whoever steps looks.
    pub(super) fn expect_spin_without_trap(&mut self) {
        let at = self.awaited_by_stops();
        self.served.breakpoints.expect_spin(at);
    }

    fn awaited_by_stops(&mut self) -> Option<u64> {
        let at = self.spin_awaited()?;
        let compared = self.awaited_copy().is_some_and(|(copy, _)| self.compares_with(copy));
        (!compared).then_some(at)
    }

    /// Whether the program itself compares its state with the one that is awaited.
    pub(in crate::supervisor) fn compares_with(&self, awaited: CopyId) -> bool {
        self.trampolines.as_ref().and_then(Trampolines::awaits) == Some(awaited)
    }

    /// Whether somebody wants to know that a thread comes to an instruction.
    pub(in crate::supervisor) fn has_breakpoint(&self, at: u64) -> bool {
        self.served.breakpoints.at(at).is_some()
    }

    pub(super) fn insert_breakpoints(&mut self) {
        self.expect_spin_without_trap();
        if let Some(program) = &self.program {
            self.served.breakpoints.insert(&program.memory, &self.served.sites);
        }
        self.insert_jumps();
    }

    pub(super) fn remove_breakpoints(&mut self) {
        if let Some(program) = &self.program {
            self.served.breakpoints.remove(&program.memory);
        }
        self.remove_jumps();
    }

    /// The next bytes of the program's random sequence (SplitMix64).
    pub(in crate::supervisor) fn served_random(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            self.served.random = self.served.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = self.served.random;
            word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^= word >> 31;
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
    }
}
