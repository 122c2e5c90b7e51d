//! gdb with a program that is served by the supervisor, compared with gdb at its own gdbserver: what it shows must be the same.

use fred_checkpointer::wire::{Event, Run, RunEnd};

#[path = "served/session.rs"]
mod session;
use session::{Sample, Session, by_gdbserver, by_us};

/// Both show the same; what it is, without ids and addresses.
fn alike(sample: &str, lines: &[&str]) -> String {
    let sample = Sample::new(sample);
    let ours = by_us(&sample, lines);
    let theirs = by_gdbserver(&sample, lines);
    assert_eq!(ours, theirs, "\n--- by us:\n{ours}\n--- by gdbserver:\n{theirs}");
    ours
}

#[track_caller]
fn shows(output: &str, parts: &[&str]) {
    let mut rest = output;
    for part in parts {
        let Some(at) = rest.find(part) else { panic!("no {part:?} (in this order) in:\n{output}") };
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn breakpoints_steps_and_the_end() {
    let output = alike(
        "recursion.c",
        &["break down if n == 3", "run", "bt", "next", "step", "stepi", "finish", "delete", "continue"],
    );
    shows(&output, &["down (n=3)", "#3", "main", "exited with code 07"]);
}

#[test]
fn watchpoints() {
    let output = alike(
        "watched.c",
        &[
            "break main",
            "run",
            "watch counter",
            "continue",
            "continue",
            "delete",
            "rwatch other",
            "continue",
            "delete",
            "awatch counter",
            "continue",
            "continue",
            "delete",
            "watch -l wide",
            "continue",
            "delete",
            "hbreak last",
            "continue",
            "continue",
        ],
    );
    shows(&output, &["Old value = 0", "New value = 1", "read watchpoint", "Value", "exited normally"]);
}

#[test]
fn signals_are_told_passed_and_suppressed() {
    let output = alike(
        "signals.c",
        &[
            "run",
            "print $_siginfo.si_signo",
            "print handled",
            "signal 0",
            "print handled",
            "continue",
            "print handled",
            "handle SIGUSR2 nostop noprint pass",
            "break done",
            "continue",
            "print handled",
            "print late",
            "continue",
        ],
    );
    shows(&output, &["SIGUSR1", "= 10", "= 0"]);
}

#[test]
fn stepping_meets_handlers() {
    let output = alike(
        "signals.c",
        &["handle SIGUSR1 nostop noprint pass", "break raiser", "run", "next", "next", "print handled", "kill"],
    );
    shows(&output, &["raiser"]);
}

#[test]
fn system_calls_are_caught() {
    let output = alike(
        "calls.c",
        &[
            "catch syscall getppid",
            "catch syscall write",
            "run",
            "continue",
            "continue",
            "continue",
            "continue",
            "delete",
            "continue",
        ],
    );
    shows(&output, &["call to syscall getppid", "returned from syscall getppid", "call to syscall write"]);
}

#[test]
fn single_instructions_over_system_calls() {
    let lines = ["break before", "run", "finish", "stepi 400", "print stage", "x/i $pc", "delete", "continue"];
    alike("calls.c", &lines);
}

#[test]
fn forks_vforks_and_execs() {
    let output = alike(
        "family.c",
        &[
            "break child_work",
            "break after_fork",
            "run",
            "next",
            "break after_vfork",
            "continue",
            "next",
            "break main",
            "continue",
            "continue",
        ],
    );
    shows(&output, &["after_fork", "after_vfork", "is executing new program", "exited with code 05"]);
}

#[test]
fn children_are_told_of() {
    let output = alike(
        "family.c",
        &[
            "catch fork",
            "catch vfork",
            "catch exec",
            "run",
            "continue",
            "info breakpoints",
            "delete",
            "break child_work",
            "continue",
        ],
    );
    shows(&output, &["Catchpoint 1 (forked process", "[Detaching after fork", "Catchpoint 2 (vforked process"]);
}

#[test]
fn children_are_followed() {
    let lines = ["set follow-fork-mode child", "break child_work", "run", "bt", "finish", "delete", "continue"];
    let output = alike("family.c", &lines);
    shows(&output, &["child_work", "main", "exited with code 03"]);
}

#[test]
fn one_process_at_a_time() {
    let lines = ["set detach-on-fork off", "run", "print worked", "detach inferiors 2", "break after_fork", "continue"];
    let sample = Sample::new("family.c");
    let mut session = Session::start(&sample, &lines);
    session.until_end();
    shows(&session.output, &["`detach inferiors 2' or `kill inferiors 2'", "$1 = 0", "after_fork"]);
}

#[test]
fn threads_are_all_stopped() {
    let output = alike(
        "threads.c",
        &[
            "break meet",
            "run",
            "print arrived",
            "info threads",
            "thread apply all -s frame 0",
            "set scheduler-locking on",
            "next",
            "next",
            "set scheduler-locking off",
            "delete",
            "continue",
        ],
    );
    shows(&output, &["meet", "exited"]);
}

#[test]
fn a_run_that_begins_at_its_fence_is_over() {
    let sample = Sample::new("recursion.c");
    let mut session = Session::start(&sample, &["break down", "run", "python import os; os.read(0, 1)"]);
    while !matches!(session.wait(), Event::Reading { program: false, .. }) {}
    let here = session.client.checkpoint_program().expect("a copy").id;
    let wanted = Run { fence: Some(here), ..Run::default() };
    session.client.run(wanted).expect("a run");
    let end = loop {
        if let Event::Ran(ran) = session.wait() {
            break ran.end;
        }
    };
    assert_eq!(end, RunEnd::Fence);
}
