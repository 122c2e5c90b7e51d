//! Sessions with lldb, from outside: the `fred` binary, a script, and its event stream.

mod native;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use native::{Sample, is_done, lldbs, place, said};
use serde_json::Value;

impl Sample {
    /// Runs lines below fred with an lldb.
    fn lldb(&self, name: &str, lines: &[&str]) -> Vec<Value> {
        let lines: Vec<&str> =
            ["settings set symbols.enable-external-lookup false"].into_iter().chain(lines.iter().copied()).collect();
        self.fred(&[name, "-x"], &lines)
    }
}

#[test]
fn a_call_in_a_reverse_watchpoint_finds_the_statement() {
    for lldb in lldbs() {
        let lines = ["b 31", "run", "fred-reverse-watch list_len(head) < 10", "p *head"];
        let events = Sample::new("list.c").lldb(&lldb, &lines);
        let found = &events[2];
        assert!(is_done(found), "{lldb}: {found}");
        assert_eq!(found["result"]["changed_by"]["line"], 22, "{lldb}: {found}");
        assert_eq!(
            (found["result"]["before"].as_str(), found["result"]["after"].as_str()),
            (Some("true"), Some("false"))
        );
        assert_eq!(place(found), (Some(22), Some("insert")));
        // Nine elements there.
        assert!(said(&events[3]).contains("value = 64"), "{lldb}: {}", events[3]);
    }
}

#[test]
fn undo_gives_breakpoints_and_values_back() {
    let lines = [
        "b insert",
        "run",
        "expr int $mine = 5",
        "p $mine",
        "breakpoint delete -f",
        "expr $mine = 6",
        "next",
        "fred-undo 3",
        "p $mine",
        "breakpoint list",
        "fred-redo 3",
        "p $mine",
        "breakpoint list",
    ];
    for lldb in lldbs() {
        let events = Sample::new("list.c").lldb(&lldb, &lines);
        assert!(events.iter().all(is_done), "{lldb}: {events:#?}");
        assert!(said(&events[8]).contains("= 5") || said(&events[8]).trim_end().ends_with('5'), "{}", events[8]);
        assert!(said(&events[9]).contains("insert"), "{lldb}: {}", events[9]);
        assert!(said(&events[11]).trim_end().ends_with('6'), "{lldb}: {}", events[11]);
        assert!(said(&events[12]).contains("No breakpoints"), "{lldb}: {}", events[12]);
        assert_eq!(place(&events[10]), place(&events[6]));
    }
}

#[test]
fn a_crash_is_followed_back_to_its_cause() {
    let lines = [
        "run",
        "fred-reverse-watch items->next->name == 0",
        "fred-reverse-finish",
        "p i",
        "fred-undo 2",
        "fred-reverse-step",
    ];
    for lldb in lldbs() {
        let events = Sample::new("crash.c").lldb(&lldb, &lines);
        assert_eq!(events[0]["stop"]["signal"], "SIGSEGV", "{lldb}: {}", events[0]);
        assert_eq!(events[1]["result"]["changed_by"]["function"], "add", "{lldb}: {}", events[1]);
        assert_eq!(place(&events[2]), (Some(32), Some("main")));
        assert!(said(&events[3]).trim_end().ends_with('3'), "{lldb}: {}", events[3]);
        assert_eq!(events[4]["stop"]["signal"], "SIGSEGV");
        assert_eq!(place(&events[5]).1, Some("total"));
    }
}

#[test]
fn the_end_of_the_program_can_be_left_backwards() {
    for lldb in lldbs() {
        let lines = ["b 31", "run", "continue", "fred-reverse-step", "fred-reverse-next"];
        let events = Sample::new("list.c").lldb(&lldb, &lines);
        let end = &events[2]["stop"];
        assert_eq!((end["reason"].as_str(), end["exit_code"].as_i64()), (Some("exited"), Some(0)), "{lldb}: {end}");
        assert_eq!(place(&events[3]), (Some(32), Some("main")), "{lldb}: {}", events[3]);
        assert_eq!(place(&events[4]), (Some(31), Some("main")), "{lldb}: {}", events[4]);
    }
}

