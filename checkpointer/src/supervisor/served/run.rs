//! Running the served program without its debugger, which waits at its prompt meanwhile.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::target::own_signal;
use super::{Supervisor, Trampolines, View, raw};
use crate::ptrace::Change;
use crate::raw::SigInfo;
use crate::rsp::libraries;
use crate::rsp::target::{Caught, Motion, Why};
use crate::signals::{Disposition, disposition};
use crate::supervisor::tasks::{Activity, proc_text};
use crate::wire::{CopyId, Event, FrameRegister, Hit, Ran, Run, RunEnd, Spot};

/// What a run takes beside the program's own time, at most: to let it go, and to hear of its stop.
const AWAKENING: Duration = Duration::from_micros(150);

/// After so many stops at spots, or at a fence that is not met, there are trampolines.
pub(super) const OFTEN: u32 = 16;

/// A thread's time.
#[derive(Debug, Clone, Copy, Default)]
struct Clock {
    /// On a processor.
    ran: Duration,
    /// Waiting for one.
    waited: Duration,
}

/// A run that is going on.
#[derive(Debug)]
pub(in crate::supervisor) struct Running {
    pub(super) wanted: Run,
    pub(super) hits: u64,
    let_go: bool,
    turns: u64,
    /// Signals that handlers were called for.
    handled: u32,
    pub(super) last: VecDeque<Hit>,
    /// Stops at spots and at the fence so far.
    pub(super) stops: u32,
    kept: Vec<(u64, CopyId, i32)>,
    begun: Instant,
    /// Time spent on copies.
    aside: Duration,
    /// How long the program had been on a processor, and had waited for one, before.
    clock: Clock,
    /// Settings of the debugger that are out of force meanwhile.
    caught: Caught,
    /// A thread comes to the spot at which it began once more, with this stack pointer: a signal was handled before it had left it.
    again: Option<(Pid, u64, u64)>,
}

/// The canonical address of a frame at a spot.
pub(super) fn frame_at(spot: &Spot, registers: &raw::Registers) -> u64 {
    #[allow(clippy::cast_sign_loss)]
    match spot.frame {
        Some((FrameRegister::StackPointer, offset)) => registers.rsp.wrapping_add(offset as u64),
        Some((FrameRegister::BasePointer, offset)) => registers.rbp.wrapping_add(offset as u64),
        None => 0,
    }
}

impl Running {
    /// Whether a thread's execution of a spot counts.
    fn counts(&self, spot: &Spot, frame: u64, thread: i32) -> bool {
        (spot.frame.is_none() || frame >= spot.at_least) && self.wanted.thread.is_none_or(|wanted| wanted == thread)
    }

    pub(super) fn spot_at(&self, address: u64) -> Option<u32> {
        let at = self.wanted.spots.iter().position(|spot| spot.address == address)?;
        u32::try_from(at).ok()
    }

    /// Time has gone in which the program stood.
    pub(super) fn spend(&mut self, time: Duration) {
        self.aside += time;
    }

    /// When it is to be stopped.
    pub(in crate::supervisor) fn deadline(&self) -> Option<Instant> {
        Some(self.begun + self.aside + Duration::from_micros(self.wanted.micros?))
    }
}

