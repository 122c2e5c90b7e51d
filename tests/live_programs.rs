//! Programs of many kinds below fred, with gdb: what is gone back to is right, or fred says why it cannot go.

mod native;

use native::{Sample, is_done, is_there, place, said};
use serde_json::Value;

impl Sample {
    fn gdb(&self, lines: &[&str]) -> Vec<Value> {
        let lines: Vec<&str> = ["set debug-file-directory /none"].into_iter().chain(lines.iter().copied()).collect();
        self.fred(&["gdb", "-q", "-nx"], &lines)
    }
}

/// The lines of the stops that some of the commands led to.
fn lines_of(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| place(event).0.unwrap_or(0)).collect()
}

/// Whether a move was refused because the program goes another way each time.
fn says_why(event: &Value) -> bool {
    event["error"].as_str().is_some_and(|error| error.contains("did not replay the same way"))
}

#[test]
fn a_local_variable_is_watched_that_a_call_changes() {
    let sample = Sample::made(&["callee.c"], "gcc -g -O0 -o program callee.c");
    let events = sample.gdb(&["break 19", "run", "fred-reverse-watch total", "print n", "print *p"]);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(place(&events[2]), (Some(5), Some("inner")), "{}", events[2]);
    assert!(said(&events[3]).contains("= 18"), "{}", events[3]);
    let before = events[2]["result"]["before"].as_str().expect("a value");
    assert!(said(&events[4]).contains(&format!("= {before}")), "{}", events[4]);
}

#[test]
fn a_function_on_one_line_is_gone_back_to_each_time() {
    let sample = Sample::made(&["lines.c"], "gcc -g -O0 -o program lines.c");
    let events = sample.gdb(&[
        "break beat",
        "run",
        "next",
        "next",
        "fred-reverse-next",
        "print beats",
        "fred-reverse-step",
        "print beats",
    ]);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(place(&events[4]), (Some(6), Some("beat")), "{}", events[4]);
    assert!(said(&events[5]).contains("= 1"), "{}", events[5]);
    assert!(said(&events[7]).contains("= 0"), "{}", events[7]);
}

#[test]
fn a_library_is_loaded_and_unloaded_on_the_way() {
    let make = "gcc -g -O0 -o program late.c -ldl; gcc -g -O0 -shared -fPIC -o plugin.so plugin.c";
    let sample = Sample::made(&["late.c", "plugin.c"], make);
    let events = sample.gdb(&[
        "break 21",
        "run",
        "fred-reverse-next",
        "fred-reverse-next",
        "fred-reverse-next",
        "fred-reverse-watch results[1]",
        "print results[1]",
        "step",
        "print results[1]",
        "break twice",
        "fred-reverse-continue",
        "fred-reverse-continue",
        "print n",
        "fred-reverse-step",
        "fred-reverse-step",
        "fred-reverse-step",
    ]);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(lines_of(&events[2..5]), [20, 9, 18], "{events:#?}");
    assert_eq!(events[5]["result"]["after"], "13", "{}", events[5]);
    // The last stop before it: at the call, or in the callee on its way back.
    let found = place(&events[5]);
    assert!(found == (Some(16), Some("main")) || found == (Some(12), Some("work")), "{}", events[5]);
    assert!(said(&events[6]).contains("= 0") && said(&events[8]).contains("= 13"), "{events:#?}");
    assert_eq!(place(&events[11]).1, Some("twice"), "{}", events[11]);
    assert!(said(&events[12]).contains("= 3"), "{}", events[12]);
    assert_eq!(lines_of(&events[13..16]), [9, 14, 13], "{events:#?}");
}

