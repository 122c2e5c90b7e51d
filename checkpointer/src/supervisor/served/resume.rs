//! How threads of the served program are let go.

use nix::unistd::Pid;

use super::Supervisor;
use crate::ptrace::{Change, How};
use crate::raw;
use crate::rsp::target::{Caught, Motion, Why};
use crate::supervisor::tasks::Activity;

impl Supervisor {
    /// Whether a thread of the program goes by single steps.
    pub(in crate::supervisor) fn steps(&mut self, tid: Pid) -> bool {
        let control = self.control(tid);
        control.lifted.is_some() || matches!(control.motion, Some(Motion::Step | Motion::Range { .. }))
    }

    /// Whether a thread of the program is let go for one instruction.
    pub(in crate::supervisor) fn makes_one_step(&self, tid: Pid) -> bool {
        let control = self.served.threads.get(&self.virtual_id(tid)).filter(|_| self.is_served(tid));
        control.is_some_and(|control| control.lifted.is_some() || matches!(control.motion, Some(Motion::Step)))
    }

    /// Whether the debugger has let a thread go.
    pub(in crate::supervisor) fn is_resumed(&mut self, tid: Pid) -> bool {
        self.control(tid).motion.is_some()
    }

    /// What the debugger, or a run without it, has let a thread go for.
    pub(in crate::supervisor) fn motion_of(&mut self, tid: Pid) -> Option<Motion> {
        self.control(tid).motion
    }

    /// Lets a thread go on as it was let go.
    pub(in crate::supervisor) fn go_on(&mut self, tid: Pid) {
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
        self.count_for(tid);
        let catching = self.served.caught != Caught::None && self.running.is_none();
        let steps = self.control(tid).lifted.is_some()
            || matches!(self.control(tid).motion, Some(Motion::Step | Motion::Range { .. }));
        if steps || !catching {
            self.forget_call(tid);
        }
        let control = self.control(tid);
        match control.motion {
            _ if control.lifted.is_some() => How::Step,
            Some(Motion::Step | Motion::Range { .. }) => How::Step,
            _ if catching => How::ToSyscall,
            _ => How::Continue,
        }
    }

    /// Lets a thread execute the instruction under an internal breakpoint.
    pub(in crate::supervisor) fn go_over(&mut self, tid: Pid, at: u64) {
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

    /// Another thread goes on: a breakpoint that was lifted for one that has been left at its call since is in force for it.
    pub(in crate::supervisor) fn put_lifted_back(&mut self) {
        let lifted = self.served.threads.values_mut().filter_map(|control| control.lifted.take()).count();
        if lifted > 0 {
            self.insert_breakpoints();
        }
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
}
