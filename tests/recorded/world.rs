//! A folder with a program in it and a server beside it, a session there, and what it leaves behind.
#![allow(dead_code)]

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// The debugger of Python programs.
pub const PDB: &[&str] = &["python3", "-m", "pdb"];

/// See above.
pub struct World {
    _own: Option<tempfile::TempDir>,
    path: PathBuf,
    /// What the server was told.
    heard: Arc<Mutex<Vec<String>>>,
    output: RefCell<String>,
    diverged: RefCell<usize>,
}

impl World {
    /// A folder of its own.
    pub fn new() -> World {
        let own = tempfile::tempdir().expect("a directory");
        let path = own.path().to_owned();
        World { _own: Some(own), ..World::at(&path) }
    }

    /// In a folder that is there. The server answers every line by a number that it has not used before.
    pub fn at(path: &Path) -> World {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listener = UnixListener::bind(path.join("server")).expect("a socket");
        let noted = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut number = std::process::id();
            for client in listener.incoming() {
                let Ok(mut client) = client else { return };
                let Ok(reader) = client.try_clone() else { return };
                for line in BufReader::new(reader).lines() {
                    let Ok(line) = line else { break };
                    noted.lock().expect("the server").push(line);
                    number += 1;
                    if writeln!(client, "{number}").is_err() {
                        break;
                    }
                }
            }
        });
        World { _own: None, path: path.to_owned(), heard, output: RefCell::default(), diverged: RefCell::default() }
    }

    /// Puts a file there.
    pub fn file(self, name: &str, text: &str) -> World {
        std::fs::write(self.path.join(name), text).expect("a file");
        self
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path.join(name)).expect("a file")
    }

    /// Runs lines below fred; what came of each.
    pub fn fred(&self, debugger: &[&str], program: &[&str], lines: &[String]) -> Vec<Value> {
        self.fred_with(&[], debugger, program, lines)
    }

    /// The same with options.
    pub fn fred_with(&self, options: &[&str], debugger: &[&str], program: &[&str], lines: &[String]) -> Vec<Value> {
        self.fred_in(&[], options, debugger, program, lines)
    }

    /// The same with more variables in the environment.
    pub fn fred_in(
        &self,
        variables: &[(&str, &str)],
        options: &[&str],
        debugger: &[&str],
        program: &[&str],
        lines: &[String],
    ) -> Vec<Value> {
        let events = self.path.join("events");
        let mut command = Command::new(env!("CARGO_BIN_EXE_fred"));
        command.args(options).arg("--batch").arg("--json").arg(&events);
        for line in lines {
            command.args(["-e", line]);
        }
        command.arg("--").args(debugger).args(program);
        let done = command
            .current_dir(&self.path)
            .env("TERM", "dumb")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .expect("fred runs");
        *self.output.borrow_mut() = String::from_utf8_lossy(&done.stdout).into_owned();
        let text = std::fs::read_to_string(&events).expect("events");
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        assert_eq!(events.last().map(|event| &event["event"]), Some(&Value::from("end")), "{done:?}");
        *self.diverged.borrow_mut() = events.iter().filter(|event| event["event"] == "diverged").count();
        events.into_iter().filter(|event| event["event"] == "command" || event["event"] == "fred").collect()
    }

    /// What was shown.
    pub fn output(&self) -> String {
        self.output.borrow().clone()
    }

    /// Lines of fred's own that begin so.
    pub fn told(&self, text: &str) -> Vec<String> {
        let output = self.output.borrow();
        let own = output.lines().filter_map(|line| line.strip_prefix("fred: "));
        own.filter(|line| line.starts_with(text)).map(str::to_owned).collect()
    }

    /// How many `diverged` events there were.
    pub fn diverged(&self) -> usize {
        *self.diverged.borrow()
    }

    /// Files, folders and the server are as after one plain run of three rounds.
    pub fn has_what_one_run_leaves(&self, lines: &[String], events: &[Value]) {
        let expected: String = (0..3).map(|round| format!("line {round}\nchild\n")).collect();
        let said = ["say 0", "say 1", "say 2"];
        if !events.iter().any(|event| event["stop"]["reason"] == "exited") {
            // Moves can lead to before the program's start, and leave it there.
            let log = std::fs::read_to_string(self.path.join("log.txt")).unwrap_or_default();
            assert!(expected.starts_with(&log), "{lines:?}\n{}", self.output());
            let heard = self.heard.lock().expect("the server").clone();
            assert!(said.starts_with(&heard.iter().map(String::as_str).collect::<Vec<_>>()), "{heard:?} {lines:?}");
            return;
        }
        assert_eq!(self.read("log.txt"), expected, "{lines:?}\n{}", self.output());
        for round in 0..3 {
            assert!(self.path.join(format!("dir{round}")).is_dir(), "{lines:?}");
        }
        let heard = self.heard.lock().expect("the server").clone();
        assert_eq!(heard, said, "{lines:?}\n{}", self.output());
    }
}
