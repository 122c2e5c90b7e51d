//! Signals. Those that the thread's own instruction causes recur by themselves. The others are delivered at recorded points
//! only: right after a call, where the log can say so.

use super::{Phase, Recorder};
use crate::ptrace::{Change, How, change};
use crate::raw::{self, SigInfo};
use crate::record::Trouble;
use crate::record::log::{Frame, What};
use crate::record::thread::counter_read;
use crate::signals::{Disposition, disposition, is_fault, saved_mask};

impl Recorder {
    /// A signal is about to be delivered.
    pub(super) fn signalled(&mut self, id: i32, number: i32) -> Result<(), Trouble> {
        let task = self.task(id)?;
        let mut information = raw::signal_information(task.thread.tid).map_err(|_| Trouble::Gone(id))?;
        if is_fault(number, &information) {
            return self.faulted(id, number, information);
        }
        let mut here = false;
        if let Some((resent, kept)) = task.resent.take() {
            if resent == number {
                information = kept;
                here = true;
            } else {
                task.deferred.push(resent, kept);
            }
        }
        let disposition = disposition(task.thread.tid, number);
        if matches!(disposition, Disposition::Ignored | Disposition::Stops) {
            // Nothing of the program happens; an interrupted call goes on by itself.
            if let Some(stopped) = &mut task.thread.stopped {
                stopped.signal = Some((number, information));
            }
            return task.thread.resume(How::Continue);
        }
        let registers = task.thread.registers()?;
        here = here || task.interrupted.is_some() || task.point.is_some_and(|point| point == registers);
        if !here {
            task.deferred.push(number, information);
            return task.thread.resume(How::Continue);
        }
        self.deliver(id, number, information, disposition)
    }

    fn deliver(&mut self, id: i32, number: i32, information: SigInfo, disposition: Disposition) -> Result<(), Trouble> {
        if self.task(id)?.interrupted.is_some() {
            // It is seen to return: either with EINTR, or by being made again after the handler.
            self.log_call(id)?;
            self.task(id)?.interrupted = None;
        }
        let task = self.task(id)?;
        if let Some(stopped) = &mut task.thread.stopped {
            stopped.signal = Some((number, information));
        }
        let bytes = raw::signal_bytes(&information);
        if disposition != Disposition::Caught {
            task.phase = Phase::Ready;
            task.point = None;
            self.push(id, What::Signal { number, information: bytes, frame: None })?;
            let task = self.task(id)?;
            task.phase = Phase::Running;
            return task.thread.resume(How::Continue);
        }
        // A single step from here stops before the first instruction of the handler (arch/x86, signal_setup_done).
        task.thread.resume(How::Step)?;
        let status = match raw::wait(Some(task.thread.tid), true) {
            Ok(Some((_, status))) => status,
            _ => return Err(Trouble::Gone(id)),
        };
        let what = change(status);
        if what != Change::Signal(libc::SIGTRAP) {
            return self.dispatch(nix::unistd::Pid::from_raw(id), what);
        }
        task.thread.stopped = Some(crate::ptrace::Stopped::reported(task.thread.tid));
        let registers = task.thread.registers()?;
        let blocked = raw::signal_mask(task.thread.tid).map_err(|_| Trouble::Gone(id))?;
        let saved = task.thread.word(saved_mask(registers.rsp)).unwrap_or(0);
        task.phase = Phase::Ready;
        task.point = Some(registers);
        self.push(id, What::Signal { number, information: bytes, frame: Some(Frame { blocked, saved }) })
    }

    fn faulted(&mut self, id: i32, number: i32, information: SigInfo) -> Result<(), Trouble> {
        let task = self.task(id)?;
        let registers = task.thread.registers()?;
        if number == libc::SIGSEGV
            && let Some(read) = counter_read(&task.thread, &registers)
        {
            let (value, processor) = raw::time_stamp_counter();
            let after = read.answer(registers, value, processor);
            task.thread.set_registers(&after)?;
            task.point = Some(after);
            task.phase = Phase::Ready;
            return self.push(id, What::Counter(value, read.with_processor.then_some(processor)));
        }
        if let Some(stopped) = &mut task.thread.stopped {
            stopped.signal = Some((number, information));
        }
        task.point = None;
        self.push(id, What::Fault { number, instruction: registers.rip })?;
        self.task(id)?.thread.resume(How::Continue)
    }

    /// Sends the first deferred signal to a thread that stands at a recorded point.
    pub(super) fn send_deferred(&mut self, id: i32) -> Result<(), Trouble> {
        let task = self.task(id)?;
        if task.resent.is_some() || task.point.is_none() {
            return Ok(());
        }
        let Some((number, information)) = task.deferred.take() else { return Ok(()) };
        let mask = raw::signal_mask(task.thread.tid).map_err(|_| Trouble::Gone(id))?;
        let blocked = mask & (1 << (number - 1)) != 0;
        raw::thread_kill(task.thread.pid, task.thread.tid, number).map_err(|_| Trouble::Gone(id))?;
        if !blocked {
            task.resent = Some((number, information));
        }
        Ok(())
    }
}
