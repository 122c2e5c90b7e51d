//! Memory that a recorded program shares with its children, or with a file: what is stored there is stored once, and seen again.

mod native;

use std::path::Path;

use native::{Sample, is_done, place, said};
use serde_json::Value;

const SILENT: &str = "set debug-file-directory /none";

/// Runs lines in a session of a C program that is recorded, and how its recording stopped.
fn recorded(program: &str, lines: &[&str]) -> (Sample, Vec<Value>) {
    let sample = Sample::made(&[program], &format!("gcc -g -O0 -pthread -o program {program}"));
    let lines: Vec<&str> = [SILENT].into_iter().chain(lines.iter().copied()).collect();
    let events = sample.fred_with(&["--record"], &["gdb", "-q", "-nx"], &lines);
    assert!(events.iter().all(is_done), "{events:#?}");
    (sample, events)
}

/// What was printed for an expression.
fn value(event: &Value) -> &str {
    said(event).rsplit_once("= ").map_or("", |(_, value)| value.trim())
}

fn count_in(sample: &Sample) -> i32 {
    let bytes = std::fs::read(sample.path().join("counter.data")).expect("the file");
    bytes.first_chunk().copied().map_or(-1, i32::from_ne_bytes)
}

#[test]
fn a_counter_in_a_file_that_is_mapped_counts_once() {
    let begin = ["break step", "run", "continue", "finish", "fred-undo 2", "continue", "print number", "continue"];
    let more = ["continue", "print number", "fred-undo 3", "continue", "print number", "continue", "continue"];
    let search = ["print number", "fred-reverse-watch again < 15", "print again", "continue", "print number"];
    let (sample, events) = recorded("counter.c", &[&begin[..], &more, &search].concat());
    let values: Vec<_> = [6, 9, 12, 15, 17, 19].map(|index| value(&events[index])).into();
    assert_eq!(values, ["10", "15", "10", "15", "0", "15"], "{events:#?}");
    assert_eq!(count_in(&sample), 15);
}

#[test]
fn a_file_that_was_mapped_is_left_as_the_newest_process_has_left_it() {
    // The session ends in the past, where it is mapped and has been stored in less often.
    let begin =
        ["break step", "break 29", "run", "continue", "disable 2", "continue", "continue", "fred-undo 4", "continue"];
    let sample = Sample::made(&["counter.c"], "gcc -g -O0 -o program counter.c");
    let lines: Vec<&str> = [SILENT].into_iter().chain(begin).collect();
    let events = sample.fred_with(&["--record"], &["gdb", "-q", "-nx"], &lines);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(place(&events[8]).0, Some(29), "{events:#?}");
    assert_eq!(count_in(&sample), 10);
}

/// Seen to fail (20 instead of 5) when the contents of the newest process came back at the end of each thread.
#[test]
fn a_file_that_is_mapped_has_what_it_had_when_a_thread_ends() {
    let begin = ["break main", "break step", "run", "continue", "print *number"];
    let on = ["continue", "print *number"].repeat(3);
    let back = ["fred-undo 4", "continue", "print *number", "finish", "print seen"];
    let last = ["delete", "break 35", "continue", "print *number", "next", "print *number", "continue"];
    let (sample, events) = recorded("ended.c", &[&begin[..], &on, &back, &on, &last].concat());
    let values: Vec<_> = [4, 6, 8, 10, 13, 15, 17, 19, 21, 25, 27].map(|index| value(&events[index])).into();
    assert_eq!(values, ["5", "10", "15", "20", "5", "50", "10", "15", "20", "20", "120"], "{events:#?}");
    assert_eq!(count_in(&sample), 120);
}

