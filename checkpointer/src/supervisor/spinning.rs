//! A thread that spins is waiting for another one, and comes to no call at which it could be left. It is left where it is: going round
//! its loop changes neither its registers nor memory, so its state names the place, and is met again each time round.
//!
//! Whether that is so is tried out on a copy of the process, which is stepped until its registers are what they were. One that goes
//! round a loop that changes something, or simply computes, is left in a certain state of its loop instead (`tape/loops.rs`).

use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::Supervisor;
use super::served::Memory;
use super::tape::schedule::{Cause, Spin, Stand};
use super::turns::SLICE;
use crate::inject::Remote;
use crate::inject::injector::Injector;
use crate::inject::{CODE_PAGE, EXEMPT_PAGES, PAGE};
use crate::ptrace::{Change, change};
use crate::raw::{self, Registers};
use crate::snapshot::threads::await_birth;

/// Instructions that a loop may have which is gone round.
const LONGEST: usize = 2048;

/// How soon a thread that makes no call while others could go on is looked at: at first, and at the soonest and latest.
const LOOK: (Duration, Duration, Duration) =
    (Duration::from_millis(20), Duration::from_millis(1), Duration::from_millis(500));

/// How long one may go on at last; and one of a process with a debugger in it, which may trace each line, while the others mostly
/// wait for the interpreter's lock.
const STARVED: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// Flags that the program makes: carry, parity, adjust, zero, sign, direction and overflow.
const FLAGS: u64 = 0xcd5;

/// Bytes that are compared at once.
const CHUNK: usize = 1 << 18;

/// What is known of the thread whose turn it is while it makes no call.
#[derive(Debug, Clone, Copy)]
pub(in crate::supervisor) struct Watch {
    tick: u64,
    current: i32,
    begun: Instant,
    looked: Instant,
    /// How long it is not looked at.
    patience: Duration,
}

/// What has been found out about a thread that makes no call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// It spins, and has been left.
    Spins,
    /// It has been left where it computes.
    Place,
    Nothing,
}

/// The registers that make a thread's state.
pub(in crate::supervisor) fn state_of(registers: &Registers) -> [u64; 20] {
    let r = registers;
    [
        r.rip,
        r.rsp,
        r.rbp,
        r.rax,
        r.rbx,
        r.rcx,
        r.rdx,
        r.rsi,
        r.rdi,
        r.r8,
        r.r9,
        r.r10,
        r.r11,
        r.r12,
        r.r13,
        r.r14,
        r.r15,
        r.eflags & FLAGS,
        r.fs_base,
        r.gs_base,
    ]
}

impl Supervisor {
    /// How long the thread whose turn it is is left alone; for ever if nobody else could go on.
    pub(super) fn spin_patience(&mut self) -> Option<Duration> {
        let current = self.recording.schedule().current?;
        let real = self.real_id(current);
        if !self.recording.is_live() || self.is_aside() || self.recording.schedule().ending {
            return None;
        }
        if self.tasks.get(&real).is_none_or(|task| task.is_stopped()) || !self.others_can_go_on(current) {
            return None;
        }
        if !self.recording.has_asked() {
            // It may make calls that it notes itself.
            let had = self.recording.schedule().since.map_or(SLICE, |since| since.elapsed());
            if had < SLICE {
                return Some(SLICE - had);
            }
            self.ask_for_call(current);
        }
        let tick = self.recording.schedule().tick;
        let now = Instant::now();
        let known = self.recording.watch.filter(|watch| (watch.tick, watch.current) == (tick, current));
        let watch = known.unwrap_or_else(|| {
            let patience = self.recording.watch.map_or(LOOK.0, |watch| watch.patience);
            Watch { tick, current, begun: now, looked: now, patience }
        });
        self.recording.watch = Some(watch);
        // Where it computes nothing is found sooner.
        Some(watch.patience.min(self.recording.patience.now).saturating_sub(watch.looked.elapsed()))
    }

