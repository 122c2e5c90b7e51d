//! A person at a terminal: the real `fred` on a pseudo-terminal of its own, driven as a dialogue.
//!
//! A command has ended when the line editor reads again (it turns bracketed paste on then, which nothing else does here).
//! Every wait ends after [`DEADLINE`], and no process outlives its `Live`.
#![allow(dead_code)]

use std::ffi::OsString;
use std::fs;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, mpsc};
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// How long anything may take.
pub const DEADLINE: Duration = Duration::from_secs(20);

const EDITING: &str = "\x1b[?2004h";
const ENTERED: &str = "\x1b[?2004l";
const CTRL_C: &[u8] = b"\x03";
const CTRL_D: &[u8] = b"\x04";

/// The interpreter behind `python3`, without the shims that version managers put in front of it.
pub static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    let found = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let found = found.expect("live tests need python3 in PATH");
    PathBuf::from(String::from_utf8(found.stdout).expect("a path").trim())
});

static SESSIONS: AtomicU32 = AtomicU32::new(0);

/// A session on a terminal.
pub struct Live {
    child: Option<Child>,
    exit: Option<mpsc::Receiver<ExitStatus>>,
    pid: Pid,
    master: Option<OwnedFd>,
    screen: Vec<u8>,
    /// Where in `screen` the last thing that was typed begins to be answered.
    mark: usize,
    /// What the last command printed.
    pub output: String,
    dir: TempDir,
    marker: String,
}

/// What a session is started with.
pub struct Start {
    dir: TempDir,
    options: Vec<OsString>,
    debugger: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    shell: bool,
}

impl Start {
    /// A directory of its own, which is home, working directory and place for temporary files.
    pub fn new() -> Start {
        let dir = TempDir::new().expect("a directory");
        fs::create_dir(dir.path().join("tmp")).expect("a directory");
        Start { dir, options: Vec::new(), debugger: Vec::new(), environment: Vec::new(), shell: false }
    }

    /// Writes a file there.
    pub fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.dir.path().join(name), text).expect("a file");
        self
    }

    /// Writes a program there.
    pub fn executable(self, name: &str, text: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let path = self.dir.path().join(name);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
        self
    }

    /// Options of fred.
    pub fn options(mut self, words: &[&str]) -> Self {
        self.options.extend(words.iter().map(OsString::from));
        self
    }

    /// The debugger's command line.
    pub fn debugger(mut self, words: &[&str]) -> Self {
        self.debugger.extend(words.iter().map(OsString::from));
        self
    }

    /// Python with these arguments as the debugger.
    pub fn python(mut self, words: &[&str]) -> Self {
        self.debugger.push(PYTHON.clone().into());
        self.debugger(words)
    }

    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// fred's command line, to be run in that directory.
    pub fn command(&self, marker: &str) -> Command {
        let mut command = if self.shell {
            let mut shell = Command::new("setsid");
            shell.args(["--ctty", "bash", "--norc", "--noprofile", "-i"]);
            shell.env("PS1", "shell> ").env("PS2", "");
            shell
        } else {
            let mut setsid = Command::new("setsid");
            setsid.args(["--ctty", env!("CARGO_BIN_EXE_fred")]);
            setsid.args(&self.options).arg("--").args(&self.debugger);
            setsid
        };
        command.current_dir(self.dir.path());
        self.surroundings(&mut command, marker);
        command
    }

    fn surroundings(&self, command: &mut Command, marker: &str) {
        command
            .env("HOME", self.dir.path())
            .env("TMPDIR", self.dir.path().join("tmp"))
            .env("TERM", "xterm")
            .env("LC_ALL", "C.UTF-8")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("FRED_LIVE", marker)
            .env_remove("XDG_STATE_HOME")
            .env_remove("PYTHONSTARTUP")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
    }

    /// Starts fred on a terminal; the first prompt is not waited for.
    pub fn begin(self) -> Live {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).expect("a terminal");
        for end in [&pty.master, &pty.slave] {
            use nix::fcntl::{FcntlArg, FdFlag, fcntl};
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("close on exec");
        }
        let marker = format!("{}-{}", std::process::id(), SESSIONS.fetch_add(1, Ordering::SeqCst));
        let end = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
        let mut command = self.command(&marker);
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("fred starts");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        let (child, exit) = (Some(child), None);
        let master = Some(pty.master);
        Live { child, exit, pid, master, screen: Vec::new(), mark: 0, output: String::new(), dir: self.dir, marker }
    }

    /// Starts fred on a terminal and waits for the first prompt.
    pub fn live(self) -> Live {
        let mut live = self.begin();
        live.prompt();
        live
    }

    /// Starts a shell with job control in which fred can be called (`$FRED`).
    pub fn shell(mut self) -> Live {
        self.shell = true;
        let python = PYTHON.to_str().expect("a path").to_owned();
        let mut live = self.environment("FRED", env!("CARGO_BIN_EXE_fred")).environment("PYTHON", &python).begin();
        live.until("shell> ");
        live
    }

    /// Runs fred without a terminal, `input` being its standard input.
    pub fn piped(self, input: &str) -> Piped {
        let marker = format!("{}-{}", std::process::id(), SESSIONS.fetch_add(1, Ordering::SeqCst));
        let mut command = Command::new(env!("CARGO_BIN_EXE_fred"));
        command.args(&self.options).arg("--").args(&self.debugger).current_dir(self.dir.path());
        self.surroundings(&mut command, &marker);
        let given = self.dir.path().join("stdin");
        fs::write(&given, input).expect("a file");
        let (out, err) = (self.dir.path().join("stdout"), self.dir.path().join("stderr"));
        let file = |path: &Path| Stdio::from(fs::File::create(path).expect("a file"));
        command.stdin(fs::File::open(&given).expect("a file")).stdout(file(&out)).stderr(file(&err));
        let child = command.spawn().expect("fred starts");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        let status = waiting(child).recv_timeout(DEADLINE);
        if status.is_err() {
            kill(pid, Signal::SIGKILL).ok();
        }
        let left = await_gone(&marker);
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).expect("a file")).into_owned();
        let done = Piped { status: status.ok().and_then(|s| s.code()), stdout: read(&out), stderr: read(&err) };
        assert!(left.is_empty(), "processes are left: {left:?}\n{done:?}");
        assert!(done.status.is_some(), "fred did not end: {done:?}");
        assert_no_files(self.dir.path());
        done
    }
}

