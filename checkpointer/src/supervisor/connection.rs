//! The socket over which a debugger is served.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::Supervisor;
use super::served::View;
use crate::ptrace::How;
use crate::rsp::Server;
use crate::rsp::target::{Stop, Why};
use crate::wire::Event;

/// Where a debugger can connect, until one has.
#[derive(Debug)]
pub(super) struct Door {
    listener: UnixListener,
    folder: PathBuf,
    path: PathBuf,
}

impl Door {
    /// Opens a socket in a fresh folder that only this user can look into.
    pub(super) fn open() -> std::io::Result<Door> {
        let base = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_dir());
        let base = base.unwrap_or_else(|| PathBuf::from("/tmp"));
        let mut tried = 0;
        loop {
            let folder = base.join(format!("fred-{}-{tried}", std::process::id()));
            match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
                Ok(()) => {
                    let path = folder.join("program");
                    let listener = UnixListener::bind(&path)?;
                    listener.set_nonblocking(true)?;
                    return Ok(Door { listener, folder, path });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists && tried < 1000 => tried += 1,
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// The one who knocks, if it is this user.
    fn admit(&self) -> Option<UnixStream> {
        let (stream, _) = self.listener.accept().ok()?;
        let peer = getsockopt(&stream, PeerCredentials).ok()?;
        (peer.uid() == nix::unistd::getuid().as_raw()).then_some(stream)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok();
        std::fs::remove_dir(&self.folder).ok();
    }
}

/// A debugger that has connected. A copy of the debugger has the same connection.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    stream: Rc<UnixStream>,
    unsent: Vec<u8>,
}

impl Connection {
    /// Takes a connected socket.
    pub(super) fn new(stream: UnixStream) -> std::io::Result<Connection> {
        stream.set_nonblocking(true)?;
        Ok(Connection { stream: Rc::new(stream), unsent: Vec::new() })
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    pub(super) fn flush(&mut self) {
        while !self.unsent.is_empty() {
            match (&*self.stream).write(&self.unsent) {
                Ok(n) if n > 0 => {
                    self.unsent.drain(..n);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }
}

impl Supervisor {
    /// Somebody wants to be served.
    pub(super) fn admit(&mut self) {
        let Some(stream) = self.door.as_ref().and_then(Door::admit) else { return };
        let Ok(connection) = Connection::new(stream) else { return };
        self.door = None;
        self.connection = Some(connection);
    }

    /// Serves what the debugger has sent.
    pub(super) fn serve_debugger(&mut self) {
        let mut buffer = [0u8; 4096];
        loop {
            let Some(connection) = &mut self.connection else { return };
            match (&*connection.stream).read(&mut buffer) {
                Ok(0) => {
                    self.connection = None;
                    self.kill_served();
                    return;
                }
                Ok(n) => {
                    let reply = self.with_server(|server, view| server.receive(&buffer[..n], view));
                    self.send(&reply);
                    self.tell_what_waits();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.connection = None;
                    self.kill_served();
                    return;
                }
            }
        }
    }

    fn with_server(&mut self, work: impl FnOnce(&mut Server, &mut View<'_>) -> Vec<u8>) -> Vec<u8> {
        let Some(mut server) = self.server.take() else { return Vec::new() };
        let reply = work(&mut server, &mut View(self));
        self.server = Some(server);
        reply
    }

    /// A stop that is to be told when the server has finished what it is doing.
    pub(super) fn later(&mut self, stop: Stop) {
        self.waiting = Some(stop);
    }

    fn tell_what_waits(&mut self) {
        if let Some(stop) = self.waiting.take() {
            let looked_at = self.served.current;
            self.tell_stop(&stop);
            if matches!(stop, Stop::Thread { why: Why::Exchanged | Why::Halted | Why::Signal(0), .. })
                && self.leader_in_turn().is_some()
            {
                // Nothing has stopped: it is still that thread's turn.
                self.served.current = looked_at;
            }
        }
    }

    /// Tells the server of a stop; while it is at work itself, when it has finished.
    pub(super) fn tell_server(&mut self, stop: &Stop) {
        if self.server.is_none() {
            self.waiting = Some(stop.clone());
            return;
        }
        let reply = self.with_server(|server, view| server.stopped(stop, view));
        self.send(&reply);
    }

    /// Whether the debugger will be sent something without asking once more: a stop reply, or the answer to what has not been
    /// read yet.
    pub(super) fn owes_debugger(&self) -> bool {
        let asked = self.connection.as_ref().is_some_and(|connection| {
            let mut wanted = [PollFd::new(connection.descriptor(), PollFlags::POLLIN)];
            connection.has_unsent() || !matches!(poll(&mut wanted, PollTimeout::ZERO), Ok(0))
        });
        asked || self.server.as_ref().is_none_or(Server::is_running)
    }

    fn send(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let Some(connection) = &mut self.connection else { return };
        connection.unsent.extend_from_slice(bytes);
        connection.flush();
        self.wake_debugger();
    }

    /// A debugger that waits for its terminal and for us is parked: it must look again.
    fn wake_debugger(&mut self) {
        let main = self.main;
        let parked: Vec<_> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.parked.is_some_and(|parked| parked.others) && Some(task.pid) == main)
            .map(|(tid, _)| *tid)
            .collect();
        if !parked.is_empty() {
            self.tell(Event::Woken);
        }
        for tid in parked {
            if !self.wind_back_parked(tid) {
                continue;
            }
            if let Some(task) = self.tasks.get_mut(&tid) {
                task.parked = None;
            }
            self.let_go(tid, How::Continue);
        }
    }
}
