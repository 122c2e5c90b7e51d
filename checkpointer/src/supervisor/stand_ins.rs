//! Servers that a debugger starts itself. The program that it executes is ours and never runs: it is stopped right behind the
//! exec, its socket is taken from it, and it stays as the child that the debugger believes to be its server.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;

use nix::unistd::Pid;

use super::Supervisor;
use super::connection::Connection;
use super::served::View;
use crate::raw;
use crate::rsp::Server;
use crate::rsp::target::Target;

/// What stands in for servers.
#[derive(Debug, Default)]
pub(super) struct StandIns {
    /// What a debugger is to execute; `None` if it connects by itself.
    path: Option<Vec<u8>>,
    /// The processes, all stopped. They end with the session at the latest.
    processes: BTreeSet<Pid>,
}

/// The descriptor that a command line names as the server's socket.
fn socket_in(words: &[&[u8]]) -> Option<i32> {
    let digits = words.iter().find_map(|word| word.strip_prefix(b"--fd="))?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl Supervisor {
    /// From now on, whoever in the session executes the returned path is a debugger that wants to be served.
    pub(super) fn expect_execution(&mut self) -> Vec<u8> {
        // Our own program, by a name that needs no file of ours.
        let path = format!("/proc/{}/exe", std::process::id()).into_bytes();
        self.stand_ins.path = Some(path.clone());
        self.server = Some(Server::for_lldb());
        self.recording.served = true;
        path
    }

    /// Whether a thread that has just executed a program is to stand in for a server. If so it is nobody of the session's any more.
    pub(super) fn stands_in(&mut self, tid: Pid) -> bool {
        let Some(path) = &self.stand_ins.path else { return false };
        let Ok(line) = std::fs::read(format!("/proc/{tid}/cmdline")) else { return false };
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        if words.first() != Some(&&path[..]) {
            return false;
        }
        match socket_in(&words[1..]).map(|number| taken(tid, number)) {
            Some(Ok(connection)) => {
                self.kill_served();
                self.connection = Some(connection);
                self.server = Some(Server::for_lldb());
            }
            Some(Err(error)) => tracing::warn!("cannot take the socket of a server that was started: {error}"),
            None => tracing::warn!(
                "a server was started without a socket: {}",
                std::ffi::OsStr::from_bytes(&words.join(&b' ')).to_string_lossy()
            ),
        }
        self.tasks.remove(&tid);
        self.virtual_ids.remove(&tid);
        self.stand_ins.processes.insert(tid);
        true
    }

    /// Ctrl-C for a debugger whose command waits until its program stops: it would note the wish and go on waiting, so the program
    /// is stopped for it. False if that is not so.
    pub(super) fn interrupt_for_debugger(&mut self) -> bool {
        let waits = self.stand_ins.path.is_some() && self.program.is_some() && self.served.running;
        if waits {
            View(self).interrupt(libc::SIGSTOP);
        }
        waits
    }

    /// Something has become of a process that stands in; false if it is none.
    pub(super) fn stand_in_changed(&mut self, tid: Pid, status: i32) -> bool {
        if !self.is_stand_in(tid) {
            return false;
        }
        if libc::WIFSTOPPED(status) {
            // The stop before its end: it has been killed.
            raw::resume(libc::PTRACE_CONT, tid, 0).ok();
        } else {
            self.stand_ins.processes.remove(&tid);
        }
        true
    }

    /// Whether a process stands in.
    pub(super) fn is_stand_in(&self, pid: Pid) -> bool {
        self.stand_ins.processes.contains(&pid)
    }

    /// Ends a process that stands in, because its debugger does not need it any more; false if it is none.
    pub(super) fn end_stand_in(&mut self, pid: Pid) -> bool {
        self.is_stand_in(pid) && raw::kill(pid, libc::SIGKILL).is_ok()
    }

    /// The end of the session.
    pub(super) fn end_stand_ins(&mut self) {
        for pid in std::mem::take(&mut self.stand_ins.processes) {
            raw::kill(pid, libc::SIGKILL).ok();
            self.dying.insert(pid);
        }
    }
}

fn taken(tid: Pid, number: i32) -> std::io::Result<Connection> {
    let handle = raw::pidfd_open(tid.as_raw())?;
    let socket = raw::pidfd_getfd(handle.as_fd(), number)?;
    Connection::new(UnixStream::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_named_on_the_command_line() {
        assert_eq!(socket_in(&[b"gdbserver", b"--fd=6", b"--native-regs"]), Some(6));
        assert_eq!(socket_in(&[b"gdbserver", b"--fd=x"]), None);
        assert_eq!(socket_in(&[b"gdbserver", b"--pipe", b"7"]), None);
    }
}
