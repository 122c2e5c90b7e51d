//! The table of system calls: one row for each that the checkpointer has to see. It drives the seccomp filter; the
//! recorder will add its rows here. A call without a row runs at full speed and is not seen.

mod filter;

pub use filter::program;
use syscalls::Sysno;

/// What the supervisor does when a trapped call is about to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// Answer with the thread's or the process's own virtual id.
    OwnId,
    /// Replace the virtual id in this argument by the real one.
    IdArgument(u8),
    /// kill(2): a virtual id, a group or everybody.
    Kill,
    /// tgkill and rt_tgsigqueueinfo: two virtual ids.
    ThreadKill,
    /// wait4 and waitid: children that ended before a checkpoint are answered from its list.
    Wait,
    /// May block at a read of the terminal.
    TerminalRead,
    /// Sets the terminal's modes.
    TerminalModes,
    /// Notes that memory is marked as not to be inherited by fork.
    ForkAdvice,
    /// Notes that memory is locked.
    Locked,
    /// Remembers the path of an inotify watch.
    WatchPath,
    /// Random bytes: a served program gets the same ones when it is run again.
    Random,
}

/// A condition on one argument: `argument & mask == value` (as 64 bits).
#[derive(Debug, Clone, Copy)]
pub struct When {
    /// Index of the argument, from 0.
    pub argument: u8,
    /// Bits looked at.
    pub mask: u64,
    /// What they must be.
    pub value: u64,
    /// Whether the comparison must fail instead.
    pub not: bool,
}

const fn is(argument: u8, value: u64) -> When {
    When { argument, mask: u64::MAX, value, not: false }
}

const fn low(argument: u8, value: u32) -> When {
    When { argument, mask: 0xffff_ffff, value: value as u64, not: false }
}

const fn not(argument: u8, value: u64) -> When {
    When { argument, mask: u64::MAX, value, not: true }
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The call.
    pub call: Sysno,
    /// Trapped only if all of these hold.
    pub when: &'static [When],
    /// What is done then.
    pub special: Special,
}

const fn row(call: Sysno, when: &'static [When], special: Special) -> Row {
    Row { call, when, special }
}

/// The rows. A call may have several.
pub const TABLE: &[Row] = &[
    row(Sysno::getpid, &[], Special::OwnId),
    row(Sysno::gettid, &[], Special::OwnId),
    row(Sysno::getppid, &[], Special::OwnId),
    row(Sysno::set_tid_address, &[], Special::OwnId),
    row(Sysno::kill, &[], Special::Kill),
    row(Sysno::tkill, &[], Special::IdArgument(0)),
    row(Sysno::rt_sigqueueinfo, &[], Special::IdArgument(0)),
    row(Sysno::tgkill, &[], Special::ThreadKill),
    row(Sysno::rt_tgsigqueueinfo, &[], Special::ThreadKill),
    row(Sysno::getpgid, &[not(0, 0)], Special::IdArgument(0)),
    row(Sysno::getsid, &[not(0, 0)], Special::IdArgument(0)),
    row(Sysno::setpgid, &[not(0, 0)], Special::IdArgument(0)),
    row(Sysno::sched_setaffinity, &[not(0, 0)], Special::IdArgument(0)),
    row(Sysno::sched_getaffinity, &[not(0, 0)], Special::IdArgument(0)),
    row(Sysno::sched_setparam, &[not(0, 0)], Special::IdArgument(0)),
    row(Sysno::sched_getparam, &[not(0, 0)], Special::IdArgument(0)),
    row(Sysno::sched_setscheduler, &[not(0, 0)], Special::IdArgument(0)),
    row(Sysno::sched_getscheduler, &[not(0, 0)], Special::IdArgument(0)),
    row(Sysno::sched_setattr, &[not(0, 0)], Special::IdArgument(0)),
    row(Sysno::sched_getattr, &[not(0, 0)], Special::IdArgument(0)),
    row(Sysno::sched_rr_get_interval, &[not(0, 0)], Special::IdArgument(0)),
    row(Sysno::prlimit64, &[not(0, 0)], Special::IdArgument(0)),
    row(Sysno::get_robust_list, &[not(0, 0)], Special::IdArgument(0)),
    row(Sysno::pidfd_open, &[], Special::IdArgument(0)),
    row(Sysno::process_vm_readv, &[], Special::IdArgument(0)),
    row(Sysno::process_vm_writev, &[], Special::IdArgument(0)),
    row(Sysno::getpriority, &[low(0, 0), not(1, 0)], Special::IdArgument(1)),
    row(Sysno::setpriority, &[low(0, 0), not(1, 0)], Special::IdArgument(1)),
    row(Sysno::wait4, &[], Special::Wait),
    row(Sysno::waitid, &[], Special::Wait),
    // A read of one byte is mostly a line editor fetching what select has announced. Where one waits (a shell), the supervisor
    // sees it when it looks for readers that were not trapped.
    row(Sysno::read, &[low(0, 0), not(2, 1)], Special::TerminalRead),
    // Python's readline waits in select(1, {0}, NULL, NULL, NULL) once a line; the line editor's own pselect carries a mask.
    row(Sysno::select, &[is(4, 0)], Special::TerminalRead),
    row(Sysno::pselect6, &[is(4, 0), is(5, 0)], Special::TerminalRead),
    row(Sysno::poll, &[low(2, 0xffff_ffff)], Special::TerminalRead),
    row(Sysno::ppoll, &[is(2, 0)], Special::TerminalRead),
    row(Sysno::ioctl, &[low(1, libc::TCSETS as u32)], Special::TerminalModes),
    row(Sysno::ioctl, &[low(1, libc::TCSETSW as u32)], Special::TerminalModes),
    row(Sysno::ioctl, &[low(1, libc::TCSETSF as u32)], Special::TerminalModes),
    row(Sysno::madvise, &[low(2, libc::MADV_DONTFORK as u32)], Special::ForkAdvice),
    row(Sysno::madvise, &[low(2, libc::MADV_WIPEONFORK as u32)], Special::ForkAdvice),
    row(Sysno::mlock, &[], Special::Locked),
    row(Sysno::mlock2, &[], Special::Locked),
    row(Sysno::mlockall, &[], Special::Locked),
    row(Sysno::inotify_add_watch, &[], Special::WatchPath),
    row(Sysno::getrandom, &[], Special::Random),
];

/// What to do with a trapped call.
pub fn special(number: u64) -> Option<Special> {
    TABLE.iter().find(|row| row.call.id() as u64 == number).map(|row| row.special)
}

/// All distinct specials of a call, for rows that differ only in their conditions.
pub fn name(number: u64) -> &'static str {
    usize::try_from(number).ok().and_then(Sysno::new).map_or("unknown", |call| call.name())
}
