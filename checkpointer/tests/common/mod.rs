//! A session of the bare checkpointer on a terminal of its own, driven as a dialogue.
#![allow(dead_code)]

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use fred_checkpointer::client::Client;
use fred_checkpointer::wire::{CopyId, Event};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};

pub struct Bench {
    pub client: Client,
    master: OwnedFd,
    pub output: String,
}

impl Bench {
    pub fn start(argv: &[&str]) -> Bench {
        let pty = openpty(None, None).expect("a pty");
        let mut modes = tcgetattr(&pty.slave).expect("modes");
        modes.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(&pty.slave, SetArg::TCSANOW, &modes).expect("no echo");
        let exe = env!("CARGO_BIN_EXE_fred-ckpt");
        let mut client = Client::start(Path::new(exe), &["__supervisor"], pty.slave, None).expect("a supervisor");
        let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
        client.launch(&argv).expect("launch");
        Bench { client, master: pty.master, output: String::new() }
    }

    fn drain(&mut self) {
        let mut buffer = [0u8; 65536];
        loop {
            let mut wanted = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
            match poll(&mut wanted, PollTimeout::ZERO) {
                Ok(n) if n > 0 => {}
                _ => return,
            }
            match nix::unistd::read(&self.master, &mut buffer) {
                Ok(n) if n > 0 => self.output.push_str(&String::from_utf8_lossy(&buffer[..n])),
                _ => return,
            }
        }
    }

    /// Waits until something happens; returns it, with all output until then in `self.output`.
    pub fn wait(&mut self) -> Event {
        loop {
            if let Some(event) = self.client.event().expect("a supervisor") {
                self.drain();
                return event;
            }
            let mut wanted = [
                PollFd::new(self.client.descriptor(), PollFlags::POLLIN),
                PollFd::new(self.master.as_fd(), PollFlags::POLLIN),
            ];
            let n = poll(&mut wanted, PollTimeout::from(20_000u16)).expect("poll");
            assert!(n > 0, "nothing happened for 20 s; output so far: {}", self.output);
            if wanted[1].any() == Some(true) {
                self.drain();
            }
        }
    }

    /// Waits until the program reads the terminal; returns what it printed since the last time.
    pub fn until_reading(&mut self) -> String {
        match self.wait() {
            Event::Reading { .. } => std::mem::take(&mut self.output),
            other => panic!("not a read: {other:?}; output: {}", self.output),
        }
    }

    pub fn until_exit(&mut self) -> (Option<i32>, Option<i32>, String) {
        match self.wait() {
            Event::Exited { status, signal } => (status, signal, std::mem::take(&mut self.output)),
            other => panic!("not an exit: {other:?}; output: {}", self.output),
        }
    }

    pub fn type_line(&mut self, line: &str) {
        nix::unistd::write(&self.master, format!("{line}\n").as_bytes()).expect("write");
        self.client.go().expect("go");
    }

    pub fn say(&mut self, line: &str) -> String {
        self.type_line(line);
        self.until_reading()
    }

    pub fn checkpoint(&mut self) -> CopyId {
        self.client.checkpoint().expect("a checkpoint").id
    }

    pub fn restore(&mut self, id: CopyId) -> String {
        self.client.start_copy(id).expect("a restore");
        self.output.clear();
        self.until_reading()
    }
}
