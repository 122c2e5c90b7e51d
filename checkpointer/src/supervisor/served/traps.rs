//! Whose a SIGTRAP of the served program is, and what becomes of it: breakpoints and their conditions, debug registers, steps.

use nix::unistd::Pid;

use super::run::frame_at;
use super::{Breakpoints, Memory, Supervisor, Trampolines, breakpoints, run};
use crate::raw::{self, SigInfo};
use crate::rsp::agent;
use crate::rsp::target::{Kind, Motion, Why};
use crate::wire::{Event, Spot};

/// What became of a SIGTRAP.
pub(super) enum Trap {
    /// The debugger is to be told.
    Told(Why),
    /// Dealt with.
    Done,
}

impl Supervisor {
    /// Whose SIGTRAP it is; `None` for one of the program's own.
    pub(super) fn trapped(&mut self, tid: Pid, signal: Option<&(i32, SigInfo)>) -> Option<Trap> {
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
                let pc = registers.rip;
                let stops = self.served.breakpoints.at(pc).is_some_and(|wanted| wanted.debugger);
                let steps_on = pc >= start && pc < end && !stops && self.served.interrupting.is_none();
                if (steps_on || !self.awaits_given()) && self.is_left_spinning(tid) {
                    return Some(Trap::Done);
                }
                if steps_on {
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
        let stops_first = wanted.spin && wanted.debugger && self.running.is_none() && self.awaits_given();
        if wanted.spin && !stops_first {
            if self.is_left_spinning(tid) {
                return Trap::Done;
            }
            self.pass_awaited();
        }
        if self.running.is_some() {
            if wanted.mapped
                && let Some(program) = &self.program
            {
                self.served.breakpoints.insert_again(&program.memory, &self.served.sites);
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
        if stops_first && self.is_left_spinning(tid) {
            return Trap::Done;
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
        if running && self.returning.is_some_and(|spot| spot.address == at && is_deeper(tid, &spot)) {
            if self.served_threads().len() == 1 {
                // A function that calls itself: not the last time.
                self.pin();
            }
            return false;
        }
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
        let at_end = self.fence_met(tid);
        let reads = kind == Kind::Read && self.value_changed(address);
        match kind {
            _ if at_end && (reads || matches!(kind, Kind::Hardware | Kind::Software)) => {
                self.at_fence(tid);
                Trap::Done
            }
            Kind::Hardware | Kind::Software => Trap::Told(Why::Hardware),
            _ if reads => {
                self.go_on(tid);
                Trap::Done
            }
            _ => {
                if at_end {
                    // Whether this is a stop is for the debugger to say: if it goes on, it is told that it is at the end.
                    self.tell(Event::Fence);
                    self.control(tid).pending = Some(Why::Signal(libc::SIGINT));
                }
                Trap::Told(Why::Watch { kind, address })
            }
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

/// Whether a thread at a spot is in a frame that does not count.
fn is_deeper(tid: Pid, spot: &Spot) -> bool {
    raw::registers(tid).is_ok_and(|registers| frame_at(spot, &registers) < spot.at_least)
}
