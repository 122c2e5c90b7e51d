//! Calls: checked against the log, and answered from it.

use nix::unistd::Pid;
use syscalls::Sysno;

use super::{Actor, Phase, Replayer, words};
use crate::inject::injector::Injector;
use crate::inject::{Remote, SCRATCH_PAGE};
use crate::ptrace::{Change, How};
use crate::raw::Registers;
use crate::record::log::Call;
use crate::record::recorder::RESTART_CODES;
use crate::record::thread::{arguments, state_of};
use crate::record::{Trouble, given, mapping, outputs, prepare, reads};
use crate::syscalls::{self as table, Class, Harmless, Irregular, Row};

impl Replayer {
    /// A call that was finished.
    pub(super) fn call(&mut self, id: i32, call: &Call) -> Result<(), Trouble> {
        let Some(row) = table::find(call.number.into()) else {
            return Err(self.diverged(words(call), "a call that is in no table"));
        };
        if self.actor(id)?.phase == Phase::Inside {
            return self.made_one(id, call);
        }
        let registers = self.reach_call(id, call.number)?;
        self.compare(id, row, call, &registers)?;
        let shape = table::shape(row, &call.arguments);
        let failed = (-4095..0).contains(&call.result);
        let actor = self.actor(id)?;
        actor.interrupted = RESTART_CODES.contains(&call.result).then_some((call.number, call.result));
        let reserved = actor.reserved.take();
        match shape.class {
            Class::Descriptor(_) if failed && reserved.is_some() => {
                actor.make(closing(registers, reserved))?;
                actor.finish(registers, call)?;
            }
            Class::Descriptor(_) if reserved.is_some() => {
                actor.answer(call, registers)?;
                if reserved != Some(call.result) {
                    return Err(self.diverged(words(call), format!("descriptor {}", reserved.unwrap_or(-1))));
                }
            }
            Class::Both if call.mapped.is_some() => self.map(id, call, registers)?,
            Class::Both if !failed => self.execute(id, call, registers)?,
            Class::Descriptor(how) if !failed => self.descriptor(id, call, registers, how)?,
            _ => actor.answer(call, registers)?,
        }
        let actor = self.actor(id)?;
        for (address, bytes) in &call.outputs {
            actor.thread.write(*address, bytes)?;
        }
        if row.irregular == Some(Irregular::Passed) && !failed {
            self.take_passed(id, call)?;
        }
        self.actor(id)?.phase = Phase::Ready;
        Ok(())
    }

    fn compare(&self, id: i32, row: &Row, call: &Call, registers: &Registers) -> Result<(), Trouble> {
        let now = arguments(registers);
        if now != call.arguments {
            let [a, b, c, d, ..] = now;
            return Err(self.diverged(words(call), format!("{}({a:#x}, {b:#x}, {c:#x}, {d:#x}, ...)", row.name)));
        }
        if state_of(registers) != call.state {
            let got = format!("the same call from another place or state, at {:#x}", registers.rip);
            return Err(self.diverged(words(call), got));
        }
        let Some(actor) = self.actors.get(&id) else { return Ok(()) };
        if given::digest(&actor.thread, row, &call.arguments) != call.given {
            return Err(self.diverged(words(call), "the same call with other data"));
        }
        Ok(())
    }

    /// Executed for real, its result then that of the log.
    fn execute(&mut self, id: i32, call: &Call, registers: Registers) -> Result<(), Trouble> {
        let mut changed = registers;
        if call.number == Sysno::prlimit64 as u32 && changed.rdi != 0 {
            // The process goes by another id now.
            #[allow(clippy::cast_possible_truncation)]
            let real = self.actors.get(&(changed.rdi as i32)).map_or(0, |actor| actor.thread.pid.as_raw());
            changed.rdi = u64::from(real.unsigned_abs());
        }
        let actor = self.actor(id)?;
        let made = actor.make(changed)?;
        actor.finish(registers, call)?;
        let own_id = call.number == Sysno::set_tid_address as u32;
        if made != call.result && !own_id {
            return Err(self.diverged(words(call), format!("the result {made}")));
        }
        Ok(())
    }

