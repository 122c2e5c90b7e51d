//! The replayer: runs the program again, lets the thread of each event run up to it, and gives it what the log has.

mod calls;
mod life;
mod programs;
mod signals;

use std::collections::BTreeMap;

use super::log::{Call, What};
use super::mapping::StandIns;
use super::pinning::Pinning;
use super::recorder::Recording;
use super::thread::Thread;
use super::{Diverged, Trouble, vdso};
use crate::ptrace::{Change, How, Stopped, change};
use crate::raw::{self, Registers, SigInfo};
use crate::signals::is_fault;
use crate::syscalls;

/// Where a replayed thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// At a recorded point.
    Ready,
    /// Before a call.
    AtCall,
    /// Inside a call that is executed for real.
    Inside,
}

/// A replayed thread.
#[derive(Debug)]
struct Actor {
    thread: Thread,
    phase: Phase,
    /// It has been given the result of a call that was not made, and not gone on.
    answered: bool,
    /// The last call, if a handler is to interrupt it: its number and the kernel's restart code.
    interrupted: Option<(u32, i64)>,
    /// A descriptor that the kernel has set aside when the thread began to wait in its call (`__sys_accept4` in net/socket.c,
    /// `do_sys_openat2` in fs/open.c).
    reserved: Option<i64>,
}

/// A replayer at work.
pub(super) struct Replayer {
    /// By the ids of the recording.
    actors: BTreeMap<i32, Actor>,
    at: u64,
    /// For files that are mapped by several.
    stand_ins: StandIns,
    pinning: Pinning,
}

/// Where a thread that was let run has stopped.
enum Stop {
    Call(Registers),
    Fault(i32, SigInfo, Registers),
    Ending(i32),
    Other(String),
}

/// Replays a recording from its start. It uses the copies up.
pub(super) fn replay(argv: &[Vec<u8>], recording: &Recording) -> Result<(), Trouble> {
    let program = argv.first().map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default();
    let start = |source| Trouble::Start { program: program.clone(), source };
    let mut replayer =
        Replayer { actors: BTreeMap::new(), at: 0, stand_ins: StandIns::default(), pinning: Pinning::new() };
    let mut reader = recording.log.read()?;
    let Some(first) = reader.peek()?.map(|entry| entry.thread) else { return Ok(()) };
    let running = crate::launch::start_recorded(argv, true).map_err(start)?;
    let root = running.tid();
    super::thread::await_program(root).map_err(start)?;
    replayer.actors.insert(first, Actor::new(Thread::stopped(first, first, root, root)));
    let mut outcome = Ok(());
    while outcome.is_ok() {
        let Some((at, entry)) = reader.next()? else { break };
        replayer.at = at;
        outcome = replayer.act(entry.thread, entry.what);
    }
    super::thread::end(replayer.actors.values().map(|actor| &actor.thread));
    outcome
}

impl Actor {
    fn new(thread: Thread) -> Actor {
        Actor { thread, phase: Phase::Ready, answered: false, interrupted: None, reserved: None }
    }
}

impl Replayer {
    fn act(&mut self, id: i32, what: What) -> Result<(), Trouble> {
        match what {
            What::Enter(number) => {
                self.arrive(id, number)?;
                self.reserve(id)
            }
            What::Arrive(number) => self.arrive(id, number),
            What::Call(call) => self.call(id, &call),
            What::Born(child) => self.born(id, child),
            What::Loaded(loaded) => self.loaded(id, &loaded),
            What::Signal { number, information, frame } => self.signal(id, number, &information, frame),
            What::Fault { number, instruction } => self.fault(id, number, instruction),
            What::Counter(value, processor) => self.counter(id, value, processor),
            What::Clocks(entries) => vdso::give(&self.actor(id)?.thread, &entries),
            What::Flush => self.flush(id),
            What::Preempted { copy, descriptors } => self.preempted(id, copy, descriptors),
            What::Ended { status, process } => self.ended(id, status, process),
            What::Killed => self.killed(id),
        }
    }

    fn actor(&mut self, id: i32) -> Result<&mut Actor, Trouble> {
        let at = self.at;
        let missing =
            || Diverged { at, expected: format!("thread {id} to be there"), got: "no such thread".to_owned() };
        self.actors.get_mut(&id).ok_or_else(|| missing().into())
    }

    fn diverged(&self, expected: impl Into<String>, got: impl Into<String>) -> Trouble {
        Diverged { at: self.at, expected: expected.into(), got: got.into() }.into()
    }

