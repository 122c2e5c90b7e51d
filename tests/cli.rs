//! The `fred` program from outside, as far as no debugger is needed.

use std::process::{Command, Output, Stdio};

fn fred(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fred")).args(words).stdin(Stdio::null()).output().expect("fred starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

#[test]
fn help_and_version() {
    let help = fred(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let text = stdout(&help);
    for word in [
        "fred [OPTIONS] -- DEBUGGER [ARG...]",
        "bisect",
        "resume",
        "demo",
        "doctor",
        "completions",
        "--source",
        "--ex",
        "--batch",
        "--json",
        "--tui",
        "--checkpoint-every",
        "--memory-limit",
        "--log",
        "--stop-on-error",
    ] {
        assert!(text.contains(word), "{word} is missing in\n{text}");
    }
    let version = fred(&["--version"]);
    assert_eq!(version.status.code(), Some(0));
    assert_eq!(stdout(&version), format!("fred {}\n", env!("CARGO_PKG_VERSION")));
    let bisect = stdout(&fred(&["bisect", "--help"]));
    for word in ["--watch", "--good", "--start", "--until", "--jobs", "--json", "--report"] {
        assert!(bisect.contains(word), "{word} is missing in\n{bisect}");
    }
}

#[test]
fn usage_errors_have_status_2_and_say_something() {
    for words in [
        &[][..],
        &["--nonsense", "--", "pdb"],
        &["python3", "-m", "pdb", "x.py"],
        &["--batch"],
        &["-x", "/nowhere/at/all", "--", "python3", "-m", "pdb", "x.py"],
        &["--json", "/nowhere/at/all", "--", "python3", "-m", "pdb", "x.py"],
        &["--log", "/nowhere/at/all", "--", "python3", "-m", "pdb", "x.py"],
        &["--checkpoint-every", "soon", "--", "python3", "-m", "pdb", "x.py"],
        &["--tui", "--", "python3", "-m", "pdb", "x.py"],
        &["bisect", "--", "python3", "-m", "pdb", "x.py"],
        &["bisect", "--watch", "x", "--report", "x.pdf", "--", "python3", "-m", "pdb", "x.py"],
        &["resume", "saved"],
        &["demo", "cobol"],
    ] {
        let output = fred(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert_eq!(stdout(&output), "", "{words:?}");
        assert!(!stderr(&output).is_empty(), "{words:?}");
    }
}

#[test]
fn a_demo_without_a_compiler_says_what_to_install() {
    let output = Command::new(env!("CARGO_BIN_EXE_fred"))
        .args(["demo", "gdb"])
        .env("PATH", "/nowhere/at/all")
        .stdin(Stdio::null())
        .output()
        .expect("fred starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("apt-get install gcc"), "{}", stderr(&output));
}

#[test]
fn completions_for_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let output = fred(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains("bisect"), "{shell}");
    }
}

#[test]
fn doctor_says_the_same_in_both_ways() {
    let (text, json) = (fred(&["doctor"]), fred(&["doctor", "--json"]));
    assert_eq!(text.status.code(), json.status.code());
    let found: serde_json::Value = serde_json::from_str(&stdout(&json)).expect("JSON");
    assert_eq!(found["ok"] == true, json.status.code() == Some(0));
    let checks = found["checks"].as_array().expect("checks");
    for name in ["kernel", "architecture", "ptrace", "seccomp", "terminals", "pdb", "gdb", "lldb"] {
        let check = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no check {name}"));
        assert!(check["ok"].is_boolean() && check["detail"].is_string(), "{check}");
        assert_eq!(check["ok"] == false, check["mend"].is_string(), "{check}");
        assert!(stdout(&text).contains(name));
    }
}
