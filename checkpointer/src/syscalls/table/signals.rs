//! Signals. What is sent for real arrives as an event of its own in the recording.

use syscalls::Sysno;

use crate::syscalls::row::Class::{Effect, Input, Internal};
use crate::syscalls::row::Output::{Fixed, Whole};
use crate::syscalls::row::{Irregular, Row, Special, always, row};

/// The rows.
pub const ROWS: &[Row] = &[
    row(Sysno::rt_sigaction, Internal),
    row(Sysno::rt_sigprocmask, Internal),
    row(Sysno::rt_sigreturn, Internal),
    row(Sysno::sigaltstack, Internal),
    row(Sysno::rt_sigpending, Input).out(&[Whole(0, 1)]),
    row(Sysno::rt_sigtimedwait, Input).out(&[Fixed(1, 128)]),
    row(Sysno::rt_sigsuspend, Input),
    row(Sysno::pause, Input),
    row(Sysno::kill, Effect).session(&[always(Special::Kill)]),
    row(Sysno::tkill, Effect).local().session(&[always(Special::IdArgument(0))]),
    row(Sysno::tgkill, Effect).local().session(&[always(Special::ThreadKill)]),
    row(Sysno::rt_sigqueueinfo, Effect).local().session(&[always(Special::IdArgument(0))]),
    row(Sysno::rt_tgsigqueueinfo, Effect).local().session(&[always(Special::ThreadKill)]),
    row(Sysno::pidfd_send_signal, Effect),
    row(Sysno::restart_syscall, Input).irregular(Irregular::Restart),
];
