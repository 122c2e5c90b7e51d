//! The served program: what the supervisor does with the threads of the process that a debugger looks at. All-stop: either
//! every thread is stopped, or the program runs.

mod allocations;
mod arguments;
mod breakpoints;
mod debug_registers;
mod family;
mod fence;
mod guard;
mod pinning;
mod run;
mod start;
mod stepping;
mod target;
mod trampolines;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use nix::unistd::Pid;

use super::Supervisor;
use super::tape::Fate;
use super::tasks::{Activity, Task};
use allocations::Allocations;
pub(in crate::supervisor) use breakpoints::{Breakpoints, Memory};
pub(in crate::supervisor) use debug_registers::{Applied, DebugRegisters};
pub(in crate::supervisor) use family::Held;
pub(in crate::supervisor) use fence::{Fence, writable};
pub(in crate::supervisor) use guard::Guard;
pub(in crate::supervisor) use pinning::Pinned;
pub(in crate::supervisor) use run::Running;
pub(in crate::supervisor) use target::View;
pub(in crate::supervisor) use trampolines::Trampolines;

use crate::ptrace::{Change, How};
use crate::raw::{self, SigInfo};
use crate::rsp::agent;
use crate::rsp::target::{Caught, Kind, Motion, Stop, Tid, Why};
use crate::snapshot::zombies::Zombies;
use crate::wire::{Event, ProgramChange};

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
    pub(super) resumed: Option<Instant>,
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

    /// Whether a thread of the program goes by single steps.
    pub(in crate::supervisor) fn steps(&mut self, tid: Pid) -> bool {
        let control = self.control(tid);
        control.lifted.is_some() || matches!(control.motion, Some(Motion::Step | Motion::Range { .. }))
    }

    /// Whether the debugger has let a thread go.
    pub(in crate::supervisor) fn is_resumed(&mut self, tid: Pid) -> bool {
        self.control(tid).motion.is_some()
    }

    pub(super) fn control(&mut self, tid: Pid) -> &mut Control {
        let known = self.virtual_id(tid);
        self.served.threads.entry(known).or_default()
    }

    /// A thread of the served program has stopped on its way.
    pub(in crate::supervisor) fn served_stop(&mut self, tid: Pid, what: Change) {
        match what {
            Change::Seccomp => self.trap(tid),
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

    /// What a signal-delivery-stop means; `None` if it has been dealt with and the thread let go.
    fn signalled(&mut self, tid: Pid, number: i32) -> Option<Why> {
        let mut signal = None;
        if let Some(task) = self.tasks.get_mut(&tid)
            && let Some(Activity::Stopped(stopped)) = &mut task.activity
        {
            signal = stopped.signal.take();
        }
        if number == libc::SIGTRAP
            && let Some(trap) = self.trapped(tid, signal.as_ref())
        {
            return match trap {
                Trap::Told(why) => Some(why),
                Trap::Done => None,
            };
        }
        if self.signal_in_trampoline(tid, number) {
            return None;
        }
        self.note_arrival(tid, signal.as_ref());
        if self.fence_met(tid) {
            self.control(tid).signal = signal;
            self.at_fence(tid);
            return None;
        }
        if self.running.is_some() {
            return self.signal_in_run(tid, number, signal);
        }
        // Whoever steps is told: a step would end in the handler, which a debugger steps over by a breakpoint where it returns to.
        let steps = matches!(self.control(tid).motion, Some(Motion::Step | Motion::Range { .. }));
        if self.is_passed(number) && !(steps && self.served.passed.contains(&number)) {
            self.decide(tid, number);
            self.deliver(tid, signal);
            self.go_on(tid);
            return None;
        }
        self.control(tid).signal = signal;
        Some(Why::Signal(number))
    }

    /// Whether a signal is delivered without a stop: because the debugger says so, or because glibc's threads use it among
    /// themselves (SIGCANCEL and SIGSETXID, nptl/internaltypes.h), which native debuggers do not show either.
    pub(super) fn is_passed(&self, number: i32) -> bool {
        self.served.passed.contains(&number) || matches!(number, 32 | 33)
    }

    /// What is to become of the signal at which a thread stands is to be noted.
    pub(in crate::supervisor) fn set_fate(&mut self, tid: Pid, fate: Fate) {
        self.control(tid).fate = Some(fate);
    }

    /// What the debugger, or a run without it, has let a thread go for.
    pub(in crate::supervisor) fn motion_of(&mut self, tid: Pid) -> Option<Motion> {
        self.control(tid).motion
    }

    /// A place for a signal is looked for at an instruction, or not any more.
    pub(in crate::supervisor) fn seek_at(&mut self, at: u64, sought: bool) {
        self.served.breakpoints.change(at, |wanted| wanted.sought = sought);
        let Some(program) = &self.program else { return };
        if sought && self.served.running {
            self.served.breakpoints.insert(&program.memory);
        } else if self.served.breakpoints.at(at).is_none() {
            self.served.breakpoints.lift(at, &program.memory);
        }
    }

    /// A thread gets this signal, or with 0 none.
    pub(super) fn decide(&mut self, tid: Pid, number: i32) {
        let live = self.recording.is_live();
        if let Some(fate) = self.control(tid).fate.take().filter(|_| live) {
            fate.set(Some(number));
        }
    }

    /// Whether a thread of a recorded program stands at a signal that has been noted.
    pub(in crate::supervisor) fn stands_at_noted_signal(&mut self, tid: Pid) -> bool {
        let arriving = self.tasks.get(&tid).is_none_or(|task| task.arriving.is_some());
        !arriving && self.takes_turns(tid) && self.control(tid).signal.is_some()
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

    /// Takes off what was kept of a signal that came while the program was being stopped.
    pub(in crate::supervisor) fn take_kept_signal(&mut self, tid: Pid) -> Option<(i32, SigInfo)> {
        let control = self.control(tid);
        control.pending.take_if(|why| matches!(why, Why::Signal(_)))?;
        control.signal.take()
    }

    /// The signal that a thread gets when it goes on.
    pub(super) fn deliver(&mut self, tid: Pid, signal: Option<(i32, SigInfo)>) {
        if let Some(task) = self.tasks.get_mut(&tid)
            && let Some(Activity::Stopped(stopped)) = &mut task.activity
        {
            stopped.signal = signal;
        }
    }

    /// Whose SIGTRAP it is; `None` for one of the program's own.
    fn trapped(&mut self, tid: Pid, signal: Option<&(i32, SigInfo)>) -> Option<Trap> {
        const SI_KERNEL: i32 = 0x80;
        let code = signal.map_or(0, |(_, info)| info.0.si_code);
        let registers = raw::registers(tid).ok()?;
        if code == SI_KERNEL {
            let at = registers.rip.wrapping_sub(1);
            if self.trampoline_trapped(tid, at) {
                return Some(Trap::Done);
            }
            let wanted = self.served.breakpoints.at(at).filter(|_| self.served.breakpoints.is_inserted(at))?;
            let mut back = registers;
            back.rip = at;
            raw::set_registers(tid, &back).ok();
            return Some(self.breakpoint(tid, at, wanted));
        }
        if code <= 0 {
            return None;
        }
        if let Some((kind, address)) = self.served.registers.met(tid) {
            return Some(self.debug_register_met(tid, kind, address));
        }
        if let Some(lifted) = self.control(tid).lifted.take() {
            self.insert_breakpoints();
            let _ = lifted;
            if matches!(self.control(tid).motion, Some(Motion::Continue) | None) {
                self.go_on(tid);
                return Some(Trap::Done);
            }
        }
        let motion = self.control(tid).motion;
        match motion {
            Some(Motion::Step) => {
                if self.fence_met(tid) {
                    self.at_fence(tid);
                    return Some(Trap::Done);
                }
                Some(Trap::Told(Why::Stepped))
            }
            Some(Motion::Range { start, end }) => {
                if self.fence_met(tid) {
                    self.at_fence(tid);
                    return Some(Trap::Done);
                }
                if self.is_left_spinning(tid) {
                    return Some(Trap::Done);
                }
                let pc = registers.rip;
                let stops = self.served.breakpoints.at(pc).is_some_and(|wanted| wanted.debugger);
                if pc >= start && pc < end && !stops && self.served.interrupting.is_none() {
                    self.step_on(tid, start, end, pc);
                    return Some(Trap::Done);
                }
                Some(Trap::Told(Why::Stepped))
            }
            // A step that was asked for before the thread got something else to do.
            Some(Motion::Continue) | None => {
                self.go_on(tid);
                Some(Trap::Done)
            }
        }
    }

    /// At a breakpoint of somebody, its byte not executed.
    fn breakpoint(&mut self, tid: Pid, at: u64, wanted: breakpoints::Wanted) -> Trap {
        if wanted.origin {
            self.served.breakpoints.change(at, |wanted| wanted.origin = false);
            self.keep_origin();
            if !wanted.debugger {
                return Trap::Done;
            }
        }
        if wanted.fence && self.fence_met(tid) {
            self.at_fence(tid);
            return Trap::Done;
        }
        if wanted.sought && self.sought_met(tid, at) {
            return Trap::Done;
        }
        if wanted.spin && self.is_left_spinning(tid) {
            return Trap::Done;
        }
        if self.running.is_some() {
            if wanted.mapped
                && let Some(program) = &self.program
            {
                self.served.breakpoints.insert_again(&program.memory);
                self.insert_jumps_again();
            }
            match wanted.spot {
                Some(spot) => self.hit(tid, spot),
                None if wanted.fence => self.go_past(tid, at),
                None => self.go_over(tid, at),
            }
            return Trap::Done;
        }
        if wanted.debugger && self.condition_holds(tid, at) {
            return Trap::Told(Why::Software);
        }
        if wanted.fence {
            self.pass_fence(tid);
        }
        if self.served.breakpoints.is_inserted(at) {
            self.go_over(tid, at)
        } else {
            self.go_on(tid)
        }
        Trap::Done
    }

    /// Whether a breakpoint of the debugger is to be told of: a condition holds or cannot be computed, or it has none. A thread
    /// that is being stepped is stopped in any case.
    fn condition_holds(&mut self, tid: Pid, at: u64) -> bool {
        let running = matches!(self.control(tid).motion, Some(Motion::Continue));
        let (Some(program), Some(conditions), true) = (&self.program, self.served.breakpoints.conditions(at), running)
        else {
            return true;
        };
        let Ok(registers) = raw::registers(tid) else { return true };
        let alone = self.tasks.values().filter(|task| task.pid == program.leader).nth(1).is_none();
        let mut seen = Seen { registers, memory: &program.memory, breakpoints: &self.served.breakpoints };
        let holds = conditions.iter().any(|code| agent::evaluate(code, &mut seen) != Ok(0));
        if alone && !holds {
            // Not the last time.
            self.pin();
        }
        holds
    }

    fn debug_register_met(&mut self, tid: Pid, kind: Kind, address: u64) -> Trap {
        if self.running.is_some() {
            // The debugger's are not in force without it.
            self.go_on(tid);
            return Trap::Done;
        }
        match kind {
            Kind::Hardware | Kind::Software => Trap::Told(Why::Hardware),
            Kind::Read if self.value_changed(address) => {
                self.go_on(tid);
                Trap::Done
            }
            _ => Trap::Told(Why::Watch { kind, address }),
        }
    }

    /// Whether what is watched for reads was written instead.
    fn value_changed(&mut self, address: u64) -> bool {
        let Some(program) = &self.program else { return false };
        let mut changed = false;
        for ((at, length), value) in &mut self.served.watched_values {
            if *at != address {
                continue;
            }
            let mut now = vec![0u8; usize::try_from(*length).unwrap_or(0)];
            program.memory.read(*at, &mut now);
            changed |= now != *value;
            *value = now;
        }
        changed
    }

    /// A thread goes on from the instruction of the fence, which it has not come to.
    fn pass_fence(&mut self, tid: Pid) {
        let continues = matches!(self.control(tid).motion, Some(Motion::Continue));
        let Some(fence) = self.fence.as_mut().filter(|_| continues) else { return };
        fence.missed += 1;
        if fence.missed.is_multiple_of(run::OFTEN) && self.trampolines.as_ref().is_none_or(Trampolines::are_retired) {
            self.put_up_trampolines();
        }
        self.enter_trampoline(tid);
    }

    /// Something that the debugger is to be told. Brings everything to a stop.
    pub(super) fn happened(&mut self, tid: Pid, why: Why) {
        self.stop_served();
        let thread = self.virtual_id(tid);
        self.tell_stop(&Stop::Thread { tid: thread, why });
    }

    /// Tells the debugger, and then the client.
    pub(in crate::supervisor) fn tell_stop(&mut self, stop: &Stop) {
        self.served.running = false;
        self.served.interrupting = None;
        if let Stop::Thread { tid, .. } = stop {
            self.served.current = *tid;
        }
        for control in self.served.threads.values_mut() {
            control.motion = None;
        }
        self.tell_server(stop);
        let gone = !matches!(stop, Stop::Thread { .. });
        self.tell(Event::Program(if gone { ProgramChange::Gone } else { ProgramChange::Stopped }));
    }

    /// Brings every thread of the program to a stop and takes the breakpoints out of its memory. What the others have met on
    /// their way is kept for later.
    pub(in crate::supervisor) fn stop_served(&mut self) {
        loop {
            let threads = self.served_threads();
            let running: Vec<Pid> =
                threads.into_iter().filter(|tid| self.tasks.get(tid).is_some_and(|task| !task.is_stopped())).collect();
            if running.is_empty() {
                break;
            }
            for tid in &running {
                if let Some(Task { activity: Some(Activity::Running(running)), .. }) = self.tasks.get(tid) {
                    running.interrupt().ok();
                }
            }
            for tid in running {
                self.await_served(tid);
            }
        }
        for tid in self.served_threads() {
            self.leave_trampoline(tid, true);
        }
        if self.running.is_none() {
            // What its debugger does next may be a step.
            self.do_without_trampolines();
        }
        self.remove_breakpoints();
    }

    /// Waits for a stop of a thread that has been interrupted, and keeps what it has to tell.
    fn await_served(&mut self, tid: Pid) {
        let Ok(Some((tid, status))) = raw::wait(Some(tid), true) else {
            self.tasks.remove(&tid);
            return;
        };
        let what = self.record(tid, status);
        match what {
            Change::Seccomp => {
                self.back_out(tid);
            }
            Change::Syscall => self.back_out_if_entering(tid),
            Change::Ending => self.let_end(tid),
            Change::Born => {
                let newborn = self.await_newborn(tid);
                let thread = newborn.is_some_and(|(newborn, _)| self.is_served(newborn));
                self.control(tid).pending = self.served_birth(tid, newborn);
                if thread {
                    self.leave_birth(tid);
                }
            }
            Change::VforkDone if std::mem::take(&mut self.served.vforked) => {
                self.control(tid).pending = Some(Why::VforkDone);
            }
            Change::Signal(number) => self.keep_signal(tid, number),
            // The kernel reports an interrupt before a trap that the thread has just run into (6 of 100 traps in a loop of them,
            // Linux 6.18): it stands behind a breakpoint, inside of an instruction when that is put back, and a copy of it
            // would not get the trap.
            Change::Interrupted if trap_waits(tid) => {
                tracing::debug!("{tid} was interrupted in a trap");
                if raw::resume(libc::PTRACE_CONT, tid, 0).is_ok() {
                    self.await_served(tid);
                }
            }
            _ => {}
        }
    }

    /// A signal that came while everything was being stopped: told at the next chance.
    pub(in crate::supervisor) fn keep_signal(&mut self, tid: Pid, number: i32) {
        if self.is_of_trampoline(tid, number) {
            return;
        }
        let mut signal = None;
        if let Some(task) = self.tasks.get_mut(&tid)
            && let Some(Activity::Stopped(stopped)) = &mut task.activity
        {
            signal = stopped.signal.take();
        }
        const SI_KERNEL: i32 = 0x80;
        let code = signal.as_ref().map_or(0, |(_, info)| info.0.si_code);
        if number == libc::SIGTRAP && code == SI_KERNEL {
            let Ok(mut registers) = raw::registers(tid) else { return };
            let at = registers.rip.wrapping_sub(1);
            if self.served.breakpoints.is_inserted(at) {
                // It is met again when the thread goes on, if it is still there then.
                registers.rip = at;
                raw::set_registers(tid, &registers).ok();
                return;
            }
        } else if number == libc::SIGTRAP && code > 0 {
            // A step that is done, or a debug register.
            let met = self.served.registers.met(tid);
            let motion = self.control(tid).motion;
            self.control(tid).pending = match met {
                Some((kind, address)) if kind != Kind::Hardware => Some(Why::Watch { kind, address }),
                Some(_) => None,
                None => matches!(motion, Some(Motion::Step)).then_some(Why::Stepped),
            };
            return;
        }
        let control = self.control(tid);
        control.signal = signal;
        control.pending = Some(Why::Signal(number));
    }

    /// A thread or a process has been made by the program; gives back what the debugger is to be told.
    fn served_birth(&mut self, parent: Pid, newborn: Option<(Pid, Change)>) -> Option<Why> {
        let (newborn, what) = newborn?;
        self.born(parent, newborn);
        if self.is_served(newborn) {
            self.go_on(newborn);
            return None;
        }
        let told = self.hold_child(parent, newborn);
        if told.is_none() {
            self.react(newborn, what);
        }
        told
    }

    /// A thread or a process has been made by the program.
    fn born(&mut self, parent: Pid, newborn: Pid) {
        if self.is_served(newborn) {
            self.do_without_trampolines();
            let motion = self.control(parent).motion.map(|_| Motion::Continue);
            self.control(newborn).motion = motion;
            return;
        }
        // A child runs free. After vfork its memory is the program's own, until it loads something else.
        if let Ok(memory) = Memory::open(newborn) {
            self.served.breakpoints.clean(&memory);
        }
        let shared = self.tasks.get(&newborn).is_some_and(|task| shares_memory(task.pid, parent));
        if let Ok(memory) = Memory::open(newborn) {
            self.clean_jumps(&memory, shared);
        }
        if shared {
            self.served.breakpoints.forget_inserted();
        }
    }

    fn served_exec(&mut self, tid: Pid) {
        self.served.breakpoints.clear();
        (self.trampolines, self.served.linker) = (None, None);
        self.served.registers = DebugRegisters::default();
        self.served.threads.clear();
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.debug = Applied::default();
        }
        if let Some(program) = &mut self.program
            && let Ok(memory) = Memory::open(program.leader)
        {
            program.memory = memory;
        }
        self.control(tid).motion = Some(Motion::Continue);
        if self.served.loading > 1 {
            self.served.loading -= 1;
            self.go_on(tid);
            return;
        }
        let path = std::fs::read_link(format!("/proc/{tid}/exe")).unwrap_or_default();
        let path = std::os::unix::ffi::OsStringExt::into_vec(path.into_os_string());
        if self.served.loading == 1 {
            self.begun(tid);
        }
        self.happened(tid, Why::Exec { path });
    }

    /// The program that was asked for stands at its first instruction, which is the dynamic linker's. Its own entry is where
    /// it is kept: what the linker does takes its time, and notes how long.
    pub(super) fn begun(&mut self, tid: Pid) {
        self.served.loading = 0;
        self.served.current = self.virtual_id(tid);
        self.tell(Event::Program(ProgramChange::Begun));
        let entry = entry_of(tid);
        let here = raw::registers(tid).ok().map(|registers| registers.rip);
        match entry {
            Some(entry) if Some(entry) != here && !self.is_attached() => {
                self.served.breakpoints.change(entry, |wanted| wanted.origin = true);
            }
            _ => self.keep_origin(),
        }
    }

    fn is_attached(&self) -> bool {
        self.program.as_ref().is_some_and(|program| program.attached)
    }

    /// Keeps the program as it is at its beginning, and the debugger that has just let it go: of a program that never stops there is
    /// no other debugger that has seen it alive.
    fn keep_origin(&mut self) {
        let kept = if self.server.is_some() { self.checkpoint() } else { self.checkpoint_program() };
        match kept.or_else(|_| self.checkpoint_program()) {
            Ok((copy, _)) => {
                if let Some(kept) = self.copies.get_mut(&copy) {
                    kept.on_the_way = true;
                }
                self.tell(Event::Program(ProgramChange::Origin { copy }));
            }
            Err(error) => tracing::info!("no checkpoint of the program's beginning: {error}"),
        }
    }

    /// Entry or exit of a system call, where calls are caught.
    fn served_call(&mut self, tid: Pid) {
        if self.served.caught == Caught::None || self.running.is_some() {
            self.control(tid).entered = None;
            return self.watched_call(tid);
        }
        let Ok(registers) = raw::registers(tid) else { return };
        let number = registers.orig_rax;
        let entered = self.control(tid).entered.take();
        let why = match entered {
            Some(number) => Why::Leaving(number),
            None => {
                self.control(tid).entered = Some(number);
                Why::Entering(number)
            }
        };
        let wanted = match &self.served.caught {
            Caught::All => true,
            Caught::Some(calls) => calls.contains(&entered.unwrap_or(number)),
            Caught::None => false,
        };
        if wanted { self.happened(tid, why) } else { self.go_on(tid) }
    }

    /// Lets a thread go on as it was let go.
    pub(super) fn go_on(&mut self, tid: Pid) {
        if !self.served.running {
            return;
        }
        self.let_go(tid, How::Continue);
    }

    /// How a thread of the program goes when it is let go; called for every one that is.
    pub(in crate::supervisor) fn how_served(&mut self, tid: Pid) -> How {
        let registers = self.served.registers;
        if let Some(task) = self.tasks.get_mut(&tid) {
            registers.apply(tid, &mut task.debug).ok();
        }
        let catching = self.served.caught != Caught::None && self.running.is_none();
        let control = self.control(tid);
        match control.motion {
            _ if control.lifted.is_some() => How::Step,
            Some(Motion::Step | Motion::Range { .. }) => How::Step,
            _ if catching => How::ToSyscall,
            _ => How::Continue,
        }
    }

    /// Lets a thread execute the instruction under an internal breakpoint.
    pub(super) fn go_over(&mut self, tid: Pid, at: u64) {
        let Some(program) = &self.program else { return };
        let memory = &program.memory;
        if !self.served.breakpoints.lift(at, memory) {
            return self.go_on(tid);
        }
        let mut next = [0u8; 2];
        memory.read(at, &mut next);
        self.control(tid).lifted = Some(at);
        // `syscall` can take for ever; whatever else it is, it is over at once.
        if next != [0x0f, 0x05] {
            if !self.step_now(tid) {
                // Something else came first and has been dealt with; the step is still owed.
                return;
            }
            self.control(tid).lifted = None;
            self.insert_breakpoints();
            let motion = self.control(tid).motion;
            if matches!(motion, Some(Motion::Step)) {
                return self.happened(tid, Why::Stepped);
            }
        }
        self.go_on(tid);
    }

    /// One instruction, waited for; false if something else came, which has then been dealt with.
    fn step_now(&mut self, tid: Pid) -> bool {
        self.let_go(tid, How::Continue);
        let Ok(Some((_, status))) = raw::wait(Some(tid), true) else { return false };
        let what = self.record(tid, status);
        if what != Change::Signal(libc::SIGTRAP) {
            self.react(tid, what);
            return false;
        }
        let mut kernel = true;
        if let Some(task) = self.tasks.get_mut(&tid)
            && let Some(Activity::Stopped(stopped)) = &mut task.activity
        {
            let code = stopped.signal.as_ref().map_or(0, |(_, info)| info.0.si_code);
            kernel = code > 0 && code != 0x80;
            if kernel {
                stopped.signal = None;
            }
        }
        if !kernel {
            self.react(tid, what);
        }
        kernel
    }

    /// Lets the program go on after it was held, as it had been let go.
    pub(in crate::supervisor) fn restart_served(&mut self) {
        self.insert_breakpoints();
        for tid in self.served_threads() {
            let parked = self.tasks.get(&tid).is_some_and(|task| task.parked.is_some() || task.group_stopped);
            let control = self.control(tid);
            if parked || control.motion.is_none() {
                continue;
            }
            match control.pending.take() {
                Some(Why::Signal(number)) => {
                    let signal = control.signal.take();
                    self.deliver(tid, signal);
                    if let Some(why) = self.signalled(tid, number) {
                        return self.happened(tid, why);
                    }
                }
                Some(why) => return self.happened(tid, why),
                None => self.begin_from(tid),
            }
        }
    }

    /// A breakpoint is where the thread whose turn it is is noted to spin, and nowhere else.
    pub(in crate::supervisor) fn expect_spin(&mut self) {
        let at = self.spin_awaited();
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
        self.served.breakpoints.insert(&program.memory);
    }

    /// Whether a thread of the program stands where it is because it was stopped, and has nothing to tell.
    pub(in crate::supervisor) fn has_met_nothing(&mut self, tid: Pid) -> bool {
        let control = self.control(tid);
        control.pending.is_none() && control.signal.is_none() && control.lifted.is_none() && control.motion.is_some()
    }

    /// The place where the thread whose turn it is is noted to be left is known, but nothing is in memory: whoever steps looks.
    pub(super) fn expect_spin_without_trap(&mut self) {
        let at = self.spin_awaited();
        self.served.breakpoints.expect_spin(at);
    }

    pub(super) fn insert_breakpoints(&mut self) {
        self.expect_spin_without_trap();
        if let Some(program) = &self.program {
            self.served.breakpoints.insert(&program.memory);
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

    /// The served process has ended.
    pub(in crate::supervisor) fn served_ended(&mut self, what: Change) {
        self.program = None;
        self.trampolines = None;
        self.free_held();
        let loading = self.served.loading > 0;
        let known = std::mem::take(&mut self.served);
        self.served.passed = known.passed;
        self.served.caught = known.caught;
        if self.running.is_some() {
            return self.run_ended_program(what);
        }
        let stop = match what {
            // It could not be executed: the status is the error's number.
            Change::Exited(status) if loading => {
                let error = std::io::Error::from_raw_os_error(status);
                Stop::Failed(if status == 127 { "the program did not start".to_owned() } else { error.to_string() })
            }
            Change::Exited(status) => Stop::Exited(status),
            Change::Killed(signal) => Stop::Killed(signal),
            _ => Stop::Exited(0),
        };
        self.tell_stop(&stop);
    }

    /// A thread of the program has ended, but not the program.
    pub(in crate::supervisor) fn served_thread_ended(&mut self, virtual_id: Tid) {
        self.served.threads.remove(&virtual_id);
        if !self.served.running {
            return;
        }
        let threads = self.served_threads();
        let runs = |tid: &Pid| self.tasks.get(tid).is_some_and(|task| !task.is_stopped() || task.parked.is_some());
        let waits_for_turn = |tid: &Pid| {
            let known = self.virtual_id(*tid);
            self.takes_turns(*tid) && self.served.threads.get(&known).is_some_and(|control| control.motion.is_some())
        };
        if !threads.iter().any(|tid| runs(tid) || waits_for_turn(tid))
            && let Some(&tid) = threads.first()
        {
            // Only threads that were to stay stopped are left.
            self.happened(tid, Why::Signal(0));
        }
    }

    /// The debugger is told of a stop without a reason instead of the end of a step.
    pub(in crate::supervisor) fn halt(&mut self) {
        self.served.exchanged = true;
        self.served.halting = true;
    }

    /// A stop that was asked for.
    pub(super) fn tell_if_interrupted(&mut self) {
        let Some(signal) = self.served.interrupting.take() else { return };
        if !self.served.running || self.running.is_some() {
            return;
        }
        let current = self.real_id(self.served.current);
        let threads = self.served_threads();
        let Some(tid) = threads.iter().copied().find(|tid| *tid == current).or(threads.first().copied()) else {
            return;
        };
        self.happened(tid, Why::Signal(signal));
    }
}

/// A program that stands at a breakpoint, for its conditions.
struct Seen<'s> {
    registers: raw::Registers,
    memory: &'s Memory,
    breakpoints: &'s Breakpoints,
}

impl agent::Inferior for Seen<'_> {
    fn register(&mut self, number: u16) -> Option<u64> {
        crate::rsp::registers::general(&self.registers, number)
    }

    fn read(&mut self, address: u64, buffer: &mut [u8]) -> bool {
        let read = self.memory.read(address, buffer) == buffer.len();
        self.breakpoints.hide(address, buffer);
        read
    }
}

/// What became of a SIGTRAP.
enum Trap {
    /// The debugger is to be told.
    Told(Why),
    /// Dealt with.
    Done,
}

/// The entry of the program that a process has loaded, from its auxiliary vector (getauxval(3), AT_ENTRY).
fn entry_of(pid: Pid) -> Option<u64> {
    let vector = std::fs::read(format!("/proc/{pid}/auxv")).ok()?;
    vector.chunks_exact(16).find_map(|pair| {
        let (key, value) = pair.split_at(8);
        (u64::from_le_bytes(key.try_into().ok()?) == libc::AT_ENTRY)
            .then(|| u64::from_le_bytes(value.try_into().unwrap_or([0; 8])))
    })
}

/// Whether two processes use one memory, as a vfork'ed child does.
fn shares_memory(one: Pid, other: Pid) -> bool {
    raw::same_memory(one, other)
}

/// Whether a stopped thread has run into a trap, by a breakpoint or a step, that has not been reported yet.
fn trap_waits(tid: Pid) -> bool {
    let mut waiting = [[0; raw::SIGINFO_SIZE]; 4];
    let count = raw::peek_siginfo(tid.as_raw(), false, 0, &mut waiting).unwrap_or(0);
    // si_signo, si_errno, si_code
    let word = |info: &[u8], index: usize| info[index * 4..].first_chunk().map(|bytes| i32::from_le_bytes(*bytes));
    waiting[..count]
        .iter()
        .any(|info| word(info, 0) == Some(libc::SIGTRAP) && word(info, 2).is_some_and(|code| code > 0))
}
