//! A search or a replay that goes another way than the program went does nothing outside, says what came instead, and leaves the session
//! where it was. So does one in which all threads wait; a program in which they do for the first time is told of.

mod native;
#[path = "recorded/world.rs"]
mod world;

use std::path::Path;

use native::{Sample, is_done, place, said};
use serde_json::Value;
use world::World;

const SILENT: &str = "set debug-file-directory /none";

/// Reads a file, counts, and appends what it has read to another one.
const PYTHON: &str = "\
text = open('settings').read()
number = 0
for i in range(100):
    number += i
with open('log', 'a') as log:
    log.write(text)
number += 1
number += 1
";

const C: &str = r#"#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
static char text[16];
static int number;
int main(void)
{
    int file = open("settings", O_RDONLY);
    read(file, text, 4);
    close(file);
    for (int i = 0; i < 1000; i++)
        number += i;
    FILE *log = fopen("log", "a");
    fputs(text, log);
    fclose(log);
    number++;
    number++;
    return 0;
}
"#;

/// Only a file that is older than the session counts as one that does not change, and a change time cannot be set.
fn begin(world: &World) {
    std::fs::write(world.path().join("settings"), "one\n").expect("a file");
    std::thread::sleep(std::time::Duration::from_millis(100));
}

fn strings(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// What a move said that went astray, once each time.
fn astray(event: &Value) -> &str {
    assert_eq!(event["ok"], false, "{event:#?}");
    let error = event["error"].as_str().unwrap_or_default();
    assert!(error.contains("the program did not replay the same way: call "), "{error}");
    assert!(error.ends_with("; the session is where it was"), "{error}");
    error
}

/// Seen to fail when what parts goes on for real: the search then ends somewhere, and says nothing of it.
#[test]
fn a_search_that_goes_astray_does_nothing_outside() {
    let world = World::new().file("program", PYTHON);
    begin(&world);
    let lines = [
        "break 7",
        "continue",
        "!__import__('os').system('echo two > settings') and None",
        "fred-reverse-watch number < 100",
        "p text, number",
        "next",
        "fred-reverse-next",
        "p number",
        "fred-reverse-step",
        "p number",
    ];
    let events = world.fred(world::PDB, &["program"], &strings(&lines));
    let (moves, rest): (Vec<_>, Vec<_>) = events.iter().enumerate().partition(|(at, _)| [3, 8].contains(at));
    for (_, event) in moves {
        assert!(astray(event).contains("opens a file that has been changed since"), "{event:#?}");
    }
    assert!(rest.iter().all(|(_, event)| is_done(event)), "{events:#?}");
    let shown = [4, 7, 9].map(|at| said(&events[at]).trim());
    assert_eq!(shown, ["('one\\n', 4950)", "4950", "4950"], "{events:#?}");
    assert_eq!(world.read("log"), "one\n");
    assert_eq!(world.diverged(), 2, "{}", world.output());
}

/// Seen to fail likewise: the program ran to its end, and `log` had `two` in it as well.
#[test]
fn nor_does_one_below_gdb() {
    let sample = Sample::of("program.c", C);
    let world = World::at(sample.path());
    begin(&world);
    let lines = [
        SILENT,
        "break main",
        "break 16",
        "run",
        "continue",
        "shell echo two > settings",
        "fred-reverse-watch number < 100",
        "print number",
        "next",
        "print number",
        "fred-reverse-next",
        "print number",
        "continue",
    ];
    let events = world.fred(&["gdb", "-q", "-nx"], &["./program"], &strings(&lines));
    let at = events.iter().position(|event| event["command"] == "reverse-watch").expect("the search");
    assert!(astray(&events[at]).contains("opens a file that has been changed since"), "{events:#?}");
    assert!(events.iter().enumerate().all(|(index, event)| index == at || is_done(event)), "{events:#?}");
    let shown = [1, 3, 5].map(|behind| said(&events[at + behind]).trim());
    assert_eq!(shown, ["$1 = 499500", "$2 = 499501", "$3 = 499500"], "{events:#?}");
    assert_eq!(world.read("log"), "one\n");
    assert_eq!(world.diverged(), 1, "{}", world.output());
}

/// The `deadlock` events of a session.
fn deadlocks(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("events")).expect("events");
    let events = text.lines().map(|line| serde_json::from_str(line).expect("an object"));
    events.filter(|event: &Value| event["event"] == "deadlock").collect()
}

