//! The part of [`raw`](super) that reads and sets kernel state of other processes and of descriptors.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use syscalls::Sysno;

/// The result of a libc function as an [`io::Result`].
fn checked(result: i64) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A descriptor for the process itself (pidfd_open(2)).
pub fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes two integers and touches no memory of ours.
    let fd = checked(unsafe { libc::syscall(Sysno::pidfd_open as i64, pid, 0) })?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// A duplicate, here, of another process's descriptor (pidfd_getfd(2)): the same open file description. Needs what
/// PTRACE_ATTACH needs.
pub fn pidfd_getfd(pidfd: BorrowedFd<'_>, number: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes three integers and touches no memory of ours.
    let fd = checked(unsafe { libc::syscall(Sysno::pidfd_getfd as i64, pidfd.as_raw_fd(), number, 0) })?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Bytes of a `siginfo_t`.
pub const SIGINFO_SIZE: usize = 128;

/// Reads pending signals of a stopped thread without removing them (PTRACE_PEEKSIGINFO): those of the whole process when
/// `shared`, else the thread's own, from the one at index `offset` on. Returns how many were read.
pub fn peek_siginfo(tid: i32, shared: bool, offset: u64, out: &mut [[u8; SIGINFO_SIZE]]) -> io::Result<usize> {
    #[repr(C)]
    struct Arguments {
        offset: u64,
        flags: u32,
        count: i32,
    }
    let count = i32::try_from(out.len()).unwrap_or(i32::MAX);
    let arguments = Arguments { offset, flags: u32::from(shared), count };
    // SAFETY: the kernel reads `arguments` and writes at most `count` siginfo_t, which is what `out` holds.
    let read = unsafe { libc::ptrace(libc::PTRACE_PEEKSIGINFO, tid, &raw const arguments, out.as_mut_ptr()) };
    Ok(checked(read)? as usize)
}

/// What PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG tells (`struct ptrace_sud_config`).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SyscallUserDispatch {
    /// PR_SYS_DISPATCH_OFF (0) or PR_SYS_DISPATCH_ON (1).
    pub mode: u64,
    /// Address of the selector byte.
    pub selector: u64,
    /// Start of the code whose calls always go through.
    pub offset: u64,
    /// Its length.
    pub length: u64,
}

const PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG: libc::c_uint = 0x4210;
const PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG: libc::c_uint = 0x4211;

/// Syscall user dispatch of a stopped thread (Linux 6.4).
pub fn syscall_user_dispatch(tid: i32) -> io::Result<SyscallUserDispatch> {
    let mut configuration = SyscallUserDispatch::default();
    let size = size_of::<SyscallUserDispatch>();
    // SAFETY: the kernel writes `size` bytes, the size of the structure.
    checked(unsafe { libc::ptrace(PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, tid, size, &raw mut configuration) })?;
    Ok(configuration)
}

/// Sets syscall user dispatch of a stopped thread (Linux 6.4).
pub fn set_syscall_user_dispatch(tid: i32, configuration: &SyscallUserDispatch) -> io::Result<()> {
    let size = size_of::<SyscallUserDispatch>();
    // SAFETY: the kernel reads `size` bytes, the size of the structure.
    checked(unsafe { libc::ptrace(PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG, tid, size, &raw const *configuration) })?;
    Ok(())
}

/// What PROCMAP_QUERY (Linux 6.11) tells about one mapping; see `struct procmap_query` in linux/fs.h.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcmapQuery {
    size: u64,
    /// What is asked for (PROCMAP_QUERY_*), in; nothing out.
    pub query_flags: u64,
    /// From where on, in.
    pub address: u64,
    /// First address of the mapping, out.
    pub start: u64,
    /// Address after its last byte, out.
    pub end: u64,
    /// Its protection, out: 1 readable, 2 writable, 4 executable, 8 shared.
    pub flags: u64,
    page_size: u64,
    /// Offset in the file, out.
    pub offset: u64,
    /// Inode, out.
    pub inode: u64,
    /// Device of the file, out.
    pub major: u32,
    /// Device of the file, out.
    pub minor: u32,
    name_size: u32,
    build_id_size: u32,
    name: u64,
    build_id: u64,
}

