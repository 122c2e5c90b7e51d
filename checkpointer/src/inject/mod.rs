//! Remote system calls: made by a stopped thread of another process on our behalf.

pub mod injector;
pub mod page;

use std::io;

use nix::unistd::Pid;
use syscalls::Sysno;

/// Why something could not be done to a stopped thread.
#[derive(Debug, thiserror::Error)]
pub enum InjectError {
    /// The kernel refused an injected call.
    #[error("{call} injected into thread {tid} failed: {errno}")]
    Call {
        /// The thread's real id.
        tid: i32,
        /// The call's name.
        call: &'static str,
        /// The kernel's answer.
        errno: nix::errno::Errno,
    },
    /// The thread was killed while it was stopped.
    #[error("thread {tid} was killed while it was stopped")]
    Killed {
        /// The thread's real id.
        tid: i32,
    },
    /// A file of /proc, or the process's memory, could not be read or written.
    #[error("{what} of process {pid}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// The process's real id.
        pid: i32,
        /// The system's reason.
        source: io::Error,
    },
    /// Something that cannot be carried; the text names it and says why.
    #[error("{0}")]
    Unsupported(String),
}

/// A stopped thread into which system calls can be injected.
pub trait Remote {
    /// Real id of the process (thread group).
    fn pid(&self) -> Pid;

    /// Real id of the thread.
    fn tid(&self) -> Pid;

    /// Makes the thread execute one system call; returns what it returned.
    ///
    /// # Errors
    /// [`InjectError::Call`] when the call returned an error, [`InjectError::Killed`] when the thread is gone.
    fn call(&mut self, number: Sysno, arguments: [u64; 6]) -> Result<u64, InjectError>;

    /// Address of [`SCRATCH_SIZE`] bytes in the process that calls may use for their arguments and results. They belong to
    /// the injector alone; nothing survives from one use to the next.
    fn scratch(&self) -> u64;

    /// Copies memory of the process.
    ///
    /// # Errors
    /// [`InjectError::Io`] when the range is not mapped.
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), InjectError>;

    /// Writes memory of the process, whatever its protection.
    ///
    /// # Errors
    /// [`InjectError::Io`] when the range is not mapped.
    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), InjectError>;
}

/// Bytes of scratch memory in every supervised process.
pub const SCRATCH_SIZE: usize = 4096;

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// Address of the `syscall` instruction in every supervised process: low, where neither the loader nor mmap puts anything
/// by itself.
pub const CODE_PAGE: u64 = 0x7000_0000;

/// Pages from there from which calls pass the filters: the injector's two, and those of the replacement of the vDSO.
pub const EXEMPT_PAGES: u64 = 5;

/// Address of the scratch memory.
pub const SCRATCH_PAGE: u64 = CODE_PAGE + PAGE;