    /// Looks at the thread whose turn it is, if it has not made a call for long.
    pub(super) fn look_for_spin(&mut self) {
        if self.spin_patience() != Some(Duration::ZERO) {
            return;
        }
        let Some(mut watch) = self.recording.watch else { return };
        let real = self.real_id(watch.current);
        let too_long = watch.begun.elapsed() >= self.recording.patience.now;
        let found =
            if self.is_served(real) { self.leave_spinning(real, watch.current, too_long) } else { Found::Nothing };
        let spins = found == Found::Spins;
        watch.patience = if spins { watch.patience / 2 } else { watch.patience * 2 }.clamp(LOOK.1, LOOK.2);
        watch.looked = Instant::now();
        self.recording.watch = Some(watch);
        let starved = if self.recording.served { STARVED.0 } else { STARVED.1 };
        if found == Found::Nothing && watch.begun.elapsed() > starved {
            self.stop_recording(&format!(
                "thread {} goes on without a system call while others wait, and nothing names the place where it is stopped",
                watch.current
            ));
        }
    }

    /// Stops a thread, and if it spins, or has made no call for too long, it is another's turn.
    fn leave_spinning(&mut self, tid: Pid, known: i32, too_long: bool) -> Found {
        self.stop_served();
        let still = self.recording.on
            && self.takes_turns(tid)
            && self.recording.schedule().current == Some(known)
            && self.recording.schedule().stand(known) == Stand::Ready
            && self.has_met_nothing(tid);
        let found = if still { self.spins(tid) } else { None };
        let next = found.and_then(|spin| Some((spin, self.choose_other(known)?)));
        let found = match next {
            Some((spin, (next, late))) => {
                self.leave_for(next, Cause::Spinning(Box::new(spin)), late);
                Found::Spins
            }
            None if still && too_long && self.leave_in_loop(tid, known) => Found::Place,
            None => Found::Nothing,
        };
        self.restart_served();
        found
    }

    /// It is another's turn from where the thread whose turn it was is stopped.
    pub(super) fn leave_for(&mut self, next: i32, cause: Cause, late: bool) {
        tracing::debug!("{:?} is left computing: turn of {next}", self.recording.schedule().current);
        self.recording.note_turn(next, cause, late);
        if late {
            let real = self.real_id(next);
            self.end_wait(real, next, -i64::from(libc::ETIMEDOUT));
        }
        self.sync_clocks();
        self.recording.schedule().turn_to(next);
        self.take_buffer();
    }

    /// The loop that a stopped thread goes round, if that changes nothing.
    fn spins(&mut self, tid: Pid) -> Option<Spin> {
        let pid = self.tasks.get(&tid)?.pid;
        let registers = raw::registers(tid).ok().filter(|registers| registers.orig_rax == u64::MAX)?;
        let copy = match copy_of(pid, tid, &registers) {
            Ok(copy) => copy,
            Err(error) => {
                tracing::info!("a thread that may spin cannot be looked at: {error}");
                return None;
            }
        };
        if let Ok(memory) = Memory::open(copy) {
            self.served.breakpoints.clean(&memory);
            self.clean_jumps(&memory, false);
        }
        let left_out = raw::rseq_configuration(tid).map_or((0, 0), |(area, length, _)| (area, u64::from(length)));
        let way = way_round(copy, &state_of(&registers));
        // The same instructions on the same registers that changed nothing once do not so another time.
        let unchanged = way.is_some_and(|way| {
            self.recording.loops.contains(&way)
                || self.has_same_memory(pid, copy, left_out) && self.recording.loops.insert(way)
        });
        crate::ptrace::kill(copy).ok();
        self.dying.insert(copy);
        unchanged.then(|| Spin { pc: registers.rip, state: state_of(&registers) })
    }

    /// Whether a copy that was stepped has the memory that the process has.
    fn has_same_memory(&self, pid: Pid, copy: Pid, left_out: (u64, u64)) -> bool {
        let Ok(ranges) = super::served::writable(pid) else { return false };
        let (mut one, mut other) = (vec![0u8; CHUNK], vec![0u8; CHUNK]);
        ranges.into_iter().all(|(start, end)| {
            let mut at = start;
            while at < end {
                #[allow(clippy::cast_possible_truncation)]
                let length = (end - at).min(CHUNK as u64) as usize;
                let got = raw::read_remote(pid, at, &mut one[..length]);
                let had = raw::read_remote(copy, at, &mut other[..length]);
                for bytes in [&mut one, &mut other] {
                    self.served.breakpoints.hide(at, &mut bytes[..length]);
                    let from = left_out.0.saturating_sub(at).min(length as u64);
                    let to = (left_out.0 + left_out.1).saturating_sub(at).min(length as u64);
                    #[allow(clippy::cast_possible_truncation)]
                    bytes[from as usize..to as usize].fill(0);
                }
                if got != had || one[..got] != other[..got] {
                    return false;
                }
                at += length as u64;
            }
            true
        })
    }