/// Finds the first mapping that covers or follows `address` and has all of `query_flags`; its name is written to `name`.
/// `maps` is an open /proc/PID/maps. `None` when there is no such mapping; ENOTTY before Linux 6.11.
pub fn procmap_query(
    maps: BorrowedFd<'_>,
    address: u64,
    query_flags: u64,
    name: &mut [u8],
) -> io::Result<Option<(ProcmapQuery, usize)>> {
    const COVERING_OR_NEXT: u64 = 0x10;
    // _IOWR('f', 17, struct procmap_query)
    const PROCMAP_QUERY: libc::c_ulong = 0xc068_6611;
    let mut query = ProcmapQuery {
        size: size_of::<ProcmapQuery>() as u64,
        query_flags: query_flags | COVERING_OR_NEXT,
        address,
        name_size: u32::try_from(name.len()).unwrap_or(u32::MAX),
        name: name.as_mut_ptr() as u64,
        ..ProcmapQuery::default()
    };
    // SAFETY: the kernel writes within the structure, whose size it is told, and at most name_size bytes of `name`.
    let done = unsafe { libc::ioctl(maps.as_raw_fd(), PROCMAP_QUERY, &raw mut query) };
    match checked(i64::from(done)) {
        Ok(_) => Ok(Some((query, (query.name_size as usize).saturating_sub(1)))),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Copies up to `length` bytes from one pipe to another without consuming them (tee(2)), never waiting.
pub fn tee(from: BorrowedFd<'_>, to: BorrowedFd<'_>, length: usize) -> io::Result<usize> {
    // SAFETY: takes integers and touches no memory of ours.
    let copied = unsafe { libc::tee(from.as_raw_fd(), to.as_raw_fd(), length, libc::SPLICE_F_NONBLOCK) };
    Ok(checked(copied as i64)? as usize)
}

/// Reads without waiting, whatever O_NONBLOCK of the shared description says (preadv2(2) with RWF_NOWAIT).
pub fn read_now(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: the one vector describes `buffer`, which is writable and outlives the call.
    let read = unsafe { libc::preadv2(fd.as_raw_fd(), &raw const vector, 1, -1, libc::RWF_NOWAIT) };
    Ok(checked(read as i64)? as usize)
}

/// Bytes that wait to be read (FIONREAD).
pub fn bytes_waiting(fd: BorrowedFd<'_>) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int.
    checked(i64::from(unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut count) }))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Changes the mask of an existing signalfd (signalfd4(2)); bit n-1 is signal n.
pub fn signalfd_mask(fd: BorrowedFd<'_>, mask: u64) -> io::Result<()> {
    // SAFETY: the kernel reads 8 bytes of `mask`.
    let done = unsafe { libc::syscall(Sysno::signalfd4 as i64, fd.as_raw_fd(), &raw const mask, 8, 0) };
    checked(done).map(|_| ())
}

/// Time as the kernel writes it in `struct itimerspec`: interval and value, seconds and nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TimerSetting {
    /// Seconds and nanoseconds from one expiry to the next; zero for a timer that fires once.
    pub interval: (i64, i64),
    /// Seconds and nanoseconds until the next expiry; zero for a timer that is not armed.
    pub value: (i64, i64),
}

impl TimerSetting {
    fn raw(self) -> libc::itimerspec {
        let time = |(tv_sec, tv_nsec)| libc::timespec { tv_sec, tv_nsec };
        libc::itimerspec { it_interval: time(self.interval), it_value: time(self.value) }
    }
}

/// Setting of a timerfd; the value is what remains.
pub fn timerfd_gettime(fd: BorrowedFd<'_>) -> io::Result<TimerSetting> {
    let mut now = MaybeUninit::<libc::itimerspec>::zeroed();
    // SAFETY: the kernel writes one itimerspec; all-zero bytes are a valid one anyway.
    let now = unsafe {
        checked(i64::from(libc::timerfd_gettime(fd.as_raw_fd(), now.as_mut_ptr())))?;
        now.assume_init()
    };
    Ok(TimerSetting {
        interval: (now.it_interval.tv_sec, now.it_interval.tv_nsec),
        value: (now.it_value.tv_sec, now.it_value.tv_nsec),
    })
}

