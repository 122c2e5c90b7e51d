//! A folder with a program in it, somebody to talk to beside it, and what is there in the end.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::programs::{Language, Program};

/// What a run has left behind: by path what is there, by socket what was heard, and the lines of the program.
#[derive(Debug, PartialEq, Eq)]
pub struct Left {
    pub files: BTreeMap<PathBuf, String>,
    pub heard: BTreeMap<PathBuf, String>,
    pub said: Vec<String>,
}

/// See above.
pub struct World {
    folder: tempfile::TempDir,
    peer: Child,
    ports: Vec<String>,
    language: Language,
}

/// The longest that a run may take, in seconds.
const DEADLINE: &str = "60";

impl World {
    pub fn new(language: Language, program: &Program) -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let (work, peers) = (folder.path().join("work"), folder.path().join("peer"));
        std::fs::create_dir(&work).expect("a folder");
        std::fs::create_dir(&peers).expect("a folder");
        match language {
            Language::Python => std::fs::write(work.join("program.py"), &program.text).expect("a file"),
            Language::C => {
                std::fs::write(work.join("program.c"), &program.text).expect("a file");
                let compiler = Command::new("gcc")
                    .args(["-g", "-O0", "-w", "-pthread", "-o", "program", "program.c"])
                    .current_dir(&work)
                    .status();
                assert!(compiler.expect("gcc runs").success());
            }
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/effects/peer.py");
        let mut peer = Command::new("python3")
            .arg(script)
            .current_dir(&peers)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let mut line = String::new();
        BufReader::new(peer.stdout.take().expect("a pipe")).read_line(&mut line).expect("its ports");
        let ports = line.split_whitespace().map(str::to_owned).collect();
        World { folder, peer, ports, language }
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// The folder stays, to be looked at.
    pub fn keep(mut self) -> PathBuf {
        let _ = self.peer.kill();
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", DEADLINE]).args(words).current_dir(self.work()).stdin(Stdio::null());
        command.env("TCP_PORT", &self.ports[0]).env("UDP_PORT", &self.ports[1]).env("TERM", "dumb");
        command.env("FRED_TEST_MARK", self.mark()).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// What the processes of this world have in their environment.
    pub fn mark(&self) -> String {
        format!("mark-{}", self.folder.path().display())
    }

    /// The program by itself; what it printed.
    pub fn plain(&self) -> String {
        let words: &[&str] = match self.language {
            Language::C => &["./program"],
            Language::Python => &["python3", "program.py"],
        };
        let done = self.command(words).output().expect("the program runs");
        assert!(done.status.success(), "{done:?}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// Lines in a session with it; events and what was shown. The last event is missing if the session did not come to its end.
    pub fn session(&self, lines: &[String]) -> (Vec<serde_json::Value>, String) {
        let events = self.folder.path().join("events");
        let mut command =
            self.command(&[env!("CARGO_BIN_EXE_fred"), "--batch", "--json", events.to_str().expect("a path")]);
        for line in lines {
            command.args(["-e", line]);
        }
        let debugger: &[&str] = match self.language {
            Language::C => &["gdb", "-q", "-nx", "./program"],
            Language::Python => &["python3", "-m", "pdb", "program.py"],
        };
        let done = command.arg("--").args(debugger).output().expect("fred runs");
        let text = std::fs::read_to_string(&events).unwrap_or_default();
        let events: Vec<serde_json::Value> = text.lines().map_while(|line| serde_json::from_str(line).ok()).collect();
        let output = String::from_utf8_lossy(&done.stdout).into_owned();
        (events, output)
    }

    /// What is there now, the peer having ended.
    pub fn left(&mut self, output: &str) -> Left {
        drop(self.peer.stdin.take());
        assert!(self.peer.wait().expect("the peer").success());
        let mut files = BTreeMap::new();
        gather(&self.work(), Path::new(""), &mut files);
        files.retain(|path, _| !path.starts_with("program") && !path.starts_with("program.c"));
        files.remove(Path::new("program.py"));
        let mut heard = BTreeMap::new();
        gather(&self.folder.path().join("peer"), Path::new(""), &mut heard);
        // It may follow other text. A debugger that shows the source shows the words, too, but no number.
        let said = output.match_indices("out: ").filter_map(|(at, _)| output[at..].lines().next());
        let said = said.filter(|line| line[5..].starts_with(|first: char| first.is_ascii_digit()));
        Left { files, heard, said: said.map(str::to_owned).collect() }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.peer.kill();
        let _ = self.peer.wait();
    }
}

/// What is below a folder: kind, mode and contents.
fn gather(top: &Path, below: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in std::fs::read_dir(top.join(below)).expect("a folder").flatten() {
        let name = below.join(entry.file_name());
        let path = top.join(&name);
        let kind = entry.file_type().expect("a kind");
        let contents = if kind.is_symlink() {
            format!("-> {}", std::fs::read_link(&path).expect("a link").display())
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).expect("a file");
            String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned() + &format!(" ({})", bytes.len())
        } else {
            format!("{kind:?}")
        };
        let mode = std::fs::symlink_metadata(&path).expect("its mode").permissions().mode();
        found.insert(name.clone(), format!("{mode:o} {contents}"));
        if kind.is_dir() {
            gather(top, &name, found);
        }
    }
}