    /// Where the thread whose turn it is is to be left while it spins, if that is what is noted next.
    pub(super) fn spin_awaited(&mut self) -> Option<u64> {
        if !self.recording.on || self.is_aside() {
            return None;
        }
        if let Some((_, at)) = self.awaited_copy() {
            return Some(at);
        }
        let turn = self.recording.next_turn()?;
        let Cause::Spinning(spin) = &turn.cause else { return None };
        (turn.tick == self.recording.schedule().tick).then_some(spin.pc)
    }

    /// Whether a stopped thread spins where it is noted to be left: then it is another's turn.
    pub(super) fn is_left_spinning(&mut self, tid: Pid) -> bool {
        if self.spin_awaited().is_none() || !self.takes_turns(tid) {
            return false;
        }
        if self.signal_awaited().is_some() {
            return self.is_at_signal(tid);
        }
        let known = self.virtual_id(tid);
        let Some(turn) = self.recording.next_turn() else { return false };
        if self.recording.schedule().current != Some(known) {
            return false;
        }
        let registers = raw::registers(tid).ok();
        let here = match &turn.cause {
            Cause::Spinning(spin) => {
                registers.is_some_and(|registers| state_of(&registers) == spin.state) && self.spins(tid).is_some()
            }
            Cause::Computing(left) => {
                registers.is_some_and(|registers| registers.rip == left.pc) && self.state_is(tid, left.copy)
            }
            _ => false,
        };
        if !here {
            return false;
        }
        self.recording.take_turn();
        let real = self.real_id(turn.to);
        if !self.takes_turns(real) {
            self.part(&format!("the turn of thread {}", turn.to), "no such thread");
            if self.recording.is_lost() {
                return true;
            }
        }
        self.give_turn(real, turn.to, turn.late);
        true
    }
}

/// A copy of a process that has one of its threads only, stopped.
fn copy_of(pid: Pid, tid: Pid, registers: &Registers) -> Result<Pid, crate::inject::InjectError> {
    use crate::inject::InjectError;
    let mut injector = Injector::borrow(pid, tid)?;
    let flags = libc::CLONE_PARENT | libc::SIGCHLD;
    injector.call(syscalls::Sysno::clone, [flags.cast_unsigned().into(), 0, 0, 0, 0, 0])?;
    let Some(copy) = injector.born.take() else {
        return Err(InjectError::Unsupported("a copy was made but not reported".to_owned()));
    };
    await_birth(copy)?;
    raw::set_registers(copy, registers).map_err(|_| InjectError::Killed { tid: copy.as_raw() })?;
    injector.finish()?;
    Ok(copy)
}

/// Steps a copy until its state is that again: the instructions on the way; `None` if that does not come. Nor does it where the way leads
/// through our code: that makes calls, and a copy is to make none.
fn way_round(copy: Pid, state: &[u64; 20]) -> Option<Vec<u64>> {
    let mut way = Vec::new();
    for _ in 0..LONGEST {
        let stepped = raw::resume(libc::PTRACE_SINGLESTEP, copy, 0).is_ok()
            && matches!(raw::wait(Some(copy), true), Ok(Some((_, status))) if change(status) == Change::Signal(libc::SIGTRAP));
        let registers = stepped.then(|| raw::registers(copy).ok()).flatten()?;
        if (CODE_PAGE..CODE_PAGE + EXEMPT_PAGES * PAGE).contains(&registers.rip) {
            return None;
        }
        way.push(registers.rip);
        if state_of(&registers) == *state {
            return Some(way);
        }
    }
    None
}
