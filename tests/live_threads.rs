//! Threads of a recorded program take turns, the same ones each time: what one of them does can be found from anywhere.

mod native;

use native::{Sample, is_done, lldbs, place, said};
use serde_json::Value;

const SILENT: &str = "set debug-file-directory /none";

/// Runs lines in a session that is recorded.
fn recorded(program: &str, lines: &[&str]) -> Vec<Value> {
    let sample = Sample::made(&[program], &format!("gcc -g -O0 -pthread -o program {program}"));
    let lines: Vec<&str> = [SILENT].into_iter().chain(lines.iter().copied()).collect();
    sample.fred_with(&["--record"], &["gdb", "-q", "-nx"], &lines)
}

/// What was printed for an expression.
fn value(event: &Value) -> &str {
    said(event).rsplit_once("= ").map_or("", |(_, value)| value.trim())
}

/// A reverse watchpoint that leads to a line, and what is said there.
fn culprit<'e>(events: &'e [Value], watch: usize, line: u64, function: &str) -> Vec<&'e str> {
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(place(&events[watch]), (Some(line), Some(function)), "{}", events[watch]);
    events[watch + 1..].iter().map(value).collect()
}

#[test]
fn one_of_five_threads_breaks_a_counter() {
    let looks = [
        "print total > 900",
        "fred-reverse-watch total < 900",
        "print who",
        "print round",
        "next",
        "print total > 900",
    ];
    let events = recorded("five.c", &[&["break 34", "run"], &looks[..]].concat());
    assert_eq!(value(&events[2]), "1", "{events:#?}");
    assert_eq!(culprit(&events, 3, 15, "add"), ["2", "30", "", "1"], "{events:#?}");
}

#[test]
fn a_variable_on_the_stack_of_the_first_thread_is_changed_by_another() {
    let looks =
        ["print bank.count", "fred-reverse-watch bank.count < 50", "print bank->count", "next", "print bank->count"];
    let events = recorded("local.c", &[&["break 32", "run"], &looks[..]].concat());
    assert_eq!(value(&events[2]), "120", "{events:#?}");
    assert_eq!(events[3]["result"]["before"], "1", "{}", events[3]);
    // The debugger itself steps over bsearch, which has no lines, and all that it calls back.
    assert_eq!(culprit(&events, 3, 11, "visit"), ["49", "", "50"], "{events:#?}");
}

#[test]
fn the_schedule_is_the_same_each_time() {
    // How far the others are when one has done its third is the schedule's to say.
    let states = ["print total", "print counters", "fred-undo", "continue", "print total", "print counters"];
    let events = recorded(
        "five.c",
        &[&["break add if counters[who] == 3", "run", "fred-checkpoint", "continue"], &states[..]].concat(),
    );
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!((value(&events[4]), value(&events[5])), (value(&events[8]), value(&events[9])), "{events:#?}");
}

#[test]
fn threads_spin_for_a_flag() {
    let looks =
        ["print parts[0]", "fred-reverse-watch parts[0] >= 0", "print (long) argument", "next", "print parts[0]"];
    let events = recorded("flag.c", &[&["break 41", "run"], &looks[..]].concat());
    assert_eq!(value(&events[2]), "-1", "{events:#?}");
    assert_eq!(culprit(&events, 3, 18, "work"), ["1", "", "-1"], "{events:#?}");
}

#[test]
fn a_thread_counts_while_it_spins_and_another_one_makes_no_call() {
    let begin = ["break main", "run", "break 31", "continue", "print seen", "fred-undo", "print seen", "continue"];
    // How often the one had gone round when the other one had done its part.
    let waiting = ["print seen", "fred-reverse-watch seen[1] == 0", "print spins == $2[1]", "fred-undo"];
    let working = ["fred-reverse-watch steps < 40000000", "print i", "print steps", "next", "print steps"];
    let events = recorded("counted.c", &[&begin[..], &waiting[..], &working[..]].concat());
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!((value(&events[6]), value(&events[8])), ("{0, 0, 0}", value(&events[4])), "{events:#?}");
    assert_eq!((place(&events[9]), value(&events[10])), ((Some(28), Some("main")), "1"), "{events:#?}");
    assert_eq!(
        culprit(&events, 12, 13, "work"),
        ["19999999", "39999999", "0; i < 60000000; i++)", "40000000"],
        "{events:#?}"
    );
}

#[test]
fn what_is_waited_for_comes_too_late() {
    let looks =
        ["print owed > 0", "fred-reverse-watch owed == 0", "print who", "print timed_out", "next", "print owed > 0"];
    let events = recorded("shop.c", &[&["break 75", "run"], &looks[..]].concat());
    assert_eq!(value(&events[2]), "1", "{events:#?}");
    assert_eq!(culprit(&events, 3, 34, "take"), ["1", "1", "", "1"], "{events:#?}");
}

