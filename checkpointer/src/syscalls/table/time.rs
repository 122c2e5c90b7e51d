//! Clocks, timers, sleeps and random bytes.

use syscalls::Sysno;

use crate::syscalls::row::Class::{Effect, Input};
use crate::syscalls::row::Output::{Always, Fixed, Result};
use crate::syscalls::row::{Row, Special, always, row};

/// The rows.
pub const ROWS: &[Row] = &[
    // First, because the replacement of the vDSO makes these by the thousand, and the filter looks in this order.
    row(Sysno::clock_gettime, Input).out(&[Fixed(1, 16)]),
    row(Sysno::gettimeofday, Input).out(&[Fixed(0, 16), Fixed(1, 8)]),
    row(Sysno::time, Input).out(&[Fixed(0, 8)]),
    row(Sysno::getcpu, Input).out(&[Fixed(0, 4), Fixed(1, 4)]),
    row(Sysno::clock_getres, Input).local().out(&[Fixed(1, 16)]),
    row(Sysno::clock_settime, Effect),
    row(Sysno::clock_adjtime, Input).out(&[Fixed(1, 208)]),
    row(Sysno::adjtimex, Input).out(&[Fixed(0, 208)]),
    row(Sysno::settimeofday, Effect),
    row(Sysno::times, Input).out(&[Fixed(0, 32)]),
    row(Sysno::nanosleep, Input).out(&[Always(1, 16)]),
    row(Sysno::clock_nanosleep, Input).out(&[Always(3, 16)]),
    row(Sysno::alarm, Effect),
    row(Sysno::getitimer, Input).out(&[Fixed(1, 32)]),
    row(Sysno::setitimer, Effect).out(&[Fixed(2, 32)]),
    row(Sysno::timer_create, Effect).out(&[Fixed(2, 4)]),
    row(Sysno::timer_settime, Effect).out(&[Fixed(3, 32)]),
    row(Sysno::timer_gettime, Input).out(&[Fixed(1, 32)]),
    row(Sysno::timer_getoverrun, Input),
    row(Sysno::timer_delete, Effect),
    row(Sysno::timerfd_settime, Effect).out(&[Fixed(3, 32)]),
    row(Sysno::timerfd_gettime, Input).out(&[Fixed(1, 32)]),
    row(Sysno::getrandom, Input).out(&[Result(0, 1)]).session(&[always(Special::Random)]),
];
