//! The real [`Remote`]: borrows a stopped thread, and gives it back as it was.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::unistd::Pid;
use syscalls::Sysno;

use super::{CODE_PAGE, InjectError, Remote, SCRATCH_PAGE};
use crate::ptrace::{Change, change};
use crate::raw::{self, Registers};

/// A stopped thread on loan. [`Injector::finish`] gives it back; dropping it does the same as far as it can.
#[derive(Debug)]
pub struct Injector {
    pid: Pid,
    tid: Pid,
    saved: Registers,
    mask: u64,
    returned: bool,
    /// A process or thread that the last call made.
    pub born: Option<Pid>,
}

impl Injector {
    /// Borrows thread `tid` of process `pid`, which must be stopped. All its signals are blocked meanwhile, so that none
    /// can come between the call and its result.
    ///
    /// # Errors
    /// [`InjectError::Killed`].
    pub fn borrow(pid: Pid, tid: Pid) -> Result<Injector, InjectError> {
        let killed = |_| InjectError::Killed { tid: tid.as_raw() };
        let saved = raw::registers(tid).map_err(killed)?;
        let mask = raw::signal_mask(tid).map_err(killed)?;
        raw::set_signal_mask(tid, u64::MAX).map_err(killed)?;
        Ok(Injector { pid, tid, saved, mask, returned: false, born: None })
    }

    /// The registers that the thread will have again.
    pub fn saved(&self) -> &Registers {
        &self.saved
    }

    /// The signal mask that the thread will have again.
    pub fn mask(&self) -> u64 {
        self.mask
    }

    /// Gives the thread other registers and another mask than it had.
    pub fn leave_with(&mut self, registers: Registers, mask: u64) {
        self.saved = registers;
        self.mask = mask;
    }

    /// Gives the thread back as it was.
    ///
    /// # Errors
    /// [`InjectError::Killed`].
    pub fn finish(mut self) -> Result<(), InjectError> {
        self.give_back().map_err(|_| InjectError::Killed { tid: self.tid.as_raw() })
    }

    fn give_back(&mut self) -> Result<(), Errno> {
        if self.returned {
            return Ok(());
        }
        self.returned = true;
        raw::set_registers(self.tid, &self.saved)?;
        raw::set_signal_mask(self.tid, self.mask)
    }

    fn killed(&self) -> InjectError {
        InjectError::Killed { tid: self.tid.as_raw() }
    }

    fn io(&self, what: &'static str, source: std::io::Error) -> InjectError {
        InjectError::Io { what, pid: self.pid.as_raw(), source }
    }

    /// Makes one call with the `syscall` instruction at `instruction`.
    pub(super) fn call_at(&mut self, instruction: u64, number: Sysno, arguments: [u64; 6]) -> Result<u64, InjectError> {
        self.begin_at(instruction, number, arguments)?;
        self.end_call(number)
    }

    /// Lets the thread begin with a call that takes long. [`Injector::end_call`] must follow: until then nothing else may be asked of it.
    pub(crate) fn begin_call(&mut self, number: Sysno, arguments: [u64; 6]) -> Result<(), InjectError> {
        self.begin_at(CODE_PAGE, number, arguments)
    }

    fn begin_at(&mut self, instruction: u64, number: Sysno, arguments: [u64; 6]) -> Result<(), InjectError> {
        let mut registers = self.saved;
        registers.rip = instruction;
        registers.rax = number.id() as u64;
        // Not inside a system call: the kernel must not "restart" anything with these registers.
        registers.orig_rax = u64::MAX;
        [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9] = arguments;
        // Direction flag clear, trap flag off, whatever the thread was doing.
        registers.eflags &= !0x500;
        raw::set_registers(self.tid, &registers).map_err(|_| self.killed())?;
        raw::resume(libc::PTRACE_SINGLESTEP, self.tid, 0).map_err(|_| self.killed())
    }

    /// Waits for the end of a call that was begun.
    pub(crate) fn end_call(&mut self, number: Sysno) -> Result<u64, InjectError> {
        loop {
            let Ok(Some((_, status))) = raw::wait(Some(self.tid), true) else {
                return Err(self.killed());
            };
            match change(status) {
                Change::Born => {
                    let born = nix::sys::ptrace::getevent(self.tid).map_err(|_| self.killed())?;
                    self.born = Some(Pid::from_raw(i32::try_from(born).unwrap_or(0)));
                }
                // A PTRACE_INTERRUPT or a job-control stop that was on its way; the call has not been made yet.
                Change::Interrupted | Change::GroupStop(_) => {}
                Change::Exited(_) | Change::Killed(_) => return Err(self.killed()),
                Change::Signal(libc::SIGTRAP) => break,
                other => {
                    let what = format!("a call injected into thread {} ended in {other:?}: the page is gone", self.tid);
                    return Err(InjectError::Unsupported(what));
                }
            }
            raw::resume(libc::PTRACE_SINGLESTEP, self.tid, 0).map_err(|_| self.killed())?;
        }
        let result = raw::registers(self.tid).map_err(|_| self.killed())?.rax;
        #[allow(clippy::cast_possible_wrap)]
        let signed = result as i64;
        if (-4095..0).contains(&signed) {
            #[allow(clippy::cast_possible_truncation)]
            let errno = Errno::from_raw(-signed as i32);
            return Err(InjectError::Call { tid: self.tid.as_raw(), call: number.name(), errno });
        }
        Ok(result)
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        // An error path: the thread gets back what it had, if it is still there.
        self.give_back().ok();
    }
}

impl Remote for Injector {
    fn pid(&self) -> Pid {
        self.pid
    }

    fn tid(&self) -> Pid {
        self.tid
    }

    fn call(&mut self, number: Sysno, arguments: [u64; 6]) -> Result<u64, InjectError> {
        self.call_at(CODE_PAGE, number, arguments)
    }

    fn scratch(&self) -> u64 {
        SCRATCH_PAGE
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), InjectError> {
        read_memory(self.pid, address, buffer).map_err(|error| self.io("reading the memory", error))
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), InjectError> {
        write_memory(self.pid, address, bytes).map_err(|error| self.io("writing the memory", error))
    }
}

/// Reads memory of a traced process, whatever its protection (/proc/PID/mem, proc(5)).
///
/// # Errors
/// EIO where nothing is mapped.
pub fn read_memory(pid: Pid, address: u64, buffer: &mut [u8]) -> std::io::Result<()> {
    // One call instead of three; it fails where the process itself could not read.
    if raw::read_remote(pid, address, buffer) == buffer.len() {
        return Ok(());
    }
    OpenOptions::new().read(true).open(format!("/proc/{pid}/mem"))?.read_exact_at(buffer, address)
}

/// Writes memory of a traced process, whatever its protection.
///
/// # Errors
/// EIO where nothing is mapped.
pub fn write_memory(pid: Pid, address: u64, bytes: &[u8]) -> std::io::Result<()> {
    OpenOptions::new().write(true).open(format!("/proc/{pid}/mem"))?.write_all_at(bytes, address)
}