#[test]
fn a_race_in_a_lock_free_stack() {
    let looks = ["print lost", "fred-reverse-watch lost == 0", "print careless", "next", "print lost"];
    let events = recorded("queue.c", &[&["break length", "run"], &looks[..]].concat());
    assert_eq!(value(&events[2]), "1", "{events:#?}");
    assert_eq!(culprit(&events, 3, 33, "pop"), ["1", "", "1"], "{events:#?}");
}

#[test]
fn a_message_arrives_while_another_thread_has_its_turn() {
    let looks = ["print half", "fred-reverse-watch half == 0", "print half", "next", "print half"];
    let events = recorded("inbox.c", &[&["break 28", "run"], &looks[..]].concat());
    assert_eq!(value(&events[2]), "40", "{events:#?}");
    assert_eq!(culprit(&events, 3, 12, "middle"), ["0", "", "40"], "{events:#?}");
}

#[test]
fn a_signal_comes_while_all_wait() {
    let events = recorded("alarm.c", &["break 39", "run", "print got", "print interrupted"]);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!((place(&events[1]).0, value(&events[2]), value(&events[3])), (Some(39), "1", "1"), "{events:#?}");
}

#[test]
fn lldb_looks_at_the_thread_that_did_it() {
    let sample = Sample::made(&["five.c"], "gcc -g -O0 -pthread -o program five.c");
    let lines = [
        "settings set symbols.enable-external-lookup false",
        "breakpoint set -l 34",
        "run",
        "fred-reverse-watch total < 900",
        "p who",
        "p round",
    ];
    let lldb = lldbs().swap_remove(0);
    let events = sample.fred_with(&["--record"], &[&lldb, "--no-lldbinit"], &lines);
    assert_eq!(culprit(&events, 2, 15, "add"), ["2", "30"], "{events:#?}");
}

#[test]
fn a_condition_that_holds_in_two_threads() {
    let sample = Sample::made(&["pair.c"], "gcc -g -O0 -pthread -o program pair.c");
    let lines = ["break 11 if i == 3", "run", "continue", "fred-reverse-continue", "step", "fred-reverse-continue 2"];
    let events = sample.fred(&["gdb", "-q", "-nx"], &lines);
    assert!(events[..4].iter().all(is_done), "{events:#?}");
    let found: Vec<_> = events.iter().map(place).collect();
    let there = (Some(11), Some("work"));
    // From the stop of the second thread to that of the first; it is not stopped at once more before the step.
    assert_eq!(found, [there, there, there, (Some(12), Some("work")), (Some(21), Some("main"))], "{events:#?}");
}

#[test]
fn one_thread_is_let_go() {
    let sample = Sample::made(&["pair.c"], "gcc -g -O0 -pthread -o program pair.c");
    for locking in ["on", "step"] {
        let lock = format!("set scheduler-locking {locking}");
        let lines = ["break 11 if i == 3", "run", &lock, "next", "next", "fred-reverse-next", "print $_thread"];
        let lines = [&lines[..], &["show scheduler-locking", "next", "fred-reverse-continue"]].concat();
        let events = sample.fred(&["gdb", "-q", "-nx"], &lines);
        assert!(events.iter().all(is_done), "{events:#?}");
        let found: Vec<_> = events[2..].iter().filter_map(|event| place(event).0).collect();
        assert_eq!(found, [12, 13, 12, 13, 11], "{locking}: {events:#?}");
        assert!(said(&events[6]).contains(&format!("is \"{locking}\"")), "{:?}", events[6]);
    }
}

#[test]
fn lldb_shows_where_a_move_has_led_in_a_thread() {
    let sample = Sample::made(&["pair.c"], "gcc -g -O0 -pthread -o program pair.c");
    for lldb in lldbs() {
        let lines = [
            "breakpoint set -f pair.c -l 11 -c 'i == 3'",
            "run",
            "thread step-over",
            "thread step-over",
            "fred-reverse-next",
        ];
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_fred"));
        command.arg("--batch").current_dir(sample.path()).env("TERM", "dumb");
        for line in lines {
            command.args(["-e", line]);
        }
        let done = command.args(["--", lldb.as_str(), "-x", "./program"]).output().expect("fred runs");
        let shown = String::from_utf8_lossy(&done.stdout).into_owned();
        // Once going forward, and once going back.
        assert_eq!(shown.matches("pair.c:12").count(), 2, "{shown}");
    }
}
