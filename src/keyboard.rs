//! Standard input: lines and keys for the program, lines for the prompt when it is not a terminal.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{LocalFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use crate::engine::{Input, InputMode};
use crate::signals::Signals;

/// Terminal modes that are put back when it is dropped.
struct Modes {
    before: Termios,
}

impl Modes {
    fn change(change: impl FnOnce(&mut Termios)) -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut modes = before.clone();
        change(&mut modes);
        tcsetattr(io::stdin(), SetArg::TCSADRAIN, &modes).ok()?;
        Some(Self { before })
    }
}

impl Drop for Modes {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.before);
    }
}

/// Where bytes come from.
enum Source {
    Stdin,
    /// Nothing beyond what is buffered (tests, the demo).
    Nothing,
}

/// Standard input with what was read of it too early.
pub struct Keyboard {
    source: Source,
    buffer: Vec<u8>,
    ended: bool,
    /// Held from the first request for keys to [`Keyboard::release`]: between two keys nothing may be echoed.
    raw: Option<Modes>,
    /// Held while the program wants silence.
    silent: Option<Modes>,
}

/// Why no bytes came.
enum Pause {
    Eof,
    Interrupt,
}

impl Keyboard {
    /// The process's standard input.
    pub fn stdin() -> Self {
        Self { source: Source::Stdin, buffer: Vec::new(), ended: false, raw: None, silent: None }
    }

    /// These bytes and then the end.
    pub fn of(text: &str) -> Self {
        Self { source: Source::Nothing, buffer: text.as_bytes().to_vec(), ended: true, raw: None, silent: None }
    }

    /// Whether a person sits there.
    pub fn is_terminal(&self) -> bool {
        matches!(self.source, Source::Stdin) && io::stdin().is_terminal()
    }

    /// What the program asked for. Blocks; Ctrl-C ends the wait.
    pub fn read(&mut self, mode: InputMode, signals: &mut Option<Signals>) -> Input {
        match mode {
            InputMode::Line { echo } => {
                self.raw = None;
                let _silence = (!echo && self.is_terminal())
                    .then(|| Modes::change(|modes| modes.local_flags.remove(LocalFlags::ECHO)))
                    .flatten();
                self.line(signals)
            }
            InputMode::Raw => {
                if self.raw.is_none() && self.is_terminal() {
                    self.raw = Modes::change(cfmakeraw);
                }
                if self.buffer.is_empty()
                    && let Err(pause) = self.fill(signals)
                {
                    return pause.into();
                }
                Input::Keys(std::mem::take(&mut self.buffer))
            }
        }
    }

    /// The next line, without its newline. A last line without one counts.
    pub fn line(&mut self, signals: &mut Option<Signals>) -> Input {
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffer[searched..].iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=searched + at).collect();
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                return Input::Line(String::from_utf8_lossy(line).into_owned());
            }
            searched = self.buffer.len();
            match self.fill(signals) {
                Ok(()) => {}
                Err(Pause::Eof) if !self.buffer.is_empty() => {
                    let rest = std::mem::take(&mut self.buffer);
                    return Input::Line(String::from_utf8_lossy(&rest).into_owned());
                }
                Err(pause) => return pause.into(),
            }
        }
    }

    /// What is typed from now on is not shown, or is again.
    pub fn silence(&mut self, on: bool) {
        self.silent = None;
        if on && self.is_terminal() {
            self.silent = Modes::change(|modes| modes.local_flags.remove(LocalFlags::ECHO));
        }
    }

    /// The command that wanted keys or silence has ended.
    pub fn release(&mut self) {
        self.raw = None;
        self.silent = None;
    }

    fn fill(&mut self, signals: &mut Option<Signals>) -> Result<(), Pause> {
        if self.ended {
            return Err(Pause::Eof);
        }
        if signals.as_mut().is_some_and(Signals::interrupted) {
            return Err(Pause::Interrupt);
        }
        let stdin = io::stdin();
        loop {
            if wait(stdin.as_fd(), signals.as_ref().map(Signals::wake_fd)) == Wake::Signal {
                if signals.as_mut().is_some_and(Signals::interrupted) {
                    return Err(Pause::Interrupt);
                }
                continue;
            }
            let mut bytes = [0; 4096];
            match nix::unistd::read(&stdin, &mut bytes) {
                Err(nix::errno::Errno::EINTR | nix::errno::Errno::EAGAIN) => {}
                Ok(n) if n > 0 => {
                    self.buffer.extend_from_slice(&bytes[..n]);
                    return Ok(());
                }
                _ => {
                    // Ctrl-D at a terminal ends one answer; the end of a file is for good.
                    self.ended = !stdin.is_terminal();
                    return Err(Pause::Eof);
                }
            }
        }
    }
}

impl From<Pause> for Input {
    fn from(pause: Pause) -> Self {
        match pause {
            Pause::Eof => Input::Eof,
            Pause::Interrupt => Input::Interrupt,
        }
    }
}

#[derive(PartialEq, Eq)]
enum Wake {
    Input,
    Signal,
}

fn wait(input: BorrowedFd<'_>, signal: Option<BorrowedFd<'_>>) -> Wake {
    let mut fds = vec![PollFd::new(input, PollFlags::POLLIN)];
    fds.extend(signal.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
    loop {
        match poll(&mut fds, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => {}
            _ if fds.get(1).is_some_and(|fd| fd.any() == Some(true)) => return Wake::Signal,
            _ => return Wake::Input,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_keys_come_from_the_same_place() {
        let mut keyboard = Keyboard::of("one\r\nzwö\n\nkeys");
        let none = &mut None;
        assert_eq!(keyboard.read(InputMode::Line { echo: true }, none), Input::Line("one".into()));
        assert_eq!(keyboard.read(InputMode::Line { echo: false }, none), Input::Line("zwö".into()));
        assert_eq!(keyboard.line(none), Input::Line(String::new()));
        assert_eq!(keyboard.read(InputMode::Raw, none), Input::Keys(b"keys".to_vec()));
        assert_eq!(keyboard.read(InputMode::Raw, none), Input::Eof);
        assert_eq!(keyboard.line(none), Input::Eof);
    }

    #[test]
    fn a_last_line_needs_no_newline() {
        let mut keyboard = Keyboard::of("continue");
        assert_eq!(keyboard.line(&mut None), Input::Line("continue".into()));
        assert_eq!(keyboard.line(&mut None), Input::Eof);
    }
}
