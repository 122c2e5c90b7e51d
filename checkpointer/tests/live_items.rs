//! Every sample under the real supervisor: checkpoint, run on and change everything, restore, and let the program check
//! itself. Each is restored several times, because a checkpoint must stay as it was.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::Bench;

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")
}

fn build(name: &str, directory: &Path) -> PathBuf {
    let program = directory.join(name);
    let source = samples().join(format!("{name}.c"));
    let built = Command::new("gcc")
        .args(["-O1", "-Wall", "-pthread", "-o"])
        .arg(&program)
        .arg(&source)
        .output()
        .expect("gcc is needed for this test");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    program
}

/// Children that wait to be started by the sample make a checkpoint impossible; the refusal names them, and the program
/// goes on.
fn refused(name: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let program = build(name, directory.path());
    let mut bench = Bench::start(&[program.to_str().expect("utf-8")]);
    bench.until_reading();
    let refusal = bench.client.checkpoint().expect_err("it has a live child").to_string();
    assert!(refusal.contains(&name[..15]), "{refusal}");
    assert!(bench.say("mutate").contains("mutated"));
}

fn carries(name: &str) {
    if name == "blocked_wait_child" {
        return refused(name);
    }
    // What these do to the system while they check themselves happens once.
    let rounds = if ["inotify", "blocked_semtimedop"].contains(&name) { 1 } else { 3 };
    let directory = tempfile::tempdir().expect("a directory");
    let program = build(name, directory.path());
    let mut bench = Bench::start(&[
        "/usr/bin/env",
        "-C",
        directory.path().to_str().expect("utf-8"),
        program.to_str().expect("utf-8"),
    ]);
    let ready = bench.until_reading();
    assert!(ready.contains("ready"), "{ready}");
    let id = bench.checkpoint();
    let mutated = bench.say("mutate");
    assert!(mutated.contains("mutated"), "{mutated}");
    for round in 1..=rounds {
        bench.restore(id);
        if round == 2 {
            // A restored process can be checkpointed again, and that copy is as good.
            let second = bench.checkpoint();
            bench.say("mutate");
            bench.restore(second);
        }
        bench.type_line("check");
        let (status, signal, output) = bench.until_exit();
        assert_eq!((status, signal), (Some(0), None), "round {round}: {output}");
        assert!(output.contains("ok"), "round {round}: {output}");
    }
}

macro_rules! items {
    ($($name:ident),* $(,)?) => {
        $(#[test] fn $name() { carries(stringify!($name)); })*

        #[test]
        fn every_sample_has_a_test() {
            let named = [$(stringify!($name)),*];
            for entry in std::fs::read_dir(samples()).expect("samples") {
                let path = entry.expect("an entry").path();
                if path.extension().is_some_and(|e| e == "c") {
                    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default().to_owned();
                    assert!(named.contains(&stem.as_str()), "{stem}.c is not in the list of this test");
                }
            }
        }
    };
}

items!(
    abort,
    altstack,
    append_flag,
    async_owner,
    attributes,
    avx,
    avx512,
    blocked_clock_nanosleep,
    blocked_condition,
    blocked_epoll_wait,
    blocked_futex,
    blocked_futex_woken,
    blocked_nanosleep,
    blocked_poll,
    blocked_poll_ready,
    blocked_read,
    blocked_select,
    blocked_semtimedop,
    blocked_sigsuspend,
    blocked_wait_child,
    directory,
    ended_child,
    epoll,
    eventfd,
    fork_advice,
    identity,
    inotify,
    itimer,
    itimer_fired,
    join,
    mlock,
    offset,
    packet_pipe,
    pending_signals,
    pipe,
    posix_timers,
    process_wide,
    record_lock,
    robust_mutex,
    rseq,
    shared_anonymous,
    shared_file,
    shared_memfd,
    shared_sysv,
    signalfd,
    socketpair_dgram,
    socketpair_seqpacket,
    socketpair_shutdown,
    socketpair_stream,
    thread_local,
    timerfd,
);
