//! Sessions of gdb in batch mode with a program of `tests/served/`, at the supervisor and at gdbserver.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fred_checkpointer::client::Client;
use fred_checkpointer::wire::Event;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use nix::sys::termios::{LocalFlags, OutputFlags, SetArg, tcgetattr, tcsetattr};

/// After which a session is taken to hang.
const PATIENCE: Duration = Duration::from_secs(40);

/// A compiled program.
pub struct Sample {
    folder: tempfile::TempDir,
}

impl Sample {
    pub fn new(name: &str) -> Sample {
        let folder = tempfile::tempdir().expect("a folder");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/served").join(name);
        let compiled = Command::new("gcc")
            .args(["-g", "-O0", "-pthread", "-o"])
            .arg(folder.path().join("program"))
            .arg(source)
            .status()
            .expect("gcc runs");
        assert!(compiled.success());
        Sample { folder }
    }

    pub fn program(&self) -> PathBuf {
        self.folder.path().join("program")
    }
}

/// gdb and what it is told.
fn gdb(sample: &Sample, target: &str, lines: &[&str]) -> Vec<OsString> {
    let program = sample.program().display().to_string();
    let mut words: Vec<OsString> = ["gdb", "-nx", "-q", "-batch"].map(OsString::from).to_vec();
    let before = [
        "set sysroot /".to_owned(),
        "set width 0".to_owned(),
        "set height 0".to_owned(),
        "set breakpoint pending on".to_owned(),
        "set startup-with-shell off".to_owned(),
        "set debug-file-directory /none".to_owned(),
        format!("file {program}"),
        format!("target extended-remote {target}"),
        format!("set remote exec-file {program}"),
    ];
    for line in before.iter().map(String::as_str).chain(lines.iter().copied()) {
        words.push("-ex".into());
        words.push(line.into());
    }
    words.push("-ex".into());
    words.push("echo the end\\n".into());
    words
}

fn silent() -> nix::pty::OpenptyResult {
    let pty = openpty(None, None).expect("a pty");
    let mut modes = tcgetattr(&pty.slave).expect("modes");
    modes.local_flags.remove(LocalFlags::ECHO);
    modes.output_flags.remove(OutputFlags::OPOST);
    tcsetattr(&pty.slave, SetArg::TCSANOW, &modes).expect("no echo");
    pty
}

/// What waits to be read.
fn drain(from: &OwnedFd, into: &mut String) {
    let mut buffer = [0u8; 65536];
    loop {
        let mut wanted = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        match poll(&mut wanted, PollTimeout::ZERO) {
            Ok(n) if n > 0 => {}
            _ => return,
        }
        match nix::unistd::read(from, &mut buffer) {
            Ok(n) if n > 0 => into.push_str(&String::from_utf8_lossy(&buffer[..n])),
            _ => return,
        }
    }
}

/// A session at the supervisor.
pub struct Session {
    pub client: Client,
    debugger: OwnedFd,
    terminal: OwnedFd,
    /// What gdb has printed.
    pub output: String,
    /// What the program has printed.
    pub printed: String,
}

impl Session {
    pub fn start(sample: &Sample, lines: &[&str]) -> Session {
        let (debugger, program) = (silent(), silent());
        let supervisor = Path::new(env!("CARGO_BIN_EXE_fred-ckpt"));
        let mut client =
            Client::start(supervisor, &["__supervisor"], debugger.slave, Some(program.slave)).expect("a supervisor");
        let socket = client.serve().expect("a socket").into_string().expect("text");
        client.launch(&gdb(sample, &socket, lines)).expect("launch");
        Session {
            client,
            debugger: debugger.master,
            terminal: program.master,
            output: String::new(),
            printed: String::new(),
        }
    }

    /// The next event.
    pub fn wait(&mut self) -> Event {
        let begin = Instant::now();
        loop {
            let event = self.client.event().expect("a supervisor");
            drain(&self.debugger, &mut self.output);
            drain(&self.terminal, &mut self.printed);
            if let Some(event) = event {
                return event;
            }
            let left = PATIENCE.saturating_sub(begin.elapsed());
            let left = PollTimeout::try_from(left).expect("a time");
            let mut wanted = [
                PollFd::new(self.client.descriptor(), PollFlags::POLLIN),
                PollFd::new(self.debugger.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.terminal.as_fd(), PollFlags::POLLIN),
            ];
            let happened = poll(&mut wanted, left).expect("poll");
            assert!(happened > 0, "it hangs; gdb: {}\nprogram: {}", self.output, self.printed);
        }
    }

    /// Waits for an event that is wanted.
    pub fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.wait();
            if wanted(&event) {
                return event;
            }
            assert!(!matches!(event, Event::Exited { .. }), "gdb has ended; it printed: {}", self.output);
        }
    }
}

/// What gdb shows at the supervisor.
pub fn by_us(sample: &Sample, lines: &[&str]) -> String {
    let mut session = Session::start(sample, lines);
    session.until_end();
    plain(&session.output)
}

impl Session {
    /// Waits for the end of gdb.
    pub fn until_end(&mut self) {
        loop {
            if matches!(self.wait(), Event::Exited { .. }) {
                return;
            }
        }
    }
}

/// What gdb shows at gdbserver.
pub fn by_gdbserver(sample: &Sample, lines: &[&str]) -> String {
    let mut server = Command::new("gdbserver")
        .args(["--multi", "--once", "localhost:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("gdbserver runs");
    let mut said = BufReader::new(server.stderr.take().expect("a pipe"));
    let port = loop {
        let mut line = String::new();
        assert!(said.read_line(&mut line).expect("text") > 0, "gdbserver does not listen");
        if let Some(port) = line.trim().strip_prefix("Listening on port ") {
            break port.to_owned();
        }
    };
    let words = gdb(sample, &format!("localhost:{port}"), lines);
    let done = Command::new("timeout").arg("40").args(&words).stdin(Stdio::null()).output().expect("gdb runs");
    server.kill().ok();
    server.wait().ok();
    let mut rest = String::new();
    said.read_to_string(&mut rest).ok();
    plain(&(String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)))
}

/// Lines that say something of the program, without ids and addresses, which differ.
fn plain(output: &str) -> String {
    let ids = regex::Regex::new(r"(Thread|process|LWP|Remote target, process|Inferior 1 \(process) \d+(\.\d+)?")
        .expect("a pattern");
    let addresses = regex::Regex::new(r"0x[0-9a-f]+").expect("a pattern");
    let chatter = ["Reading ", "warning: ", "[Detaching", "[New Thread", "[Switching"];
    let mut plain = String::new();
    for line in output.lines() {
        let line = line.trim_end();
        if chatter.iter().any(|start| line.starts_with(start)) {
            continue;
        }
        let line = ids.replace_all(line, "$1 ID");
        plain += &addresses.replace_all(&line, "ADDRESS");
        plain.push('\n');
    }
    plain
}
