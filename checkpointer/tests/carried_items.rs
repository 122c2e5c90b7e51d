//! Each item that fork does not carry survives a checkpoint: its sample program is stopped at its prompt and forked; the
//! original changes everything; a first copy of the copy changes everything again; the second finds all as it was.

mod double;

use std::process::Command;
use std::time::Instant;

use double::{Program, Stopped, compile};
use fred_checkpointer::inject::Remote;
use fred_checkpointer::snapshot::state::{Hints, after_fork, capture_all, live_children, put_back_all};
use fred_checkpointer::snapshot::zombies::WaitFor;

/// Returns the warnings of the last restore.
fn survives(name: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let mut sample = Program::start(&mut Command::new(compile(name, folder.path())));
    assert_eq!(sample.hear(), "ready");
    let hints = Hints { fork_advice: true, locked: true, ..Hints::default() };
    let mut original = Stopped::stop(sample.pid());
    let captured = original.pid().as_raw();
    let state = capture_all(&mut original, &hints).unwrap();
    let mut checkpoint = original.fork();
    after_fork(&state, &mut original).unwrap();
    let running = original.let_go();
    sample.say("mutate");
    assert_eq!(sample.hear(), "mutated");
    drop(running);

    for (order, answer) in [("mutate", "mutated"), ("check", "ok")] {
        let mut copy = checkpoint.fork();
        let pid = copy.pid().as_raw();
        let warnings =
            put_back_all(&state, &mut copy, &|id| if id == captured { pid } else { id }, &|_| true, false).unwrap();
        let running = copy.let_go();
        sample.say(order);
        assert_eq!(sample.hear(), answer, "{name}, warnings: {warnings:?}");
        drop(running);
        if order == "check" {
            return warnings;
        }
    }
    unreachable!()
}

macro_rules! items {
    ($($name:ident)*) => { $(
        #[test]
        fn $name() {
            assert_eq!(survives(stringify!($name)), Vec::<String>::new());
        }
    )* };
}

items! {
    offset append_flag directory pipe packet_pipe socketpair_stream socketpair_dgram socketpair_seqpacket eventfd timerfd epoll
    signalfd inotify itimer itimer_fired posix_timers pending_signals altstack attributes shared_anonymous shared_file shared_memfd shared_sysv
    fork_advice mlock record_lock async_owner process_wide
}

#[test]
fn socketpair_shutdown() {
    let warnings = survives("socketpair_shutdown");
    assert!(warnings.iter().all(|warning| warning.contains("made anew")), "{warnings:?}");
}

#[test]
fn an_ended_child_is_on_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let mut sample = Program::start(&mut Command::new(compile("ended_child", folder.path())));
    assert_eq!(sample.hear(), "ready");
    let mut stopped = Stopped::stop(sample.pid());
    let mut state = capture_all(&mut stopped, &Hints::default()).unwrap();
    assert!(live_children(&stopped).unwrap().is_empty());
    let ended: Vec<_> = state.zombies.waiting.iter().map(|child| child.status).collect();
    assert_eq!(ended, [3 << 8, libc::SIGKILL]);
    let first = state.zombies.answer(WaitFor::wait4(-1, 0), 0).unwrap();
    assert_eq!(first.code_and_status(), (libc::CLD_EXITED, 3));
}

#[test]
fn a_live_child_is_named() {
    let script = "tail -f /dev/null & echo $!; exec cat";
    let mut shell = Program::start(Command::new("sh").args(["-c", script]).stderr(std::process::Stdio::null()));
    let child = nix::unistd::Pid::from_raw(shell.hear().parse().unwrap());
    let stopped = Stopped::stop(shell.pid());
    let live = live_children(&stopped).unwrap();
    nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(live.iter().map(|(pid, _)| *pid).collect::<Vec<_>>(), [child]);
}

/// What it costs for a Python process at its prompt; a measurement, not a promise on every machine.
#[test]
#[ignore = "a measurement: run it alone, with --ignored --nocapture"]
fn cost_at_a_python_prompt() {
    let script = "print('ready', flush=True); input()";
    let mut python = Program::start(Command::new("python3").args(["-c", script]));
    assert_eq!(python.hear(), "ready");
    let mut stopped = Stopped::stop(python.pid());
    let (mut captures, mut restores) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let start = Instant::now();
        let state = capture_all(&mut stopped, &Hints::default()).unwrap();
        captures.push(start.elapsed());
        let start = Instant::now();
        assert_eq!(put_back_all(&state, &mut stopped, &|id| id, &|_| true, false).unwrap(), Vec::<String>::new());
        restores.push(start.elapsed());
    }
    captures.sort();
    restores.sort();
    println!("median: capture {:?}, put back {:?}", captures[100], restores[100]);
}