impl Supervisor {
    /// Begins a run.
    pub(in crate::supervisor) fn run_program(&mut self, wanted: Run) -> Result<(), String> {
        if self.program.is_none() {
            return Err("cannot run the program: there is none".to_owned());
        }
        if self.served.running {
            return Err("cannot run the program: it runs already".to_owned());
        }
        self.set_fence(wanted.fence, wanted.functions.clone())?;
        tracing::debug!(
            "run of {} us, {} spots, to {:x?}",
            wanted.micros.unwrap_or(0),
            wanted.spots.len(),
            self.fence.as_ref().map(|fence| fence.pc)
        );
        // The debugger's own are not in force.
        let kept = self.served.breakpoints.clone();
        self.parked_breakpoints = Some(kept);
        for address in self.served.breakpoints.addresses() {
            self.served.breakpoints.change(address, |wanted| wanted.debugger = false);
        }
        let places_are_none = wanted.spots.is_empty();
        // Not by debug registers: while one is armed for execution some processors run at a quarter of their speed (AMD EPYC).
        self.parked_registers = Some(std::mem::take(&mut self.served.registers));
        for (index, spot) in (0..).zip(&wanted.spots) {
            self.served.breakpoints.change(spot.address, |wanted| wanted.spot = Some(index));
        }
        if !places_are_none || self.fence.is_some() {
            // What is not mapped yet is met as soon as it is.
            if self.served.linker.is_none() {
                self.served.linker = libraries::after_changes(&mut View(self));
            }
            if let Some(at) = self.served.linker {
                self.served.breakpoints.change(at, |wanted| wanted.mapped = true);
            }
        }
        let caught = std::mem::take(&mut self.served.caught);
        self.running = Some(Running {
            wanted,
            hits: 0,
            let_go: false,
            turns: 0,
            handled: 0,
            last: VecDeque::new(),
            stops: 0,
            kept: Vec::new(),
            begun: Instant::now(),
            aside: Duration::ZERO,
            clock: Clock::default(),
            caught,
            again: None,
        });
        self.served.running = true;
        self.tune_clocks();
        // A copy that was taken on the way may be the very place: the thread would leave it without having come to it.
        if self.served_threads().into_iter().any(|tid| self.fence_met(tid)) {
            self.run_over(RunEnd::Fence);
            return Ok(());
        }
        // Time is measured as the program takes it by itself, hits are many.
        if !places_are_none {
            self.pin()
        } else {
            self.unpin()
        }
        self.insert_breakpoints();
        for tid in self.served_threads() {
            let control = self.control(tid);
            control.motion = Some(Motion::Continue);
            control.pending = None;
            // What it stopped for has been told; a run delivers it, as the program would have got it.
            let signal = control.signal.take();
            let signal = signal.filter(|(number, _)| *number != libc::SIGINT && *number != libc::SIGTRAP);
            let signal = self.as_decided(tid, signal);
            self.deliver_in_run(tid, signal);
        }
        let clock = self.clock();
        if let Some(running) = &mut self.running {
            (running.clock, running.begun, running.let_go) = (clock, Instant::now(), true);
        }
        for tid in self.served_threads() {
            self.begin_from(tid);
        }
        Ok(())
    }

    /// Ends a run early.
    pub(in crate::supervisor) fn end_run(&mut self) {
        if self.running.is_some() {
            self.run_over(RunEnd::Ended);
        }
    }

    /// The time of a run is over.
    pub(in crate::supervisor) fn run_timed_out(&mut self) {
        let over = self.running.as_ref().and_then(Running::deadline).is_some_and(|deadline| deadline <= Instant::now());
        if !over {
            return;
        }
        // What it has waited for a processor is given back, but for what is not worth it.
        let waited = self.clock().waited;
        if let Some(running) = &mut self.running {
            let more = waited.saturating_sub(running.clock.waited);
            if more > Duration::from_micros(running.wanted.micros.unwrap_or(0) / 16 + 20) {
                running.aside += more;
                running.clock.waited = waited;
                return;
            }
        }
        self.run_over(RunEnd::Time);
    }

    /// The clock of the program's first thread (Documentation/scheduler/sched-stats.rst).
    fn clock(&self) -> Clock {
        let Some(program) = &self.program else { return Clock::default() };
        let text = proc_text(&format!("/proc/{}/schedstat", program.leader)).unwrap_or_default();
        let mut fields = text.split_whitespace().map(|nanoseconds| nanoseconds.parse().unwrap_or(0));
        let mut next = || Duration::from_nanos(fields.next().unwrap_or(0));
        Clock { ran: next(), waited: next() }
    }

    /// It is another thread's turn. Whether the run ends with that.
    pub(in crate::supervisor) fn turn_in_run(&mut self) -> bool {
        let over = self.counts_as_last_turn();
        if over {
            self.run_over(RunEnd::Turn);
        }
        over
    }

    fn counts_as_last_turn(&mut self) -> bool {
        let Some(running) = &mut self.running else { return false };
        running.turns += 1;
        running.wanted.turns == Some(running.turns)
    }

