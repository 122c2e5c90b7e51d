//! Interval timers and POSIX timers. Fork gives the child none of them (fork(2)).
//!
//! What is kept is the time that remained. A timer that was armed with an absolute time is put back with what remained of
//! it too: the kernel tells nobody that it was absolute, and the program's clock stands still between checkpoint and
//! restore. A clock that is set meanwhile does not move such a timer any more.

use serde::{Deserialize, Serialize};
use syscalls::Sysno;

use super::scratch::{argument, bytes_of, call, proc_text, refusal, result, words};
use crate::inject::{InjectError, Remote};

/// `struct itimerval` or `struct itimerspec`: interval and value, seconds and micro- or nanoseconds.
type Setting = [u64; 4];

const ITIMER_REAL: usize = 0;

/// How a POSIX timer tells that it fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Notice {
    /// SIGEV_SIGNAL: a signal to the process.
    Process,
    /// SIGEV_THREAD_ID: a signal to this thread (its real id at capture).
    Thread(i32),
    /// SIGEV_NONE.
    Nobody,
}

/// One POSIX timer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct PosixTimer {
    id: i32,
    clock: i32,
    notice: Notice,
    signal: i32,
    value: u64,
    setting: Setting,
    overrun: u64,
}

/// All timers of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timers {
    /// ITIMER_REAL, ITIMER_VIRTUAL and ITIMER_PROF.
    interval: [Setting; 3],
    posix: Vec<PosixTimer>,
}

impl Timers {
    /// Whether there is none that could ever fire.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.posix.is_empty() && !self.interval.iter().any(is_armed)
    }

    /// The same, with other ids for threads.
    #[must_use]
    pub fn renamed(&self, translate: &dyn Fn(i32) -> i32) -> Timers {
        let mut renamed = self.clone();
        for timer in &mut renamed.posix {
            timer.clock = translate_clock(timer.clock, translate);
            if let Notice::Thread(tid) = &mut timer.notice {
                *tid = translate(*tid);
            }
        }
        renamed
    }
}

/// Notes all timers. Three injected calls (no file of /proc shows interval timers: field 21 of stat is always 0), and two
/// more for each POSIX timer.
///
/// # Errors
/// [`InjectError::Unsupported`] for a timer on a clock that is a device; any trouble with the process.
pub fn capture(remote: &mut dyn Remote) -> Result<Timers, InjectError> {
    let scratch = remote.scratch();
    for which in 0..3 {
        call(remote, Sysno::getitimer, &[which, scratch + which * 32])?;
    }
    let all = words::<12>(&result::<96>(remote, 0)?);
    let mut interval = [[0; 4]; 3];
    for (which, setting) in interval.iter_mut().enumerate() {
        setting.copy_from_slice(&all[which * 4..which * 4 + 4]);
        // ITIMER_REAL is armed again when its signal is taken, not when it is sent (kernel/time/itimer.c): one that has fired during
        // a stop shows no time that remains.
        if which == ITIMER_REAL && setting[2..] == [0, 0] {
            setting.copy_within(..2, 2);
        }
    }
    // Without CONFIG_CHECKPOINT_RESTORE there is no such file, and no other way to list them.
    let listed = proc_text(remote, "the list of POSIX timers", "timers")?.unwrap_or_default();
    let mut posix = parse(&listed).ok_or_else(|| {
        InjectError::Unsupported(format!("/proc/{}/timers has a form that is not known here: {listed:?}", remote.pid()))
    })?;
    for timer in &mut posix {
        // The low three bits of a dynamic clock id are 3 when it is an open device (CLOCKFD, linux/posix-timers.h).
        if timer.clock < 0 && timer.clock & 7 == 3 {
            return Err(InjectError::Unsupported(format!("timer {} runs on the clock of a device", timer.id)));
        }
        call(remote, Sysno::timer_gettime, &[timer.id as u64, scratch])?;
        timer.setting = words(&result::<32>(remote, 0)?);
        timer.overrun = call(remote, Sysno::timer_getoverrun, &[timer.id as u64])?;
    }
    posix.sort_by_key(|timer| timer.id);
    Ok(Timers { interval, posix })
}

/// Makes the timers again, with the same ids. `translate` gives the real thread id that now stands for one at capture.
/// A timer on "the CPU time of the calling thread" becomes one of `remote`'s thread: /proc does not tell who made it.
///
/// # Errors
/// Any trouble with the process but a refusal by the kernel, which becomes a warning.
pub fn put_back(
    state: &Timers,
    remote: &mut dyn Remote,
    translate: &dyn Fn(i32) -> i32,
) -> Result<Vec<String>, InjectError> {
    let mut warnings = Vec::new();
    for (which, setting) in state.interval.iter().enumerate().filter(|(_, setting)| is_armed(setting)) {
        let address = argument(remote, &bytes_of(setting))?;
        if let Err(errno) = refusal(call(remote, Sysno::setitimer, &[which as u64, address, 0]))? {
            warnings.push(format!("interval timer {which}: {errno}"));
        }
    }
    if state.posix.is_empty() {
        return Ok(warnings);
    }
    let exact = restore_ids(remote, true)?;
    for timer in &state.posix {
        if let Err(reason) = make(timer, remote, translate, exact)? {
            warnings.push(format!("POSIX timer {}: {reason}", timer.id));
        } else if timer.overrun > 0 {
            warnings.push(format!("POSIX timer {}: its overrun count of {} begins at 0", timer.id, timer.overrun));
        }
    }
    if exact {
        restore_ids(remote, false)?;
    }
    Ok(warnings)
}

