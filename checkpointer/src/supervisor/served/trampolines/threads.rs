//! Threads in trampolines: how they get in, what their traps and signals mean, and how they are brought out again.

use nix::unistd::Pid;

use super::code::{self, LONGEST, Which, data};
use super::{Met, Patch, Trap};
use crate::raw;
use crate::supervisor::served::{Fence, Supervisor};
use crate::supervisor::tasks::Activity;
use crate::wire::RunEnd;

/// Instructions of a trampoline and of what it has displaced, at most.
const MOST_STEPS: u32 = 512;

impl Supervisor {
    /// A thread that is about to go on from a displaced instruction executes it where it is now; one that gets a signal, when that has been
    /// handled.
    pub(in crate::supervisor::served) fn enter_trampoline(&mut self, tid: Pid) {
        let Some(trampolines) = self.trampolines.as_ref().filter(|trampolines| trampolines.inserted) else { return };
        let stopped = self.tasks.get(&tid).and_then(|task| task.activity.as_ref());
        if matches!(stopped, Some(Activity::Stopped(stopped)) if stopped.signal.is_some()) {
            return;
        }
        let Ok(mut registers) = raw::registers(tid) else { return };
        if let Some(onward) = trampolines.onward.get(&registers.rip) {
            registers.rip = *onward;
            raw::set_registers(tid, &registers).ok();
        }
    }

    /// A thread has met an `int3`, at this address: whether it was one of a trampoline, and has been dealt with.
    pub(in crate::supervisor::served) fn trampoline_trapped(&mut self, tid: Pid, at: u64) -> bool {
        let Some(trap) = self.trampolines.as_ref().and_then(|trampolines| trampolines.traps.get(&at).copied()) else {
            return false;
        };
        let Ok(mut registers) = raw::registers(tid) else { return false };
        match trap {
            Trap::Hit { pc, .. } => {
                registers.rip = pc;
                raw::set_registers(tid, &registers).ok();
                self.run_over(RunEnd::Hits);
            }
            Trap::Same { which, pc, differs } => {
                registers.rip = pc;
                raw::set_registers(tid, &registers).ok();
                let met = match which {
                    Which::Fence => self.fence_met(tid),
                    Which::Awaited => self.is_left_spinning(tid),
                };
                match which {
                    Which::Fence if met => self.at_fence(tid),
                    Which::Awaited if met => {}
                    _ => {
                        self.note_difference(which);
                        registers.rip = differs;
                        raw::set_registers(tid, &registers).ok();
                        self.go_on(tid);
                    }
                }
            }
        }
        true
    }

    /// Has a comparison look at the word in which the program has just differed.
    fn note_difference(&mut self, which: Which) {
        let fence = match which {
            Which::Fence => self.fence.as_ref(),
            Which::Awaited => self.recording.place.as_ref().map(|(_, fence)| fence),
        };
        let Some((address, value)) = fence.and_then(Fence::difference) else { return };
        let (Some(trampolines), Some(program)) = (&mut self.trampolines, &self.program) else { return };
        let next = &mut trampolines.next_word[which as usize];
        let index = *next as u64;
        *next = (*next + 1) % code::WORDS;
        trampolines.set_word(&program.memory, data::word(which, index), address);
        trampolines.set_word(&program.memory, data::word(which, index) + 8, value);
    }

    /// Whether a signal that came while everything was being stopped is one of a trampoline's own.
    pub(in crate::supervisor::served) fn is_of_trampoline(&self, tid: Pid, number: i32) -> bool {
        let Some(trampolines) = &self.trampolines else { return false };
        let Ok(mut registers) = raw::registers(tid) else { return false };
        if number == libc::SIGTRAP && trampolines.traps.contains_key(&registers.rip.wrapping_sub(1)) {
            registers.rip -= 1;
            return raw::set_registers(tid, &registers).is_ok();
        }
        matches!(number, libc::SIGSEGV | libc::SIGBUS) && trampolines.is_comparing(registers.rip).is_some()
    }

    /// A signal comes to a thread in a trampoline: the program is to see it where it is in its own code.
    /// True if it was none of the program's, and has been dealt with.
    pub(in crate::supervisor::served) fn signal_in_trampoline(&mut self, tid: Pid, number: i32) -> bool {
        let Some(trampolines) = &self.trampolines else { return false };
        trampolines.leave_board(tid);
        let Ok(mut registers) = raw::registers(tid) else { return false };
        if !trampolines.contains(registers.rip) {
            return false;
        }
        if let Some(compared) = trampolines.is_comparing(registers.rip)
            && matches!(number, libc::SIGSEGV | libc::SIGBUS)
        {
            // A word is not mapped any more, and was when the fence was.
            registers.rip = compared.differs;
            raw::set_registers(tid, &registers).ok();
            self.go_on(tid);
            return true;
        }
        // What an instruction has caused is told of that instruction.
        let exactly = matches!(number, libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL | libc::SIGTRAP);
        match self.leave_trampoline(tid, exactly) {
            Met::Instruction => self.take_hits_back(tid, None),
            Met::Trap(Trap::Hit { spot, .. }) => self.take_hits_back(tid, Some(spot)),
            Met::Trap(Trap::Same { .. }) | Met::Nothing => {}
        }
        false
    }

