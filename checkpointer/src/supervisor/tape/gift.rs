//! Gives a stopped process descriptors of ours, by way of a socket (unix(7), SCM_RIGHTS): it needs no right over us for that.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, getsockopt, sendmsg, sockopt};
use syscalls::Sysno;

use crate::inject::{InjectError, Remote};

/// Where processes come for them.
#[derive(Debug)]
pub(super) struct Counter {
    socket: UnixListener,
    /// `struct sockaddr_un` of the socket, as connect(2) takes it.
    address: Vec<u8>,
    /// /dev/null
    nothing: File,
}

impl Counter {
    /// Opens one. Its name is in no directory, and it is this process's alone.
    pub fn open() -> io::Result<Counter> {
        let name = format!("fred-descriptors-{}", std::process::id());
        let socket = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        let mut address = (AddressFamily::Unix as u16).to_ne_bytes().to_vec();
        address.push(0);
        address.extend(name.as_bytes());
        let nothing = File::options().read(true).write(true).open("/dev/null")?;
        Ok(Counter { socket, address, nothing })
    }

    /// A descriptor that reaches nobody.
    pub fn nothing(&self) -> BorrowedFd<'_> {
        self.nothing.as_fd()
    }

    /// Puts descriptors into the process's table at these numbers, over what is there.
    pub fn give(&self, remote: &mut dyn Remote, gifts: &[(i32, bool, BorrowedFd<'_>)]) -> Result<(), InjectError> {
        const CONTROL: u64 = 1024;
        let scratch = remote.scratch();
        let kind = (libc::SOCK_STREAM | libc::SOCK_CLOEXEC) as u64;
        let end = remote.call(Sysno::socket, [libc::AF_UNIX as u64, kind, 0, 0, 0, 0])?;
        remote.write(scratch, &self.address)?;
        remote.call(Sysno::connect, [end, scratch, self.address.len() as u64, 0, 0, 0])?;
        let fail = |remote: &dyn Remote, source: io::Error| InjectError::Io {
            what: "giving descriptors",
            pid: remote.pid().as_raw(),
            source,
        };
        self.send(remote.pid().as_raw(), gifts).map_err(|source| fail(remote, source))?;
        // struct msghdr: name, its length, vectors, their number, control data, its length, flags; then a vector and its byte.
        let (control, vector, byte) = (scratch + CONTROL, scratch + 64, scratch + 96);
        let words = [0, 0, vector, 1, control, CONTROL, 0, 0, byte, 1];
        let bytes: Vec<u8> = words.iter().flat_map(|word: &u64| word.to_ne_bytes()).collect();
        remote.write(scratch, &bytes)?;
        remote.call(Sysno::recvmsg, [end, scratch, libc::MSG_CMSG_CLOEXEC as u64, 0, 0, 0])?;
        remote.call(Sysno::close, [end, 0, 0, 0, 0, 0])?;
        let mut came = vec![0u8; 4 * gifts.len()];
        // Behind struct cmsghdr.
        remote.read(control + 16, &mut came)?;
        let came: Vec<u64> =
            came.chunks_exact(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap_or([0; 4])).into()).collect();
        place(remote, gifts, &came)
    }

    fn send(&self, pid: i32, gifts: &[(i32, bool, BorrowedFd<'_>)]) -> io::Result<()> {
        loop {
            let (came, _) = self.socket.accept()?;
            if getsockopt(&came, sockopt::PeerCredentials)?.pid() != pid {
                // The name is anybody's to connect to.
                continue;
            }
            let numbers: Vec<RawFd> = gifts.iter().map(|(_, _, fd)| fd.as_raw_fd()).collect();
            let rights = [ControlMessage::ScmRights(&numbers)];
            sendmsg::<()>(came.as_raw_fd(), &[io::IoSlice::new(b"d")], &rights, MsgFlags::empty(), None)?;
            return Ok(());
        }
    }
}

/// Moves what came to where it belongs. No number that came may be one that another belongs to: they are first moved up.
fn place(remote: &mut dyn Remote, gifts: &[(i32, bool, BorrowedFd<'_>)], came: &[u64]) -> Result<(), InjectError> {
    let flag = |close_on_exec: bool| if close_on_exec { libc::O_CLOEXEC as u64 } else { 0 };
    let mut moved = came.to_vec();
    if gifts.len() > 1 {
        let most = gifts.iter().map(|(number, ..)| number.unsigned_abs()).max().unwrap_or(0);
        for number in &mut moved {
            let above = u64::from(most) + 1;
            let up = remote.call(Sysno::fcntl, [*number, libc::F_DUPFD_CLOEXEC as u64, above, 0, 0, 0])?;
            remote.call(Sysno::close, [*number, 0, 0, 0, 0, 0])?;
            *number = up;
        }
    }
    for ((number, close_on_exec, _), from) in gifts.iter().zip(moved) {
        let wanted = u64::from(number.unsigned_abs());
        if from == wanted {
            let value = if *close_on_exec { libc::FD_CLOEXEC as u64 } else { 0 };
            remote.call(Sysno::fcntl, [from, libc::F_SETFD as u64, value, 0, 0, 0])?;
        } else {
            remote.call(Sysno::dup3, [from, wanted, flag(*close_on_exec), 0, 0, 0])?;
            remote.call(Sysno::close, [from, 0, 0, 0, 0, 0])?;
        }
    }
    Ok(())
}