/// What fred did without a terminal.
#[derive(Debug)]
pub struct Piped {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Live {
    /// `python -m pdb` on a sample program, or on one that has been written to `tests/live/programs`.
    pub fn pdb(program: &str) -> Live {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = root.join("sample-programs/python").join(program);
        Start::new().python(&["-m", "pdb", path.to_str().expect("a path")]).live()
    }

    /// `python -m pdb prog.py` on this text.
    pub fn program(text: &str) -> Live {
        Start::new().file("prog.py", text).python(&["-m", "pdb", "prog.py"]).live()
    }

    /// The session's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// fred's process.
    pub fn fred(&self) -> Pid {
        self.pid
    }

    /// Types these keys.
    pub fn keys(&mut self, keys: &[u8]) -> &mut Self {
        self.mark = self.screen.len();
        let mut rest = keys;
        let end = Instant::now() + DEADLINE;
        while !rest.is_empty() {
            let master = self.master.as_ref().expect("a terminal");
            let mut ready = [PollFd::new(master.as_fd(), PollFlags::POLLIN | PollFlags::POLLOUT)];
            poll(&mut ready, left(end)).expect("poll");
            let events = ready[0].revents().unwrap_or(PollFlags::empty());
            assert!(!events.is_empty(), "the terminal takes no keys\n{}", self.seen());
            if events.contains(PollFlags::POLLOUT) {
                let part = &rest[..rest.len().min(512)];
                rest = &rest[nix::unistd::write(master, part).expect("typing")..];
            }
            if events.contains(PollFlags::POLLIN) {
                self.look();
            }
        }
        self
    }

    /// Types a line.
    pub fn types(&mut self, line: &str) -> &mut Self {
        self.keys(format!("{line}\r").as_bytes())
    }

    /// Types a line at the prompt and waits for the next one.
    pub fn say(&mut self, line: &str) -> &mut Self {
        self.types(line).prompt()
    }

    pub fn ctrl_c(&mut self) -> &mut Self {
        self.keys(CTRL_C)
    }

    pub fn ctrl_d(&mut self) -> &mut Self {
        self.keys(CTRL_D)
    }

    /// Reads what there is; false when the terminal is closed.
    fn look(&mut self) -> bool {
        let mut buffer = [0u8; 65536];
        match nix::unistd::read(self.master.as_ref().expect("a terminal"), &mut buffer) {
            Ok(n) if n > 0 => {
                self.screen.extend_from_slice(&buffer[..n]);
                true
            }
            _ => false,
        }
    }

    /// Waits for more; false when the terminal is closed.
    fn more(&mut self, end: Instant, wanted: &str) -> bool {
        let mut ready = [PollFd::new(self.master.as_ref().expect("a terminal").as_fd(), PollFlags::POLLIN)];
        let n = poll(&mut ready, left(end)).expect("poll");
        assert!(n > 0, "waited {DEADLINE:?} for {wanted}\n{}", self.seen());
        self.look()
    }

