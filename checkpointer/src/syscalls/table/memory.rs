//! Memory.

use syscalls::Sysno;

use crate::syscalls::row::Class::{Absent, Both, Effect, Input, Internal, Refuse};
use crate::syscalls::row::Output::{Bits, Fixed, Pages, Vector};
use crate::syscalls::row::{Irregular, Row, Special, Trap, always, clear, low, not, numbered, on, row, set};

const LOCKED: &[Trap] = &[always(Special::Locked)];

/// A bit of MAP_SHARED and MAP_SHARED_VALIDATE, and none of MAP_PRIVATE's (mmap(2)).
const SHARED: &[Trap] =
    &[on(&[set(3, libc::MAP_SHARED as u64), clear(3, libc::MAP_ANONYMOUS as u64)], Special::SharedMapping)];

/// The rows.
pub const ROWS: &[Row] = &[
    row(Sysno::mmap, Both)
        .local()
        .irregular(Irregular::Map)
        .when(&[clear(3, libc::MAP_ANONYMOUS as u64)])
        .session(SHARED),
    row(Sysno::mprotect, Internal),
    row(Sysno::munmap, Internal),
    row(Sysno::mremap, Internal),
    row(Sysno::brk, Internal),
    row(Sysno::madvise, Internal).session(&[
        on(&[low(2, libc::MADV_DONTFORK as u32)], Special::ForkAdvice),
        on(&[low(2, libc::MADV_WIPEONFORK as u32)], Special::ForkAdvice),
    ]),
    row(Sysno::process_madvise, Absent),
    row(Sysno::mlock, Internal).session(LOCKED),
    row(Sysno::mlock2, Internal).session(LOCKED),
    row(Sysno::mlockall, Internal).session(LOCKED),
    row(Sysno::munlock, Internal),
    row(Sysno::munlockall, Internal),
    row(Sysno::msync, Effect).local(),
    row(Sysno::mincore, Input).local().out(&[Pages(2, 1)]),
    row(Sysno::remap_file_pages, Refuse),
    row(Sysno::pkey_mprotect, Internal),
    row(Sysno::pkey_alloc, Internal),
    row(Sysno::pkey_free, Internal),
    row(Sysno::map_shadow_stack, Internal),
    numbered(462, "mseal", Internal),
    row(Sysno::membarrier, Internal),
    row(Sysno::mbind, Internal),
    row(Sysno::set_mempolicy, Internal),
    row(Sysno::set_mempolicy_home_node, Internal),
    row(Sysno::get_mempolicy, Input).local().out(&[Fixed(0, 4), Bits(1, 2)]),
    row(Sysno::migrate_pages, Absent),
    row(Sysno::move_pages, Absent),
    row(Sysno::process_vm_readv, Input).out(&[Vector(1, 2)]).session(&[always(Special::IdArgument(0))]),
    // Another process's memory changes, which may be recorded too.
    row(Sysno::process_vm_writev, Refuse).session(&[always(Special::IdArgument(0))]),
    row(Sysno::process_mrelease, Absent),
    // Memory shared with whoever knows the key.
    row(Sysno::shmget, Refuse),
    row(Sysno::shmat, Refuse),
    row(Sysno::shmdt, Refuse),
    row(Sysno::shmctl, Refuse),
    row(Sysno::arch_prctl, Internal),
    row(Sysno::modify_ldt, Absent),
    row(Sysno::set_thread_area, Absent),
    row(Sysno::get_thread_area, Absent),
    row(Sysno::prlimit64, Both).local().out(&[Fixed(3, 16)]).session(&[on(&[not(0, 0)], Special::IdArgument(0))]),
    row(Sysno::getrlimit, Input).local().out(&[Fixed(1, 16)]),
    row(Sysno::setrlimit, Internal),
];
