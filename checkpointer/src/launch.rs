//! Starting the session's program: the holder, which owns the terminal, and below it the program, stopped before its
//! first instruction until the supervisor has taken hold of it.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::sys::personality::{self, Persona};
use nix::unistd::{ForkResult, Pid};

use crate::ptrace::Running;
use crate::syscalls;

/// What was started.
#[derive(Debug)]
pub struct Launched {
    /// Session leader; parent of the program and of all its copies. It does nothing but exist and reap.
    pub holder: Pid,
    /// The program, seized, about to be executed.
    pub program: Running,
    /// Becomes readable with an errno when the program cannot be executed, and with end of file when it was.
    pub failure: OwnedFd,
}

/// Starts `argv` below a new holder on `terminal`.
///
/// # Errors
/// The system's, from fork, pipe or ptrace.
pub fn launch(argv: &[CString], terminal: BorrowedFd<'_>) -> io::Result<Launched> {
    let (pid_reader, pid_writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let (go_reader, go_writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let (failure_reader, failure_writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let pointers: Vec<*const libc::c_char> =
        argv.iter().map(|word| word.as_ptr()).chain(std::iter::once(std::ptr::null())).collect();
    let filter = syscalls::program();
    // SAFETY: the supervisor has one thread, so the child may do anything; it only makes system calls and never returns.
    let holder = match unsafe { nix::unistd::fork() }? {
        ForkResult::Child => {
            let ends = Ends {
                terminal: terminal.as_raw_fd(),
                pid: pid_writer.as_raw_fd(),
                go: go_reader.as_raw_fd(),
                failure: failure_writer.as_raw_fd(),
            };
            be_holder(&ends, &pointers, &filter)
        }
        ForkResult::Parent { child } => child,
    };
    drop((pid_writer, go_reader, failure_writer));
    let mut bytes = [0u8; 4];
    read_exactly(&pid_reader, &mut bytes)?;
    let program = Pid::from_raw(i32::from_ne_bytes(bytes));
    let program = Running::seize(program)?;
    nix::unistd::write(&go_writer, b"g")?;
    Ok(Launched { holder, program, failure: failure_reader })
}

fn read_exactly(from: &OwnedFd, buffer: &mut [u8]) -> io::Result<()> {
    let mut got = 0;
    while got < buffer.len() {
        match nix::unistd::read(from, &mut buffer[got..]) {
            Ok(0) => {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the holder process ended at once"));
            }
            Ok(n) => got += n,
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The child's ends of the pipes.
struct Ends {
    terminal: RawFd,
    pid: RawFd,
    go: RawFd,
    failure: RawFd,
}

fn be_holder(ends: &Ends, argv: &[*const libc::c_char], filter: &[libc::sock_filter]) -> ! {
    // SAFETY: plain system calls in a single-threaded child; every pointer is to a live local.
    unsafe {
        // Dies with the supervisor: the holder is not traced, so EXITKILL does not reach it.
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::prctl(libc::PR_SET_NAME, c"fred-holder".as_ptr());
        libc::setsid();
        libc::ioctl(ends.terminal, libc::TIOCSCTTY, 0);
        for signal in
            [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP, libc::SIGTTOU, libc::SIGTTIN, libc::SIGTERM]
        {
            libc::signal(signal, libc::SIG_IGN);
        }
        // Children are reaped by being ignored (wait(2), SA_NOCLDWAIT); the tracer hears of them all the same.
        libc::signal(libc::SIGCHLD, libc::SIG_IGN);
        let child = libc::fork();
        if child == 0 {
            be_program(ends, argv, filter);
        }
        libc::write(ends.pid, (&raw const child).cast(), 4);
        libc::close_range(0, u32::MAX, 0);
        loop {
            libc::pause();
        }
    }
}

fn be_program(ends: &Ends, argv: &[*const libc::c_char], filter: &[libc::sock_filter]) -> ! {
    // SAFETY: as above; `argv` ends with a null pointer and its strings live in the parent's copied memory.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, 0);
        libc::setpgid(0, 0);
        // Still ignoring SIGTTOU, so that a background process may do this.
        libc::tcsetpgrp(ends.terminal, libc::getpid());
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut nothing: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut nothing);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const nothing, std::ptr::null_mut());
        for target in 0..3 {
            libc::dup2(ends.terminal, target);
        }
        let mut byte = 0u8;
        if libc::read(ends.go, (&raw mut byte).cast(), 1) != 1 {
            libc::_exit(127);
        }
        personality::get().and_then(|now| personality::set(now | Persona::ADDR_NO_RANDOMIZE)).ok();
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
        let filtered = libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program);
        // All but the failure pipe, which exec closes.
        libc::dup2(ends.failure, 3);
        libc::fcntl(3, libc::F_SETFD, libc::FD_CLOEXEC);
        libc::close_range(4, u32::MAX, 0);
        if filtered == 0 {
            libc::execvp(argv[0], argv.as_ptr());
        }
        let errno = *libc::__errno_location();
        libc::write(3, (&raw const errno).cast(), 4);
        libc::_exit(127);
    }
}