    /// A thread is let go with a signal: its handler may return into the middle of what a jump has replaced.
    pub(in crate::supervisor) fn clear_way_back(&mut self, tid: Pid) {
        let Ok(registers) = raw::registers(tid) else { return };
        let (Some(trampolines), Some(program)) = (&mut self.trampolines, &self.program) else { return };
        let middle = |patch: &&Patch| patch.has_in_middle(registers.rip);
        if let Some(found) = trampolines.patches.iter().find(middle).map(Patch::range) {
            // With those whose boards are there.
            let with_it =
                |patch: &Patch| patch.address == found.start || patch.board.is_some_and(|board| found.contains(&board));
            let (gone, kept) = std::mem::take(&mut trampolines.patches).into_iter().partition(with_it);
            trampolines.patches = kept;
            let gone: Vec<Patch> = gone;
            for patch in &gone {
                patch.replace(&program.memory, &patch.jump, &patch.original);
                let end = patch.range().end + LONGEST as u64;
                let others = trampolines.patches.iter().chain(&gone).map(|other| other.address);
                let next = others.filter(|other| *other > patch.address).min().unwrap_or(end);
                trampolines.onward.retain(|original, _| !(patch.address..next.min(end)).contains(original));
            }
            for patch in gone {
                self.meet_by_stops(&patch.places);
            }
        }
    }

    /// Spots and the fence at these addresses have no trampoline any more.
    pub(super) fn meet_by_stops(&mut self, places: &[u64]) {
        for &place in places {
            let spot = self.running.as_ref().and_then(|running| running.spot_at(place));
            let fence = self.fence_is_at(place);
            self.served.breakpoints.change(place, |wanted| {
                wanted.spot = spot;
                wanted.fence = fence;
            });
        }
        self.insert_breakpoints();
    }

    /// Brings a stopped thread out of a trampoline: to the instruction of the program that it is about to execute, exactly, or to one
    /// soon after it that no jump has replaced.
    pub(in crate::supervisor::served) fn leave_trampoline(&mut self, tid: Pid, exactly: bool) -> Met {
        let mut met = Met::Nothing;
        let Some(trampolines) = &self.trampolines else { return met };
        trampolines.leave_board(tid);
        let inside = |tid: Pid| raw::registers(tid).is_ok_and(|registers| trampolines.contains(registers.rip));
        if !inside(tid) {
            return met;
        }
        // None is to come in between.
        let Ok(mask) = raw::signal_mask(tid) else { return met };
        raw::set_signal_mask(tid, u64::MAX).ok();
        for steps in (0..MOST_STEPS).rev() {
            let Ok(mut registers) = raw::registers(tid) else { break };
            let pc = registers.rip;
            let comparing = trampolines.is_comparing(pc);
            let to = match (trampolines.original.get(&pc), trampolines.traps.get(&pc).copied(), comparing) {
                // Signals come in between instructions; what has been displaced is better left by its end than in its middle.
                (Some(original), ..) if !exactly && steps > MOST_STEPS / 2 && trampolines.is_in_middle(*original) => {
                    None
                }
                (Some(original), ..) => {
                    met = Met::Instruction;
                    Some((*original, true))
                }
                (_, Some(trap @ (Trap::Hit { pc, .. } | Trap::Same { pc, .. })), _) => {
                    met = Met::Trap(trap);
                    Some((pc, true))
                }
                // What it is compared with need not be mapped any more.
                (.., Some(compared)) => Some((compared.differs, false)),
                _ if !trampolines.contains(pc) => break,
                _ => None,
            };
            if let Some((to, out)) = to {
                registers.rip = to;
                raw::set_registers(tid, &registers).ok();
                if out {
                    break;
                }
                continue;
            }
            let stepped = raw::resume(libc::PTRACE_SINGLESTEP, tid, 0).and_then(|()| raw::wait(Some(tid), true));
            if !matches!(stepped, Ok(Some((_, status))) if libc::WIFSTOPPED(status)) {
                break;
            }
        }
        raw::set_signal_mask(tid, mask).ok();
        met
    }
}