fn is_armed(setting: &Setting) -> bool {
    setting[2] != 0 || setting[3] != 0
}

/// PR_TIMER_CREATE_RESTORE_IDS (Linux 6.15): while it is on, timer_create(2) takes the id from where it would write it.
fn restore_ids(remote: &mut dyn Remote, on: bool) -> Result<bool, InjectError> {
    const PR_TIMER_CREATE_RESTORE_IDS: u64 = 77;
    let switched = call(remote, Sysno::prctl, &[PR_TIMER_CREATE_RESTORE_IDS, u64::from(on), 0, 0, 0]);
    Ok(refusal(switched)?.is_ok())
}

fn make(
    timer: &PosixTimer,
    remote: &mut dyn Remote,
    translate: &dyn Fn(i32) -> i32,
    exact: bool,
) -> Result<Result<(), String>, InjectError> {
    const ID: u64 = 64;
    let (notify, thread) = match timer.notice {
        Notice::Process => (libc::SIGEV_SIGNAL, 0),
        Notice::Thread(tid) => (libc::SIGEV_THREAD_ID, translate(tid)),
        Notice::Nobody => (libc::SIGEV_NONE, 0),
    };
    let clock = translate_clock(timer.clock, translate);
    let mut event = vec![0; 68];
    event[..8].copy_from_slice(&timer.value.to_le_bytes());
    event[8..12].copy_from_slice(&timer.signal.to_le_bytes());
    event[12..16].copy_from_slice(&notify.to_le_bytes());
    event[16..20].copy_from_slice(&thread.to_le_bytes());
    event[64..].copy_from_slice(&timer.id.to_le_bytes());
    loop {
        let address = argument(remote, &event)?;
        let created = call(remote, Sysno::timer_create, &[clock as u64, address, address + ID]);
        if let Err(errno) = refusal(created)? {
            return Ok(Err(errno.to_string()));
        }
        let id = i32::from_le_bytes(result::<4>(remote, ID)?);
        if id == timer.id {
            break;
        }
        // Before 6.15 ids count up from 0 in each process, so the wanted one comes, unless it has been passed.
        call(remote, Sysno::timer_delete, &[id as u64])?;
        if exact || id > timer.id {
            return Ok(Err(format!("the kernel gave id {id}")));
        }
    }
    if is_armed(&timer.setting) {
        let address = argument(remote, &bytes_of(&timer.setting))?;
        let armed = refusal(call(remote, Sysno::timer_settime, &[timer.id as u64, 0, address, 0]))?;
        return Ok(armed.map(|_| ()).map_err(|errno| errno.to_string()));
    }
    Ok(Ok(()))
}

/// A CPU clock of a named process or thread holds its id, inverted, above three bits (MAKE_PROCESS_CPUCLOCK).
fn translate_clock(clock: i32, translate: &dyn Fn(i32) -> i32) -> i32 {
    let owner = !(clock >> 3);
    if clock >= 0 || owner == 0 { clock } else { (!translate(owner)) << 3 | clock & 7 }
}

/// Reads /proc/PID/timers; `None` when it has another form than `show_timer` in fs/proc/base.c gives it.
fn parse(listed: &str) -> Option<Vec<PosixTimer>> {
    let lines: Vec<&str> = listed.lines().collect();
    lines
        .chunks(4)
        .map(|lines| {
            let [id, signal, notify, clock] = lines else { return None };
            let (signal, value) = signal.strip_prefix("signal: ")?.split_once('/')?;
            let (how, whom) = notify.strip_prefix("notify: ")?.split_once('/')?;
            let whom = whom.split_once('.')?;
            Some(PosixTimer {
                id: id.strip_prefix("ID: ")?.parse().ok()?,
                clock: clock.strip_prefix("ClockID: ")?.parse().ok()?,
                notice: match (how, whom.0) {
                    ("none", _) => Notice::Nobody,
                    (_, "tid") => Notice::Thread(whom.1.parse().ok()?),
                    _ => Notice::Process,
                },
                signal: signal.parse().ok()?,
                value: u64::from_str_radix(value, 16).ok()?,
                setting: [0; 4],
                overrun: 0,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_list_is_read() {
        let listed = "ID: 20\nsignal: 10/0000000000000055\nnotify: none/pid.8547\nClockID: -6\n\
                      ID: 19\nsignal: 10/0000000000000055\nnotify: signal/tid.8547\nClockID: -2\n";
        let timers = parse(listed).unwrap();
        assert_eq!((timers[0].id, timers[0].notice, timers[0].clock), (20, Notice::Nobody, -6));
        assert_eq!((timers[1].value, timers[1].notice), (0x55, Notice::Thread(8547)));
        assert_eq!(parse("").unwrap(), []);
        assert!(parse("ID: 20\n").is_none());
    }

    #[test]
    fn a_named_cpu_clock_follows_its_thread() {
        let of = |pid: i32| (!pid) << 3 | 6;
        assert_eq!(translate_clock(of(100), &|_| 200), of(200));
        assert_eq!(translate_clock(-6, &|_| 200), -6);
        assert_eq!(translate_clock(1, &|_| 200), 1);
    }
}
