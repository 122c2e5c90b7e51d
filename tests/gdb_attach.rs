//! Attaching below fred to a process that runs already: it was there before the session, and lives on after it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// `tests/gdb/beats.c`, running.
struct Running {
    folder: tempfile::TempDir,
    process: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Running {
    fn new(threads: &str) -> Running {
        let folder = tempfile::tempdir().expect("a folder");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gdb/beats.c");
        let mut gcc = Command::new("gcc");
        gcc.args(["-g", "-O0", "-pthread", "-o"]).arg(folder.path().join("program")).arg(source);
        assert!(gcc.status().expect("gcc runs").success());
        let mut process = Command::new(folder.path().join("program"))
            .arg(threads)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        Running { folder, process }
    }

    /// A session; what was shown line by line, and whether it was done.
    fn fred(&self, arguments: &[&str], lines: &[&str]) -> Vec<(String, bool)> {
        let events = self.folder.path().join("events");
        let mut command = Command::new(env!("CARGO_BIN_EXE_fred"));
        command.arg("--batch").arg("--json").arg(&events);
        for line in ["set debug-file-directory /none"].iter().chain(lines) {
            command.args(["-e", line]);
        }
        command.args(["--", "gdb", "-q", "-nx"]).args(arguments);
        let done = command.current_dir(self.folder.path()).env("TERM", "dumb").stdin(Stdio::null()).output();
        let done = done.expect("fred runs");
        let text = std::fs::read_to_string(&events).expect("events");
        let events = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("an object"));
        let told: Vec<(String, bool)> = events
            .filter(|event| event["event"] == "command" || event["event"] == "fred")
            .skip(1)
            .map(|event| match event["event"].as_str() {
                Some("command") => (event["output"].as_str().unwrap_or("").to_owned(), true),
                _ => (event["error"].as_str().unwrap_or("").to_owned(), event["ok"] == true),
            })
            .collect();
        assert_eq!(told.len(), lines.len(), "{done:?}");
        told
    }

    /// Ends it as it ends by itself.
    fn status(&mut self) -> Option<i32> {
        self.process.wait().expect("its end").code()
    }
}

#[test]
fn a_process_lives_on_when_the_session_ends() {
    for threads in ["0", "2"] {
        let mut running = Running::new(threads);
        let pid = running.process.id().to_string();
        let lines = ["break beat", "continue", "print beats >= 0", "info threads", "set var stop = 1"];
        let told = running.fred(&["./program", "-p", &pid], &lines);
        assert!(told[1].0.contains("Breakpoint 1, beat"), "{told:?}");
        assert!(told[2].0.contains("= 1"), "{told:?}");
        let shown = told[3].0.lines().filter(|line| line.contains("\"program\"")).count();
        assert_eq!(shown.to_string(), format!("{}", threads.parse::<usize>().expect("a number") + 1), "{told:?}");
        // No breakpoint is left in it, and nobody stops it any more.
        assert_eq!(running.status(), Some(3));
    }
}

#[test]
fn a_process_that_is_detached_goes_on() {
    let mut running = Running::new("1");
    let attach = format!("attach {}", running.process.id());
    let told = running
        .fred(&["./program"], &[&attach, "break beat", "continue", "set var stop = 1", "detach", "info program"]);
    assert!(told[4].0.contains("Detaching from program"), "{told:?}");
    assert!(told[5].0.contains("not being run"), "{told:?}");
    assert_eq!(running.status(), Some(3));
}

#[test]
fn what_was_attached_to_can_be_taken_back() {
    let running = Running::new("0");
    let attach = format!("attach {}", running.process.id());
    let lines = [
        attach.as_str(),
        "break beat",
        "continue",
        "set $at = beats",
        "next",
        "next",
        "print beats - $at",
        "fred-reverse-next",
        "print beats - $at",
        "fred-undo",
        "print beats - $at",
        "set var stop = 1",
        "detach",
    ];
    let told = running.fred(&["./program"], &lines);
    assert!(told.iter().all(|(_, done)| *done), "{told:?}");
    let values: Vec<&str> = [6, 8, 10].into_iter().map(|line| told[line].0.trim()).collect();
    assert_eq!(values, ["$1 = 1", "$2 = 0", "$2 = 1"], "{told:?}");
}

#[test]
fn what_cannot_be_attached_to_is_refused() {
    let running = Running::new("0");
    let told = running.fred(&["./program"], &["attach 999999999", "attach nothing", "print 1"]);
    assert!(told[0].0.contains("failed"), "{told:?}");
    assert!(told[2].0.contains("= 1"), "{told:?}");
}

#[test]
fn threads_of_an_attached_process_do_not_keep_from_going_back() {
    for threads in ["2", "idle"] {
        let running = Running::new(threads);
        let pid = running.process.id().to_string();
        let lines = [
            "break beat",
            "continue",
            "set $at = beats",
            "next",
            "next",
            "print beats - $at",
            "fred-reverse-next",
            "print beats - $at",
            "fred-undo",
            "print beats - $at",
            "fred-reverse-watch beats",
            "continue",
            "fred-reverse-next",
            "set var stop = 1",
        ];
        let told = running.fred(&["./program", "-p", &pid], &lines);
        // A thread that wakes up now and then need not be met again where it was: that is said, and soon. What is undone is then
        // the second `next`, and behind it lies nothing in which the beats changed.
        let went = told[6].1;
        let expected = |(index, (text, done)): (usize, &(String, bool))| {
            *done
                || text.contains("did not replay the same way")
                || index == 10 && !went && text.contains("since the start of the history")
        };
        assert!(told.iter().enumerate().all(expected), "{told:?}");
        let certain = if threads == "idle" { lines.len() } else { 6 };
        assert!(told[..certain].iter().all(|(_, done)| *done), "{told:?}");
        let values: Vec<&str> = [5, 7, 9].into_iter().map(|line| told[line].0.trim()).collect();
        assert_eq!((values[0], values[2]), ("$1 = 1", if went { "$2 = 1" } else { "$1 = 0" }), "{told:?}");
        assert!(!went || values[1] == "$2 = 0", "{told:?}");
    }
}
