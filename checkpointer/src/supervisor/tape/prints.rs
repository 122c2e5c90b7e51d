//! Writes to the terminal: what the program has printed before is not shown again.

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;

use super::Supervisor;
use super::calls::{Call, Taken, view};
use super::kinds::Kind;
use super::printed::Heard;
use crate::ptrace::Change;
use crate::raw::{self, Registers};
use crate::record::given::vectors;
use crate::record::thread::Thread;

/// See [`written`].
const MOST: usize = 1 << 24;

/// A write of what is new, which a thread has been let into.
#[derive(Debug)]
pub(in crate::supervisor) struct Printing {
    rip: u64,
    call: u64,
    descriptor: i32,
    /// How much of it has been noted.
    length: usize,
}

impl Supervisor {
    /// A thread prints on the terminal that its process shares with the debugger in it.
    pub(super) fn prints(&mut self, tid: Pid, pid: Pid, registers: &Registers, call: Call) -> Taken {
        let Some(own) = self.recording.own.clone() else { return Taken::Live };
        let (descriptor, text) = (descriptor(&call), written(&view(tid, pid), &call));
        let new = self.recording.heard;
        let heard = self.recording.mark.reader.hears(descriptor, &text, &own, new);
        if !matches!(heard, Heard::Again(_)) {
            let hidden = self.recording.mark.reader.show();
            self.print(pid, &hidden);
        }
        match heard {
            Heard::Shown => Taken::Live,
            Heard::Again(length) => {
                self.answer_call(tid, *registers, i64::try_from(length).unwrap_or(i64::MAX));
                Taken::Answered
            }
            Heard::New(length) => {
                self.recording.mark.reader.printed(descriptor, &text[..length]);
                self.limit_notes();
                let printing = Printing { rip: registers.rip, call: registers.orig_rax, descriptor, length };
                // What waits for room is written whole, unless the thread is stopped in it.
                let whole = match self.kind(pid, descriptor) {
                    Some(Kind::Terminal(Some(file))) => fcntl(&file, FcntlArg::F_GETFL)
                        .is_ok_and(|flags| !OFlag::from_bits_retain(flags).contains(OFlag::O_NONBLOCK)),
                    _ => false,
                };
                let taken = if whole { Taken::Live } else { self.let_in(tid, registers, call, None, None, None) };
                if let Some(task) = self.tasks.get_mut(&tid) {
                    task.printing = Some(printing);
                }
                taken
            }
        }
    }

    /// A thread that may be in a write of what is new has stopped: it may have written less.
    pub(super) fn stopped_printing(&mut self, tid: Pid, what: Change) {
        let Some(Printing { rip, call, descriptor, length }) =
            self.tasks.get_mut(&tid).and_then(|task| task.printing.take())
        else {
            return;
        };
        if what == Change::Seccomp {
            return;
        }
        let Ok(registers) = raw::registers(tid) else { return };
        if registers.rip == rip && registers.orig_rax == call {
            let written = usize::try_from(registers.rax.cast_signed()).unwrap_or(0).min(length);
            self.recording.mark.reader.unprinted(descriptor, length - written);
        }
    }

    /// A call of a served program has been answered from the notes. If it is a write to its terminal, nobody sees that.
    pub(super) fn not_shown(&mut self, tid: Pid, pid: Pid, call: &Call, result: i64) {
        if !self.recording.served || !matches!(call.row.name, "write" | "writev") {
            return;
        }
        if matches!(self.kind(pid, descriptor(call)), Some(Kind::Terminal(_))) {
            let mut text = written(&view(tid, pid), call);
            text.truncate(usize::try_from(result).unwrap_or(0));
            self.recording.mark.reader.hide(&text);
        }
    }

    /// A process is about to wait for input. The question that it has printed may not have been shown.
    pub(in crate::supervisor) fn ask_again(&mut self, pid: Pid) {
        if !self.recording.on || self.recorded_leader() != Some(pid) {
            return;
        }
        let own = self.recording.own.clone();
        let heard = self.recording.heard && self.recording.runs;
        let question = self.recording.mark.reader.waits(own.as_deref(), heard);
        self.print(pid, &question);
    }

    /// Prints in a program's stead.
    fn print(&self, pid: Pid, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        let terminal = self.terminal_of(pid).slave();
        // The client may be waiting for an answer of ours and read nothing.
        let mut wanted = [PollFd::new(terminal, PollFlags::POLLOUT)];
        if matches!(poll(&mut wanted, PollTimeout::ZERO), Ok(n) if n > 0) {
            nix::unistd::write(terminal, text).ok();
        }
    }
}

#[allow(clippy::cast_possible_truncation)]
fn descriptor(call: &Call) -> i32 {
    call.arguments[0] as i32
}

/// What a call of write or writev writes, of each part no more than [`MOST`] bytes.
fn written(thread: &Thread, call: &Call) -> Vec<u8> {
    let [_, address, length, ..] = call.arguments;
    let parts = if call.row.name == "writev" { vectors(thread, address, length) } else { vec![(address, length)] };
    let read = |(address, length): (u64, u64)| thread.read(address, usize::try_from(length).unwrap_or(0).min(MOST));
    parts.into_iter().flat_map(read).collect()
}
