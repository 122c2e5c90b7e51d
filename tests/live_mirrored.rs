//! Programs whose stacks or code are unusual: steps back from far away are the steps of a forward run in reverse.

mod native;

use native::{Sample, is_done, place};
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