#[test]
fn a_library_without_symbols_and_a_program_without() {
    let make = "gcc -g -O0 -o program late.c -ldl; gcc -O0 -s -shared -fPIC -o plugin.so plugin.c";
    let sample = Sample::made(&["late.c", "plugin.c"], make);
    let moves =
        ["break 21", "run", "fred-reverse-watch results[3]", "fred-reverse-step", "fred-reverse-stepi", "stepi"];
    let events = sample.gdb(&moves);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(place(&events[2]), (Some(16), Some("main")), "{}", events[2]);
    assert_eq!(place(&events[3]).0, Some(15), "{}", events[3]);
    assert_eq!(place(&events[5]), place(&events[3]), "{}", events[5]);

    let sample = Sample::made(&["callee.c"], "gcc -O0 -s -o program callee.c");
    let events = sample.gdb(&[
        "starti",
        "stepi 10",
        "set $there = $pc",
        "stepi",
        "fred-reverse-stepi",
        "print $pc == $there",
        "fred-reverse-next",
        "print $pc == $there",
    ]);
    assert!(is_done(&events[4]), "{events:#?}");
    assert!(said(&events[5]).contains("= 1"), "{events:#?}");
    // It stays where it was, and says why.
    assert!(events[6]["error"].as_str().is_some_and(|error| error.contains("no line information")), "{}", events[6]);
    assert!(said(&events[7]).contains("= 1"), "{events:#?}");
}

#[test]
fn a_program_in_rust() {
    let sample = Sample::made(&["words.rs"], "rustc -g -o program words.rs");
    let events = sample.gdb(&[
        "break words.rs:38",
        "run",
        "fred-reverse-next",
        "fred-reverse-next",
        "fred-undo 2",
        "fred-reverse-watch table.total",
        "fred-undo",
        "break words.rs:20",
        "fred-reverse-continue",
        "print word",
        "fred-reverse-finish",
        "print table.total",
        "continue",
        "delete",
        "continue",
    ]);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(lines_of(&events[2..4]), [37, 35], "{events:#?}");
    // The last word is counted once.
    assert_eq!(place(&events[5]).0, Some(18), "{}", events[5]);
    assert_eq!((&events[5]["result"]["before"], &events[5]["result"]["after"]), (&"36".into(), &"37".into()));
    // The only one of seven letters is counted twice.
    assert_eq!(place(&events[8]).0, Some(20), "{}", events[8]);
    assert!(said(&events[9]).contains("foolery"), "{}", events[9]);
    assert_eq!(place(&events[10]).0, Some(35), "{}", events[10]);
    assert_eq!(place(&events[12]).0, Some(20), "{}", events[12]);
    assert_eq!(events[14]["stop"]["exit_code"], 101, "{}", events[14]);
}

#[test]
fn a_program_in_go() {
    if !is_there("go") {
        eprintln!("skipped: there is no go in PATH; try: apt-get install golang-go");
        return;
    }
    let make = "GOCACHE=$PWD/cache GO111MODULE=off go build -gcflags='all=-N -l' -o program primes.go";
    let sample = Sample::made(&["primes.go"], make);
    let events = sample.gdb(&[
        "break main.sum",
        "break main.main",
        "run",
        "next",
        "next",
        "fred-checkpoint",
        "fred-undo",
        "next",
        "continue",
        "print numbers",
        "next",
        "fred-reverse-next",
        "fred-restart 1",
        "continue",
        "print numbers",
        "continue",
        "fred-undo",
        "print numbers",
    ]);
    // Its runtime has threads of its own, which compete: going back by search may be refused, but in words.
    let refused = |(index, event): (usize, &Value)| !(is_done(event) || index == 11 && says_why(event));
    assert!(!events.iter().enumerate().any(refused), "{events:#?}");
    assert_eq!(lines_of(&events[2..5]), [36, 37, 38], "{events:#?}");
    assert_eq!(lines_of(&events[6..8]), [37, 38], "{events:#?}");
    for sum in [9, 14, 17] {
        assert!(said(&events[sum]).contains("len = 17"), "{}", events[sum]);
    }
    if is_done(&events[11]) {
        assert_eq!(lines_of(&events[11..12]), [28], "{}", events[11]);
    }
    assert_eq!(place(&events[12]).0, Some(38), "{}", events[12]);
    assert_eq!(events[15]["stop"]["exit_code"], 0, "{}", events[15]);
}