    /// A thread that stands before a call in which the kernel will make it wait with a descriptor set aside: from here on others
    /// do not get that number.
    pub(super) fn reserve(&mut self, id: i32) -> Result<(), Trouble> {
        let actor = self.actor(id)?;
        if actor.phase != Phase::AtCall || actor.reserved.is_some() {
            return Ok(());
        }
        let registers = actor.thread.registers()?;
        let Some(row) = table::find(registers.orig_rax) else { return Ok(()) };
        let given = arguments(&registers);
        let Class::Descriptor(Harmless::Placeholder(flags)) = table::shape(row, &given).class else { return Ok(()) };
        let flags = flags.map_or(0, |index| given[usize::from(index)]);
        actor.reserved = Some(actor.make(actor.placeholder(registers, flags)?)?).filter(|made| *made >= 0);
        actor.stand_before(registers)
    }

    /// Gives it up: the call was left without having been finished.
    pub(super) fn give_up_reserved(&mut self, id: i32) -> Result<(), Trouble> {
        let actor = self.actor(id)?;
        let reserved = actor.reserved.take();
        if reserved.is_none() {
            return Ok(());
        }
        actor.leave()?;
        close(actor.thread.tid, reserved)
    }

    /// Descriptors, made in a harmless form.
    fn descriptor(&mut self, id: i32, call: &Call, registers: Registers, how: Harmless) -> Result<(), Trouble> {
        let actor = self.actor(id)?;
        let made = match how {
            Harmless::Same => actor.make(registers)?,
            Harmless::Placeholder(flags) => {
                let flags = flags.map_or(0, |index| call.arguments[usize::from(index)]);
                actor.make(actor.placeholder(registers, flags)?)?
            }
        };
        actor.finish(registers, call)?;
        if made != call.result {
            return Err(self.diverged(words(call), format!("descriptor {made}")));
        }
        // Where several were made the result does not tell their numbers.
        for (address, bytes) in &call.outputs {
            if how == Harmless::Same && actor_differs(self.actor(id)?, *address, bytes) {
                return Err(self.diverged(words(call), "other descriptors"));
            }
        }
        Ok(())
    }

    /// A file is mapped.
    fn map(&mut self, id: i32, call: &Call, registers: Registers) -> Result<(), Trouble> {
        let actor = self.actor(id)?;
        actor.answer(call, registers)?;
        actor.leave()?;
        let Some(mapped) = &call.mapped else { return Ok(()) };
        let after = actor.thread.registers()?;
        let Some(actor) = self.actors.get(&id) else { return Ok(()) };
        if let Err(changed) = mapping::again(&actor.thread, call, mapped, &mut self.stand_ins)? {
            return Err(self.diverged(words(call), changed));
        }
        let actor = self.actor(id)?;
        reads::replace(&actor.thread, call)?;
        actor.thread.set_registers(&after)
    }

    /// The end of the call that made a process or thread.
    fn made_one(&mut self, id: i32, call: &Call) -> Result<(), Trouble> {
        let actor = self.actor(id)?;
        loop {
            match actor.await_stop()? {
                Change::Syscall => break,
                Change::Exited(_) | Change::Killed(_) => {
                    return Err(self.diverged(words(call), "the end of the thread"));
                }
                _ => actor.thread.resume(How::ToSyscall)?,
            }
        }
        let registers = actor.thread.registers()?;
        actor.finish(registers, call)?;
        for (address, bytes) in &call.outputs {
            actor.thread.write(*address, bytes)?;
        }
        actor.phase = Phase::Ready;
        Ok(())
    }

    /// Descriptors that came with a message (unix(7), SCM_RIGHTS): placeholders with their numbers.
    fn take_passed(&mut self, id: i32, call: &Call) -> Result<(), Trouble> {
        let actor = self.actor(id)?;
        let passed = outputs::passed(&actor.thread, call.arguments[1]);
        if passed.is_empty() {
            return Ok(());
        }
        actor.leave()?;
        let mut injector = Injector::borrow(actor.thread.tid, actor.thread.tid)?;
        for number in passed {
            let scratch = injector.scratch();
            injector.write(scratch, b"/dev/null\0")?;
            let here = i64::from(libc::AT_FDCWD).cast_unsigned();
            let opened = injector.call(Sysno::openat, [here, scratch, libc::O_RDWR as u64, 0, 0, 0])?;
            if opened != u64::from(number) {
                injector.call(Sysno::dup2, [opened, number.into(), 0, 0, 0, 0])?;
                injector.call(Sysno::close, [opened, 0, 0, 0, 0, 0])?;
            }
        }
        Ok(injector.finish()?)
    }
}

