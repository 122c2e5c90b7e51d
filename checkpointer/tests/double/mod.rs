//! A double of the supervisor, just large enough for processes of one thread: stops, injects, forks, lets go.

#![allow(dead_code)]

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use fred_checkpointer::inject::{InjectError, Remote, SCRATCH_SIZE};
use fred_checkpointer::raw;
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use syscalls::Sysno;

/// Folder of the sample programs.
pub fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")
}

/// Compiles a sample the way its header promises.
pub fn compile(name: &str, folder: &Path) -> PathBuf {
    let program = folder.join(name);
    let source = samples().join(format!("{name}.c"));
    let compiler =
        Command::new("gcc").args(["-O1", "-Wall", "-Werror", "-pthread", "-o"]).arg(&program).arg(source).output();
    let output = compiler.expect("gcc is needed for the sample programs");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    program
}

/// A program with pipes for its input and output.
pub struct Program {
    pub child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    pub fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A stopped process of one thread.
pub struct Stopped {
    pid: Pid,
    memory: File,
    registers: libc::user_regs_struct,
    blocked: u64,
    /// A page for arguments, then one that begins with a `syscall` instruction.
    pages: u64,
    let_go: bool,
}

fn wait(pid: Pid) -> WaitStatus {
    waitpid(pid, Some(WaitPidFlag::__WALL)).unwrap()
}

impl Stopped {
    /// Stops a running process.
    pub fn stop(pid: Pid) -> Self {
        ptrace::seize(pid, Options::PTRACE_O_EXITKILL).unwrap();
        ptrace::interrupt(pid).unwrap();
        loop {
            match wait(pid) {
                WaitStatus::PtraceEvent(..) => break,
                WaitStatus::Stopped(_, signal) => ptrace::cont(pid, signal).unwrap(),
                other => panic!("{other:?}"),
            }
        }
        let mut stopped =
            Self::examine(pid, ptrace::getregs(pid).unwrap(), raw::blocked_signals(pid.as_raw()).unwrap(), 0);
        let at = stopped.registers.rip;
        let mut code = [0; 2];
        stopped.read(at, &mut code).unwrap();
        stopped.write(at, &[0x0f, 0x05]).unwrap();
        let (rwx, private) = (7, (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64);
        let pages = stopped.call_at(at, Sysno::mmap, [0, 2 * SCRATCH_SIZE as u64, rwx, private, u64::MAX, 0]);
        stopped.write(at, &code).unwrap();
        stopped.pages = pages as u64;
        stopped.write(stopped.pages + SCRATCH_SIZE as u64, &[0x0f, 0x05]).unwrap();
        stopped
    }

    fn examine(pid: Pid, registers: libc::user_regs_struct, blocked: u64, pages: u64) -> Self {
        let memory = OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem")).unwrap();
        // A blocked SIGTRAP would be forced, and lose its handler, at each single step.
        raw::set_blocked_signals(pid.as_raw(), !(1 << (Signal::SIGTRAP as i32 - 1))).unwrap();
        Self { pid, memory, registers, blocked, pages, let_go: false }
    }

    fn call_at(&self, rip: u64, number: Sysno, arguments: [u64; 6]) -> i64 {
        let [rdi, rsi, rdx, r10, r8, r9] = arguments;
        let rax = number.id() as u64;
        let registers =
            libc::user_regs_struct { rip, rax, rdi, rsi, rdx, r10, r8, r9, orig_rax: u64::MAX, ..self.registers };
        ptrace::setregs(self.pid, registers).unwrap();
        loop {
            ptrace::step(self.pid, None).unwrap();
            match wait(self.pid) {
                WaitStatus::Stopped(_, Signal::SIGTRAP) => break,
                WaitStatus::PtraceEvent(..) => {}
                other => panic!("{number:?}: {other:?}"),
            }
        }
        ptrace::getregs(self.pid).unwrap().rax as i64
    }

    /// A forked copy, stopped, with the same parent.
    pub fn fork(&mut self) -> Self {
        ptrace::setoptions(self.pid, Options::PTRACE_O_EXITKILL | Options::PTRACE_O_TRACEFORK).unwrap();
        let flags = (libc::CLONE_PARENT | libc::SIGCHLD) as u64;
        let copy = self.call(Sysno::clone, [flags, 0, 0, 0, 0, 0]).unwrap();
        ptrace::setoptions(self.pid, Options::PTRACE_O_EXITKILL).unwrap();
        let copy = Pid::from_raw(copy as i32);
        assert!(matches!(wait(copy), WaitStatus::PtraceEvent(..)));
        ptrace::setoptions(copy, Options::PTRACE_O_EXITKILL).unwrap();
        Self::examine(copy, self.registers, self.blocked, self.pages)
    }

    /// Lets it run from where it was stopped; an interrupted call is made again.
    pub fn let_go(mut self) -> Running {
        let mut registers = self.registers;
        if registers.orig_rax as i64 >= 0 && matches!(registers.rax as i64, -514..=-512) {
            registers.rip -= 2;
            registers.rax = registers.orig_rax;
        }
        registers.orig_rax = u64::MAX;
        ptrace::setregs(self.pid, registers).unwrap();
        raw::set_blocked_signals(self.pid.as_raw(), self.blocked).unwrap();
        ptrace::detach(self.pid, None).unwrap();
        self.let_go = true;
        Running { pid: self.pid }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if !self.let_go {
            drop(Running { pid: self.pid });
        }
    }
}

/// A process that runs untraced; killed in the end.
pub struct Running {
    pid: Pid,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill(self.pid, Signal::SIGKILL);
        while waitpid(self.pid, Some(WaitPidFlag::__WALL)).is_ok_and(|status| status.pid().is_some() && !is_end(status))
        {
        }
    }
}

fn is_end(status: WaitStatus) -> bool {
    matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..))
}

impl Remote for Stopped {
    fn pid(&self) -> Pid {
        self.pid
    }

    fn tid(&self) -> Pid {
        self.pid
    }

    fn call(&mut self, number: Sysno, arguments: [u64; 6]) -> Result<u64, InjectError> {
        match self.call_at(self.pages + SCRATCH_SIZE as u64, number, arguments) {
            error @ -4095..0 => {
                let errno = Errno::from_raw(-error as i32);
                Err(InjectError::Call { tid: self.pid.as_raw(), call: number.name(), errno })
            }
            value => Ok(value as u64),
        }
    }

    fn scratch(&self) -> u64 {
        self.pages
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), InjectError> {
        let read = self.memory.read_exact_at(buffer, address);
        read.map_err(|source| InjectError::Io { what: "reading memory", pid: self.pid.as_raw(), source })
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), InjectError> {
        let written = self.memory.write_all_at(bytes, address);
        written.map_err(|source| InjectError::Io { what: "writing memory", pid: self.pid.as_raw(), source })
    }
}
