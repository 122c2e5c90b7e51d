//! Runs `fred-ckpt replay-check` and reads what it found.

#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub struct Checked {
    pub output: Output,
    pub report: Option<serde_json::Value>,
}

impl Checked {
    pub fn status(&self) -> Option<i32> {
        self.output.status.code()
    }

    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// The program's exit status, as the report has it.
    pub fn program_status(&self) -> Option<i64> {
        self.report.as_ref()?["status"].as_i64()
    }

    pub fn is_same(&self) {
        let same = self.report.as_ref().is_some_and(|report| report["verdict"] == "same");
        assert!(self.status() == Some(0) && same, "{}", self.said());
    }
}

pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fred-ckpt"));
    command.stdin(Stdio::null()).arg("replay-check").arg("--json");
    command
}

pub fn check_in(folder: &Path, words: &[&str]) -> Checked {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("report.json");
    let output = program().arg(&path).arg("--").args(words).current_dir(folder).output().unwrap();
    let report = std::fs::read(&path).ok().map(|bytes| serde_json::from_slice(&bytes).unwrap());
    Checked { output, report }
}

pub fn check(words: &[&str]) -> Checked {
    check_in(Path::new("/"), words)
}

/// A sample for replays, compiled.
pub fn sample(name: &str, folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/replay").join(format!("{name}.c"));
    let program = folder.join(name);
    let output =
        Command::new("gcc").args(["-O1", "-w", "-pthread", "-o"]).arg(&program).arg(source).output().expect("gcc");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    program
}
