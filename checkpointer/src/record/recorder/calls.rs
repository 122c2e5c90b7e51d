//! System calls: from the stop before a call to the entry in the log.

use std::time::Duration;

use nix::unistd::Pid;

use super::{Phase, Recorder};
use crate::ptrace::{How, change};
use crate::raw::{self, Registers};
use crate::record::chaos::Chaos;
use crate::record::log::{Call, What};
use crate::record::thread::{Thread, arguments, state_of};
use crate::record::{Trouble, given, mapping, outputs, prepare, reads};
use crate::syscalls::{self, Class, FLUSH, Harmless, Irregular, Row, Shape};

/// The restart codes that the kernel leaves in rax when a signal interrupts a call (include/linux/errno.h).
pub(in crate::record) const RESTART_CODES: std::ops::RangeInclusive<i64> = -516..=-512;

/// How often a thread that was let into a call is looked at before others run.
const LOOKS: usize = 3;

/// A call that a thread is in.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub row: &'static Row,
    pub shape: Shape,
    pub arguments: [u64; 6],
    state: u64,
    given: u64,
    capacities: Vec<u64>,
}

impl Pending {
    /// Whether it gives a number of a descriptor or an address: they are given out in the order in which they are asked for,
    /// which is to be that of the log.
    fn gives(&self) -> bool {
        matches!(self.shape.class, Class::Descriptor(_)) || self.row.irregular == Some(Irregular::Map)
    }
}

/// Whether a thread is not asleep in its call for as long as it takes (proc_pid_stat(5)). `D` is a wait for a lock or a disk, and
/// with `t` it has come to the end of the call, which will be reported.
fn is_at_work(tid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{tid}/stat")).unwrap_or_default();
    status.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['R', 'D', 't']))
}

impl Recorder {
    /// A thread stands before a trapped call.
    pub(super) fn entering(&mut self, id: i32) -> Result<(), Trouble> {
        let task = self.task(id)?;
        let mut registers = task.thread.registers()?;
        let number = registers.orig_rax;
        if number == u64::from(FLUSH) {
            // Taken by the log; the function tries again. Not a place for signals: it is in the middle of an entry.
            registers.orig_rax = u64::MAX;
            registers.rax = 0;
            task.thread.set_registers(&registers)?;
            task.point = None;
            self.push(id, What::Flush)?;
            return self.task(id)?.thread.resume(How::Continue);
        }
        let Some(row) = syscalls::find(number) else {
            return Err(self.refused(id, format!("system call {number}: it is in no table, or of 32-bit code")));
        };
        if matches!(row.name, "sched_getaffinity" | "sched_setaffinity") {
            self.pinning.give_up(self.tasks.values().map(|task| task.thread.tid));
        }
        let task = self.task(id)?;
        // An interruption that the program does not see: the kernel makes the call again by itself.
        let again = |pending: &Pending| row.irregular == Some(Irregular::Restart) || pending.row.number == row.number;
        let resumed = task.interrupted.is_some() && task.pending.as_ref().is_some_and(again);
        if !resumed && task.deferred.any() {
            // They come before the call, which may well wait for what their handlers do.
            return self.arrive(id, row.number, registers);
        }
        if !resumed && self.others_can_run(id) && self.chaos.as_mut().is_some_and(Chaos::holds) {
            // Its turn is over.
            self.since -= Duration::from_secs(1);
            return self.arrive(id, row.number, registers);
        }
        let task = self.task(id)?;
        if !resumed {
            let arguments = arguments(&registers);
            let shape = syscalls::shape(row, &arguments);
            match shape.class {
                Class::Refuse => {
                    let what = format!("{}({:#x}, ...) cannot be recorded", row.name, arguments[0]);
                    return Err(self.refused(id, what));
                }
                Class::Absent => {
                    registers.orig_rax = u64::MAX;
                    registers.rax = (-i64::from(libc::ENOSYS)).cast_unsigned();
                    task.thread.set_registers(&registers)?;
                    return task.thread.resume(How::Continue);
                }
                _ => {}
            }
            let given = given::digest(&task.thread, row, &arguments);
            let capacities = outputs::capacities(&task.thread, &shape, &arguments);
            let state = state_of(&registers);
            task.pending = Some(Pending { row, shape, arguments, state, given, capacities });
            task.entered = false;
            if self.log_clocks(id)? {
                // The buffer is that of the whole process: on replay it must be used up before others run.
                self.enter(id)?;
            }
        }
        let task = self.task(id)?;
        task.interrupted = None;
        task.phase = Phase::Inside;
        let loads = task.pending.as_ref().is_some_and(|pending| pending.shape.class == Class::Program);
        task.thread.resume(How::ToSyscall)?;
        if loads {
            // It lets a parent go that waits in vfork: nothing may be logged of that before the program is loaded.
            while self.tasks.get(&id).is_some_and(|task| task.phase == Phase::Inside) {
                self.wait(None)?;
            }
            return Ok(());
        }
        self.linger(id)
    }

