//! Calls whose class or outputs depend on their arguments. What is not known here stops the recording by name.

use std::borrow::Cow;

use super::row::Output::{Always, Fixed, Interfaces};
use super::row::{Class, Harmless, Irregular, Output, Row};

/// What a call is, its arguments known.
#[derive(Debug, Clone)]
pub struct Shape {
    /// What recording and replay do with it.
    pub class: Class,
    /// Where it writes.
    pub outputs: Cow<'static, [Output]>,
    /// Set if it may only fail: were it to succeed, what it has done or written would not be known.
    pub must_fail: bool,
}

impl Shape {
    fn of(class: Class, outputs: &'static [Output]) -> Shape {
        Shape { class, outputs: Cow::Borrowed(outputs), must_fail: false }
    }
}

/// Reads the row of a call with its arguments.
pub fn shape(row: &Row, arguments: &[u64; 6]) -> Shape {
    match row.irregular {
        Some(Irregular::Ioctl) => ioctl(arguments),
        Some(Irregular::Fcntl) => fcntl(arguments),
        Some(Irregular::Futex) => Shape::of(Class::Input, futex(arguments)),
        Some(Irregular::Prctl) => prctl(arguments),
        Some(Irregular::MustFail) => Shape { must_fail: true, ..Shape::of(row.class, &[]) },
        Some(Irregular::Semaphores) => semaphores(arguments),
        _ => Shape::of(row.class, row.outputs),
    }
}

/// Requests with outputs that the number does not tell (asm-generic/ioctls.h, linux/sockios.h), and some that work on
/// placeholders as well.
const IOCTLS: &[(libc::c_ulong, Class, &[Output])] = &[
    (libc::TCGETS, Class::Input, &[Fixed(2, 36)]),
    (libc::TCSETS, Class::Effect, &[]),
    (libc::TCSETSW, Class::Effect, &[]),
    (libc::TCSETSF, Class::Effect, &[]),
    (libc::TCSBRK, Class::Effect, &[]),
    (libc::TCXONC, Class::Effect, &[]),
    (libc::TCFLSH, Class::Effect, &[]),
    (libc::TIOCGWINSZ, Class::Input, &[Fixed(2, 8)]),
    (libc::TIOCSWINSZ, Class::Effect, &[]),
    (libc::TIOCGPGRP, Class::Input, &[Fixed(2, 4)]),
    (libc::TIOCSPGRP, Class::Effect, &[]),
    (libc::TIOCGSID, Class::Input, &[Fixed(2, 4)]),
    (libc::TIOCOUTQ, Class::Input, &[Fixed(2, 4)]),
    (libc::TIOCSCTTY, Class::Effect, &[]),
    (libc::TIOCNOTTY, Class::Effect, &[]),
    (libc::FIONREAD, Class::Input, &[Fixed(2, 4)]),
    (libc::FIONBIO, Class::Effect, &[]),
    (libc::FIOASYNC, Class::Effect, &[]),
    (libc::FIOCLEX, Class::Both, &[]),
    (libc::FIONCLEX, Class::Both, &[]),
    (0x8912, Class::Input, &[Interfaces(2)]),
    // struct ifreq
    (0x8910, Class::Input, &[Fixed(2, 40)]),
    (0x8913, Class::Input, &[Fixed(2, 40)]),
    (0x8915, Class::Input, &[Fixed(2, 40)]),
    (0x8919, Class::Input, &[Fixed(2, 40)]),
    (0x891b, Class::Input, &[Fixed(2, 40)]),
    (0x8921, Class::Input, &[Fixed(2, 40)]),
    (0x8927, Class::Input, &[Fixed(2, 40)]),
    (0x8933, Class::Input, &[Fixed(2, 40)]),
    (0x8970, Class::Input, &[Fixed(2, 40)]),
    // IOCTL_VM_SOCKETS_GET_LOCAL_CID
    (0x7b9, Class::Input, &[Fixed(2, 4)]),
    // TIOCGPTPEER: its third argument has the flags of open
    (0x5441, Class::Descriptor(Harmless::Placeholder(Some(2))), &[]),
    // NS_GET_USERNS, NS_GET_PARENT, NS_GET_NSTYPE, NS_GET_OWNER_UID (linux/nsfs.h)
    (0xb701, Class::Descriptor(Harmless::Placeholder(None)), &[]),
    (0xb702, Class::Descriptor(Harmless::Placeholder(None)), &[]),
    (0xb703, Class::Input, &[]),
    (0xb704, Class::Input, &[Fixed(2, 4)]),
    // FICLONE, FICLONERANGE: numbers that say "write", and are meant so.
    (0x4004_9409, Class::Effect, &[]),
    (0x4020_940d, Class::Effect, &[]),
];

