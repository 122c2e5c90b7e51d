//! gdb's numbers of signals (gdb's include/gdb/signals.def) are not Linux's.

/// Linux number, gdb number.
const DIFFERENT: &[(i32, u8)] = &[
    (libc::SIGBUS, 10),
    (libc::SIGUSR1, 30),
    (libc::SIGUSR2, 31),
    (libc::SIGCHLD, 20),
    (libc::SIGCONT, 19),
    (libc::SIGSTOP, 17),
    (libc::SIGTSTP, 18),
    (libc::SIGTTIN, 21),
    (libc::SIGTTOU, 22),
    (libc::SIGURG, 16),
    (libc::SIGXCPU, 24),
    (libc::SIGXFSZ, 25),
    (libc::SIGVTALRM, 26),
    (libc::SIGPROF, 27),
    (libc::SIGWINCH, 28),
    (libc::SIGIO, 23),
    (libc::SIGPWR, 32),
    (libc::SIGSYS, 12),
    (libc::SIGSTKFLT, 143),
    (32, 77),
    (64, 78),
];

/// gdb's number of a Linux signal.
pub fn to_gdb(signal: i32) -> u8 {
    if let Some((_, gdb)) = DIFFERENT.iter().find(|(linux, _)| *linux == signal) {
        return *gdb;
    }
    match signal {
        // GDB_SIGNAL_REALTIME_33 to _63
        33..=63 => 45 + u8::try_from(signal - 33).unwrap_or(0),
        _ => u8::try_from(signal).unwrap_or(143),
    }
}

/// The Linux signal of gdb's number; `None` for what Linux has not.
pub fn from_gdb(gdb: u8) -> Option<i32> {
    (0..=64).find(|signal| to_gdb(*signal) == gdb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_comes_back() {
        for signal in 0..=64 {
            assert_eq!(from_gdb(to_gdb(signal)), Some(signal), "signal {signal}");
        }
        assert_eq!((to_gdb(libc::SIGUSR1), to_gdb(libc::SIGSEGV), to_gdb(34)), (30, 11, 46));
    }
}
