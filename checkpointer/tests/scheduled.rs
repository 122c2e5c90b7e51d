//! Threads: what a schedule brings out is found again in the replay, deadlocks are reported, and `--chaos` finds what a plain
//! recording does not.

mod checked;

use std::path::Path;

use checked::{Checked, check, program, sample};

fn in_chaos(path: &Path) -> Checked {
    let place = tempfile::tempdir().unwrap();
    let report = place.path().join("report.json");
    let output = program().arg(&report).args(["--chaos", "--"]).arg(path).output().unwrap();
    let report = std::fs::read(&report).ok().map(|bytes| serde_json::from_slice(&bytes).unwrap());
    Checked { output, report }
}

/// How many of 50 plain recordings may go wrong. None does, but for a machine so busy that a turn, which is measured in real time,
/// is over when the thread has hardly run.
const RARE: usize = 2;

fn plain(program: &Path, wrong: impl Fn(&Checked) -> bool) -> usize {
    let runs = (0..50).map(|_| check(&[program.to_str().unwrap()]));
    runs.filter(|checked| {
        checked.is_same();
        wrong(checked)
    })
    .count()
}

fn deadlock(checked: &Checked) -> Vec<serde_json::Value> {
    checked.report.as_ref().unwrap()["deadlock"].as_array().unwrap().clone()
}

#[test]
fn a_deadlock_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let checked = check(&[sample("deadlock", folder.path()).to_str().unwrap()]);
    checked.is_same();
    assert_eq!(checked.printed(), "begins\n");
    let waiting = deadlock(&checked);
    assert_eq!(waiting.len(), 3, "{waiting:#?}");
    let of = |function: &str| {
        let found = waiting.iter().find(|one| one["function"].as_str().is_some_and(|text| text.starts_with(function)));
        found.unwrap_or_else(|| panic!("{function}: {waiting:#?}")).clone()
    };
    let (first, one, two) = (of("main+"), of("take_one_then_two+"), of("take_two_then_one+"));
    assert_eq!((&one["held_by"], &two["held_by"]), (&two["thread"], &one["thread"]));
    assert_eq!(first["ends"], one["thread"]);
    assert_eq!(one["name"], "deadlock");
    assert_eq!(checked.report.as_ref().unwrap()["status"], serde_json::Value::Null);
    let said = checked.said();
    assert!(said.contains("deadlock: no thread can go on") && said.contains(", held by thread "), "{said}");
}

#[test]
fn who_waits_with_a_timeout_or_for_a_timer_is_let_wait() {
    let checked = check(&["python3", "-c", "import threading; print(threading.Event().wait(3))"]);
    checked.is_same();
    assert_eq!((checked.printed().as_str(), deadlock(&checked).len()), ("False\n", 0));
    let timer = "import signal, threading; signal.signal(signal.SIGALRM, lambda *_: exit(5)); signal.alarm(3)\n\
                 l = threading.Lock(); l.acquire(); l.acquire()";
    let checked = check(&["python3", "-c", timer]);
    checked.is_same();
    assert_eq!((checked.program_status(), deadlock(&checked).len()), (Some(5), 0));
}

#[test]
fn ways_to_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let program = sample("waiting", folder.path());
    for round in 0..5 {
        let checked = if round % 2 == 0 { check(&[program.to_str().unwrap()]) } else { in_chaos(&program) };
        checked.is_same();
        let printed = checked.printed();
        // Forty tasks by the workers, forty by the consumer.
        let tasks = printed.chars().filter(|c| ('a'..='d').contains(c)).count();
        let consumed = printed.matches('.').count();
        assert_eq!((printed.matches('!').count(), tasks, consumed), (1, 40, 40), "{printed}");
    }
}

#[test]
fn chaos_finds_a_race_that_a_plain_recording_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let program = sample("queue_race", folder.path());
    assert!(plain(&program, |checked| checked.program_status() != Some(0)) <= RARE);
    let found = (0..60).map(|_| in_chaos(&program)).find(|checked| {
        // Whatever came out came out again.
        checked.is_same();
        checked.program_status() == Some(1)
    });
    assert!(found.is_some(), "not in 60 runs");
}

#[test]
fn chaos_finds_a_lost_wakeup_that_a_plain_recording_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let program = sample("lost_wakeup", folder.path());
    assert!(plain(&program, |checked| checked.printed() != "woken\n" || !deadlock(checked).is_empty()) <= RARE);
    let found = (0..60).map(|_| in_chaos(&program)).find(|checked| {
        checked.is_same();
        !deadlock(checked).is_empty()
    });
    let waiting = deadlock(&found.expect("not in 60 runs"));
    assert!(waiting.iter().any(|one| one["function"].as_str().is_some_and(|text| text.starts_with("waits+"))));
}
