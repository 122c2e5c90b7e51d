//! The sessions of `tests/gdb/*.gdb`, typed to plain gdb on a terminal and below fred: what is shown must be the same. The
//! programs stand beside them.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{LocalFlags, OutputFlags, SetArg, tcgetattr, tcsetattr};
use regex::Regex;
use serde_json::Value;

/// Milliseconds after which a session is taken to hang.
const PATIENCE: u16 = 60_000;

/// What makes sessions comparable: no questions, no folding of lines, no symbols that only some machines have.
const FIRST: [&str; 4] = ["set confirm off", "set width 0", "set height 0", "set debug-file-directory /none"];

/// A session and its program, in a folder of its own.
struct Session {
    folder: tempfile::TempDir,
    lines: Vec<String>,
    arguments: Vec<String>,
}

impl Session {
    /// Compiles the source of a program with a compiler and its options.
    fn new(name: &str, compile: &str) -> Session {
        let folder = tempfile::tempdir().expect("a folder");
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gdb");
        let script = std::fs::read_to_string(sources.join(name).with_extension("gdb")).expect("a session");
        std::fs::write(folder.path().join("input"), "a\nb\n").expect("a file");
        let lines = FIRST.into_iter().chain(script.lines()).map(str::to_owned).collect();
        let session = Session { folder, lines, arguments: Vec::new() };
        session.compile(&format!("{compile} -o program"));
        session
    }

    fn compile(&self, command: &str) {
        let mut words = command.split(' ').map(|word| match word.rsplit_once('.') {
            Some((_, "c" | "cc")) => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gdb").join(word),
            _ => PathBuf::from(word),
        });
        let compiler = words.next().expect("a compiler");
        let mut command = Command::new(compiler);
        command.args(["-g", "-O0", "-pthread"]).args(words).current_dir(self.folder.path());
        assert!(command.status().expect("a compiler").success(), "{command:?}");
    }

    fn with(mut self, arguments: &[&str]) -> Session {
        self.arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        self
    }

    /// gdb's command line.
    fn gdb(&self) -> Vec<String> {
        let words = ["gdb", "-q", "-nx", "--args", "./program"].into_iter().map(str::to_owned);
        words.chain(self.arguments.iter().cloned()).collect()
    }

    fn prepare(&self, command: &mut Command, output: &str) {
        command.current_dir(self.folder.path()).env("TERM", "dumb").env("OUT", self.folder.path().join(output));
    }

    /// What plain gdb shows, line by line.
    fn plain(&self) -> Vec<String> {
        let pty = nix::pty::openpty(None, None).expect("a terminal");
        let mut modes = tcgetattr(&pty.slave).expect("modes");
        modes.local_flags.remove(LocalFlags::ECHO);
        modes.output_flags.remove(OutputFlags::OPOST);
        tcsetattr(&pty.slave, SetArg::TCSANOW, &modes).expect("modes");
        let end = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
        // A terminal of its own, so that the program is the one who reads it.
        let mut command = Command::new("setsid");
        command.arg("-c").args(self.gdb()).stdin(end()).stdout(end()).stderr(end());
        self.prepare(&mut command, "plain");
        let mut gdb = command.spawn().expect("gdb runs");
        drop(pty.slave);
        let mut master = std::fs::File::from(pty.master.try_clone().expect("a descriptor"));
        let mut shown = Vec::new();
        prompt(&pty.master, "its start");
        for line in &self.lines {
            master.write_all(format!("{line}\n").as_bytes()).expect("a line is typed");
            shown.push(prompt(&pty.master, line));
        }
        gdb.kill().expect("gdb is there until then");
        gdb.wait().expect("its end");
        shown
    }