    /// Leaves a thread before its call, which it will come to again.
    fn arrive(&mut self, id: i32, number: u32, registers: Registers) -> Result<(), Trouble> {
        self.push(id, What::Arrive(number))?;
        let task = self.task(id)?;
        prepare::wind_back(&mut task.thread, registers)?;
        task.point = Some(task.thread.registers()?);
        task.phase = Phase::Ready;
        Ok(())
    }

    /// Gives a call the time that one takes which does not wait. Only then others run, and the log says so.
    fn linger(&mut self, id: i32) -> Result<(), Trouble> {
        if !self.others_can_run(id) {
            return Ok(());
        }
        let tid = Pid::from_raw(id);
        let gives = self.task(id)?.pending.as_ref().is_some_and(Pending::gives);
        // Who asks for a number has to have it, or at least to have begun to wait for more, before others ask for one.
        for _ in (0..).take_while(|look| *look < LOOKS || gives && is_at_work(tid)) {
            nix::sched::sched_yield().ok();
            if let Ok(Some((tid, status))) = raw::wait(Some(tid), false) {
                self.dispatch(tid, change(status))?;
                if self.tasks.get(&id).is_none_or(|task| task.phase != Phase::Inside) {
                    return Ok(());
                }
            }
        }
        self.enter(id)
    }

    /// Logs that a thread is inside its call while others run.
    pub(super) fn enter(&mut self, id: i32) -> Result<(), Trouble> {
        let task = self.task(id)?;
        let number = task.pending.as_ref().map(|pending| pending.row.number);
        match number {
            Some(number) if !task.entered => {
                task.entered = true;
                self.push(id, What::Enter(number))
            }
            _ => Ok(()),
        }
    }

    /// A thread stands at the end of its call.
    pub(super) fn leaving(&mut self, id: i32) -> Result<(), Trouble> {
        let task = self.task(id)?;
        let registers = task.thread.registers()?;
        let result = registers.rax.cast_signed();
        if RESTART_CODES.contains(&result) && registers.orig_rax != u64::MAX {
            // A signal is on its way. Whether the program sees that the call was interrupted depends on that signal.
            task.interrupted = Some(result);
            task.phase = Phase::Running;
            return task.thread.resume(How::Continue);
        }
        task.phase = Phase::Finished;
        if task.pending.as_ref().is_some_and(Pending::gives) { self.log_call(id) } else { Ok(()) }
    }

    /// Logs a finished call: its thread is about to go on.
    pub(super) fn log_call(&mut self, id: i32) -> Result<(), Trouble> {
        let began = self.began;
        let task = self.task(id)?;
        let registers = task.thread.registers()?;
        task.phase = Phase::Ready;
        task.point = Some(registers);
        let Some(pending) = task.pending.take() else { return Ok(()) };
        let result = task.interrupted.unwrap_or(registers.rax.cast_signed());
        let Pending { row, shape, arguments, state, given, capacities } = pending;
        if shape.must_fail && result >= 0 {
            let what = format!(
                "{}({:#x}, {:#x}, ...) cannot be recorded where it succeeds",
                row.name, arguments[0], arguments[1]
            );
            return Err(self.refused(id, what));
        }
        let thread = &task.thread;
        let mapped = match row.irregular {
            Some(Irregular::Map) if !(-4095..0).contains(&result) => Some(mapping::note(thread, &arguments, began)?),
            _ => None,
        };
        let mut ranges = outputs::ranges(thread, &shape, &arguments, &capacities, result);
        if shape.class == Class::Process {
            ranges.extend(super::life::ids(thread, row, &arguments).words().into_iter().map(|at| (at, 4)));
        }
        let outputs = outputs::read(thread, &ranges);
        let call = Call { number: row.number, arguments, state, given, result, outputs, mapped };
        reads::replace(thread, &call)?;
        if result >= 0 {
            for made in descriptors_made(thread, &shape, row, &call) {
                reads::note(thread, made, task.lent)?;
            }
        }
        self.timers |= matches!(row.name, "setitimer" | "alarm" | "timer_create");
        self.push(id, What::Call(call))
    }
}

/// Numbers of descriptors that a call has made.
fn descriptors_made(thread: &Thread, shape: &Shape, row: &Row, call: &Call) -> Vec<u64> {
    let words = |outputs: &[(u64, Vec<u8>)]| {
        let bytes = outputs.iter().flat_map(|(_, bytes)| bytes.chunks_exact(4));
        bytes.filter_map(|word| word.try_into().ok()).map(|word| u32::from_ne_bytes(word).into()).collect()
    };
    match shape.class {
        // pipe, socketpair
        Class::Descriptor(Harmless::Same) if !call.outputs.is_empty() => words(&call.outputs),
        Class::Descriptor(_) => vec![call.result.cast_unsigned()],
        Class::Process => {
            let descriptor = super::life::ids(thread, row, &call.arguments).descriptor;
            descriptor.and_then(|at| thread.half(at)).map(u64::from).into_iter().collect()
        }
        _ if row.irregular == Some(Irregular::Passed) => {
            outputs::passed(thread, call.arguments[1]).into_iter().map(u64::from).collect()
        }
        _ => Vec::new(),
    }
}