    /// Waits until the line editor reads. The text until then is the output.
    pub fn prompt(&mut self) -> &mut Self {
        let end = Instant::now() + DEADLINE;
        let mut from = self.mark;
        loop {
            if let Some(at) = find(&self.screen[from..], EDITING.as_bytes()).map(|at| from + at) {
                let behind = visible(&self.screen[at..]);
                if behind.ends_with(' ') {
                    let said = &self.screen[self.mark..at];
                    let begin = find(said, ENTERED.as_bytes()).map_or(0, |at| at + ENTERED.len());
                    self.output = visible(&said[begin..]).trim_start_matches('\n').to_owned();
                    self.mark = self.screen.len();
                    return self;
                }
            } else {
                from = self.screen.len().saturating_sub(EDITING.len()).max(self.mark);
            }
            assert!(self.more(end, "a prompt"), "fred ended instead of prompting\n{}", self.seen());
        }
    }

    /// Waits until this text has come since the last thing that was typed; what came until then is the output.
    pub fn until(&mut self, text: &str) -> &mut Self {
        let end = Instant::now() + DEADLINE;
        loop {
            let came = visible(&self.screen[self.mark..]);
            if came.contains(text) {
                self.output = came;
                return self;
            }
            assert!(self.more(end, text), "fred ended before it showed {text:?}\n{}", self.seen());
        }
    }

    /// Waits until the line editor has drawn its prompt again after the session was stopped.
    pub fn prompt_again(&mut self) -> &mut Self {
        self.until("(Pdb) ")
    }

    /// What the screen has shown, its end.
    pub fn seen(&self) -> String {
        let all = visible(&self.screen);
        let mut start = all.len().saturating_sub(4000);
        while !all.is_char_boundary(start) {
            start += 1;
        }
        format!("the screen:\n{}", &all[start..])
    }

    /// The last command showed this.
    pub fn shows(&mut self, text: &str) -> &mut Self {
        assert!(self.output.contains(text), "{text:?} is not in {:?}\n{}", self.output, self.seen());
        self
    }

    /// The last command did not show this.
    pub fn hides(&mut self, text: &str) -> &mut Self {
        assert!(!self.output.contains(text), "{text:?} is in {:?}\n{}", self.output, self.seen());
        self
    }

    /// The last command printed exactly this.
    pub fn is(&mut self, text: &str) -> &mut Self {
        assert_eq!(self.output.trim_end_matches('\n'), text, "\n{}", self.seen());
        self
    }

    /// The last line that was printed is this.
    pub fn shows_last(&mut self, text: &str) -> &mut Self {
        assert_eq!(self.output.trim_end_matches('\n').lines().last(), Some(text), "\n{}", self.seen());
        self
    }

    /// The last stop that was shown is at `file:line`.
    pub fn stops_at(&mut self, place: &str) -> &mut Self {
        let (file, line) = place.split_once(':').expect("file:line");
        let lines: Vec<&str> = self.output.lines().collect();
        let shown = |at: &usize| lines[*at].contains("> /") && lines.get(at + 1).is_some_and(|l| l.starts_with("-> "));
        let header = |at: usize| {
            let text = lines[at];
            let rest = &text[text.rfind("> /")? + 2..];
            let open = rest.find('(')?;
            let close = rest.find(')')?;
            let name = Path::new(&rest[..open]).file_name()?.to_str()?.to_owned();
            Some((name, rest[open + 1..close].to_owned()))
        };
        let found = (0..lines.len()).rev().find(shown).and_then(header);
        assert_eq!(found, Some((file.to_owned(), line.to_owned())), "{:?}\n{}", self.output, self.seen());
        self
    }

    /// A command prints this and nothing else.
    pub fn prints(&mut self, command: &str, text: &str) -> &mut Self {
        self.say(command).is(text)
    }

    /// Sets the size of the window, as a terminal emulator does.
    pub fn resize(&mut self, rows: u16, columns: u16) -> &mut Self {
        let master = self.master.as_ref().expect("a terminal");
        fred_checkpointer::raw::set_window_size(master.as_fd(), rows, columns).expect("a size");
        self
    }

    /// Closes the terminal's window.
    pub fn hang_up(&mut self) -> &mut Self {
        self.master = None;
        self
    }

    /// All processes of the session but fred, by name.
    pub fn processes(&self) -> Vec<(Pid, String)> {
        marked(&self.marker).into_iter().filter(|(pid, _)| *pid != self.pid).collect()
    }

    /// The one process of that name.
    pub fn process(&self, name: &str) -> Pid {
        let all = self.processes();
        let found: Vec<_> = all.iter().filter(|(_, known)| known == name).collect();
        assert_eq!(found.len(), 1, "{name} in {all:?}");
        found[0].0
    }

