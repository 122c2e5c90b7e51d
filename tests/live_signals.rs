//! Signals are part of a recorded session: those from timers and from outside come again where they came.

mod native;

use native::{Sample, is_done, place, said};
use serde_json::Value;

const SILENT: &str = "set debug-file-directory /none";

/// Runs lines in a session that is recorded.
fn recorded(program: &str, lines: &[&str]) -> Vec<Value> {
    let sample = Sample::made(&[program], &format!("gcc -g -O0 -o program {program}"));
    let lines: Vec<&str> = [SILENT].into_iter().chain(lines.iter().copied()).collect();
    let events = sample.fred_with(&["--record"], &["gdb", "-q", "-nx"], &lines);
    assert!(events.iter().all(is_done), "{events:#?}");
    events
}

/// What was printed for an expression.
fn value(event: &Value) -> &str {
    said(event).rsplit_once("= ").map_or("", |(_, value)| value.trim())
}

#[test]
fn a_timer_ticks_while_the_program_waits_and_between_its_calls() {
    // The last thing that it does is counted by the handler, and differs from run to run.
    let state = ["print at", "print rest"];
    let search = ["fred-reverse-watch ticks < 6", "print ticks", "next", "print ticks"];
    let events =
        recorded("ticker.c", &[&["break 52", "run"], &state[..], &search[..], &["continue"], &state[..]].concat());
    assert_eq!((place(&events[4]), value(&events[5])), ((Some(19), Some("on_alarm")), "5"), "{events:#?}");
    assert_eq!(value(&events[7]), "6", "{events:#?}");
    assert_eq!(place(&events[8]).0, Some(52), "{events:#?}");
    assert_eq!((value(&events[9]), value(&events[10])), (value(&events[2]), value(&events[3])), "{events:#?}");
}

#[test]
fn calls_are_interrupted_again_as_they_were() {
    let state = ["print chance", "print trace"];
    let silent = "handle SIGUSR1 SIGUSR2 SIGPIPE nostop noprint";
    let lines = [&[silent, "break main", "break 171", "run", "continue"], &state[..], &["fred-undo", "continue"]];
    let search = ["fred-reverse-watch length < 25", "print trace[24]"];
    let events = recorded("interrupted.c", &[&lines.concat(), &state[..], &search[..]].concat());
    let told = "{1000, 4, 1000, 4, 1, 1000, 4, 1101, 4, 1101, 4, 1101, 4, 1101, 4, 1, 400, 1000, 1000, 4, 1000, 1, 120, 1, \
                200, 201, 211, 210, 200, 201, 211, 210, 301, 302, 303, 200, 210, 32, 0 <repeats 26 times>}";
    let trace = |event: &Value| value(event).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(trace(&events[6]), told, "{events:#?}");
    assert_eq!((value(&events[9]), trace(&events[10])), (value(&events[5]), told.to_owned()), "{events:#?}");
    // It is the handler's handler that does it.
    assert_eq!((place(&events[11]), value(&events[12])), ((Some(23), Some("say")), "0"), "{events:#?}");
}

#[test]
fn a_signal_that_waits_comes_to_copies_of_copies() {
    let lines = ["handle SIGUSR1 nostop noprint", "break 32", "run", "fred-reverse-watch got < 1", "print done"];
    let events = recorded("blocked.c", &[&lines[..], &["continue", "print got"]].concat());
    assert_eq!((place(&events[3]), value(&events[4])), ((Some(11), Some("on_user")), "50000000"), "{events:#?}");
    assert_eq!((place(&events[5]).0, value(&events[6])), (Some(32), "1"), "{events:#?}");
}

#[test]
fn a_timer_that_has_fired_does_not_fire_again_and_one_that_has_not_does() {
    let begin = ["break 20", "run", "break 25", "continue", "print fired", "fred-undo", "print fired", "continue"];
    let events = recorded("once.c", &[&begin[..], &["print fired", "break 27", "continue", "print fired"]].concat());
    let fired: Vec<_> = [4, 6, 8, 11].map(|index| value(&events[index])).into();
    assert_eq!(fired, ["1", "0", "1", "1"], "{events:#?}");
    // From before it has fired beyond what was seen.
    let sooner = ["break 20", "run", "next", "next", "fred-undo 2", "break 25", "continue", "print fired"];
    let events = recorded("once.c", &sooner);
    assert_eq!((place(&events[6]).0, value(&events[7])), (Some(25), "1"), "{events:#?}");
}

