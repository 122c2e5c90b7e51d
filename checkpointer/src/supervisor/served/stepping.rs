//! Stepping over a range of instructions: the next step is made at once, without going round the loop.

use nix::unistd::Pid;

use super::Supervisor;
use crate::ptrace::{Change, How};
use crate::raw;
use crate::supervisor::tasks::Activity;

/// After so many steps the loop looks at everything else: somebody may want an end.
const AT_ONCE: u32 = 256;

/// Bytes of a range that are looked at.
const MOST_BYTES: u64 = 4096;

/// The kernel's codes for a step (TRAP_TRACE, asm-generic/siginfo.h).
const STEPPED: i32 = 2;

impl Supervisor {
    /// Steps a thread that stands in a range on until it comes out of it, or to anything that somebody wants to know of.
    pub(super) fn step_on(&mut self, tid: Pid, start: u64, end: u64, at: u64) {
        if self.served.registers.are_used() || !self.served.running {
            return self.go_on(tid);
        }
        let mut code = vec![0u8; usize::try_from((end - start).min(MOST_BYTES)).unwrap_or(0)];
        let read = self.program.as_ref().map_or(0, |program| program.memory.read(start, &mut code));
        // Not `syscall`, `sysenter` or `int 0x80`: those may take for ever.
        let is_brief = |pc: u64| {
            let index = usize::try_from(pc.wrapping_sub(start)).unwrap_or(usize::MAX);
            let next = code[..read].get(index..index.saturating_add(2));
            next.is_some_and(|next| !matches!(next, [0x0f, 0x05] | [0x0f, 0x34] | [0xcd, 0x80]))
        };
        let mut pc = at;
        for _ in 0..AT_ONCE {
            if !is_brief(pc) {
                break;
            }
            self.let_go(tid, How::Continue);
            let Ok(Some((_, status))) = raw::wait(Some(tid), true) else { return };
            let what = self.record(tid, status);
            let here = raw::registers(tid).map_or(0, |registers| registers.rip);
            let wanted = self.served.breakpoints.at(here);
            if what != Change::Signal(libc::SIGTRAP)
                || !self.has_stepped(tid)
                || !(start..end).contains(&here)
                || wanted.is_some_and(|wanted| wanted.debugger)
            {
                return self.react(tid, what);
            }
            self.deliver(tid, None);
            if wanted.is_some_and(|wanted| wanted.fence) && self.fence_met(tid) {
                return self.at_fence(tid);
            }
            if wanted.is_some_and(|wanted| wanted.spin) && self.is_left_spinning(tid) {
                return;
            }
            pc = here;
        }
        self.go_on(tid);
    }

    /// Whether a thread has stopped for the kernel's telling that it has made a step.
    pub(in crate::supervisor) fn has_stepped(&self, tid: Pid) -> bool {
        match self.tasks.get(&tid).and_then(|task| task.activity.as_ref()) {
            Some(Activity::Stopped(stopped)) => stopped.signal.is_some_and(|(_, info)| info.0.si_code == STEPPED),
            _ => false,
        }
    }
}
