//! timerfd(2): clock, remaining time, interval, expiries not yet read.

use std::io;
use std::os::fd::BorrowedFd;

use serde::{Deserialize, Serialize};

use super::value;
use crate::raw::{self, TimerSetting};

/// The setting of a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    clock: i32,
    /// TFD_TIMER_ABSTIME and TFD_TIMER_CANCEL_ON_SET, as they were given.
    flags: i32,
    ticks: u64,
    setting: TimerSetting,
}

/// From fdinfo: `it_value: (99, 999985077)` is what remains, also for an absolute time.
#[must_use]
pub fn capture(text: &str) -> Option<Timer> {
    let time = |key| {
        let (seconds, rest) = value(text, key)?.trim_matches(['(', ')']).split_once(", ")?;
        Some((seconds.parse().ok()?, rest.parse().ok()?))
    };
    Some(Timer {
        clock: value(text, "clockid")?.parse().ok()?,
        flags: i32::from_str_radix(value(text, "settime flags")?, 8).ok()?,
        ticks: value(text, "ticks")?.parse().ok()?,
        setting: TimerSetting { interval: time("it_interval")?, value: time("it_value")? },
    })
}

/// Arms the timer with what remained. One that was set to an absolute time is set to the absolute time at which that is over,
/// so that it still is one of that sort.
///
/// # Errors
/// What timerfd_settime(2) says; TFD_IOC_SET_TICKS needs CONFIG_CHECKPOINT_RESTORE.
pub fn put_back(state: &Timer, fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut setting = state.setting;
    if state.flags & libc::TFD_TIMER_ABSTIME != 0 && setting.value != (0, 0) {
        let (seconds, nanoseconds) = raw::clock_now(state.clock)?;
        let sum = setting.value.1 + nanoseconds;
        setting.value = (setting.value.0 + seconds + sum / 1_000_000_000, sum % 1_000_000_000);
    }
    // Setting a timer forgets its ticks (do_timerfd_settime).
    raw::timerfd_settime(fd, state.flags, setting)?;
    if state.ticks > 0 {
        raw::timerfd_set_ticks(fd, state.ticks)?;
    }
    Ok(())
}
