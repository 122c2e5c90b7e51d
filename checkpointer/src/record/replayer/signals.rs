//! Signals: those of the log are sent where it says; those that instructions cause are awaited.

use super::calls::wind_back;
use super::{Phase, Replayer, Stop};
use crate::ptrace::{Change, How};
use crate::raw;
use crate::record::Trouble;
use crate::record::log::Frame;
use crate::record::thread::counter_read;
use crate::signals::saved_mask;

impl Replayer {
    /// A signal from outside comes where the thread stands.
    pub(super) fn signal(
        &mut self,
        id: i32,
        number: i32,
        information: &[u8],
        frame: Option<Frame>,
    ) -> Result<(), Trouble> {
        let expected = format!("signal {number} to thread {id}");
        let actor = self.actor(id)?;
        if actor.phase == Phase::AtCall {
            // It comes before the call.
            let registers = actor.thread.registers()?;
            wind_back(actor, registers)?;
        }
        if actor.phase != Phase::Ready {
            return Err(self.diverged(expected, "a thread that is inside a call"));
        }
        self.give_up_reserved(id)?;
        let actor = self.actor(id)?;
        let gone = |_| Trouble::Gone(id);
        let tid = actor.thread.tid;
        let mask = raw::signal_mask(tid).map_err(gone)?;
        raw::set_signal_mask(tid, mask & !(1 << (number - 1))).map_err(gone)?;
        raw::thread_kill(actor.thread.pid, tid, number).map_err(gone)?;
        actor.answered = false;
        loop {
            actor.thread.resume(How::Continue)?;
            match actor.await_stop()? {
                Change::Signal(came) if came == number => break,
                // One of the replay's own world, which is not let through.
                Change::Signal(_) | Change::Interrupted | Change::GroupStop(_) => {}
                other => return Err(self.diverged(expected, format!("{other:?}"))),
            }
        }
        if let Some((call, code)) = actor.interrupted.take() {
            // The kernel decides between EINTR and making the call again, as it did when recorded.
            let mut registers = actor.thread.registers()?;
            registers.orig_rax = call.into();
            registers.rax = code.cast_unsigned();
            actor.thread.set_registers(&registers)?;
        }
        if let Some(stopped) = &mut actor.thread.stopped {
            stopped.signal = Some((number, raw::signal_of_bytes(information)));
        }
        let Some(frame) = frame else { return Ok(()) };
        actor.thread.resume(How::Step)?;
        let what = actor.await_stop()?;
        if what != Change::Signal(libc::SIGTRAP) {
            return Err(self.diverged(format!("a handler of signal {number}"), format!("{what:?}")));
        }
        let stack = actor.thread.registers()?.rsp;
        raw::set_signal_mask(tid, frame.blocked).map_err(gone)?;
        actor.thread.write(saved_mask(stack), &frame.saved.to_ne_bytes())
    }

    /// An instruction causes a signal.
    pub(super) fn fault(&mut self, id: i32, number: i32, instruction: u64) -> Result<(), Trouble> {
        let expected = format!("signal {number} by the instruction at {instruction:#x}");
        match self.advance(id)? {
            Stop::Fault(came, information, registers) if came == number && registers.rip == instruction => {
                if let Some(stopped) = &mut self.actor(id)?.thread.stopped {
                    stopped.signal = Some((number, information));
                }
                Ok(())
            }
            other => Err(self.diverged(expected, other.words())),
        }
    }

    /// The time-stamp counter is read.
    pub(super) fn counter(&mut self, id: i32, value: u64, processor: Option<u32>) -> Result<(), Trouble> {
        let stop = self.advance(id)?;
        if let Stop::Fault(libc::SIGSEGV, _, registers) = &stop {
            let actor = self.actor(id)?;
            if let Some(read) = counter_read(&actor.thread, registers) {
                let after = read.answer(*registers, value, processor.unwrap_or(0));
                return actor.thread.set_registers(&after);
            }
        }
        Err(self.diverged("a reading of the time-stamp counter", stop.words()))
    }
}
