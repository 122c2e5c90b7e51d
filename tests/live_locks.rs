//! Locks of files in recorded sessions: what the newest state holds is held wherever the session is, and a line of its own has those
//! that there were where it begins.

mod native;

use std::process::{Command, Stdio};

use native::{Sample, is_done, place, said};
use serde_json::Value;

const MADE: &str = "gcc -g -O0 -o program locked.c; gcc -o try try.c";
const BEGIN: [&str; 3] = ["set debug-file-directory /none", "break step", "run"];
const HELD: &str = "free: 0 0 0";
const FREE: &str = "free: 1 1 1";

fn session(sample: &Sample, lines: &[&str]) -> Vec<Value> {
    let lines: Vec<&str> = BEGIN.into_iter().chain(lines.iter().copied()).collect();
    sample.fred_with(&["--record"], &["gdb", "-q", "-nx"], &lines)
}

/// What another process was told of the locks, each time that it was asked.
fn looks(events: &[Value]) -> Vec<&str> {
    events.iter().filter(|event| event["line"] == "shell ./try").map(|event| said(event).trim()).collect()
}

#[test]
fn locks_are_held_while_the_session_is_in_the_past() {
    let sample = Sample::made(&["locked.c", "try.c"], MADE);
    // From before they were taken, along the notes, and behind their end.
    let first = ["shell ./try", "continue", "shell ./try", "fred-undo", "shell ./try", "continue", "shell ./try"];
    let more = ["continue", "shell ./try", "continue", "shell ./try", "fred-undo 2", "shell ./try"];
    let search = ["continue", "continue", "fred-reverse-watch $rip == 0", "shell ./try", "continue", "shell ./try"];
    let events = session(&sample, &[&first[..], &more, &search, &["print failed"]].concat());
    let told = [FREE, HELD, HELD, HELD, FREE, HELD, HELD, HELD, HELD];
    assert_eq!(looks(&events), told, "{events:#?}");
    assert!(said(events.last().expect("an event")).contains("= 0"), "{events:#?}");
    assert_eq!(place(&events[events.len() - 3]).1, Some("step"), "{events:#?}");
    assert_eq!(std::fs::read(sample.path().join("record")).expect("the file"), b"same");
}

#[test]
fn a_line_of_its_own_has_the_locks_of_where_it_begins() {
    let sample = Sample::made(&["locked.c", "try.c"], MADE);
    // They have been given up since.
    let lines = ["continue", "continue", "shell ./try", "fred-undo", "set var other_way = 1", "continue"];
    let rest = ["shell ./try", "continue", "shell ./try", "print failed"];
    let events = session(&sample, &[&lines[..], &rest].concat());
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(looks(&events), [FREE, HELD, FREE], "{events:#?}");
    assert!(said(events.last().expect("an event")).contains("= 0"), "{events:#?}");
}

#[test]
fn a_lock_that_another_has_taken_stops_the_recording() {
    let sample = Sample::made(&["locked.c", "try.c"], MADE);
    for fifo in ["go", "taken"] {
        let made = Command::new("mkfifo").arg(fifo).current_dir(sample.path()).status().expect("mkfifo");
        assert!(made.success());
    }
    // Not a process of the session; it has the lock until its input ends.
    let mut other = Command::new("sh")
        .args(["-c", "read line < go; exec ./try record > taken"])
        .current_dir(sample.path())
        .stdin(Stdio::piped())
        .spawn()
        .expect("a shell");
    let taken = "shell echo > go; read line < taken; echo it has $line";
    let lines = ["continue", "continue", taken, "fred-undo", "set var other_way = 1", "continue", "fred-list"];
    let events = session(&sample, &lines);
    drop(other.stdin.take());
    other.wait().expect("it ends");
    let told = events.iter().find(|event| event["line"] == taken).map(|event| said(event).trim());
    assert_eq!(told, Some("it has 1"), "{events:#?}");
    let stopped = &events.last().expect("an event")["result"]["unrecorded"];
    let why = stopped[0]["reason"].as_str().unwrap_or("");
    assert!(why.contains("record is held by somebody else now"), "{events:#?}");
}
