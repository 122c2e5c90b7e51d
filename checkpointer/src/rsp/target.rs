//! The program as the server sees it. Implemented on ptrace by the supervisor (`supervisor/served/`), and by a made-up
//! program in the tests of the server.
//!
//! All-stop: either every thread of the program is stopped, or it runs and nothing may be asked but [`Target::interrupt`].
//! Thread ids are those that the program knows (virtual ones, which survive a restore).

use crate::raw;

/// Id of a thread as the program knows it.
pub type Tid = i32;

/// How a debugger asks for a program to be started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    /// The executable; looked up in PATH if it has no slash.
    pub path: Vec<u8>,
    /// Its arguments, without the name of the program.
    pub arguments: Vec<Vec<u8>>,
    /// Variables set (`Some`) or taken away (`None`), on top of the debugger's own environment.
    pub environment: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// The environment is exactly the one above, nothing is inherited (lldb sends all of it).
    pub bare_environment: bool,
    /// Working directory, if not the debugger's.
    pub directory: Option<Vec<u8>>,
    /// Start it as `SHELL -c exec PROGRAM ARGUMENTS...`, unquoted, so that redirections and globs work.
    pub shell: Option<Vec<u8>>,
    /// Addresses are to be the same each time.
    pub fixed_addresses: bool,
    /// Files for descriptors 0, 1 and 2 instead of the program's terminal.
    pub files: [Option<Vec<u8>>; 3],
}

/// Kinds of breakpoints and watchpoints, as the digits of `Z` packets name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An instruction replaced by `int3`.
    Software,
    /// A debug register that traps before an instruction.
    Hardware,
    /// A debug register that traps after a write.
    Write,
    /// After a read. The processor has none: traps on reads and writes, and writes that change nothing are told as reads.
    Read,
    /// After either.
    Access,
}

/// What a thread is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Motion {
    /// Run.
    Continue,
    /// One instruction.
    Step,
    /// Single instructions for as long as the next one is in this range (end excluded); told as [`Why::Stepped`].
    Range {
        /// First address inside.
        start: u64,
        /// First address behind.
        end: u64,
    },
}

/// One action of `vCont`. A thread does what the first action that matches it says, and stays stopped if none does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    /// The thread; `None` for all.
    pub thread: Option<Tid>,
    /// What it does.
    pub motion: Motion,
    /// The signal it gets, by its Linux number. The signal that it stopped for is *not* delivered unless given here.
    pub signal: Option<i32>,
}

/// Why a thread stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// A signal is about to be delivered (Linux number). Also SIGINT or SIGSTOP as the answer to [`Target::interrupt`], with 0
    /// for a stop without reason.
    Signal(i32),
    /// At a software breakpoint; the instruction pointer is at its address.
    Software,
    /// At a hardware breakpoint.
    Hardware,
    /// After an access to a watched place.
    Watch {
        /// The kind that was inserted.
        kind: Kind,
        /// Address of the data.
        address: u64,
    },
    /// A step or a range is done.
    Stepped,
    /// Right before a system call that is caught.
    Entering(u64),
    /// Right after one.
    Leaving(u64),
    /// A program has been loaded by `exec`; also the first stop after [`Target::launch`].
    Exec {
        /// Its path.
        path: Vec<u8>,
    },
    /// A child has been made, and is held until [`Target::let_child_go`] or [`Target::follow_child`].
    Forked {
        /// The child's process.
        child: Tid,
        /// The program waits until the child is out of its memory.
        vfork: bool,
    },
    /// The child of a vfork is out of the program's memory.
    VforkDone,
    /// The process has been exchanged for another state of itself: everything that the debugger remembers of memory, threads and
    /// libraries is stale. Told as the end of whatever it asked for.
    Exchanged,
    /// The same, told as a stop without a reason and not as the end of something: the debugger has then entered no inlined call
    /// that begins there.
    Halted,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// All threads are stopped because of this one.
    Thread {
        /// Which.
        tid: Tid,
        /// Why.
        why: Why,
    },
    /// The process has ended.
    Exited(i32),
    /// A signal has ended it (Linux number).
    Killed(i32),
    /// It could not be started or attached to, for this reason.
    Failed(String),
}

/// All registers of a thread.
#[derive(Debug, Clone)]
pub struct ThreadRegisters {
    /// General and segment registers.
    pub general: raw::Registers,
    /// The XSAVE area in its standard format, as PTRACE_GETREGSET gives it (NT_X86_XSTATE).
    pub extended: Vec<u8>,
}

/// Which system calls are reported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Caught {
    /// None.
    #[default]
    None,
    /// All.
    All,
    /// These.
    Some(Vec<u64>),
}

/// An error number for the debugger (`E` packets carry errno values).
pub type Errno = i32;

/// A program on which the server works.
pub trait Target {
    /// Starts a program. Returns at once; the first stop is told to the server like every other.
    ///
    /// # Errors
    /// What kept it from being tried, in words.
    fn launch(&mut self, program: &Program) -> Result<(), String>;