    /// What fred shows, line by line.
    fn fred(&self) -> Vec<String> {
        let events = self.folder.path().join("events");
        let mut command = Command::new(env!("CARGO_BIN_EXE_fred"));
        command.arg("--batch").arg("--json").arg(&events);
        for line in &self.lines {
            command.args(["-e", line]);
        }
        command.arg("--").args(self.gdb()).stdin(Stdio::null());
        self.prepare(&mut command, "fred");
        let done = command.output().expect("fred runs");
        let text = std::fs::read_to_string(&events).expect("events");
        let events = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("an object"));
        let commands: Vec<Value> = events.filter(|event| event["event"] == "command").collect();
        let typed: Vec<&str> = commands.iter().filter_map(|event| event["line"].as_str()).collect();
        assert_eq!(typed, self.lines, "{done:?}");
        commands.iter().map(|event| event["output"].as_str().unwrap_or("").to_owned()).collect()
    }

    /// Both, and that they are alike; what was shown. The program and the debugger print on terminals of their own below fred:
    /// which of their lines comes first is not told by what each printed.
    fn alike(&self) -> String {
        let (plain, fred) = (self.plain(), self.fred());
        let both = |shown: &[String]| -> Vec<String> {
            let lines = self.lines.iter().zip(shown);
            lines.map(|(line, shown)| format!("(gdb) {line}\n{}", comparable(shown))).collect()
        };
        let (plain, fred) = (both(&plain), both(&fred));
        let mut wrong = String::new();
        for (plain, fred) in plain.iter().zip(&fred) {
            let (mut one, mut other): (Vec<&str>, Vec<&str>) = (plain.lines().collect(), fred.lines().collect());
            one.sort_unstable();
            other.sort_unstable();
            if one != other {
                wrong += &format!("\n--- plain gdb:\n{plain}--- below fred:\n{fred}");
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
        fred.concat()
    }
}

/// Reads up to a prompt, and gives what stands before it.
fn prompt(terminal: &OwnedFd, line: &str) -> String {
    let prompt = Regex::new(r"(\(gdb\) |(^|\n) *>)$").expect("a pattern");
    let mut reader = std::fs::File::from(terminal.try_clone().expect("a descriptor"));
    let mut text = String::new();
    let mut buffer = [0u8; 4096];
    loop {
        let mut wanted = [PollFd::new(terminal.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut wanted, PollTimeout::from(PATIENCE)).expect("poll");
        assert!(ready > 0, "plain gdb hangs at {line:?}: {text}");
        let read = reader.read(&mut buffer).expect("gdb is there");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        if let Some(found) = prompt.find(&text) {
            text.truncate(found.start());
            return text;
        }
    }
}

/// Without what is different each time, and what gdb says otherwise of every program that is served to it: how it names
/// threads, and that it does not tell of their end (README.md, "Limits").
fn comparable(text: &str) -> String {
    let replaced = [
        (r"0x[0-9a-f]+", "ADDRESS"),
        (r"Thread (ADDRESS|\d+\.\d+)( \(LWP \d+\))?", "Thread ID"),
        (r"(process|Process|LWP) \d+(\.\d+)?", "$1 ID"),
        (r"to child Thread ID", "to child process ID"),
        (r"  +", "  "),
    ];
    let mut text = text.to_owned();
    for (pattern, by) in replaced {
        text = Regex::new(pattern).expect("a pattern").replace_all(&text, by).into_owned();
    }
    let chatter = |line: &&str| {
        line.trim().is_empty()
            || line.contains("libthread_db")
            || line.starts_with("[Thread ID exited]")
            || line.starts_with("Reading symbols from ")
    };
    text.lines().filter(|line| !chatter(line)).map(|line| format!("{}\n", line.trim_end())).collect()
}

#[track_caller]
fn shows(output: &str, parts: &[&str]) {
    let mut rest = output;
    for part in parts {
        let Some(at) = rest.find(part) else { panic!("no {part:?} (in this order) in:\n{output}") };
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn structures_breakpoints_watchpoints_registers() {
    let output = Session::new("structs", "gcc structs.c").alike();
    shows(&output, &["Hardware watchpoint", "square of 5", "at cube 3", "libc.so.6"]);
}

#[test]
fn scripts_in_python_and_gdbs_own_language() {
    let output = Session::new("scripting", "gcc structs.c").alike();
    shows(&output, &["hello world", "stopped: StopEvent", "from the program"]);
}

#[test]
fn templates_exceptions_and_containers() {
    let output = Session::new("cxx", "g++ cxx.cc").alike();
    shows(&output, &["std::vector of length 5", "exception thrown", "deep::thrower (depth=0)"]);
}

#[test]
fn arguments_environment_and_redirections() {
    let output = Session::new("args", "gcc args.c").alike();
    shows(
        &output,
        &[
            "\"two words\", ADDRESS \"three here\", ADDRESS \"*.so\"",
            "lines: 2",
            "exited with code 02",
            "argument 1: [a b]",
        ],
    );
}

#[test]
fn arguments_of_the_command_line() {
    let session = Session::new("words", "gcc args.c");
    let output = session.with(&["a  b", "*", "$HOME", "it's", ""]).alike();
    shows(&output, &["\"a  b\", ADDRESS \"*\", ADDRESS \"$HOME\", ADDRESS \"it's\", ADDRESS \"\""]);
}

#[test]
fn threads_by_name_and_one_at_a_time() {
    let output = Session::new("workers", "gcc workers.c").alike();
    shows(&output, &["\"worker-0\"", "\"renamed\"", "exited normally"]);
}

#[test]
fn signals_handled_and_not() {
    let output = Session::new("signals", "gcc signals.c").alike();
    shows(&output, &["SIGUSR1", "SIGUSR2", "SIGABRT"]);
}

#[test]
fn children_of_every_kind_are_told_of() {
    let output = Session::new("family", "gcc family.c").alike();
    shows(&output, &["(forked process ID)", "(vforked process ID)", "[Detaching after vfork", "(exec'd "]);
}

#[test]
fn a_child_is_followed() {
    let output = Session::new("follow", "gcc family.c").alike();
    shows(&output, &["[Attaching after Thread ID fork", "worked (value=10)", "exited with code 013"]);
}

#[test]
fn thread_local_variables() {
    for compile in ["gcc tls.c", "gcc -static tls.c", "gcc -static-pie tls.c"] {
        let output = Session::new("tls", compile).alike();
        shows(&output, &["$1 = 7", "= 107"]);
    }
}

#[test]
fn thread_local_variables_of_a_library_that_is_loaded_late() {
    let session = Session::new("late", "gcc tls.c -ldl");
    session.compile("gcc -shared -fPIC -DLIBRARY tls.c -o late.so");
    let output = session.with(&["./late.so"]).alike();
    shows(&output, &["= 31", "= 31"]);
}

#[test]
fn calls_on_files_instruction_by_instruction() {
    let output = Session::new("calls", "gcc calls.c").alike();
    let shown = [
        "syscall",
        "1 pattern found",
        "= \"itte",
        "(call to syscall write)",
        "(returned from syscall write)",
        "Old value",
        "sum 2880, itte",
    ];
    shows(&output, &shown);
}

#[test]
fn crashes() {
    let output = Session::new("crash", "gcc signals.c").with(&["crash"]).alike();
    shows(&output, &["SIG37", "SIGSEGV, Segmentation fault", "= 11", "no longer exists"]);
}

#[test]
fn a_walk_through_loops_calls_and_registers() {
    let output = Session::new("walk", "gcc walk.c").alike();
    shows(
        &output,
        &[
            "Run till exit",
            "leaf of 3",
            "= 400",
            "Hardware read watchpoint",
            "Hardware watchpoint",
            "Hardware access (read/write) watchpoint",
            "= 52",
            "(call to syscall getppid)",
            "Continuing with signal SIGUSR1.",
            "SIGUSR1, User defined signal 1",
        ],
    );
}