#[test]
fn a_change_by_the_user_is_found_and_can_be_undone() {
    for lldb in lldbs() {
        let lines = ["b 31", "run", "expr i = 77", "next", "fred-reverse-watch i", "fred-undo 3", "p i"];
        let events = Sample::new("list.c").lldb(&lldb, &lines);
        assert_eq!(events[4]["result"]["command"], "expr i = 77", "{lldb}: {}", events[4]);
        assert!(said(&events[6]).trim_end().ends_with("20"), "{lldb}: {}", events[6]);
    }
}

#[test]
fn threads_that_have_been_joined_do_not_keep_from_going_back() {
    for lldb in lldbs() {
        let lines = ["b 24", "run", "next", "fred-reverse-next", "fred-undo 2", "p counter"];
        let events = Sample::new("threads.c").lldb(&lldb, &lines);
        assert!(events.iter().all(is_done), "{lldb}: {events:#?}");
        assert_eq!(place(&events[3]), (Some(24), Some("main")));
        assert!(said(&events[5]).trim_end().ends_with("400"), "{lldb}: {}", events[5]);
    }
}

#[test]
fn expressions_do_not_stand_in_the_way_of_going_back() {
    // The interpreter's and the compiler's values need memory in the program.
    for lldb in lldbs() {
        let lines = [
            "b insert",
            "run",
            "p value + 1",
            "expr list_len(head)",
            "next",
            "p value + 2",
            "next",
            "fred-reverse-step",
            "p value + 3",
            "fred-reverse-step",
            "expr list_len(head) + 7",
        ];
        let events = Sample::new("list.c").lldb(&lldb, &lines);
        assert!(events.iter().all(is_done), "{lldb}: {events:#?}");
        assert_eq!(place(&events[9]), place(&events[1]), "{lldb}: {}", events[9]);
        assert!(said(&events[10]).trim_end().ends_with('7'), "{lldb}: {}", events[10]);
    }
}

#[test]
fn a_program_is_started_again_and_each_start_can_be_gone_back_in() {
    for lldb in lldbs() {
        let lines = [
            "b 31",
            "run",
            "next",
            "run",
            "next",
            "fred-reverse-step",
            "fred-undo 4",
            "next",
            "process kill",
            "process launch -- one",
        ];
        let events = Sample::new("list.c").lldb(&lldb, &lines);
        assert!(events.iter().all(is_done), "{lldb}: {events:#?}");
        assert_eq!(place(&events[5]), (Some(31), Some("main")), "{lldb}: {}", events[5]);
        assert_eq!(place(&events[6]), (Some(31), Some("main")), "{lldb}: {}", events[6]);
        assert_eq!(place(&events[7]), (Some(32), Some("main")), "{lldb}: {}", events[7]);
        assert_eq!(place(&events[9]), (Some(31), Some("main")), "{lldb}: {}", events[9]);
    }
}

#[test]
fn a_process_that_runs_already_is_attached_to_and_let_go() {
    const SOURCE: &str = "#include <stdio.h>\n#include <unistd.h>\nint rounds;\nint main(void)\n{\n    puts(\"here\");\n    \
                          fflush(stdout);\n    while (rounds < 1000000)\n        rounds++, usleep(1000);\n}\n";
    // What has been gone back in is a copy; the process itself is let go only if it was not.
    let ends =
        [(&["next", "breakpoint delete -f", "detach"][..], true), (&["next", "fred-reverse-step", "kill"][..], false)];
    for (lldb, (end, lives)) in lldbs().iter().flat_map(|lldb| ends.iter().map(move |end| (lldb, *end))) {
        let sample = Sample::of("attached.c", SOURCE);
        let mut program =
            Command::new(sample.path().join("program")).stdout(Stdio::piped()).spawn().expect("the program runs");
        let mut first = String::new();
        BufReader::new(program.stdout.take().expect("a pipe")).read_line(&mut first).expect("a line");
        let attach = format!("process attach -p {}", program.id());
        let lines: Vec<&str> = [attach.as_str(), "b 9", "continue"].iter().chain(end).copied().collect();
        let events = sample.lldb(lldb, &lines);
        let running = program.try_wait().expect("a child").is_none();
        program.kill().ok();
        program.wait().expect("a child");
        assert!(events.iter().all(is_done), "{lldb}: {events:#?}");
        assert_eq!(place(&events[2]), (Some(9), Some("main")), "{lldb}: {}", events[2]);
        assert_eq!(running, lives, "{lldb}: {end:?}");
    }
}