/// Two threads wait for each other's lock, and the functions that they have called for that.
fn wait_for_each_other(told: &Value, functions: [&str; 2]) {
    let threads = told["threads"].as_array().expect("threads");
    let [one, other] = &threads[..] else { panic!("{told:#?}") };
    let found = [one, other].map(|thread| thread["function"].as_str().unwrap_or_default());
    for function in functions {
        assert!(found.iter().any(|name| name.starts_with(function)), "{told:#?}");
    }
    if functions[0] != functions[1] {
        assert_eq!((&one["held_by"], &other["held_by"]), (&other["thread"], &one["thread"]), "{told:#?}");
    }
}

/// Who holds what is told, and a session that nobody sits at comes back to its prompt. Seen to hang when nobody looks for deadlocks, and
/// when a replay does not look for its target where all wait.
#[test]
fn a_deadlock_is_told_and_can_be_gone_back_from() {
    let sample = Sample::made(&["crossed.c"], "gcc -g -O0 -pthread -o program crossed.c");
    let lines = [
        SILENT,
        "break main",
        "run",
        "continue",
        "fred-reverse-watch second.__data.__owner == 0",
        "frame function other",
        "fred-reverse-continue",
        "continue",
        "frame function main",
        "fred-reverse-continue",
    ];
    let events = sample.fred_with(&["--record"], &["gdb", "-q", "-nx"], &lines);
    assert!(events.iter().all(is_done), "{events:#?}");
    let told = deadlocks(sample.path());
    assert_eq!(told.len(), 2, "{told:#?}");
    told.iter().for_each(|told| wait_for_each_other(told, ["main+", "other+"]));
    assert!(said(&events[4]).contains("pthread_mutex_lock(&second)"), "{events:#?}");
    assert!(said(&events[7]).contains("pthread_mutex_lock(&second)"), "{events:#?}");
    assert_eq!((place(&events[5]).0, place(&events[8]).0), (Some(20), Some(20)), "{events:#?}");
}

const CROSSED: &str = "\
import threading
first, second = threading.Lock(), threading.Lock()
both = threading.Barrier(2)
def other():
    with second:
        both.wait()
        first.acquire()
def main():
    thread = threading.Thread(target=other)
    thread.start()
    with first:
        both.wait()
        second.acquire()
main()
";

/// Seen to hang, and the move back, which goes along until all wait, likewise.
#[test]
fn python_s_deadlocks_are_told_too() {
    let sample = Sample::at(tempfile::tempdir().expect("a directory"));
    std::fs::write(sample.path().join("program"), CROSSED).expect("the source");
    let lines = ["p 1", "break 12", "continue", "continue", "where", "fred-reverse-step", "fred-undo", "next", "p 2"];
    let events = sample.fred_with(&["--record"], &["python3", "-m", "pdb"], &lines);
    let told = deadlocks(sample.path());
    assert!(!told.is_empty(), "{events:#?}");
    told.iter().for_each(|told| wait_for_each_other(told, ["PyThread_acquire_lock"; 2]));
    assert!(said(&events[3]).contains("second.acquire()"), "{events:#?}");
    assert!(is_done(&events[4]) || astray(&events[4]).contains("all wait"), "{events:#?}");
    assert_eq!((said(&events[7]).trim(), place(&events[6]).0), ("2", Some(13)), "{events:#?}");
}