fn ioctl(arguments: &[u64; 6]) -> Shape {
    let request = arguments[1] & 0xffff_ffff;
    if let Some((_, class, outputs)) = IOCTLS.iter().find(|(known, ..)| *known == request) {
        return Shape::of(*class, outputs);
    }
    // asm-generic/ioctl.h: direction, size and type are in the number, for requests made since that was agreed on.
    let (direction, size, kind) = (request >> 30, (request >> 16) & 0x3fff, (request >> 8) & 0xff);
    let mut shape = Shape::of(Class::Input, &[]);
    #[allow(clippy::cast_possible_truncation)]
    match direction {
        2 | 3 if size > 0 && kind != 0 => shape.outputs = Cow::Owned(vec![Fixed(2, size as usize)]),
        1 if size > 0 && kind != 0 => shape.class = Class::Effect,
        _ => shape.must_fail = true,
    }
    shape
}

fn fcntl(arguments: &[u64; 6]) -> Shape {
    const F_GETOWN_EX: u64 = 16;
    const F_OFD_GETLK: u64 = 36;
    const F_GET_RW_HINT: u64 = 1035;
    const F_GET_FILE_RW_HINT: u64 = 1037;
    const F_GETLK: u64 = libc::F_GETLK as u64;
    const F_DUPFD: u64 = libc::F_DUPFD as u64;
    const F_DUPFD_CLOEXEC: u64 = libc::F_DUPFD_CLOEXEC as u64;
    match arguments[1] & 0xffff_ffff {
        F_DUPFD | F_DUPFD_CLOEXEC => Shape::of(Class::Descriptor(Harmless::Same), &[]),
        // struct flock
        F_GETLK | F_OFD_GETLK => Shape::of(Class::Input, &[Fixed(2, 32)]),
        F_GETOWN_EX | F_GET_RW_HINT | F_GET_FILE_RW_HINT => Shape::of(Class::Input, &[Fixed(2, 8)]),
        _ => Shape::of(Class::Effect, &[]),
    }
}

/// Where the kernel changes words itself (futex(2)): when it takes, hands over or gives up locks with priority inheritance,
/// and FUTEX_WAKE_OP.
fn futex(arguments: &[u64; 6]) -> &'static [Output] {
    const COMMAND: u64 = 0x7f;
    match arguments[1] & COMMAND {
        // WAIT, WAKE, REQUEUE, CMP_REQUEUE, WAIT_BITSET, WAKE_BITSET
        0 | 1 | 3 | 4 | 9 | 10 => &[],
        // WAKE_OP
        5 => &[Always(4, 4)],
        // WAIT_REQUEUE_PI, CMP_REQUEUE_PI
        11 | 12 => &[Always(0, 4), Always(4, 4)],
        // LOCK_PI, UNLOCK_PI, TRYLOCK_PI, LOCK_PI2
        _ => &[Always(0, 4)],
    }
}

fn prctl(arguments: &[u64; 6]) -> Shape {
    const PR_GET_TSC: u64 = 25;
    const PR_SET_TSC: u64 = 26;
    match arguments[0] & 0xffff_ffff {
        // Ours; and a filter of the program's own would judge our calls.
        PR_GET_TSC | PR_SET_TSC => Shape::of(Class::Refuse, &[]),
        option if option == libc::PR_SET_SECCOMP as u64 => Shape::of(Class::Absent, &[]),
        _ => Shape::of(Class::Both, &[]),
    }
}

fn semaphores(arguments: &[u64; 6]) -> Shape {
    // linux/sem.h: IPC_RMID, GETPID, GETVAL, GETNCNT, GETZCNT, SETVAL; the others write, and what they write depends on the set.
    match arguments[2] & 0xff {
        0 | 11 | 12 | 14 | 15 | 16 => Shape::of(Class::Effect, &[]),
        _ => Shape { must_fail: true, ..Shape::of(Class::Effect, &[]) },
    }
}
