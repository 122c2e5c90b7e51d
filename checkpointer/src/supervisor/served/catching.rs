//! System calls at which the debugger wants the program to stop (`catch syscall`): entries and exits are told apart by turns, so none of
//! them may be lost, and none seen twice.

use nix::unistd::Pid;

use crate::raw::{self, Registers};
use crate::rsp::target::{Caught, Why};
use crate::supervisor::Supervisor;

/// What the kernel returns of a call that it means to make again (include/linux/errno.h): ERESTARTSYS to ERESTART_RESTARTBLOCK.
const RESTARTS: std::ops::RangeInclusive<i64> = -516..=-512;

/// The length of `syscall`.
const LENGTH: u64 = 2;

impl Supervisor {
    /// Entry or exit of a system call, where calls are caught.
    pub(super) fn served_call(&mut self, tid: Pid) {
        if self.served.caught == Caught::None || self.running.is_some() {
            self.control(tid).entered = None;
            return self.watched_call(tid);
        }
        let Ok(registers) = raw::registers(tid) else { return };
        let number = registers.orig_rax;
        let control = self.control(tid);
        if control.entered.is_some() && std::mem::take(&mut control.again) {
            return self.go_on(tid);
        }
        let entered = control.entered.take();
        let why = match entered {
            Some(number) => Why::Leaving(number),
            None => {
                control.entered = Some(number);
                Why::Entering(number)
            }
        };
        if self.catches(entered.unwrap_or(number)) { self.happened(tid, why) } else { self.go_on(tid) }
    }

    fn catches(&self, number: u64) -> bool {
        match &self.served.caught {
            Caught::All => true,
            Caught::Some(calls) => calls.contains(&number),
            Caught::None => false,
        }
    }

    /// A thread was let go without a stop at the next entry or exit.
    pub(super) fn forget_call(&mut self, tid: Pid) {
        let control = self.control(tid);
        (control.entered, control.again) = (None, false);
    }

    /// A call has been made for a thread, which stands behind it: nobody is told of its end by the kernel any more.
    pub(in crate::supervisor) fn note_made(&mut self, tid: Pid, made: bool) {
        if self.is_served(tid) {
            let control = self.control(tid);
            control.behind = made && control.entered.is_some();
        }
    }

    /// Whether a thread of the program has had such a call made, and the debugger may want to know; then it has been seen to.
    pub(in crate::supervisor) fn caught_end(&mut self, tid: Pid) -> bool {
        let behind = std::mem::take(&mut self.control(tid).behind);
        if behind {
            self.served_call(tid);
        }
        behind
    }

    /// A thread that was to be stopped has come to the end of a call, which will be made again or is to be told of later.
    pub(super) fn stopped_behind_call(&mut self, tid: Pid) {
        let Some(number) = self.control(tid).entered else { return };
        let Ok(registers) = raw::registers(tid) else { return };
        if RESTARTS.contains(&registers.rax.cast_signed()) {
            self.control(tid).again = true;
            return;
        }
        self.control(tid).entered = None;
        if self.catches(number) {
            self.control(tid).pending.get_or_insert(Why::Leaving(number));
        }
    }

    /// Brings threads that stand inside of a call which they have just entered to right before it, since what is injected there, and a
    /// copy, would lose it. To the debugger they stand where they did.
    pub(in crate::supervisor) fn leave_entries(&mut self) {
        for tid in self.served_threads() {
            let control = self.control(tid);
            let (Some(number), false) = (control.entered, control.again) else { continue };
            let stands = |registers: Registers| {
                registers.orig_rax == number && registers.rax.cast_signed() == -i64::from(libc::ENOSYS)
            };
            if self.tasks.get(&tid).is_some_and(|task| task.is_stopped())
                && raw::registers(tid).is_ok_and(stands)
                && self.back_out(tid)
            {
                self.control(tid).again = true;
            }
        }
    }

    /// Registers as the debugger is to see them: of a thread that stands before a call again, those at its entry.
    pub(super) fn at_entry(&mut self, tid: Pid, registers: Registers) -> Registers {
        let control = self.control(tid);
        match control.entered.filter(|_| control.again) {
            Some(number) => Registers {
                rip: registers.rip + LENGTH,
                orig_rax: number,
                rax: (-i64::from(libc::ENOSYS)).cast_unsigned(),
                ..registers
            },
            None => registers,
        }
    }

    /// What to give a thread for the registers that the debugger means.
    pub(super) fn before_entry(&mut self, tid: Pid, registers: Registers) -> Registers {
        let control = self.control(tid);
        if control.entered.is_none() || !control.again {
            return registers;
        }
        // Another number means another call, and none that nothing is called.
        let number = registers.orig_rax;
        if number > u64::from(u32::MAX) {
            (control.entered, control.again) = (None, false);
            return registers;
        }
        control.entered = Some(number);
        Registers { rip: registers.rip - LENGTH, rax: number, orig_rax: u64::MAX, ..registers }
    }
}
