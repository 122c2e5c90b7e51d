//! Rarer commands of gdb and lldb below fred: core files, maps, what is refused, and gdb's own commands for going back.

mod native;

use std::path::Path;
use std::process::{Command, Stdio};

use native::{Sample, is_done, lldbs, place, said};
use serde_json::Value;

impl Sample {
    fn gdb(&self, lines: &[&str]) -> Vec<Value> {
        let lines: Vec<&str> = ["set debug-file-directory /none"].into_iter().chain(lines.iter().copied()).collect();
        self.fred(&["gdb", "-q", "-nx"], &lines)
    }
}

fn walk() -> Sample {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gdb/walk.c");
    Sample::of("walk.c", &std::fs::read_to_string(source).expect("the source"))
}

#[test]
fn a_core_file_of_the_past_is_read_by_plain_gdb() {
    let sample = walk();
    let events = sample.gdb(&[
        "break output",
        "run",
        "next",
        "fred-reverse-finish",
        "print total",
        "generate-core-file core.here",
        "info proc mappings",
    ]);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert!(said(&events[5]).contains("Saved corefile core.here"), "{}", events[5]);
    assert!(said(&events[6]).contains("/program") && said(&events[6]).contains("[stack]"), "{}", events[6]);
    let mut gdb = Command::new("gdb");
    gdb.args(["-q", "-nx", "-batch", "-ex", "bt", "-ex", "print total", "./program", "core.here"]);
    let done = gdb.current_dir(sample.path()).stdin(Stdio::null()).output().expect("gdb runs");
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(text.contains("main () at walk.c:42"), "{text}");
    assert!(text.contains(said(&events[4]).trim()), "{text}");
}

#[test]
fn what_cannot_work_is_refused_in_words_and_changes_nothing() {
    let lines =
        ["break output", "run", "tui enable", "layout src", "record", "target record-full", "checkpoint", "next"];
    let events = walk().gdb(&lines);
    for refused in &events[2..7] {
        assert_eq!(refused["ok"], false, "{refused}");
    }
    let why = |event: &Value| event["error"].as_str().unwrap_or("").to_owned();
    assert!(why(&events[2]).contains("full-screen view"), "{}", events[2]);
    assert!(why(&events[5]).contains("records the session already"), "{}", events[5]);
    assert_eq!(place(&events[7]), (Some(30), Some("output")), "{}", events[7]);
}

#[test]
fn gdbs_own_commands_for_going_back_are_freds() {
    let both = |prefix: &str| {
        let line = |move_: &str| format!("{prefix}{move_}");
        let moves = ["reverse-step", "reverse-next", "reverse-stepi", "reverse-finish", "reverse-continue"].map(line);
        let lines = ["break leaf if n > 1", "run", "continue", "continue", "next"].map(str::to_owned);
        let lines: Vec<String> = lines.into_iter().chain(moves).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let events = walk().gdb(&lines);
        assert!(events.iter().all(is_done), "{events:#?}");
        events[5..].iter().map(|event| (place(event).0, place(event).1.map(str::to_owned))).collect::<Vec<_>>()
    };
    let own = both("");
    assert_eq!(own, both("fred-"));
    assert_eq!(own.last(), Some(&(Some(10), Some("leaf".to_owned()))));
}