#[test]
fn what_a_child_stores_in_shared_memory_is_seen_again() {
    let state = ["print seen", "print polled", "print result"];
    // Behind its end: nobody can go back while a child lives.
    let begin = ["break step", "run", "break 53", "continue"];
    let again = ["fred-undo", "continue"];
    let search = ["fred-reverse-watch seen[4] == 0", "next", "print seen", "continue"];
    let (_, events) = recorded("shared.c", &[&begin[..], &state, &again, &state, &search, &state].concat());
    let told = |at: usize| [at, at + 1, at + 2].map(|index| value(&events[index]).to_owned());
    assert_eq!(value(&events[4]), "{11, 22, 33, 44, 55, 66, 77, 88}", "{events:#?}");
    assert_eq!((told(9), told(16)), (told(4), told(4)), "{events:#?}");
    assert_eq!((place(&events[12]).0, value(&events[14])), (Some(44), "{11, 22, 33, 44, 55, 0, 0, 0}"), "{events:#?}");
}

const PYTHON: &str = "\
import multiprocessing as mp
def add(value):
    with value.get_lock():
        value.value += 5
def double(given, made):
    for number in iter(given.get, None):
        made.put(number * 2)
def square(number):
    with open('log', 'a') as log:
        log.write('once\\n')
    return number * number
def main():
    value = mp.Value('i', 1)
    other = mp.Process(target=add, args=(value,))
    other.start()
    other.join()
    value.value += 1
    added = value.value
    given, made = mp.Queue(), mp.Queue()
    other = mp.Process(target=double, args=(given, made))
    other.start()
    for number in [1, 2, 3, None]:
        given.put(number)
    doubled = [made.get() for number in range(3)]
    other.join()
    with mp.Pool(2) as pool:
        squares = pool.map(square, range(4))
        pool.close()
        pool.join()
    end = added, doubled, squares
    return end
if __name__ == '__main__':
    mp.set_start_method('fork')
    main()
";

/// The interpreters of pyenv and the one in PATH.
fn interpreters() -> Vec<String> {
    let home = std::env::var("HOME").unwrap_or_default();
    let versions = std::fs::read_dir(format!("{home}/.pyenv/versions")).into_iter().flatten().flatten();
    let wanted = ["3.8.", "3.11.", "3.13."];
    let of_ours = |name: &str| wanted.iter().any(|version| name.starts_with(version));
    let found = versions.filter(|version| version.file_name().to_str().is_some_and(of_ours));
    let found = found.map(|version| version.path().join("bin/python3").display().to_string());
    let mut found: Vec<String> = found.filter(|python| Path::new(python).exists()).collect();
    if found.is_empty() {
        found.push("python3".to_owned());
    }
    found
}

#[test]
fn python_s_processes_and_what_they_share_come_again() {
    for python in interpreters() {
        let sample = Sample::at(tempfile::tempdir().expect("a directory"));
        std::fs::write(sample.path().join("program"), PYTHON).expect("the source");
        let begin = ["p 1", "break 13", "break 31", "continue", "continue", "p end"];
        let again = ["fred-undo", "continue", "p end", "fred-reverse-next", "p (added, doubled)", "next", "p end"];
        // Not as in the middle of a child's life, where nobody can go back.
        let search = ["fred-reverse-watch 'added' in locals()", "p 1", "fred-reverse-continue"];
        let last = ["p 'added' in locals()", "continue", "p end"];
        let events =
            sample.fred_with(&["--record"], &[&python, "-m", "pdb"], &[&begin[..], &again, &search, &last].concat());
        assert!(events.iter().all(is_done), "{python}: {events:#?}");
        let all = "(7, [2, 4, 6], [0, 1, 4, 9])";
        let told = |index: usize| said(&events[index]).trim();
        assert_eq!([4, 7, 11, 17].map(told), [all; 4], "{python}: {events:#?}");
        assert_eq!((told(9), told(15)), ("(7, [2, 4, 6])", "False"), "{python}: {events:#?}");
        assert_eq!(place(&events[14]).0, Some(13), "{python}: {events:#?}");
        assert_eq!(events[12]["result"]["before"], "False", "{python}: {events:#?}");
        let log = std::fs::read_to_string(sample.path().join("log")).ok();
        assert_eq!(log.as_deref(), Some("once\nonce\nonce\nonce\n"), "{python}");
    }
}