#[test]
fn threads_that_spin_for_each_other() {
    let sample = Sample::made(&["spin.c"], "gcc -g -O0 -pthread -o program spin.c");
    let lines = [
        "set debug-file-directory /none",
        "break done",
        "run",
        "up",
        "print own",
        "fred-checkpoint",
        "continue",
        "print rounds",
        "fred-undo",
        "up",
        "print own",
        "continue",
        "fred-restart 1",
        "up",
        "print own",
        "continue",
        "continue",
    ];
    // As they run by themselves; what they do when they take turns, tests/live_threads.rs has.
    let events = sample.fred_with(&["--no-record"], &["gdb", "-q", "-nx"], &lines);
    assert!(events.iter().all(is_done), "{events:#?}");
    for half in [3, 9, 13] {
        assert!(said(&events[half]).contains("= 1001"), "{}", events[half]);
    }
    assert!(said(&events[6]).contains("= 2000"), "{}", events[6]);
    // It gives another status when a round was lost.
    assert_eq!(events[15]["stop"]["exit_code"], 0, "{}", events[15]);
}

#[test]
fn an_interval_timer_goes_on_after_a_restore() {
    let sample = Sample::made(&["timer.c"], "gcc -g -O0 -o program timer.c");
    let events = sample.gdb(&[
        "break seen",
        "run",
        "set $at = ticks",
        "fred-checkpoint",
        "finish",
        "fred-undo",
        "print ticks == $at",
        "continue",
        "print ticks >= 40",
        "fred-restart 1",
        "print ticks == $at",
        "continue",
        "print ticks >= 40",
        "continue",
    ]);
    assert!(events.iter().all(is_done), "{events:#?}");
    for right in [6, 8, 10, 12] {
        assert!(said(&events[right]).contains("= 1"), "{}", events[right]);
    }
    assert_eq!(events[13]["stop"]["exit_code"], 0, "{}", events[12]);
}

#[test]
fn threads_that_wait_do_not_keep_from_going_back() {
    let sample = Sample::made(&["crew.cc"], "g++ -g -O0 -pthread -o program crew.cc");
    let events = sample.gdb(&[
        // The account is not made yet a line earlier: what agrees() says there is chance.
        "break 64",
        "run",
        "break 71",
        "continue",
        "fred-reverse-watch account.agrees()",
        "print i",
        "fred-reverse-next",
        "fred-undo 2",
        "fred-reverse-next",
        "fred-reverse-step",
        "fred-undo 2",
        "next",
        "continue",
    ]);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(place(&events[4]), (Some(67), Some("main")), "{}", events[4]);
    assert!(said(&events[5]).contains("= 17"), "{}", events[5]);
    assert_eq!(place(&events[6]).0, Some(66), "{}", events[6]);
    assert_eq!(place(&events[8]).0, Some(69), "{}", events[8]);
    assert_eq!(place(&events[9]).1, Some("Account::agrees"), "{}", events[9]);
    assert_eq!(place(&events[11]).0, Some(72), "{}", events[11]);
    // All threads were let go and have ended.
    assert_eq!(events[12]["stop"]["exit_code"], 1, "{}", events[12]);
}

#[test]
fn copies_on_the_way_of_a_command_that_was_undone_are_not_those_of_the_next() {
    let sample = Sample::new("rounds.c");
    let lines =
        ["set debug-file-directory /none", "break main", "run", "until 22", "fred-undo", "next", "fred-reverse-next"];
    let events = sample.fred_with(&["--checkpoint-every", "50ms"], &["gdb", "-q", "-nx"], &lines);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(place(&events[2]).0, Some(22), "{}", events[2]);
    assert_eq!(place(&events[5]), place(&events[1]), "{}", events[5]);
}

