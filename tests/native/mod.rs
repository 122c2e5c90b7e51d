//! What the tests of sessions with native programs share.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// A C program of the samples, compiled.
pub struct Sample {
    directory: tempfile::TempDir,
}

impl Sample {
    pub fn new(name: &str) -> Sample {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-programs/c").join(name);
        Sample::of(name, &std::fs::read_to_string(source).expect("the source"))
    }

    /// Another program.
    pub fn of(name: &str, source: &str) -> Sample {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join(name), source).expect("the source");
        let compiled = Command::new("gcc")
            .args(["-g", "-O0", "-pthread", "-o", "program", name])
            .current_dir(directory.path())
            .status()
            .expect("gcc runs");
        assert!(compiled.success());
        Sample { directory }
    }

    /// Programs of `tests/native/programs`, made by commands of the shell; the one that is debugged is called `program`.
    pub fn made(sources: &[&str], commands: &str) -> Sample {
        let directory = tempfile::tempdir().expect("a directory");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/native/programs");
        for source in sources {
            std::fs::copy(folder.join(source), directory.path().join(source)).expect("the source");
        }
        let made = Command::new("sh").args(["-ec", commands]).current_dir(directory.path()).output().expect("a shell");
        assert!(made.status.success(), "{commands}: {}", String::from_utf8_lossy(&made.stderr));
        Sample { directory }
    }

    /// One that has been compiled in a folder, as `program`.
    pub fn at(directory: tempfile::TempDir) -> Sample {
        Sample { directory }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs lines below fred, with a debugger; what came of each line but the first.
    pub fn fred(&self, debugger: &[&str], lines: &[&str]) -> Vec<Value> {
        self.fred_with(&[], debugger, lines)
    }

    /// The same, with options of fred's.
    pub fn fred_with(&self, options: &[&str], debugger: &[&str], lines: &[&str]) -> Vec<Value> {
        let events = self.path().join("events");
        let mut command = Command::new(env!("CARGO_BIN_EXE_fred"));
        command.arg("--batch").arg("--json").arg(&events).args(options);
        if let Some(log) = std::env::var_os("FRED_TEST_LOG") {
            command.arg("--log").arg(log);
        }
        for line in lines {
            command.args(["-e", line]);
        }
        command.arg("--").args(debugger).arg("./program");
        let mark = format!("mark-{}", self.path().display());
        let done = command
            .current_dir(self.path())
            .env("TERM", "dumb")
            .env("FRED_TEST_MARK", &mark)
            .stdin(Stdio::null())
            .output()
            .expect("fred runs");
        let text = std::fs::read_to_string(&events).expect("events");
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        assert_eq!(events.last().map(|event| &event["event"]), Some(&Value::from("end")), "{done:?}");
        assert!(survivors(&mark).is_empty(), "processes survived: {:?}", survivors(&mark));
        let wanted = |event: &Value| event["event"] == "command" || event["event"] == "fred";
        events.into_iter().filter(wanted).skip(1).collect()
    }
}

/// Whether a program can be run by its name.
pub fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Processes that carry a mark in their environment.
pub fn survivors(mark: &str) -> Vec<PathBuf> {
    let processes = std::fs::read_dir("/proc").expect("proc").flatten().map(|entry| entry.path());
    let carries = |process: &PathBuf| {
        let Ok(environment) = std::fs::read(process.join("environ")) else { return false };
        // A zombie has none.
        environment.windows(mark.len()).any(|part| part == mark.as_bytes())
    };
    processes.filter(carries).collect()
}

/// Line and function of the stop that came of a line.
pub fn place(event: &Value) -> (Option<u64>, Option<&str>) {
    (event["stop"]["line"].as_u64(), event["stop"]["function"].as_str())
}

/// Whether a line did what it was asked.
pub fn is_done(event: &Value) -> bool {
    event["event"] == "command" || event["ok"] == true
}

/// What a line printed.
pub fn said(event: &Value) -> &str {
    event["output"].as_str().unwrap_or("")
}

/// The lldb of this machine: each that has a name of its own, oldest first.
pub fn lldbs() -> Vec<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named = |name: &String| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    let mut found: Vec<String> = (15..40).map(|version| format!("lldb-{version}")).filter(named).collect();
    if found.is_empty() {
        found.extend(Some("lldb".to_owned()).filter(named));
    }
    assert!(!found.is_empty(), "this test needs lldb, which is not in PATH; try: apt-get install lldb-16");
    found
}

/// The sources of a package that this workspace depends on.
pub fn package(name: &str) -> Option<PathBuf> {
    package_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"), name)
}

/// Sources that only `make test-all` fetches; none if they are not there.
pub fn further_package(name: &str) -> Option<PathBuf> {
    package_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/sources/Cargo.toml"), name)
}

fn package_of(manifest: &Path, name: &str) -> Option<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let known = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline"])
        // What there is for other systems is not downloaded.
        .args(["--filter-platform", "x86_64-unknown-linux-gnu", "--manifest-path"])
        .arg(manifest)
        .output()
        .expect("cargo runs");
    let known: Value = serde_json::from_slice(&known.stdout).ok()?;
    let found = known["packages"].as_array()?.iter().find(|found| found["name"] == name)?;
    Some(Path::new(found["manifest_path"].as_str()?).parent()?.to_owned())
}

/// Replaces a text in a source, where it must be once; the line in which it stands.
pub fn put_in(file: &Path, right: &str, wrong: &str) -> u64 {
    let text = std::fs::read_to_string(file).expect("a source");
    assert_eq!(text.matches(right).count(), 1, "{} is another one", file.display());
    std::fs::write(file, text.replace(right, wrong)).expect("a source");
    let before = text.split(right).next().expect("it is there");
    before.matches('\n').count() as u64 + 1
}