    /// A thread's turn begins with a signal at which it stands. Whether that is where the program was to be brought: then it gets the
    /// signal when the program goes on.
    pub(in crate::supervisor) fn turn_at_signal_is_last(&mut self, tid: Pid) -> bool {
        let fence = self.fence_met(tid);
        if !fence && !self.counts_as_last_turn() {
            return false;
        }
        let stopped = self.tasks.get_mut(&tid).and_then(|task| task.activity.as_mut());
        let signal = match stopped {
            Some(Activity::Stopped(stopped)) => stopped.signal.take(),
            _ => None,
        };
        self.control(tid).signal = signal;
        if fence {
            self.at_fence(tid);
        } else {
            self.run_over(RunEnd::Turn);
        }
        true
    }

    /// A thread is let go: whether its hits count is said to trampolines.
    pub(super) fn count_for(&mut self, tid: Pid) {
        if self.trampolines.is_none() {
            return;
        }
        let known = self.virtual_id(tid);
        let its_turn = !self.takes_turns(tid) || self.recording.schedule().current == Some(known);
        let (Some(trampolines), Some(program), Some(running), true) =
            (&mut self.trampolines, &self.program, &self.running, its_turn)
        else {
            return;
        };
        trampolines.set_counts(&program.memory, running.wanted.thread.is_none_or(|wanted| wanted == known));
    }

    /// A spot was met by a thread, its instruction not executed.
    pub(super) fn hit(&mut self, tid: Pid, spot: u32) {
        let Ok(registers) = raw::registers(tid) else { return };
        let known = self.virtual_id(tid);
        let Some(running) = &mut self.running else { return };
        let Some(place) = running.wanted.spots.get(spot as usize).copied() else { return };
        let frame = frame_at(&place, &registers);
        let again = running.again.take_if(|again| *again == (tid, place.address, registers.rsp)).is_some();
        let counts = !again && running.counts(&place, frame, known);
        let mut over = false;
        let mut keep = false;
        let counted = if counts { self.count_with_trampolines(spot, frame) } else { None };
        let Some(running) = &mut self.running else { return };
        if let Some(last) = counted {
            over = last;
        } else if counts {
            running.hits += 1;
            if running.last.len() == Ran::LAST {
                running.last.pop_front();
            }
            running.last.push_back(Hit { number: running.hits, spot, frame });
            over = running.wanted.hits == Some(running.hits);
            keep = running.wanted.keep_every.is_some_and(|every| running.hits.is_multiple_of(every));
        }
        if over {
            return self.run_over(RunEnd::Hits);
        }
        if keep {
            self.keep_on_the_way();
        }
        self.go_past(tid, place.address);
    }

    /// Lets a thread go on from a spot or the fence of a run.
    pub(super) fn go_past(&mut self, tid: Pid, at: u64) {
        let Some(running) = &mut self.running else { return };
        running.stops += 1;
        if running.stops == OFTEN && self.trampolines.as_ref().is_none_or(Trampolines::are_retired) {
            self.put_up_trampolines();
        }
        self.enter_trampoline(tid);
        if self.served.breakpoints.is_inserted(at) { self.go_over(tid, at) } else { self.go_on(tid) }
    }

    fn keep_on_the_way(&mut self) {
        let begin = Instant::now();
        if let Ok((copy, pid)) = self.checkpoint_program()
            && let Some(running) = &mut self.running
        {
            running.kept.push((running.hits, copy, pid.as_raw()));
            running.aside += begin.elapsed();
        }
    }

    /// A signal comes while the debugger does not look.
    pub(super) fn signal_in_run(&mut self, tid: Pid, number: i32, signal: Option<(i32, SigInfo)>) -> Option<Why> {
        if disposition(tid, number) == Disposition::Ends {
            let at = raw::registers(tid).map(|registers| (registers.rip, registers.rsp, registers.rax));
            tracing::debug!(
                "signal {number} would end {tid} at {at:x?}: {:x?}, trampolines at {:x?}",
                signal.as_ref().map(|(_, info)| raw::signal_bytes(info).get(..32).map(<[u8]>::to_vec)),
                self.trampolines.as_ref().map(Trampolines::range)
            );
            self.control(tid).signal = signal;
            self.run_over(RunEnd::Dying(number));
            return None;
        }
        let signal = self.as_decided(tid, signal);
        if signal.is_some()
            && let Ok(registers) = raw::registers(tid)
            && self.control(tid).lifted == Some(registers.rip)
        {
            self.take_hits_back(tid, None);
        }
        self.deliver_in_run(tid, signal);
        self.go_on(tid);
        None
    }