    /// Lets a thread run until something happens that is in the recording, or should be.
    fn advance(&mut self, id: i32) -> Result<Stop, Trouble> {
        loop {
            self.pinning.note_stop(self.actors.values().map(|actor| actor.thread.tid));
            let actor = self.actor(id)?;
            actor.answered = false;
            actor.thread.resume(How::Continue)?;
            let what = actor.await_stop()?;
            match what {
                Change::Seccomp => {
                    let registers = actor.thread.registers()?;
                    actor.phase = Phase::AtCall;
                    return Ok(Stop::Call(registers));
                }
                Change::Signal(number) => {
                    let information = raw::signal_information(actor.thread.tid).map_err(|_| Trouble::Gone(id))?;
                    if is_fault(number, &information) {
                        let registers = actor.thread.registers()?;
                        return Ok(Stop::Fault(number, information, registers));
                    }
                    // From the replay's own world (the end of a child, say): those of the recording come from the log.
                }
                Change::Ending => {
                    let status = nix::sys::ptrace::getevent(actor.thread.tid).map_err(|_| Trouble::Gone(id))?;
                    #[allow(clippy::cast_possible_truncation)]
                    return Ok(Stop::Ending(status as i32));
                }
                Change::Exited(status) => return Ok(Stop::Other(format!("its end with status {status}"))),
                Change::Killed(signal) => return Ok(Stop::Other(format!("its end by signal {signal}"))),
                Change::GroupStop(_) | Change::Interrupted | Change::VforkDone => {}
                other => return Ok(Stop::Other(format!("{other:?}"))),
            }
        }
    }

    /// The buffer of clock readings is used up, and more will be read.
    fn flush(&mut self, id: i32) -> Result<(), Trouble> {
        let mut registers = self.reach_call(id, syscalls::FLUSH)?;
        let actor = self.actor(id)?;
        registers.orig_rax = u64::MAX;
        registers.rax = 0;
        actor.answered = true;
        actor.phase = Phase::Ready;
        actor.thread.set_registers(&registers)
    }

    /// A thread comes to a call and stays there.
    fn arrive(&mut self, id: i32, number: u32) -> Result<(), Trouble> {
        self.reach_call(id, number)?;
        match vdso::unused(&self.actor(id)?.thread) {
            0 => Ok(()),
            left => Err(self.diverged("clocks or files to be read", format!("{left} bytes of that left over"))),
        }
    }

    /// Brings a thread to the call that it makes next.
    fn reach_call(&mut self, id: i32, number: u32) -> Result<Registers, Trouble> {
        let actor = self.actor(id)?;
        let registers = match actor.phase {
            Phase::AtCall => actor.thread.registers()?,
            Phase::Ready => match self.advance(id)? {
                Stop::Call(registers) => registers,
                other => return Err(self.diverged(syscalls::name(number.into()), other.words())),
            },
            Phase::Inside => return Err(self.diverged(syscalls::name(number.into()), "another call that goes on")),
        };
        if registers.orig_rax != u64::from(number) {
            let got = format!("{} at {:#x}", syscalls::name(registers.orig_rax), registers.rip);
            return Err(self.diverged(syscalls::name(number.into()), got));
        }
        Ok(registers)
    }
}

impl Actor {
    fn await_stop(&mut self) -> Result<Change, Trouble> {
        match raw::wait(Some(self.thread.tid), true) {
            Ok(Some((tid, status))) => {
                let what = change(status);
                if !matches!(what, Change::Exited(_) | Change::Killed(_)) {
                    self.thread.stopped = Some(Stopped::reported(tid));
                }
                Ok(what)
            }
            _ => Err(Trouble::Gone(self.thread.id)),
        }
    }
}

impl Stop {
    fn words(&self) -> String {
        match self {
            Stop::Call(registers) => {
                format!("{} at {:#x}", syscalls::name(registers.orig_rax), registers.rip)
            }
            Stop::Fault(number, _, registers) => format!("signal {number} by the instruction at {:#x}", registers.rip),
            Stop::Ending(status) => format!("its end with wait status {status:#x}"),
            Stop::Other(words) => words.clone(),
        }
    }
}

/// A call in words.
fn words(call: &Call) -> String {
    let [a, b, c, d, ..] = call.arguments;
    format!("{}({a:#x}, {b:#x}, {c:#x}, {d:#x}, ...) = {}", syscalls::name(call.number.into()), call.result)
}