    /// The running debugger: of all its copies the one that the kernel has not stopped or that waits with its call not made,
    /// which is the newest.
    pub fn running(&self) -> Pid {
        let started = |pid: &Pid| -> u64 {
            let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let rest = text.rsplit(')').next().unwrap_or_default().to_owned();
            rest.split_whitespace().nth(19).and_then(|word| word.parse().ok()).unwrap_or(0)
        };
        let all = self.processes();
        let copies = all.iter().filter(|(_, name)| name.starts_with("python")).map(|(pid, _)| *pid);
        copies.min_by_key(started).expect("a debugger")
    }

    /// Waits until the debugger that was started first is held at a read of the terminal (the kernel shows it as traced). To
    /// be called when it has nothing else left to do, and nothing has gone back yet.
    pub fn until_it_reads(&mut self) -> &mut Self {
        let (pid, end) = (self.running(), Instant::now() + DEADLINE);
        let held = || fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|text| text.contains(") t "));
        while !held() {
            assert!(Instant::now() < end, "it does not read\n{}", self.seen());
            std::thread::yield_now();
        }
        self
    }

    /// Kills a process of the session from outside and waits until it is gone, and `other` with it.
    pub fn kill(&mut self, pid: Pid, other: Option<Pid>) -> &mut Self {
        let watches = [Some(pid), other].map(|pid| pid.and_then(watch));
        kill(pid, Signal::SIGKILL).expect("a kill");
        for watch in watches.iter().flatten() {
            let mut ready = [PollFd::new(watch.as_fd(), PollFlags::POLLIN)];
            assert!(poll(&mut ready, left(Instant::now() + DEADLINE)).expect("poll") > 0, "it does not end");
        }
        self
    }

    /// Waits until fred has ended with this status (128 + signal if a signal ended it), and everything with it.
    pub fn ends(&mut self, status: i32) {
        let found = self.wait();
        assert_eq!(found, status, "exit status\n{}", self.seen());
    }

    /// The same, without a wanted status.
    pub fn wait(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let end = Instant::now() + DEADLINE;
        // First everything that it prints, or it might wait for its reader.
        while self.master.is_some() && self.more(end, "the end") {}
        let child = self.child.take().expect("not waited for twice");
        self.exit = Some(waiting(child));
        let status = self.exit.as_ref().expect("a channel").recv_timeout(DEADLINE);
        let status = status.unwrap_or_else(|_| panic!("fred closed its terminal but does not end\n{}", self.seen()));
        let left = await_gone(&self.marker);
        assert!(left.is_empty(), "processes are left: {left:?}\n{}", self.seen());
        assert_no_files(self.dir.path());
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
        for (pid, _) in marked(&self.marker) {
            kill(pid, Signal::SIGKILL).ok();
        }
        let left = await_gone(&self.marker);
        if !std::thread::panicking() {
            assert!(left.is_empty(), "processes are left: {left:?}");
        }
    }
}

/// Waits for a child on a thread of its own, so that there can be a deadline.
fn waiting(mut child: Child) -> mpsc::Receiver<ExitStatus> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait().expect("a status")));
    receiver
}

fn left(end: Instant) -> PollTimeout {
    let left = end.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
    PollTimeout::try_from(left).expect("a short time")
}

/// Processes with the session's mark in their environment.
fn marked(marker: &str) -> Vec<(Pid, String)> {
    let wanted = format!("FRED_LIVE={marker}\0");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(environment) = fs::read(entry.path().join("environ")) else { continue };
        if find(&environment, wanted.as_bytes()).is_some() {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            found.push((Pid::from_raw(pid), name.trim().to_owned()));
        }
    }
    found
}

/// Waits until no process of the session is alive; those that are after the deadline.
fn await_gone(marker: &str) -> Vec<(Pid, String)> {
    let end = Instant::now() + DEADLINE;
    loop {
        let alive = marked(marker);
        let Some((pid, _)) = alive.first() else { return alive };
        let Some(watch) = watch(*pid) else { continue };
        let mut ready = [PollFd::new(watch.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ready, left(end)).expect("poll") == 0 {
            return alive;
        }
    }
}

/// A descriptor that becomes readable when the process ends.
#[allow(unsafe_code)]
fn watch(pid: Pid) -> Option<OwnedFd> {
    // SAFETY: pidfd_open takes two numbers; the descriptor that it returns is ours.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0);
        (fd >= 0).then(|| OwnedFd::from_raw_fd(i32::try_from(fd).expect("a descriptor")))
    }
}

fn assert_no_files(dir: &Path) {
    let left: Vec<_> = fs::read_dir(dir.join("tmp")).expect("tmp").flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "temporary files are left: {left:?}");
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// What can be seen of terminal output: control sequences and carriage returns taken out.
fn visible(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' if chars.peek() == Some(&'[') => {
                chars.next();
                while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
            }
            '\r' => {}
            c => shown.push(c),
        }
    }
    shown
}