    fn deliver_in_run(&mut self, tid: Pid, signal: Option<(i32, SigInfo)>) {
        if let (Some((number, _)), Some(running)) = (&signal, &mut self.running) {
            running.handled += u32::from(disposition(tid, *number) == Disposition::Caught);
        }
        self.deliver(tid, signal);
    }

    /// What a thread gets of a signal at which it stands: where its debugger has kept it from the program it is kept from it again, and
    /// where it has given another one that comes again.
    fn as_decided(&mut self, tid: Pid, signal: Option<(i32, SigInfo)>) -> Option<(i32, SigInfo)> {
        let (number, information) = signal?;
        match self.control(tid).fate.take().and_then(|fate| fate.get()) {
            Some(0) => None,
            Some(other) if other != number => Some((other, own_signal(other))),
            _ => Some((number, information)),
        }
    }

    /// A signal is handled before a thread executes the instruction that it has come to. It comes there once more then, so its hits
    /// are counted no more: those of all spots there, or up to one of them.
    pub(super) fn take_hits_back(&mut self, tid: Pid, up_to: Option<u32>) {
        let Ok(registers) = raw::registers(tid) else { return };
        let known = self.virtual_id(tid);
        let Some(running) = &mut self.running else { return };
        let counted = |(index, spot): &(u32, &Spot)| {
            spot.address == registers.rip
                && up_to.is_none_or(|last| *index <= last)
                && running.counts(spot, frame_at(spot, &registers), known)
        };
        let hits: Vec<u32> = (0..).zip(&running.wanted.spots).filter(counted).map(|(index, _)| index).collect();
        if hits.is_empty() || self.take_back_with_trampolines(hits.len() as u64) {
            return;
        }
        let Some(running) = &mut self.running else { return };
        if running.last.back().is_some_and(|last| hits.contains(&last.spot)) {
            running.last.pop_back();
            running.hits -= 1;
        } else {
            // It began there, and that is no hit.
            running.again = Some((tid, registers.rip, registers.rsp));
        }
    }

    /// The program has ended in a run.
    pub(super) fn run_ended_program(&mut self, what: Change) {
        let end = match what {
            Change::Killed(signal) => RunEnd::Killed(signal),
            Change::Exited(status) => RunEnd::Exited(status),
            _ => RunEnd::Exited(0),
        };
        self.run_over(end);
    }

    /// Ends a run: everything is stopped, the debugger's settings are in force again.
    pub(super) fn run_over(&mut self, end: RunEnd) {
        let Some(elapsed) = self.running.as_ref().map(|running| running.begun.elapsed()) else { return };
        tracing::debug!("run over: {end:?}");
        // It is still the run's that threads take turns on their way to a stop, and one of them may end it.
        self.stop_served();
        self.take_down_trampolines();
        let Some(running) = self.running.take() else { return };
        // Time was over when the last hit had just come.
        let end = if end == RunEnd::Time && running.wanted.hits == Some(running.hits) { RunEnd::Hits } else { end };
        self.sync_clocks();
        self.tune_clocks();
        let clock = self.clock();
        let waited = clock.waited.saturating_sub(running.clock.waited);
        let ran = elapsed.saturating_sub(running.aside + waited);
        // One that has done nothing but compute has an exact clock; one that has ended has none any more.
        let computed = clock.ran.saturating_sub(running.clock.ran);
        let ran = if computed < ran && ran - computed < AWAKENING { computed } else { ran };
        if let Some(kept) = self.parked_breakpoints.take() {
            self.served.breakpoints = kept;
            self.served.breakpoints.forget_inserted();
        }
        self.served.breakpoints.only_debugger();
        if let Some(kept) = self.parked_registers.take() {
            self.served.registers = kept;
        }
        self.served.caught = running.caught;
        self.fence = None;
        self.served.running = false;
        self.note_turn_of_stop();
        self.unpin();
        // The debugger does not know where it stands now.
        self.served.exchanged = true;
        for control in self.served.threads.values_mut() {
            control.motion = None;
        }
        self.tell(Event::Ran(Ran {
            end,
            let_go: running.let_go,
            hits: running.hits,
            turns: running.turns,
            handled: running.handled,
            last: running.last.into(),
            stops: running.stops,
            kept: running.kept,
            ran_us: u64::try_from(ran.as_micros()).unwrap_or(u64::MAX),
        }));
    }
}
