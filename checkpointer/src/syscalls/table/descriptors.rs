//! Reading, writing, waiting for and making descriptors.

use syscalls::Sysno;

use crate::syscalls::row::Class::{Absent, Descriptor, Effect, Input, Internal, Refuse};
use crate::syscalls::row::Given::{self, Bytes};
use crate::syscalls::row::Harmless::{Placeholder, Same};
use crate::syscalls::row::Output::{Always, Array, Fixed, Items, Result, Sets, Vector};
use crate::syscalls::row::{Irregular, Row, Special, is, low, low_not, not, on, row, set};

/// The rows.
pub const ROWS: &[Row] = &[
    // A read of one byte is mostly a line editor fetching what select has announced. Where one waits (a shell), the supervisor
    // sees it when it looks for readers that were not trapped.
    row(Sysno::read, Input)
        .on_descriptor()
        .out(&[Result(1, 2)])
        .shared(&[&[low_not(0, 0)], &[not(2, 1)]])
        .session(&[on(&[low(0, 0), not(2, 1)], Special::TerminalRead)]),
    row(Sysno::write, Effect).on_descriptor().give(&[Bytes(1, 2)]),
    row(Sysno::readv, Input).on_descriptor().out(&[Vector(1, 2)]),
    row(Sysno::writev, Effect).on_descriptor().give(&[Given::Vector(1, 2)]),
    row(Sysno::pread64, Input).on_descriptor().out(&[Result(1, 2)]),
    row(Sysno::pwrite64, Effect).on_descriptor().give(&[Bytes(1, 2)]),
    row(Sysno::preadv, Input).on_descriptor().out(&[Vector(1, 2)]),
    row(Sysno::pwritev, Effect).on_descriptor().give(&[Given::Vector(1, 2)]),
    row(Sysno::preadv2, Input).on_descriptor().out(&[Vector(1, 2)]),
    row(Sysno::pwritev2, Effect).on_descriptor().give(&[Given::Vector(1, 2)]),
    row(Sysno::lseek, Input).on_descriptor(),
    row(Sysno::sendfile, Effect).out(&[Fixed(2, 8)]),
    row(Sysno::splice, Effect).out(&[Fixed(1, 8), Fixed(3, 8)]),
    row(Sysno::tee, Effect),
    // In one direction it gives memory away for good, in the other it takes whole pages.
    row(Sysno::vmsplice, Refuse),
    row(Sysno::copy_file_range, Effect).out(&[Fixed(1, 8), Fixed(3, 8)]),
    row(Sysno::ioctl, Input).on_descriptor().irregular(Irregular::Ioctl).shared(&[&[low_not(0, 0)]]).session(&[
        on(&[low(1, libc::TCSETS as u32)], Special::TerminalModes),
        on(&[low(1, libc::TCSETSW as u32)], Special::TerminalModes),
        on(&[low(1, libc::TCSETSF as u32)], Special::TerminalModes),
    ]),
    row(Sysno::fcntl, Input)
        .on_descriptor()
        .irregular(Irregular::Fcntl)
        .when(&[low_not(1, libc::F_GETFD as u32), low_not(1, libc::F_SETFD as u32)]),
    row(Sysno::flock, Effect).on_descriptor(),
    // These work on placeholders as they do on the real ones.
    row(Sysno::close, Internal),
    // With CLOSE_RANGE_UNSHARE the threads of a process would have different descriptors.
    row(Sysno::close_range, Refuse).when(&[set(2, 2)]),
    row(Sysno::dup, Descriptor(Same)),
    row(Sysno::dup2, Descriptor(Same)),
    row(Sysno::dup3, Descriptor(Same)),
    // Python's readline waits in select(1, {0}, NULL, NULL, NULL) once a line; the line editor's own pselect carries a mask.
    row(Sysno::select, Input)
        .out(&[Sets, Always(4, 16)])
        .shared(&[&[low_not(0, 1)]])
        .session(&[on(&[is(4, 0)], Special::TerminalRead)]),
    row(Sysno::pselect6, Input)
        .out(&[Sets, Always(4, 16)])
        .shared(&[&[low_not(0, 1)]])
        .session(&[on(&[is(4, 0), is(5, 0)], Special::TerminalRead)]),
    row(Sysno::poll, Input).out(&[Array(0, 8, 1)]).session(&[on(&[low(2, 0xffff_ffff)], Special::TerminalRead)]),
    row(Sysno::ppoll, Input).out(&[Array(0, 8, 1), Always(2, 16)]).session(&[on(&[is(2, 0)], Special::TerminalRead)]),
    row(Sysno::epoll_create, Descriptor(Same)),
    row(Sysno::epoll_create1, Descriptor(Same)),
    row(Sysno::epoll_ctl, Effect),
    row(Sysno::epoll_wait, Input).out(&[Items(1, 12)]),
    row(Sysno::epoll_pwait, Input).out(&[Items(1, 12)]),
    row(Sysno::epoll_pwait2, Input).out(&[Items(1, 12)]),
    row(Sysno::epoll_ctl_old, Absent),
    row(Sysno::epoll_wait_old, Absent),
    row(Sysno::pipe, Descriptor(Same)).out(&[Fixed(0, 8)]),
    row(Sysno::pipe2, Descriptor(Same)).out(&[Fixed(0, 8)]),
    row(Sysno::eventfd, Descriptor(Same)),
    row(Sysno::eventfd2, Descriptor(Same)),
    row(Sysno::signalfd, Descriptor(Same)),
    row(Sysno::signalfd4, Descriptor(Same)),
    row(Sysno::timerfd_create, Descriptor(Same)),
    row(Sysno::inotify_init, Descriptor(Same)),
    row(Sysno::inotify_init1, Descriptor(Same)),
    row(Sysno::inotify_add_watch, Effect).session(&[on(&[], Special::WatchPath)]),
    row(Sysno::inotify_rm_watch, Effect),
    row(Sysno::fanotify_init, Absent),
    row(Sysno::fanotify_mark, Absent),
    row(Sysno::memfd_create, Descriptor(Same)),
    row(Sysno::memfd_secret, Absent),
    row(Sysno::userfaultfd, Absent),
    row(Sysno::pidfd_getfd, Descriptor(Placeholder(None))),
    // The kernel works behind the program's back: nothing says when it writes.
    row(Sysno::io_setup, Absent).unseen(),
    row(Sysno::io_destroy, Absent).unseen(),
    row(Sysno::io_getevents, Absent).unseen(),
    row(Sysno::io_pgetevents, Absent).unseen(),
    row(Sysno::io_submit, Absent).unseen(),
    row(Sysno::io_cancel, Absent).unseen(),
    row(Sysno::io_uring_setup, Absent).unseen(),
    row(Sysno::io_uring_enter, Absent).unseen(),
    row(Sysno::io_uring_register, Absent).unseen(),
];
