//! Starting programs: the holder, which owns a terminal, and below it the programs, each stopped before its first instruction
//! until the supervisor has taken hold of it.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::sys::personality::{self, Persona};
use nix::unistd::{ForkResult, Pid};
use serde::{Deserialize, Serialize};

use crate::ptrace::Running;
use crate::{syscalls, wire};

/// What is to be started.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Spec {
    /// Program and arguments.
    pub argv: Vec<Vec<u8>>,
    /// `NAME=VALUE`; the supervisor's own environment if `None`.
    pub environment: Option<Vec<Vec<u8>>>,
    /// Working directory, if not the supervisor's.
    pub directory: Option<Vec<u8>>,
    /// Files for descriptors 0, 1 and 2 instead of the terminal.
    pub files: [Option<Vec<u8>>; 3],
    /// Addresses are the same each time.
    pub fixed_addresses: bool,
    /// Its calls are recorded in the session.
    pub recorded: bool,
    /// It is a debugger that has the program in its own process.
    pub shared: bool,
    /// It is a debugger whose program is served to it.
    pub debugger: bool,
}

/// Session leader on a terminal; parent of programs and of all their copies. It does nothing but start, exist and reap.
#[derive(Debug)]
pub struct Holder {
    /// Its id.
    pub pid: Pid,
    socket: UnixStream,
}

impl Holder {
    /// Starts one. `terminal` becomes its controlling terminal.
    ///
    /// # Errors
    /// The system's, from fork or socketpair.
    pub fn start(terminal: BorrowedFd<'_>) -> io::Result<Holder> {
        let (ours, theirs) = UnixStream::pair()?;
        // SAFETY: the supervisor has one thread, so the child may do anything; it never returns.
        match unsafe { nix::unistd::fork() }? {
            ForkResult::Child => be_holder(terminal.as_raw_fd(), &theirs),
            ForkResult::Parent { child } => Ok(Holder { pid: child, socket: ours }),
        }
    }

    /// Starts a program. If it cannot be executed it ends, before any exec is reported, with the error's number as its status.
    ///
    /// # Errors
    /// The system's, from fork or ptrace.
    pub fn launch(&mut self, spec: &Spec) -> io::Result<Running> {
        wire::send(&mut self.socket, spec)?;
        let gone = || io::Error::new(io::ErrorKind::UnexpectedEof, "the holder process ended");
        let program: i32 = wire::receive(&mut self.socket)?.ok_or_else(gone)?;
        if program < 0 {
            return Err(io::Error::from_raw_os_error(-program));
        }
        let program = Running::seize(Pid::from_raw(program))?;
        wire::send(&mut self.socket, &())?;
        Ok(program)
    }
}

fn be_holder(terminal: RawFd, socket: &UnixStream) -> ! {
    // SAFETY: plain system calls in a single-threaded child; descriptors 0 to 3 are free to be replaced here.
    let mut socket = unsafe {
        // Dies with the supervisor: the holder is not traced, so EXITKILL does not reach it.
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::prctl(libc::PR_SET_NAME, c"fred-holder".as_ptr());
        libc::setsid();
        libc::ioctl(terminal, libc::TIOCSCTTY, 0);
        for signal in
            [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP, libc::SIGTTOU, libc::SIGTTIN, libc::SIGTERM]
        {
            libc::signal(signal, libc::SIG_IGN);
        }
        // Children are reaped by being ignored (wait(2), SA_NOCLDWAIT); the tracer hears of them all the same.
        libc::signal(libc::SIGCHLD, libc::SIG_IGN);
        // Both may be in each other's place.
        let high = libc::fcntl(terminal, libc::F_DUPFD, 10);
        let talk = libc::fcntl(socket.as_raw_fd(), libc::F_DUPFD, 10);
        for target in 0..3 {
            libc::dup2(high, target);
        }
        libc::dup2(talk, 3);
        libc::close_range(4, u32::MAX, 0);
        <UnixStream as std::os::fd::FromRawFd>::from_raw_fd(3)
    };
    while let Ok(Some(spec)) = wire::receive::<Spec>(&mut socket) {
        let started = start_child(&spec, &mut socket);
        if let Err(error) = started
            && wire::send(&mut socket, &-error.raw_os_error().unwrap_or(libc::EIO)).is_err()
        {
            break;
        }
    }
    // SAFETY: ends this process only.
    unsafe { libc::_exit(0) }
}

/// Forks a program off, tells its id, and lets it go when it has been seized.
fn start_child(spec: &Spec, socket: &mut UnixStream) -> io::Result<()> {
    let prepared = Prepared::new(spec)?;
    let (go_reader, go_writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    // SAFETY: the holder has one thread.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Child => be_program(&prepared, go_reader.as_raw_fd()),
        ForkResult::Parent { child } => {
            wire::send(socket, &child.as_raw())?;
            let seized: Option<()> = wire::receive(socket)?;
            if seized.is_some() {
                nix::unistd::write(go_writer.as_fd(), b"g")?;
            }
            Ok(())
        }
    }
}

/// A specification as system calls take it.
struct Prepared {
    argv: Vec<CString>,
    environment: Option<Vec<CString>>,
    directory: Option<CString>,
    files: [Option<CString>; 3],
    fixed_addresses: bool,
    filter: Vec<libc::sock_filter>,
}

