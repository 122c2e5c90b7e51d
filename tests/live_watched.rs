//! The debugger's own watchpoints: where they stop after going back, and going back to their stops.

mod native;

use native::{Sample, is_done, lldbs, place, said};
use serde_json::Value;

const GDB: [&str; 3] = ["gdb", "-q", "-nx"];

fn sample() -> Sample {
    Sample::made(&["toggled.c"], "gcc -g -O0 -o program toggled.c")
}

/// The numbers that `print n` has shown.
fn rounds(events: &[Value]) -> Vec<&str> {
    let shown = events.iter().filter(|event| event["line"] == "print n");
    shown.map(|event| said(event).trim().rsplit(' ').next().unwrap_or_default()).collect()
}

#[test]
fn a_change_is_stopped_at_again_after_going_back() {
    let lines =
        ["break main", "run", "watch x", "continue", "print n", "fred-reverse-next", "print x", "continue", "print n"];
    let more = ["fred-reverse-finish", "continue", "print n", "continue", "print n"];
    let events = sample().fred(&GDB, &[&lines[..], &more].concat());
    assert!(events.iter().all(is_done), "{events:#?}");
    // gdb remembers that x was 1.
    assert_eq!(rounds(&events), ["2", "2", "2", "4"], "{events:#?}");
}

#[test]
fn back_from_watchpoint_to_watchpoint() {
    let lines = ["break main", "run", "watch x", "continue", "continue", "continue", "print n"];
    let back = ["fred-reverse-continue", "print n", "fred-reverse-continue", "print n", "continue", "print n"];
    let more = ["fred-reverse-continue 2", "print n"];
    let events = sample().fred(&GDB, &[&lines[..], &back, &more].concat());
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(rounds(&events), ["6", "4", "2", "4", "0"], "{events:#?}");
    assert_eq!(place(&events[events.len() - 2]), (Some(14), Some("main")));
}

#[test]
fn back_to_writes_and_looks() {
    let lines = ["break main", "run", "awatch n", "continue", "continue", "continue", "print n"];
    let back = ["fred-reverse-continue", "print n", "fred-reverse-continue", "print n"];
    let condition =
        ["delete 2", "watch x if n > 5", "continue", "continue", "print n", "fred-reverse-continue", "print n"];
    let events = sample().fred(&GDB, &[&lines[..], &back, &condition].concat());
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(rounds(&events), ["1", "1", "0", "8", "6"], "{events:#?}");
}

#[test]
fn back_from_watchpoint_to_watchpoint_of_lldb() {
    for lldb in lldbs() {
        let lines = ["breakpoint set -n main", "run", "watchpoint set variable x", "continue", "continue", "continue"];
        let back = ["print n", "fred-reverse-continue", "print n", "fred-reverse-continue", "print n"];
        let events = sample().fred(&[lldb.as_str(), "-x"], &[&lines[..], &back].concat());
        assert!(events.iter().all(is_done), "{events:#?}");
        let found: Vec<u32> = rounds(&events).iter().map(|round| round.parse().expect("a number")).collect();
        // Up to lldb 16 every write is a stop, later ones only those that change the value.
        assert!(matches!(found[..], [2, 1, 0] | [6, 4, 2]), "{lldb}: {found:?}, {events:#?}");
    }
}