/// Registers that close a descriptor instead.
fn closing(mut registers: Registers, descriptor: Option<i64>) -> Registers {
    registers.orig_rax = Sysno::close as u64;
    registers.rdi = descriptor.unwrap_or(-1).cast_unsigned();
    registers
}

/// Closes a descriptor in a process whose thread stands outside of calls.
pub(super) fn close(tid: Pid, descriptor: Option<i64>) -> Result<(), Trouble> {
    let mut injector = Injector::borrow(tid, tid)?;
    injector.call(Sysno::close, [descriptor.unwrap_or(-1).cast_unsigned(), 0, 0, 0, 0, 0])?;
    Ok(injector.finish()?)
}

fn actor_differs(actor: &Actor, address: u64, bytes: &[u8]) -> bool {
    actor.thread.read(address, bytes.len()) != bytes
}

impl Actor {
    /// The call is not made; the thread finds what the log has.
    fn answer(&mut self, call: &Call, mut registers: Registers) -> Result<(), Trouble> {
        registers.orig_rax = u64::MAX;
        registers.rax = call.result.cast_unsigned();
        self.answered = true;
        self.thread.set_registers(&registers)
    }

    /// After [`Actor::answer`]: out of the call, which the kernel believes the thread to be in until it goes on.
    pub(super) fn leave(&mut self) -> Result<(), Trouble> {
        if self.answered {
            self.answered = false;
            let registers = self.thread.registers()?;
            prepare::leave_call(&self.thread)?;
            self.thread.set_registers(&registers)?;
            self.thread.stopped = Some(crate::ptrace::Stopped::reported(self.thread.tid));
        }
        Ok(())
    }

    /// Makes a call for real; returns its result.
    fn make(&mut self, registers: Registers) -> Result<i64, Trouble> {
        self.thread.set_registers(&registers)?;
        self.thread.resume(How::ToSyscall)?;
        match self.await_stop()? {
            Change::Syscall => Ok(self.thread.registers()?.rax.cast_signed()),
            _ => Err(Trouble::Gone(self.thread.id)),
        }
    }

    /// After [`Actor::make`]: the registers as after the recorded call.
    fn finish(&self, before: Registers, call: &Call) -> Result<(), Trouble> {
        let mut registers = before;
        registers.orig_rax = u64::MAX;
        registers.rax = call.result.cast_unsigned();
        self.thread.set_registers(&registers)
    }

    /// After [`Actor::make`]: the instruction that makes the recorded call is still to be executed.
    fn stand_before(&mut self, registers: Registers) -> Result<(), Trouble> {
        let mut again = registers;
        again.rip -= 2;
        again.rax = registers.orig_rax;
        again.orig_rax = u64::MAX;
        self.phase = Phase::Ready;
        self.thread.set_registers(&again)
    }

    /// Registers that open /dev/null instead.
    fn placeholder(&self, mut registers: Registers, flags: u64) -> Result<Registers, Trouble> {
        self.thread.write(SCRATCH_PAGE, b"/dev/null\0")?;
        registers.orig_rax = Sysno::openat as u64;
        registers.rdi = i64::from(libc::AT_FDCWD).cast_unsigned();
        registers.rsi = SCRATCH_PAGE;
        registers.rdx = libc::O_RDWR as u64 | flags & libc::O_CLOEXEC as u64;
        registers.r10 = 0;
        Ok(registers)
    }
}

/// Makes the thread stand before its call again, outside of it.
pub(super) fn wind_back(actor: &mut Actor, registers: Registers) -> Result<(), Trouble> {
    prepare::wind_back(&mut actor.thread, registers)?;
    actor.phase = Phase::Ready;
    Ok(())
}