    /// Takes hold of a running process, which the session owns from then on. Returns at once, as above.
    ///
    /// # Errors
    /// In words.
    fn attach(&mut self, pid: i32) -> Result<(), String>;

    /// Lets it go for good: no breakpoint is left in it and nothing of us traces it. What cannot be let go is an error in words.
    ///
    /// # Errors
    /// In words.
    fn detach(&mut self) -> Result<(), String>;

    /// Kills it.
    fn kill(&mut self);

    /// Whether the debugger wants to be told of children. If not, they run free.
    fn tell_forks(&mut self, told: bool);

    /// The child that is held, and whether it uses the memory of the program.
    fn child(&self) -> Option<(Tid, bool)>;

    /// Lets the child go that is held, for good.
    fn let_child_go(&mut self);

    /// The child that is held is the program from now on; what was the program runs free.
    ///
    /// # Errors
    /// In words.
    fn follow_child(&mut self) -> Result<(), String>;

    /// Kills the child that is held.
    fn kill_child(&mut self);

    /// Its id, if there is one.
    fn process(&self) -> Option<i32>;

    /// Its real id, for files of /proc.
    fn real_process(&self) -> Option<i32>;

    /// Its threads, oldest first.
    fn threads(&self) -> Vec<Tid>;

    /// The name of a thread.
    fn thread_name(&self, tid: Tid) -> Option<String>;

    /// Registers of a thread.
    ///
    /// # Errors
    /// ESRCH.
    fn registers(&mut self, tid: Tid) -> Result<ThreadRegisters, Errno>;

    /// Sets them. `general.orig_rax` is set as given (-1: not in a system call).
    ///
    /// # Errors
    /// ESRCH; EINVAL or EIO for values that the processor does not take.
    fn set_registers(&mut self, tid: Tid, registers: &ThreadRegisters) -> Result<(), Errno>;

    /// Reads memory as the program has it (no breakpoint of ours shows); returns how many bytes could be read from the start.
    ///
    /// # Errors
    /// EFAULT when not one could.
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> Result<usize, Errno>;

    /// Writes memory, whatever its protection, under breakpoints that are inserted.
    ///
    /// # Errors
    /// EFAULT.
    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Errno>;

    /// Maps memory for the debugger's own use; `protection` is mmap's. Returns its address.
    ///
    /// # Errors
    /// ENOMEM, EINVAL for a length of 0.
    fn allocate(&mut self, length: u64, protection: u64) -> Result<u64, Errno>;

    /// Takes such memory back.
    ///
    /// # Errors
    /// EINVAL for an address that was not given out.
    fn deallocate(&mut self, address: u64) -> Result<(), Errno>;

    /// Inserts a breakpoint or watchpoint; the same one twice is one. `length` is that of the watched data.
    ///
    /// # Errors
    /// ENOSPC when there are no more debug registers, EINVAL for a length they cannot watch, EFAULT for no memory.
    fn insert(&mut self, kind: Kind, address: u64, length: u64) -> Result<(), Errno>;

    /// Conditions of the software breakpoint at an address, in place of those that it had: it is told of only if one of them holds
    /// or cannot be computed; or if there are none. See [`super::agent`].
    fn conditions(&mut self, address: u64, conditions: Vec<Vec<u8>>);

    /// Removes one. It is no error that it is not there.
    ///
    /// # Errors
    /// EFAULT.
    fn remove(&mut self, kind: Kind, address: u64, length: u64) -> Result<(), Errno>;

    /// Lets threads go. The next stop is told to the server.
    ///
    /// # Errors
    /// In words.
    fn resume(&mut self, actions: &[Action]) -> Result<(), String>;

    /// Asks for a stop while it runs. `signal` is what is told (SIGINT for a Ctrl-C, 0 for none).
    fn interrupt(&mut self, signal: i32);

    /// The `siginfo_t` of the signal that a thread stopped for.
    ///
    /// # Errors
    /// EINVAL when there is none.
    fn signal_information(&mut self, tid: Tid) -> Result<Vec<u8>, Errno>;

    /// Replaces it.
    ///
    /// # Errors
    /// EINVAL.
    fn set_signal_information(&mut self, tid: Tid, information: &[u8]) -> Result<(), Errno>;

    /// Signals (Linux numbers) that are delivered without a stop.
    fn pass_signals(&mut self, signals: &[i32]);

    /// System calls that are reported.
    fn catch(&mut self, calls: Caught);

    /// The thread pointer, which leads to a thread's own variables: fs_base.
    ///
    /// # Errors
    /// ESRCH.
    fn thread_pointer(&mut self, tid: Tid) -> Result<u64, Errno>;

    /// The environment and directory that programs inherit are those of this process: the debugger's real id.
    fn debugger(&self) -> Option<i32>;
}
