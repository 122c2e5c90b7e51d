//! The trace oracle for native programs: `check.py` does one program, this runs it over many.
//!
//! The environment decides what is tried (`run` sets it): `FRED_ORACLE_COUNT` random programs from seed `FRED_ORACLE_SEED` on.

use std::path::{Path, PathBuf};
use std::process::Command;

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle_c")
}

fn number(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is {text}, which is no number")),
        Err(_) => otherwise,
    }
}

fn check(debugger: &str, flags: &str, seed: u64, program: Option<&Path>) -> Result<String, String> {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = Command::new("python3");
    command.arg(here().join("check.py")).arg(env!("CARGO_BIN_EXE_fred")).arg(debugger).arg(seed.to_string());
    command.arg(directory.path()).args(program).env("ORACLE_FLAGS", flags);
    let done = command.output().expect("python3 runs");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    if done.status.success() { Ok(said) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
}

/// Random programs, the debuggers and the compiler's flags taking turns.
pub fn random_programs(debuggers: &[String], flags: &[&str]) {
    let (count, first) = (number("FRED_ORACLE_COUNT", 8), number("FRED_ORACLE_SEED", 1));
    let mut wrong = Vec::new();
    for ((seed, debugger), flags) in (first..first + count).zip(debuggers.iter().cycle()).zip(flags.iter().cycle()) {
        match check(debugger, flags, seed, None) {
            Ok(said) => print!("{debugger}, {flags}, seed {seed}: {said}"),
            Err(why) => wrong.push(format!("{debugger}, {flags}: {why}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The written programs, each in two sessions.
pub fn written_programs(debuggers: &[String]) {
    let mut programs: Vec<PathBuf> = std::fs::read_dir(here().join("programs"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    programs.sort();
    assert!(!programs.is_empty());
    let mut wrong = Vec::new();
    let sessions = programs.iter().flat_map(|program| [(program, 1), (program, 2)]);
    for ((program, seed), debugger) in sessions.zip(debuggers.iter().cycle()) {
        match check(debugger, "-O0", seed, Some(program)) {
            Ok(said) => print!("{debugger}, {} with seed {seed}: {said}", program.display()),
            Err(why) => wrong.push(format!("{debugger}, {}: {why}", program.display())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