/// Arms or disarms a timerfd; `flags` as for timerfd_settime(2).
pub fn timerfd_settime(fd: BorrowedFd<'_>, flags: i32, setting: TimerSetting) -> io::Result<()> {
    let setting = setting.raw();
    // SAFETY: the kernel reads one itimerspec; no old value is asked for.
    let done = unsafe { libc::timerfd_settime(fd.as_raw_fd(), flags, &raw const setting, std::ptr::null_mut()) };
    checked(i64::from(done)).map(|_| ())
}

/// Sets the number of expiries that a timerfd has to report (TFD_IOC_SET_TICKS, with CONFIG_CHECKPOINT_RESTORE). Zero is
/// refused by the kernel.
pub fn timerfd_set_ticks(fd: BorrowedFd<'_>, ticks: u64) -> io::Result<()> {
    // _IOW('T', 0, __u64)
    const TFD_IOC_SET_TICKS: libc::c_ulong = 0x4008_5400;
    // SAFETY: the kernel reads 8 bytes of `ticks`.
    let done = unsafe { libc::ioctl(fd.as_raw_fd(), TFD_IOC_SET_TICKS, &raw const ticks) };
    checked(i64::from(done)).map(|_| ())
}

/// The time of a clock, seconds and nanoseconds.
pub fn clock_now(clock: i32) -> io::Result<(i64, i64)> {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec.
    checked(i64::from(unsafe { libc::clock_gettime(clock, &raw mut now) }))?;
    Ok((now.tv_sec, now.tv_nsec))
}

/// Sets an int option of a socket.
pub fn set_socket_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the kernel reads the 4 bytes of `value`.
    let done = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), 4) };
    checked(i64::from(done)).map(|_| ())
}

/// Reads an int option of a socket.
pub fn socket_option(fd: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<i32> {
    let mut value = 0_i32;
    let mut length: libc::socklen_t = 4;
    // SAFETY: the kernel writes at most `length` bytes of `value`.
    let done = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut length) };
    checked(i64::from(done)).map(|_| value)
}

/// What one `recvmsg` gave.
#[derive(Debug, Clone, Copy)]
pub struct Received {
    /// Bytes of the message.
    pub length: usize,
    /// It carried ancillary data (descriptors or credentials), which were thrown away.
    pub ancillary: bool,
}

/// Receives one message without waiting; descriptors that come with it are refused, not taken (no control buffer is
/// given, so the kernel sets MSG_CTRUNC and installs nothing). `flags` are added to MSG_DONTWAIT.
pub fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8], flags: i32) -> io::Result<Received> {
    let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all-zero bytes are a valid msghdr.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    // SAFETY: the header describes `buffer` alone, which is writable and outlives the call.
    let length = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, flags | libc::MSG_DONTWAIT) };
    let length = checked(length as i64)? as usize;
    Ok(Received { length, ancillary: header.msg_flags & libc::MSG_CTRUNC != 0 })
}

/// Sends one message without waiting and without SIGPIPE.
pub fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the kernel reads `bytes` within its length.
    let sent = unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
    Ok(checked(sent as i64)? as usize)
}

/// A socket for questions about sockets (NETLINK_SOCK_DIAG).
pub fn socket_diagnosis() -> io::Result<OwnedFd> {
    // SAFETY: takes three integers.
    let fd = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_SOCK_DIAG) };
    checked(i64::from(fd))?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

// linux/fcntl.h; libc has them for other C libraries only.
const F_SETOWN_EX: libc::c_int = 15;
const F_GETOWN_EX: libc::c_int = 16;

/// Who gets the signals of a descriptor (F_GETOWN_EX): type (F_OWNER_TID, F_OWNER_PID, F_OWNER_PGRP) and id.
pub fn descriptor_owner(fd: BorrowedFd<'_>) -> io::Result<(i32, i32)> {
    let mut owner = [0_i32; 2];
    // SAFETY: the kernel writes one struct f_owner_ex, which is two ints.
    checked(i64::from(unsafe { libc::fcntl(fd.as_raw_fd(), F_GETOWN_EX, owner.as_mut_ptr()) }))?;
    Ok((owner[0], owner[1]))
}

/// Sets who gets the signals of a descriptor (F_SETOWN_EX).
pub fn set_descriptor_owner(fd: BorrowedFd<'_>, owner: (i32, i32)) -> io::Result<()> {
    let owner = [owner.0, owner.1];
    // SAFETY: the kernel reads one struct f_owner_ex, which is two ints.
    let done = unsafe { libc::fcntl(fd.as_raw_fd(), F_SETOWN_EX, owner.as_ptr()) };
    checked(i64::from(done)).map(|_| ())
}