#[test]
fn a_condition_that_is_judged_often_is_waited_for() {
    // It is longer than a place is waited for that is not met again.
    let source = "static volatile int last;\nstatic void beat(int n)\n{\n    last = n;\n}\nint main(void)\n{\n    \
                  for (int i = 0; i < 9000; i++)\n        beat(i);\n    return 0;\n}\n";
    let lldb = lldbs().remove(0);
    let lines = ["b 10", "run", "breakpoint set --name beat --condition 'n == 1500'", "fred-reverse-continue", "p n"];
    let events = Sample::of("beats.c", source).lldb(&lldb, &lines);
    assert!(events.iter().all(is_done), "{lldb}: {events:#?}");
    assert_eq!(place(&events[3]), (Some(4), Some("beat")), "{lldb}: {}", events[3]);
    assert!(said(&events[4]).trim_end().ends_with("1500"), "{lldb}: {}", events[4]);
}

#[test]
fn a_bisection_finds_the_statement() {
    // One of them will do: what is asked of them is what the other tests ask.
    let lldb = lldbs().remove(0);
    let sample = Sample::new("bank.c");
    let done = Command::new(env!("CARGO_BIN_EXE_fred"))
        .args(["bisect", "--good", "limits_hold()", "--", &lldb, "-x", "./program"])
        .current_dir(sample.path())
        .env("TERM", "dumb")
        .stdin(Stdio::null())
        .output()
        .expect("fred runs");
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{lldb}: {said}");
    assert!(said.contains("->    44 "), "{lldb}: {said}");
}

#[test]
fn instructions_and_places_in_the_history_are_gone_back_to() {
    let lines = [
        "breakpoint set --name main",
        "run",
        "register read rip",
        "next",
        "next",
        "fred-goto 50%",
        "fred-goto 3",
        "stepi",
        "fred-reverse-stepi",
        "register read rip",
    ];
    for lldb in lldbs() {
        let events = Sample::new("bank.c").lldb(&lldb, &lines);
        assert!(events.iter().all(is_done), "{lldb}: {events:#?}");
        assert_eq!(place(&events[5]).1, Some("main"), "{lldb}: {}", events[5]);
        assert_eq!(place(&events[6]), place(&events[1]), "{lldb}: {}", events[6]);
        assert_eq!(said(&events[2]), said(&events[9]), "{lldb}");
    }
}

/// An inlined call that begins where its line does is two stops in one place; lldb remembers for the next stop there which of them
/// it last showed.
#[test]
fn steps_back_through_inlined_calls_are_those_forward_in_reverse() {
    let steps = 9;
    let lines: Vec<&str> = ["b main", "run"]
        .into_iter()
        .chain(std::iter::repeat_n("step", steps))
        .chain(std::iter::repeat_n(["bt", "fred-reverse-step"], steps).flatten())
        .collect();
    for lldb in lldbs() {
        let sample = Sample::made(&["entered.c"], "gcc -g -O1 -o program entered.c");
        let events = sample.lldb(&lldb, &lines);
        let moves: Vec<&Value> = events.iter().filter(|event| event["line"] != "bt").skip(1).collect();
        let places: Vec<_> = moves.iter().map(|event| (place(event), &event["stop"]["depth"])).collect();
        let (forward, back) = places.split_at(steps + 1);
        assert!(forward.iter().any(|(place, _)| place.1.is_some_and(|name| name.contains("taken"))), "{forward:?}");
        let wanted: Vec<_> = forward[..steps].iter().rev().copied().collect();
        assert_eq!(back, wanted, "{lldb}: {events:#?}");
    }
}