impl Prepared {
    fn new(spec: &Spec) -> io::Result<Prepared> {
        let bad = |_| io::Error::from_raw_os_error(libc::EINVAL);
        let one = |bytes: &Vec<u8>| CString::new(bytes.clone()).map_err(bad);
        let many = |list: &Vec<Vec<u8>>| list.iter().map(one).collect::<io::Result<Vec<CString>>>();
        let [input, output, error] = &spec.files;
        Ok(Prepared {
            argv: many(&spec.argv)?,
            environment: spec.environment.as_ref().map(many).transpose()?,
            directory: spec.directory.as_ref().map(one).transpose()?,
            files: [
                input.as_ref().map(one).transpose()?,
                output.as_ref().map(one).transpose()?,
                error.as_ref().map(one).transpose()?,
            ],
            fixed_addresses: spec.fixed_addresses,
            filter: syscalls::program(match (spec.recorded, spec.debugger, spec.shared) {
                (true, _, false) => syscalls::Purpose::Recorded,
                (true, _, true) => syscalls::Purpose::Shared,
                (false, true, _) => syscalls::Purpose::Debugger,
                (false, false, _) => syscalls::Purpose::Session,
            }),
        })
    }
}

/// Starts a program to be recorded or replayed, as a child in the caller's process group. It stops, and is reported, when it
/// comes to its exec; if that fails it ends with the error's number as its status. A replayed one is `silent`: its standard
/// descriptors are /dev/null.
///
/// # Errors
/// The system's, from fork or ptrace; EINVAL for an argument with a zero byte.
pub(crate) fn start_recorded(argv: &[Vec<u8>], silent: bool) -> io::Result<Running> {
    let bad = |_| io::Error::from_raw_os_error(libc::EINVAL);
    let words = argv.iter().map(|word| CString::new(word.clone()).map_err(bad)).collect::<io::Result<Vec<_>>>()?;
    let argv = pointers(&words);
    let filter = syscalls::program(syscalls::Purpose::Recording);
    let (go, ready) = UnixStream::pair()?;
    // SAFETY: the child makes system calls only until it executes the program: what they point to was made before the fork.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Child => unsafe {
            libc::close(ready.as_raw_fd());
            be_recorded(&argv, &filter, go.as_raw_fd(), silent)
        },
        ForkResult::Parent { child } => {
            let running = Running::seize(child)?;
            nix::unistd::write(&ready, b"g")?;
            Ok(running)
        }
    }
}

/// # Safety
/// In a freshly forked child. `argv` ends with a null pointer and points to strings that live.
unsafe fn be_recorded(argv: &[*const libc::c_char], filter: &[libc::sock_filter], go: RawFd, silent: bool) -> ! {
    // SAFETY: see above; every pointer is to something that lives.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        let mut byte = 0u8;
        if libc::read(go, (&raw mut byte).cast(), 1) != 1 {
            libc::_exit(libc::EIO);
        }
        libc::prctl(libc::PR_SET_PDEATHSIG, 0);
        // What Rust's runtime and the recorder have set for themselves.
        for signal in [libc::SIGPIPE, libc::SIGINT, libc::SIGQUIT] {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut ours: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut ours);
        libc::sigaddset(&raw mut ours, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const ours, std::ptr::null_mut());
        if silent {
            let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
            for standard in 0..3 {
                libc::dup2(null, standard);
            }
        }
        personality::get().and_then(|now| personality::set(now | Persona::ADDR_NO_RANDOMIZE)).ok();
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
        if libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) == 0 {
            libc::execvp(argv[0], argv.as_ptr());
        }
        libc::_exit(*libc::__errno_location())
    }
}

fn pointers(list: &[CString]) -> Vec<*const libc::c_char> {
    list.iter().map(|word| word.as_ptr()).chain(std::iter::once(std::ptr::null())).collect()
}

fn be_program(spec: &Prepared, go: RawFd) -> ! {
    let argv = pointers(&spec.argv);
    let environment = spec.environment.as_ref().map(|list| pointers(list));
    // SAFETY: as above; `argv` and `environment` end with null pointers and their strings live in `spec`.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, 0);
        libc::setpgid(0, 0);
        // Still ignoring SIGTTOU, so that a background process may do this.
        libc::tcsetpgrp(0, libc::getpid());
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut nothing: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut nothing);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const nothing, std::ptr::null_mut());
        let mut byte = 0u8;
        if libc::read(go, (&raw mut byte).cast(), 1) != 1 {
            libc::_exit(libc::EIO);
        }
        if spec.fixed_addresses {
            personality::get().and_then(|now| personality::set(now | Persona::ADDR_NO_RANDOMIZE)).ok();
        }
        if let Some(directory) = &spec.directory
            && libc::chdir(directory.as_ptr()) != 0
        {
            libc::_exit(*libc::__errno_location());
        }
        for (target, file) in (0..).zip(&spec.files) {
            let Some(file) = file else { continue };
            let flags = if target == 0 { libc::O_RDONLY } else { libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC };
            let opened = libc::open(file.as_ptr(), flags, 0o666);
            if opened < 0 || libc::dup2(opened, target) < 0 {
                libc::_exit(*libc::__errno_location());
            }
        }
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        let program = libc::sock_fprog { len: spec.filter.len() as u16, filter: spec.filter.as_ptr().cast_mut() };
        let filtered = libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program);
        libc::close_range(3, u32::MAX, 0);
        if filtered == 0 {
            match &environment {
                None => libc::execvp(argv[0], argv.as_ptr()),
                Some(environment) => libc::execvpe(argv[0], argv.as_ptr(), environment.as_ptr()),
            };
        }
        libc::_exit(*libc::__errno_location())
    }
}
