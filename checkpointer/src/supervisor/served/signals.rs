//! Signals of the served program: whether the debugger is told of one, what is kept while the program is being stopped, and what a
//! thread gets when it goes on.

use nix::unistd::Pid;

use super::Supervisor;
use super::traps::Trap;
use crate::raw::{self, SigInfo};
use crate::rsp::target::{Kind, Motion, Why};
use crate::supervisor::tape::Fate;
use crate::supervisor::tasks::Activity;

impl Supervisor {
    /// What a signal-delivery-stop means; `None` if it has been dealt with and the thread let go.
    pub(super) fn signalled(&mut self, tid: Pid, number: i32) -> Option<Why> {
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
    pub(in crate::supervisor) fn is_passed(&self, number: i32) -> bool {
        self.served.passed.contains(&number) || matches!(number, 32 | 33)
    }

    /// What is to become of the signal at which a thread stands is to be noted.
    pub(in crate::supervisor) fn set_fate(&mut self, tid: Pid, fate: Fate) {
        self.control(tid).fate = Some(fate);
    }

    /// A thread gets this signal, or with 0 none.
    pub(in crate::supervisor) fn decide(&mut self, tid: Pid, number: i32) {
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

    /// Takes off what was kept of a signal that came while the program was being stopped.
    pub(in crate::supervisor) fn take_kept_signal(&mut self, tid: Pid) -> Option<(i32, SigInfo)> {
        let control = self.control(tid);
        control.pending.take_if(|why| matches!(why, Why::Signal(_)))?;
        control.signal.take()
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

    /// The signal that a thread gets when it goes on.
    pub(in crate::supervisor) fn deliver(&mut self, tid: Pid, signal: Option<(i32, SigInfo)>) {
        if let Some(task) = self.tasks.get_mut(&tid)
            && let Some(Activity::Stopped(stopped)) = &mut task.activity
        {
            stopped.signal = signal;
        }
    }
}
