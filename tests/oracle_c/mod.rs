//! The trace oracle for native programs: `check.py` does one program, this runs it over many.
//!
//! The environment decides what is tried (`run` sets it): `FRED_ORACLE_COUNT` random programs from seed `FRED_ORACLE_SEED` on.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle_c")
}

fn number(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is {text}, which is no number")),
        Err(_) => otherwise,
    }
}

fn check(case: &Case<'_>) -> Result<String, String> {
    let Case { debugger, flags, seed, program, kind } = case;
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = Command::new("python3");
    command.arg(here().join("check.py")).arg(env!("CARGO_BIN_EXE_fred")).arg(debugger).arg(seed.to_string());
    command.arg(directory.path()).args(*program).env("ORACLE_FLAGS", flags).env("ORACLE_KIND", kind);
    let done = command.output().expect("python3 runs");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    if done.status.success() { Ok(said) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
}

/// One program in a debugger.
struct Case<'a> {
    debugger: &'a str,
    flags: &'a str,
    seed: u64,
    program: Option<&'a Path>,
    /// What kind of session, if not one that steps.
    kind: &'a str,
}

/// Checks all cases, two at a time: a session is mostly one process that waits for another.
fn check_all(cases: &[Case<'_>]) {
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let program = case.program.map_or_else(|| "a random program".into(), Path::to_string_lossy);
                    let what = format!("{}, {program}, {}, seed {}", case.debugger, case.flags, case.seed);
                    match check(case) {
                        Ok(said) => print!("{what}: {said}"),
                        Err(why) => wrong.lock().expect("no panic").push(format!("{what}: {why}")),
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Random programs, the debuggers and the compiler's flags taking turns.
pub fn random_programs(debuggers: &[String], flags: &[&str]) {
    random("", debuggers, flags);
}

/// The same with sessions that go between breakpoints.
pub fn random_breakpoints(debuggers: &[String], flags: &[&str]) {
    random("breakpoints", debuggers, flags);
}

fn random(kind: &str, debuggers: &[String], flags: &[&str]) {
    let (count, first) = (number("FRED_ORACLE_COUNT", 8), number("FRED_ORACLE_SEED", 1));
    let turns = (first..first + count).zip(debuggers.iter().cycle()).zip(flags.iter().cycle());
    let cases: Vec<Case<'_>> =
        turns.map(|((seed, debugger), flags)| Case { debugger, flags, seed, program: None, kind }).collect();
    check_all(&cases);
}

/// The written programs, each in two sessions that step and one that goes between breakpoints.
pub fn written_programs(debuggers: &[String]) {
    let mut programs: Vec<PathBuf> = std::fs::read_dir(here().join("programs"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    programs.sort();
    assert!(!programs.is_empty());
    let sessions = programs.iter().flat_map(|program| [(program, 1), (program, 2)]);
    let mut cases: Vec<Case<'_>> = sessions
        .zip(debuggers.iter().cycle())
        .map(|((program, seed), debugger)| Case { debugger, flags: "-O0", seed, program: Some(program), kind: "" })
        .collect();
    let more = programs.iter().zip(debuggers.iter().cycle());
    cases.extend(more.map(|(program, debugger)| Case {
        debugger,
        flags: "-O0",
        seed: 3,
        program: Some(program),
        kind: "breakpoints",
    }));
    check_all(&cases);
}