#[test]
fn an_argument_has_its_value_by_the_call_and_not_by_the_prologue() {
    let sample = Sample::made(&["tower.c"], "gcc -g -O0 -o program tower.c");
    let events = sample.gdb(&["break show if cell->number > 1", "run", "fred-reverse-watch cell->number > 1"]);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(place(&events[2]), (Some(35), Some("main")), "{}", events[2]);
    let before = events[2]["result"]["before"].as_str().expect("a value");
    assert!(before.starts_with("not to be evaluated"), "{before}");
}

#[test]
fn a_return_is_waited_for_in_the_frame_that_returns() {
    let sample = Sample::made(&["tower.c"], "gcc -g -O0 -o program tower.c");
    let events = sample.gdb(&["break 36", "run", "fred-reverse-watch result.number"]);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(place(&events[2]), (Some(22), Some("level")), "{}", events[2]);
}

#[test]
fn exceptions_go_through_functions_whose_statements_are_counted() {
    let sample = Sample::made(&["throwing.cc"], "g++ -g -O0 -o program throwing.cc");
    let source = std::fs::read_to_string(sample.path().join("throwing.cc")).expect("the source");
    let line = |text: &str| source.lines().position(|line| line.contains(text)).expect("the statement") as u64 + 1;
    let events = sample.gdb(&[
        &format!("break {}", line("return 0;")),
        "run",
        "fred-reverse-next",
        "fred-reverse-next",
        "fred-undo 2",
        // gdb does not see where an exception is caught if the unwinder has no probes for it, and steps on.
        "fred-reverse-watch caught",
        "print caught",
        "fred-undo",
        "fred-reverse-watch unwound",
        "print caught",
        "fred-undo",
        "break hot if n == 9000",
        "fred-reverse-continue",
        "print caught",
        "print unwound",
        "delete",
        "catch throw",
        "fred-reverse-continue",
        "fred-reverse-finish",
        "fred-reverse-finish",
        "print n",
        "delete",
        "continue",
    ]);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(lines_of(&events[2..4]), [line("std::printf("), line("for (int i = 0; i < 20000")], "{events:#?}");
    assert_eq!(place(&events[5]), (Some(line("caught++")), Some("main")), "{}", events[5]);
    assert!(said(&events[6]).contains("= 59"), "{}", events[6]);
    assert_eq!(place(&events[8]).1, Some("Guard::~Guard"), "{}", events[8]);
    assert!(said(&events[9]).contains("= 60"), "{}", events[9]);
    // Those of 7, 1007, ..., each of which three rounds meet.
    assert!(said(&events[13]).contains("= 27") && said(&events[14]).contains("= 9000"), "{events:#?}");
    assert_eq!(place(&events[18]), (Some(line("throw std::")), Some("risky")), "{}", events[18]);
    assert_eq!(place(&events[19]).1, Some("hot"), "{}", events[19]);
    assert!(said(&events[20]).contains("= 8007"), "{}", events[20]);
    // Nothing that was thrown on the way has ended it.
    assert_eq!(events[22]["stop"]["exit_code"], 0, "{}", events[22]);
}

#[test]
fn a_function_of_rust_that_is_called_back_is_gone_back_in_from_the_first_stop() {
    let sample = Sample::made(&["caught.rs"], "rustc --edition 2021 -g -o program caught.rs");
    let lines = ["set debug-file-directory /none", "break caught.rs:6", "run"];
    let back = ["fred-reverse-next", "fred-undo", "fred-reverse-step", "fred-reverse-finish", "fred-undo 2"];
    let more = ["continue", "continue", "fred-reverse-continue", "fred-reverse-next"];
    let events = sample.fred(&["gdb", "-q", "-nx"], &[&lines[..], &back, &more].concat());
    assert!(events.iter().all(is_done), "{events:#?}");
    let found: Vec<_> = events[1..].iter().map(|event| place(event).0).collect();
    assert_eq!(found, [6, 5, 6, 5, 16, 6, 6, 6, 6, 5].map(Some), "{events:#?}");
    assert_eq!(place(&events[2]).1, Some("caught::checked"), "{events:#?}");
}