#[test]
fn the_debugger_decides_about_signals_as_ever() {
    let begin = ["handle SIGALRM stop print pass", "run", "print ticks", "print $_siginfo.si_code", "continue"];
    let again = ["print ticks", "fred-undo", "print ticks", "print $_siginfo.si_code", "continue", "print ticks"];
    let dropped = ["fred-undo", "signal 0", "print ticks", "handle SIGALRM nostop noprint", "break 52", "continue"];
    let events = recorded("ticker.c", &[&begin[..], &again[..], &dropped[..], &["print ticks"]].concat());
    let alarm = |event: &Value| said(event).contains("SIGALRM, Alarm clock");
    assert!([1, 4, 9, 12].iter().all(|index| alarm(&events[*index])), "{events:#?}");
    // SI_KERNEL
    let values: Vec<_> = [2, 3, 5, 7, 8, 10, 13, 17].map(|index| value(&events[index])).into();
    assert_eq!(values, ["0", "128", "1", "0", "128", "1", "0", "12"], "{events:#?}");
}

#[test]
fn what_the_debugger_has_kept_from_the_program_is_kept_from_it_in_a_search() {
    let dropped = ["handle SIGALRM stop print pass", "run", "handle SIGALRM nostop noprint", "break 28", "signal 0"];
    let search = ["set $n = at[0]", "fred-reverse-watch count < $n", "print count - $n", "print ticks"];
    let events = recorded("computing.c", &[&dropped[..], &search[..]].concat());
    assert_eq!((place(&events[4]).0, place(&events[6])), (Some(28), (Some(18), Some("work"))), "{events:#?}");
    assert_eq!((value(&events[7]), value(&events[8])), ("-1", "0"), "{events:#?}");
}

#[test]
fn a_timer_ticks_while_the_program_computes() {
    let lines =
        ["break main", "run", "break 28", "continue", "print at", "fred-undo", "print ticks", "continue", "print at"];
    let events = recorded("computing.c", &lines);
    assert_eq!((place(&events[3]).0, value(&events[6]), place(&events[7]).0), (Some(28), "0", Some(28)), "{events:#?}");
    assert_eq!(value(&events[8]), value(&events[4]), "{events:#?}");
}

#[test]
fn a_signal_comes_where_it_came_to_whoever_steps_there() {
    let search = ["break 28", "run", "set $n = at[0]", "fred-reverse-watch count < $n", "print ticks"];
    // The last loop's end, and to where the call returns: there it came.
    let there = ["next", "next", "stepi 4", "print ticks", "print count - $n", "next", "print ticks"];
    let events = recorded("computing.c", &[&search[..], &there[..], &["continue", "print at[0] - $n"]].concat());
    assert_eq!((place(&events[3]), value(&events[4])), ((Some(18), Some("work")), "0"), "{events:#?}");
    assert_eq!((value(&events[8]), value(&events[9])), ("0", "0"), "{events:#?}");
    assert_eq!((place(&events[7]).0, place(&events[10]).0, value(&events[11])), (Some(26), Some(27), "1"));
    assert_eq!((place(&events[12]).0, value(&events[13])), (Some(28), "0"), "{events:#?}");
}

#[test]
fn a_timer_ticks_while_the_program_goes_round_one_loop() {
    let begin = ["break main", "run", "break 23", "continue", "print at", "fred-undo", "print ticks", "continue"];
    let search =
        ["print at", "fred-reverse-watch ticks < 3", "print count - at[2]", "print ticks", "next", "print ticks"];
    let events = recorded("tight.c", &[&begin[..], &search[..]].concat());
    assert_eq!((place(&events[3]).0, value(&events[6]), place(&events[7]).0), (Some(23), "0", Some(23)), "{events:#?}");
    assert_eq!(value(&events[8]), value(&events[4]), "{events:#?}");
    assert_eq!((place(&events[9]), value(&events[10])), ((Some(13), Some("on_alarm")), "0"), "{events:#?}");
    assert_eq!((value(&events[11]), value(&events[13])), ("2", "3"), "{events:#?}");
}

#[test]
fn a_signal_that_the_user_gives_is_part_of_what_has_happened() {
    let begin = ["handle SIGUSR1 nostop noprint", "break step", "run", "continue", "continue", "disable", "break 23"];
    let given = ["signal SIGUSR1", "print told", "print seen[0]"];
    // Whoever goes on without it does something else, and whoever gives it again the same.
    let without = ["fred-undo", "continue", "print told", "fred-undo"];
    let again = ["signal SIGUSR1", "print told", "print seen[0]"];
    // Its handler returns into the middle of what a jump for the search's counting replaces.
    let search = ["fred-reverse-watch told == 0", "print told", "print work"];
    let events = recorded("given.c", &[&begin[..], &given[..], &without[..], &again[..], &search[..]].concat());
    let values: Vec<_> = [8, 9, 12, 15, 16].map(|index| value(&events[index])).into();
    assert_eq!(values, ["1", "2000", "0", "1", "2000"], "{events:#?}");
    assert_eq!((place(&events[17]), value(&events[18])), ((Some(9), Some("on_user")), "0"), "{events:#?}");
    assert_eq!(value(&events[19]), "2000", "{events:#?}");
}