#[test]
fn commands_of_a_breakpoint_are_not_done_by_a_landing() {
    let events = walk().gdb(&[
        "break output",
        "run",
        "break leaf",
        "commands",
        "silent",
        "set $leaves = $leaves + 1",
        "continue",
        "end",
        "set $leaves = 0",
        // Lands where the breakpoint is, which goes on.
        "break branch",
        "fred-reverse-continue",
        "delete 3",
        "fred-undo 2",
        "tbreak 11 if n == 3",
        "fred-reverse-continue",
        "fred-reverse-step",
        "print $leaves",
        "print n",
        "continue",
        "print $leaves",
        "info breakpoints",
    ]);
    let of = |line: &str| events.iter().rev().find(|event| event["line"] == line || event["command"] == line);
    assert!(events.iter().all(is_done), "{events:#?}");
    let back: Vec<&Value> = events.iter().filter(|event| event["command"] == "reverse-continue").collect();
    assert_eq!(place(back[0]).1, Some("branch"), "{}", back[0]);
    assert_eq!(place(back[1]), (Some(11), Some("leaf")), "{}", back[1]);
    assert_eq!(place(of("reverse-step").expect("a move")), (Some(10), Some("leaf")), "{events:#?}");
    let printed: Vec<&Value> = events.iter().filter(|event| event["line"] == "print $leaves").collect();
    assert!(said(printed[0]).contains("= 0"), "{}", printed[0]);
    assert!(said(of("print n").expect("a value")).contains("= 3"), "{events:#?}");
    assert_eq!(place(of("continue").expect("a move")).1, Some("output"), "{events:#?}");
    // The last call of the function.
    assert!(said(printed[1]).contains("= 1"), "{}", printed[1]);
    // Its commands are still there, the temporary breakpoint is not.
    let left = said(of("info breakpoints").expect("a list"));
    assert!(left.contains("silent") && !left.contains("walk.c:11"), "{left}");
}

#[test]
fn lldb_goes_on_from_where_it_has_landed() {
    // The same instruction as before, which lldb would go on to step over.
    for lldb in lldbs() {
        let lines = [
            "settings set symbols.enable-external-lookup false",
            "breakpoint set --name leaf",
            "run",
            "continue",
            "continue",
            "fred-reverse-continue",
            "continue",
            "frame variable n",
            "register read rip",
        ];
        let events = walk().fred(&[&lldb, "-x"], &lines);
        assert!(events.iter().all(is_done), "{lldb}: {events:#?}");
        assert_eq!(events[5]["stop"]["reason"], "breakpoint", "{lldb}: {}", events[5]);
        assert!(said(&events[6]).contains("= 2"), "{lldb}: {}", events[6]);
    }
}

#[test]
fn a_call_that_is_caught_is_made_once_whatever_is_kept_there() {
    let events = walk().gdb(&[
        "break output",
        "run",
        "catch syscall getppid",
        "continue",
        "fred-checkpoint",
        "print $orig_rax == 110",
        "continue",
        "print (long)$rax > 0",
        "backtrace",
        "fred-undo",
        "continue",
        "print (long)$rax > 0",
        "backtrace",
        "fred-restart 1",
        "stepi",
        "print (long)$rax > 0",
        // Back to the entry.
        "fred-reverse-stepi",
        "continue",
        "print (long)$rax > 0",
    ]);
    assert!(events.iter().all(is_done), "{events:#?}");
    for truth in [5, 7, 11, 15, 18] {
        assert!(said(&events[truth]).contains("= 1"), "{truth}: {events:#?}");
    }
    for here in [8, 12] {
        assert!(said(&events[here]).contains("in getppid ()"), "{}", events[here]);
    }
}

#[test]
fn where_a_command_has_brought_the_program_without_a_stop() {
    let sample = Sample::made(&["toggled.c"], "gcc -g -O0 -o program toggled.c");
    let events =
        sample.fred(&["gdb", "-q", "-nx"], &["break set", "run", "return", "set var n = 5", "fred-undo", "print n"]);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(place(&events[3]), (Some(16), Some("main")), "{events:#?}");
    for lldb in lldbs() {
        let lines = ["breakpoint set -n set", "run", "thread return", "expression -- n = 5", "fred-undo", "print n"];
        let events = sample.fred(&[lldb.as_str(), "-x"], &lines);
        assert!(events.iter().all(is_done), "{events:#?}");
        assert_eq!(place(&events[3]), (Some(16), Some("main")), "{events:#?}");
    }
}
