//! Programs whose stacks or code are unusual: steps back from far away are the steps of a forward run in reverse.

mod native;

use native::{Sample, is_done, place, said};
use serde_json::Value;

const BEGIN: [&str; 3] = ["set debug-file-directory /none", "break main", "run"];

fn places(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| format!("{:?}, depth {}", place(event), event["stop"]["depth"])).collect()
}

/// Steps forward one by one, and goes the same way back from where one command has led.
fn mirrored(source: &str, flags: &str, steps: usize) {
    let sample = Sample::made(&[source], &format!("gcc -g {flags} -o program {source}"));
    let gdb = |lines: Vec<&str>| sample.fred(&["gdb", "-q", "-nx"], &[&BEGIN[..], &lines].concat());
    let forward = gdb(vec!["step"; steps]);
    let mut wanted = places(&forward[1..]);
    assert!(forward.iter().all(|event| event["stop"]["reason"] != "exited"), "{wanted:#?}");
    wanted.reverse();
    let all = format!("step {steps}");
    let back = gdb([&[all.as_str()][..], &vec!["fred-reverse-step"; steps]].concat());
    assert!(back.iter().all(is_done), "{back:#?}");
    assert_eq!(places(&back[2..]), wanted, "{source}, {flags}");
}

#[test]
fn coroutines() {
    mirrored("contexts.c", "-O0", 7);
}

#[test]
fn frames_of_any_size() {
    mirrored("rooms.c", "-O0", 60);
}

#[test]
fn a_static_program_at_any_address() {
    mirrored("rooms.c", "-O0 -static-pie", 60);
}

#[test]
fn code_that_is_made_and_changed() {
    mirrored("patched.c", "-O0", 30);
}

#[test]
fn calls_that_are_jumps() {
    mirrored("tails.c", "-O2", 15);
}

#[test]
fn what_a_call_on_the_same_line_guards() {
    mirrored("guarded.c", "-O1", 30);
}

#[test]
fn a_dozen_calls_inlined_into_each_other() {
    let sample = Sample::made(&["shared.cc"], "g++ -std=c++17 -g -O2 -o program shared.cc");
    let gdb = |lines: &[&str]| sample.fred(&["gdb", "-q", "-nx"], &[&BEGIN[..], lines].concat());
    let wanted = places(&gdb(&["step"; 56])[1..]);
    // Each from its own session: what is landed at is kept, and other moves begin there.
    for at in (28..34).chain(51..57) {
        let moved = gdb(&[&format!("step {at}"), "fred-reverse-step"]);
        assert!(moved.iter().all(is_done), "{moved:#?}");
        assert_eq!(places(&moved[2..]), [wanted[at].clone(), wanted[at - 1].clone()], "back from {at} of {wanted:#?}");
    }
}

#[test]
fn what_is_inlined_into_a_call_that_was_a_jump() {
    mirrored("replaced.c", "-O2", 40);
    let sample = Sample::made(&["replaced.c"], "gcc -g -O2 -o program replaced.c");
    // Out of the inlined call, and not back into it.
    assert_eq!(lines_back(&sample, &["run", "step 22"], "fred-reverse-next", 2), [16, 15]);
}

#[test]
fn code_that_is_moved_behind_a_call() {
    let sample = Sample::made(&["behind.c"], "gcc -g -O2 -fwrapv -o program behind.c");
    let lines = [&BEGIN[..], &["step 7", "fred-reverse-next", "fred-reverse-next", "fred-undo 2", "fred-reverse-step"]]
        .concat();
    let events = sample.fred(&["gdb", "-q", "-nx"], &lines);
    assert!(events.iter().all(is_done), "{events:#?}");
    let found: Vec<_> = events[2..].iter().map(|event| event["stop"]["line"].as_u64()).collect();
    assert_eq!(found, [50, 48, 46, 50, 48].map(Some));
}

/// Where a breakpoint and then steps back lead, as lines.
fn lines_back(sample: &Sample, before: &[&str], command: &str, times: usize) -> Vec<u64> {
    let lines = [&BEGIN[..2], before, &vec![command; times]].concat();
    let events = sample.fred(&["gdb", "-q", "-nx"], &lines);
    assert!(events.iter().all(is_done), "{events:#?}");
    events[lines.len() - 1 - times..].iter().filter_map(|event| event["stop"]["line"].as_u64()).collect()
}

#[test]
fn calls_that_are_left_by_longjmp() {
    let sample = Sample::made(&["jumped.c"], "gcc -g -O0 -o program jumped.c");
    // The second time sigsetjmp returns to line 27. gdb itself loses the program where it steps over the jump.
    let stops = ["break 30", "run", "tbreak 33", "continue", "continue", "continue"];
    let steps = [31, 30, 27, 14, 13, 12, 20, 20, 19, 28, 27, 45];
    assert_eq!(lines_back(&sample, &stops, "fred-reverse-step", steps.len()), steps);
    assert_eq!(lines_back(&sample, &stops, "fred-reverse-next", 6), [31, 30, 27, 28, 27, 45]);
}

/// Into a function that has been left by a jump and is come to by another one; what it does is in no call from where it is seen.
#[test]
fn generators_that_jump() {
    let sample = Sample::made(&["generators.c"], "gcc -g -O0 -o program generators.c");
    let stops = ["run", "tbreak 55", "continue"];
    // A second return of setjmp is a stop at its line.
    let steps = [54, 53, 40, 39, 37, 21, 20, 13, 18, 16, 38, 37, 49, 51, 40, 39, 37, 17, 16, 15, 14, 13, 18, 16];
    assert_eq!(lines_back(&sample, &stops, "fred-reverse-step", steps.len()), steps);
}

#[test]
fn faults_that_a_handler_mends() {
    let sample = Sample::made(&["mended.c"], "gcc -g -O0 -o program mended.c");
    let stops = ["run", "tbreak 34", "continue", "continue"];
    let steps = [21, 20, 19, 14, 13, 12, 11, 19, 19, 18, 33];
    assert_eq!(lines_back(&sample, &stops, "fred-reverse-step", steps.len()), steps);
}

#[test]
fn a_landing_leaves_one_copy() {
    let sample = Sample::made(&["rooms.c"], "gcc -g -O0 -o program rooms.c");
    // By their executable, which no other session has.
    let count = format!("shell ls -l /proc/[0-9]*/exe 2>/dev/null | grep -c ' {}/program$'", sample.path().display());
    let lines = [&BEGIN[..], &["step 20", &count], &["fred-reverse-step"; 16], &[&count]].concat();
    let events = sample.fred(&["gdb", "-q", "-nx"], &lines);
    assert!(events.iter().all(is_done), "{events:#?}");
    let counted = |event: &Value| said(event).trim().parse::<u32>().expect("a number");
    let (before, after) = (counted(&events[3]), counted(&events[events.len() - 1]));
    assert!(before > 0 && after <= before + 16 + 1, "{before} processes, then {after}");
}

#[test]
fn a_handler_of_a_signal_that_was_stopped_at_in_code_without_names() {
    let sample = Sample::made(&["raised.c"], "gcc -g -O0 -o program raised.c");
    let lines =
        [&BEGIN[..], &["tbreak 16", "continue", "continue", "fred-reverse-watch got > 1", "print got"]].concat();
    let events = sample.fred(&["gdb", "-q", "-nx"], &lines);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(events[3]["stop"]["signal"], "SIGUSR1", "{events:#?}");
    assert_eq!(place(&events[5]), (Some(7), Some("on_user")), "{events:#?}");
    assert!(said(&events[6]).ends_with("= 1\n"), "{events:#?}");
}