/// Scheduling of a thread: `struct sched_attr` in its first published size (SCHED_ATTR_SIZE_VER0).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Scheduling {
    /// Bytes of this structure.
    pub size: u32,
    /// SCHED_OTHER and so on.
    pub policy: u32,
    /// SCHED_FLAG_RESET_ON_FORK (1) and others.
    pub flags: u64,
    /// Nice value.
    pub nice: i32,
    /// Real-time priority.
    pub priority: u32,
    /// SCHED_DEADLINE's runtime; the time slice for the fair classes.
    pub runtime: u64,
    /// SCHED_DEADLINE.
    pub deadline: u64,
    /// SCHED_DEADLINE.
    pub period: u64,
}

/// Scheduling of a thread (sched_getattr(2)).
pub fn scheduling(tid: i32) -> io::Result<Scheduling> {
    let mut attributes = Scheduling::default();
    let size = size_of::<Scheduling>();
    // SAFETY: the kernel writes at most `size` bytes, the size of the structure.
    checked(unsafe { libc::syscall(Sysno::sched_getattr as i64, tid, &raw mut attributes, size, 0) })?;
    Ok(attributes)
}

/// Sets the scheduling of a thread (sched_setattr(2)).
pub fn set_scheduling(tid: i32, attributes: &Scheduling) -> io::Result<()> {
    // SAFETY: the kernel reads `attributes.size` bytes, which is the size of the structure.
    checked(unsafe { libc::syscall(Sysno::sched_setattr as i64, tid, &raw const *attributes, 0) }).map(|_| ())
}

/// How many bytes a socket waits for before it gives any (socket(7), SO_RCVLOWAT).
///
/// # Errors
/// ENOTSOCK.
pub fn least_received(socket: BorrowedFd) -> io::Result<i32> {
    let (mut bytes, mut length) = (0i32, size_of::<i32>() as libc::socklen_t);
    let place = (&raw mut bytes).cast();
    // SAFETY: the kernel writes at most `length` bytes, which is the size of the number.
    let answer =
        unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVLOWAT, place, &raw mut length) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(bytes) }
}

/// Whether an address is in memory that is shared, asked of an open `/proc/PID/maps` (proc_pid_maps(5), PROCMAP_QUERY; since Linux 6.11).
///
/// # Errors
/// ENOTTY where the kernel does not answer that; ENOENT where nothing is mapped.
pub fn is_mapped_shared(maps: BorrowedFd, address: u64) -> io::Result<bool> {
    /// `struct procmap_query` of linux/fs.h.
    #[repr(C)]
    #[derive(Default)]
    struct Query {
        size: u64,
        flags: u64,
        address: u64,
        found: [u64; 2],
        kind: u64,
        rest: [u64; 7],
    }
    /// `_IOWR('f', 17, struct procmap_query)`
    const PROCMAP_QUERY: libc::Ioctl = ((3 << 30) | (size_of::<Query>() << 16) | (0x66 << 8) | 17) as libc::Ioctl;
    const SHARED: u64 = 8;
    let mut query = Query { size: size_of::<Query>() as u64, address, ..Query::default() };
    // SAFETY: the kernel reads and writes as many bytes as the structure says that it has.
    if unsafe { libc::ioctl(maps.as_raw_fd(), PROCMAP_QUERY, &raw mut query) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(query.kind & SHARED != 0)
}

/// The mask of blocked signals of a stopped thread (PTRACE_GETSIGMASK); bit n-1 is signal n.
pub fn blocked_signals(tid: i32) -> io::Result<u64> {
    let mut mask = 0_u64;
    // SAFETY: the kernel writes the 8 bytes that the third argument promises.
    checked(unsafe { libc::ptrace(libc::PTRACE_GETSIGMASK, tid, 8_usize, &raw mut mask) })?;
    Ok(mask)
}

/// Sets the mask of blocked signals of a stopped thread (PTRACE_SETSIGMASK).
pub fn set_blocked_signals(tid: i32, mask: u64) -> io::Result<()> {
    // SAFETY: the kernel reads the 8 bytes that the third argument promises.
    checked(unsafe { libc::ptrace(libc::PTRACE_SETSIGMASK, tid, 8_usize, &raw const mask) })?;
    Ok(())
}
