//! Processes, threads, their ids and attributes.

use syscalls::Sysno;

use crate::syscalls::row::Class::{Absent, Both, Descriptor, Effect, Input, Internal, Process, Program, Refuse};
use crate::syscalls::row::Harmless::Placeholder;
use crate::syscalls::row::Output::{Fixed, Items, Result, Whole};
use crate::syscalls::row::{Irregular, Row, Special, Trap, always, low, not, on, row};

const OWN_ID: &[Trap] = &[always(Special::OwnId)];
/// A thread or process by its id; 0 is the caller.
const BY_ID: &[Trap] = &[on(&[not(0, 0)], Special::IdArgument(0))];
const PRIORITY_BY_ID: &[Trap] = &[on(&[low(0, 0), not(1, 0)], Special::IdArgument(1))];

/// The rows.
pub const ROWS: &[Row] = &[
    row(Sysno::clone, Process),
    row(Sysno::clone3, Process),
    row(Sysno::fork, Process),
    row(Sysno::vfork, Process),
    row(Sysno::execve, Program).local(),
    row(Sysno::execveat, Program).local(),
    // Their end is reported by itself.
    row(Sysno::exit, Internal),
    row(Sysno::exit_group, Internal),
    row(Sysno::wait4, Input).out(&[Fixed(1, 4), Fixed(3, 144)]).session(&[always(Special::Wait)]),
    row(Sysno::waitid, Input).out(&[Fixed(2, 128), Fixed(4, 144)]).session(&[always(Special::Wait)]),
    row(Sysno::getpid, Input).local().session(OWN_ID),
    row(Sysno::gettid, Input).local().session(OWN_ID),
    row(Sysno::getppid, Input).local().session(OWN_ID),
    row(Sysno::set_tid_address, Both).local().session(OWN_ID),
    row(Sysno::getpgid, Input).local().session(BY_ID),
    row(Sysno::getpgrp, Input).local(),
    row(Sysno::getsid, Input).local().session(BY_ID),
    row(Sysno::setpgid, Effect).local().session(BY_ID),
    row(Sysno::setsid, Effect).local(),
    row(Sysno::sched_setaffinity, Effect).local().session(BY_ID),
    row(Sysno::sched_getaffinity, Input).out(&[Result(2, 1)]).session(BY_ID),
    row(Sysno::sched_setparam, Effect).local().session(BY_ID),
    row(Sysno::sched_getparam, Input).local().out(&[Fixed(1, 4)]).session(BY_ID),
    row(Sysno::sched_setscheduler, Effect).local().session(BY_ID),
    row(Sysno::sched_getscheduler, Input).local().session(BY_ID),
    row(Sysno::sched_setattr, Effect).local().session(BY_ID),
    row(Sysno::sched_getattr, Input).local().out(&[Whole(1, 2)]).session(BY_ID),
    row(Sysno::sched_rr_get_interval, Input).local().out(&[Fixed(1, 16)]).session(BY_ID),
    row(Sysno::sched_get_priority_max, Internal),
    row(Sysno::sched_get_priority_min, Internal),
    // A place where another thread may go on.
    row(Sysno::sched_yield, Input).local().turns(),
    row(Sysno::getpriority, Input).local().session(PRIORITY_BY_ID),
    row(Sysno::setpriority, Effect).local().session(PRIORITY_BY_ID),
    row(Sysno::ioprio_get, Input).local(),
    row(Sysno::ioprio_set, Effect).local(),
    row(Sysno::futex, Input).local().turns().irregular(Irregular::Futex),
    row(Sysno::futex_wait, Input).local().turns(),
    row(Sysno::futex_wake, Input).local().turns(),
    row(Sysno::futex_requeue, Input).local().turns(),
    row(Sysno::futex_waitv, Input).local().turns(),
    row(Sysno::set_robust_list, Internal),
    row(Sysno::get_robust_list, Input).local().out(&[Fixed(1, 8), Fixed(2, 8)]).session(BY_ID),
    // The kernel would write the processor's number into memory at any moment; the C library does without.
    row(Sysno::rseq, Absent),
    row(Sysno::pidfd_open, Descriptor(Placeholder(None))).session(&[always(Special::IdArgument(0))]),
    row(Sysno::kcmp, Input).local(),
    row(Sysno::getuid, Internal),
    row(Sysno::getgid, Internal),
    row(Sysno::geteuid, Internal),
    row(Sysno::getegid, Internal),
    row(Sysno::getresuid, Internal),
    row(Sysno::getresgid, Internal),
    row(Sysno::getgroups, Input).local().out(&[Items(1, 4)]),
    row(Sysno::setuid, Internal),
    row(Sysno::setgid, Internal),
    row(Sysno::setreuid, Internal),
    row(Sysno::setregid, Internal),
    row(Sysno::setresuid, Internal),
    row(Sysno::setresgid, Internal),
    row(Sysno::setfsuid, Internal),
    row(Sysno::setfsgid, Internal),
    row(Sysno::setgroups, Internal),
    row(Sysno::capget, Input).local().out(&[Fixed(0, 8), Fixed(1, 24)]),
    row(Sysno::capset, Internal),
    row(Sysno::prctl, Both).local().irregular(Irregular::Prctl),
    row(Sysno::personality, Internal),
    row(Sysno::getrusage, Input).out(&[Fixed(1, 144)]),
    row(Sysno::unshare, Effect).irregular(Irregular::MustFail),
    row(Sysno::setns, Effect).irregular(Irregular::MustFail),
    // A thread has one tracer.
    row(Sysno::ptrace, Refuse),
    row(Sysno::seccomp, Absent),
];
