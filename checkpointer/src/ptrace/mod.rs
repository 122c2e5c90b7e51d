//! Stopped threads as values that are spent to resume them, so that nothing can be asked of a running thread.

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::raw::{self, Registers, SigInfo};

/// Options of every traced thread. EXITKILL: if the supervisor dies, so does everything that it traces.
pub fn options() -> Options {
    Options::PTRACE_O_EXITKILL
        | Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACEVFORKDONE
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACESECCOMP
        | Options::PTRACE_O_TRACEEXIT
}

/// Why a thread stopped, from its wait status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It ended with this status.
    Exited(i32),
    /// A signal ended it.
    Killed(i32),
    /// A signal is about to be delivered.
    Signal(i32),
    /// A job-control stop; the thread must be left alone until it is continued.
    GroupStop(i32),
    /// PTRACE_INTERRUPT, or the first stop of a new thread.
    Interrupted,
    /// A system call that the filter traps is about to be made.
    Seccomp,
    /// Entry or exit of a system call, after [`How::ToSyscall`].
    Syscall,
    /// A new process or thread was made.
    Born,
    /// A child that used the memory of its parent does so no longer.
    VforkDone,
    /// A new program was loaded.
    Exec,
    /// It is about to end.
    Ending,
    /// It is about to read the time-stamp counter, which faults. Told by the instruction, not by the status.
    Counter,
    /// Something that was not asked for.
    Other(i32),
}

/// Reads a wait status (ptrace(2), "Syscall-stops", "PTRACE_EVENT stops").
pub fn change(status: i32) -> Change {
    if libc::WIFEXITED(status) {
        return Change::Exited(libc::WEXITSTATUS(status));
    }
    if libc::WIFSIGNALED(status) {
        return Change::Killed(libc::WTERMSIG(status));
    }
    let signal = libc::WSTOPSIG(status);
    match status >> 16 {
        0 if signal == libc::SIGTRAP | 0x80 => Change::Syscall,
        0 => Change::Signal(signal),
        libc::PTRACE_EVENT_STOP if signal == libc::SIGTRAP => Change::Interrupted,
        libc::PTRACE_EVENT_STOP => Change::GroupStop(signal),
        libc::PTRACE_EVENT_SECCOMP => Change::Seccomp,
        libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => Change::Born,
        libc::PTRACE_EVENT_VFORK_DONE => Change::VforkDone,
        libc::PTRACE_EVENT_EXEC => Change::Exec,
        libc::PTRACE_EVENT_EXIT => Change::Ending,
        other => Change::Other(other),
    }
}

/// How to let a thread go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Until something happens.
    Continue,
    /// Until the next entry or exit of a system call.
    ToSyscall,
    /// One instruction.
    Step,
}

/// A stopped thread. Not `Clone`: it is spent by letting the thread go.
#[derive(Debug)]
pub struct Stopped {
    tid: Pid,
    /// A signal that was on its way when the thread stopped; delivered when it goes on.
    pub signal: Option<(i32, SigInfo)>,
}

/// A running thread.
#[derive(Debug)]
pub struct Running {
    tid: Pid,
}

impl Stopped {
    /// A thread that a wait has just reported as stopped.
    pub fn reported(tid: Pid) -> Stopped {
        Stopped { tid, signal: None }
    }

    /// Its real id.
    pub fn tid(&self) -> Pid {
        self.tid
    }

    /// Its registers.
    ///
    /// # Errors
    /// ESRCH: it was killed while stopped.
    pub fn registers(&self) -> Result<Registers, Errno> {
        raw::registers(self.tid)
    }

    /// Sets its registers.
    ///
    /// # Errors
    /// ESRCH: it was killed while stopped.
    pub fn set_registers(&self, registers: &Registers) -> Result<(), Errno> {
        raw::set_registers(self.tid, registers)
    }

    /// Lets it go, delivering the signal that was on its way.
    ///
    /// # Errors
    /// ESRCH: it was killed while stopped; its end is still to be waited for.
    pub fn resume(mut self, how: How) -> Result<Running, Errno> {
        let mut deliver = None;
        if let Some((number, info)) = self.signal.take() {
            // After an injected call the stop is no longer the signal's own: the information must be given again.
            raw::set_signal_information(self.tid, &info).ok();
            deliver = Some(number);
        }
        resume_raw(self.tid, how, deliver)?;
        Ok(Running { tid: self.tid })
    }

    /// Leaves it in its group-stop, still heard of.
    ///
    /// # Errors
    /// ESRCH as above.
    pub fn listen(self) -> Result<Running, Errno> {
        raw::listen(self.tid)?;
        Ok(Running { tid: self.tid })
    }
}

fn resume_raw(tid: Pid, how: How, signal: Option<i32>) -> Result<(), Errno> {
    let request = match how {
        How::Continue => libc::PTRACE_CONT,
        How::ToSyscall => libc::PTRACE_SYSCALL,
        How::Step => libc::PTRACE_SINGLESTEP,
    };
    // nix's Signal has no real-time signals, so the request is made here.
    raw::resume(request, tid, signal.unwrap_or(0))
}

impl Running {
    /// Its real id.
    pub fn tid(&self) -> Pid {
        self.tid
    }

    /// Takes hold of a thread that is not traced yet.
    ///
    /// # Errors
    /// EPERM when it may not be traced.
    pub fn seize(tid: Pid) -> Result<Running, Errno> {
        ptrace::seize(tid, options())?;
        Ok(Running { tid })
    }

    /// Asks it to stop; the stop is reported by a wait.
    ///
    /// # Errors
    /// ESRCH when it has ended.
    pub fn interrupt(&self) -> Result<(), Errno> {
        ptrace::interrupt(self.tid)
    }

    /// A wait has reported that it stopped.
    pub fn stopped(self) -> Stopped {
        Stopped { tid: self.tid, signal: None }
    }
}

/// Kills a process.
///
/// # Errors
/// ESRCH when it is gone already.
pub fn kill(pid: Pid) -> Result<(), Errno> {
    nix::sys::signal::kill(pid, Signal::SIGKILL)
}