#[test]
fn a_signal_of_another_that_waits_is_neither_lost_nor_taken_twice() {
    let silent = "handle SIGUSR1 nostop noprint pass";
    let breaks = [silent, "break main", "break 32", "break 33", "break 35", "run"];
    // Where the notes end it still waits, as it did when that place was left.
    let lines = ["continue", "fred-undo", "continue", "continue", "print taken", "continue", "print got"];
    let events = recorded("pending.c", &[&breaks[..], &lines[..]].concat());
    assert_eq!((value(&events[10]), value(&events[12])), ("1", "0"), "{events:#?}");
    // A copy for which it waited comes to where it has been taken.
    let lines =
        ["continue", "continue", "print taken", "fred-undo", "continue", "print taken", "continue", "print got"];
    let events = recorded("pending.c", &[&breaks[..], &lines[..]].concat());
    assert_eq!([8, 11, 13].map(|index| value(&events[index])), ["1", "1", "0"], "{events:#?}");
}

#[test]
fn a_signal_that_the_process_has_sent_itself_is_taken_once() {
    let begin = ["handle SIGUSR1 nostop noprint pass", "break 26", "break 31", "break 37", "run", "continue"];
    let state = ["print got", "print taken"];
    let lines =
        [&begin[..], &state, &["continue"], &state, &["fred-undo 2", "continue"], &state, &["continue"], &state];
    let search = ["fred-reverse-watch got < 1", "print got", "print taken"];
    let events = recorded("own.c", &[&lines.concat(), &search[..]].concat());
    let values: Vec<_> = [6, 7, 9, 10, 13, 14, 16, 17].map(|index| value(&events[index])).into();
    assert_eq!(values, ["0", "10", "1", "10", "0", "10", "1", "10"], "{events:#?}");
    assert_eq!((place(&events[18]), value(&events[19])), ((Some(12), Some("on_user")), "0"), "{events:#?}");
}

const PYTHON: &str = "\
import os, signal, subprocess, time
ticks, seen = 0, []
def on(number, frame):
    global ticks
    ticks += 1
    seen.append(time.time())
for number in (signal.SIGALRM, signal.SIGUSR1, signal.SIGCHLD):
    signal.signal(number, on)
signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
while ticks < 5:
    signal.pause()
signal.setitimer(signal.ITIMER_REAL, 0)
os.kill(os.getpid(), signal.SIGUSR1)
subprocess.run(['sh', '-c', 'echo once >> log'])
signal.alarm(1)
time.sleep(0.01)
signal.alarm(0)
end = len(seen)
";

#[test]
fn handlers_in_python_run_again_where_they_ran() {
    let sample = Sample::at(tempfile::tempdir().expect("a directory"));
    std::fs::write(sample.path().join("program"), PYTHON).expect("the source");
    let lines = [
        "break 18",
        "continue",
        "p ticks, seen",
        "fred-reverse-watch ticks < 3",
        "p ticks",
        "fred-undo",
        "p ticks, seen",
        "fred-reverse-next",
        "fred-reverse-next",
        "fred-reverse-next",
        "next",
        "next",
        "next",
        "p ticks, seen",
    ];
    let lines: Vec<&str> = ["p 1"].into_iter().chain(lines).collect();
    let events = sample.fred_with(&["--record"], &["python3", "-m", "pdb"], &lines);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert!(said(&events[2]).contains("(7, ["), "{events:#?}");
    assert_eq!((place(&events[3]).0, said(&events[4]).trim()), (Some(5), "2"), "{events:#?}");
    assert_eq!([said(&events[6]), said(&events[13])], [said(&events[2]); 2], "{events:#?}");
    assert_eq!(std::fs::read_to_string(sample.path().join("log")).ok().as_deref(), Some("once\n"));
}

const COMPUTING: &str = "\
import signal
n = ticks = 0
def on(number, frame):
    global ticks
    ticks += 1
signal.signal(signal.SIGALRM, on)
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
while ticks < 3:
    n += 1
end = n
";

#[test]
fn where_no_place_has_a_name_the_recording_stops_and_the_search_does_not() {
    let sample = Sample::at(tempfile::tempdir().expect("a directory"));
    std::fs::write(sample.path().join("program"), COMPUTING).expect("the source");
    let lines = ["p 1", "break 10", "continue", "p ticks >= 3", "fred-reverse-watch ticks < 2"];
    let events = sample.fred_with(&["--record"], &["python3", "-m", "pdb"], &lines);
    assert_eq!(said(&events[2]).trim(), "True", "{events:#?}");
    // What is run again need not be the same, which is said; it comes to an end all the same, because timers run there, too.
    let error = events[3]["error"].as_str().unwrap_or("");
    let found = events[3]["result"]["before"] == "True";
    assert!(found || error.contains("did not replay the same way"), "{events:#?}");
}
