//! The state machine: packets in, packets out.

mod access;
mod motion;

use super::hostio::Files;
use super::lldb::Lldb;
use super::packet::{Arrival, Reader, frame, hex, number};
use super::registers;
use super::signals::{from_gdb, to_gdb};
use super::target::{Caught, Kind, Program, Stop, Target, Tid, Why};

/// A server and all that it has agreed on with its debugger.
#[derive(Debug, Clone, Default)]
pub struct Server {
    reader: Reader,
    no_ack: bool,
    multiprocess: bool,
    error_messages: bool,
    /// The thread of `g`, `m` and the like.
    pub(super) general: Option<Tid>,
    /// That of `c` and `s`.
    resumed: Option<Tid>,
    /// A stop reply is owed.
    running: bool,
    /// `vRun` or `vAttach` is being answered.
    pub(super) starting: bool,
    /// What stopped it last.
    pub(super) last: Option<Stop>,
    pub(super) program: Program,
    /// The last framed reply, in case it is asked for again.
    sent: Vec<u8>,
    pub(super) files: Files,
    /// The description of registers, so that it is made once.
    pub(super) description: String,
    attached: bool,
    /// The debugger's packets are meant for the child that is held.
    at_child: bool,
    /// The last process, which an exit is told of.
    pid: i32,
    /// It is lldb that is talked to.
    pub(super) lldb: Option<Lldb>,
}

/// What a packet is answered with.
pub(super) enum Reply {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing now: a stop reply comes.
    Later,
}

pub(super) fn text(text: impl Into<String>) -> Reply {
    Reply::Bytes(text.into().into_bytes())
}

pub(super) fn ok() -> Reply {
    text("OK")
}

pub(super) fn error(number: i32) -> Reply {
    text(format!("E{:02x}", number & 0xff))
}

/// The answer to what is not known.
pub(super) fn unknown() -> Reply {
    text("")
}

fn outcome(result: Result<(), i32>) -> Reply {
    match result {
        Ok(()) => ok(),
        Err(number) => error(number),
    }
}

impl Server {
    /// One that nobody has talked to.
    pub fn new() -> Server {
        Server {
            program: Program { fixed_addresses: true, shell: Some(default_shell()), ..Program::default() },
            description: registers::description(),
            ..Server::default()
        }
    }

    /// One that lldb has started: it speaks lldb's dialect of the protocol.
    pub fn for_lldb() -> Server {
        Server {
            program: Program { fixed_addresses: true, ..Program::default() },
            description: registers::lldb_description(),
            lldb: Some(Lldb::default()),
            ..Server::default()
        }
    }

    /// Whether a stop reply is owed.
    pub fn is_running(&self) -> bool {
        self.running
    }

    /// Takes bytes from the debugger; gives back what is to be written.
    pub fn receive(&mut self, bytes: &[u8], target: &mut dyn Target) -> Vec<u8> {
        let mut out = Vec::new();
        for byte in bytes {
            match self.reader.push(*byte) {
                None => {}
                Some(Arrival::Interrupt) if self.running => {
                    // Each debugger expects the signal that its own server uses.
                    target.interrupt(if self.lldb.is_some() { libc::SIGSTOP } else { libc::SIGINT });
                }
                Some(Arrival::Again) => out.extend(&self.sent),
                Some(Arrival::Broken) if !self.no_ack => out.push(b'-'),
                Some(Arrival::Interrupt | Arrival::Broken) => {}
                Some(Arrival::Packet(data)) => {
                    if !self.no_ack {
                        out.push(b'+');
                    }
                    if let Reply::Bytes(reply) = self.packet(&data, target) {
                        self.sent = frame(&reply);
                        out.extend(&self.sent);
                    }
                }
            }
        }
        out
    }

    /// Tells of a stop; gives back what is to be written.
    pub fn stopped(&mut self, stop: &Stop, target: &mut dyn Target) -> Vec<u8> {
        self.last = Some(stop.clone());
        if !self.running {
            return Vec::new();
        }
        self.running = false;
        self.pid = target.process().unwrap_or(self.pid);
        let reply = self.stop_reply(stop, target);
        self.starting = false;
        if let Stop::Thread { tid, .. } = stop {
            self.general = Some(*tid);
            self.resumed = Some(*tid);
        }
        self.sent = frame(&reply);
        self.sent.clone()
    }

    fn failure(&self, why: &str) -> Vec<u8> {
        if self.lldb.is_some() {
            return self.lldb_failure(why);
        }
        if self.error_messages { format!("E.{why}").into_bytes() } else { b"E01".to_vec() }
    }

    /// Refuses in words where the debugger reads them.
    pub(super) fn refuse(&self, why: &str) -> Reply {
        Reply::Bytes(self.failure(why))
    }

    pub(super) fn thread_name(&self, pid: i32, tid: Tid) -> String {
        if self.multiprocess { format!("p{pid:x}.{tid:x}") } else { format!("{tid:x}") }
    }

    fn stop_reply(&self, stop: &Stop, target: &mut dyn Target) -> Vec<u8> {
        let process = if self.multiprocess { format!(";process:{:x}", self.pid) } else { String::new() };
        match stop {
            Stop::Exited(status) => format!("W{:02x}{}", status & 0xff, process).into_bytes(),
            Stop::Killed(signal) => format!("X{:02x}{}", self.signal_number(*signal), process).into_bytes(),
            Stop::Failed(why) => self.failure(why),
            Stop::Thread { tid, why } if self.lldb.is_some() => self.lldb_stop(*tid, Some(why), target).into_bytes(),
            Stop::Thread { tid, why } => {
                let signal = match why {
                    Why::Signal(number) => to_gdb(*number),
                    Why::Halted => 0,
                    _ => 5,
                };
                let mut reply = format!("T{signal:02x}");
                // Frame pointer, stack pointer, instruction pointer: spares the debugger a question.
                if let Ok(found) = target.registers(*tid) {
                    for name in ["rbp", "rsp", "rip"] {
                        if let Some(index) = registers::named(name)
                            && let Some(bytes) = registers::get(&found, index)
                        {
                            reply += &format!("{index:02x}:{};", hex(&bytes));
                        }
                    }
                }
                reply += &format!("thread:{};", self.thread_name(target.process().unwrap_or(0), *tid));
                // Not on which processor it was: to find that out takes as long as the rest.
                reply += &match why {
                    Why::Software => "swbreak:;".to_owned(),
                    Why::Hardware => "hwbreak:;".to_owned(),
                    Why::Watch { kind, address } => {
                        let name = match kind {
                            Kind::Read => "rwatch",
                            Kind::Access => "awatch",
                            _ => "watch",
                        };
                        format!("{name}:{address:x};")
                    }
                    Why::Entering(number) => format!("syscall_entry:{number:x};"),
                    Why::Leaving(number) => format!("syscall_return:{number:x};"),
                    // An exec is news only if there was a program before.
                    Why::Forked { child, vfork } => {
                        let name = if *vfork { "vfork" } else { "fork" };
                        format!("{name}:{};", self.thread_name(*child, *child))
                    }
                    Why::VforkDone => "vforkdone:;".to_owned(),
                    Why::Exec { path } if !self.starting => format!("exec:{};", hex(path)),
                    _ => String::new(),
                };
                reply.into_bytes()
            }
        }
    }

    /// The number by which the debugger knows a signal.
    fn signal_number(&self, signal: i32) -> u8 {
        if self.lldb.is_some() { u8::try_from(signal).unwrap_or(0) } else { to_gdb(signal) }
    }

    /// The signal of a number that the debugger uses.
    pub(super) fn signal_of(&self, number: u8) -> Option<i32> {
        if self.lldb.is_some() { Some(i32::from(number)).filter(|signal| *signal <= 64) } else { from_gdb(number) }
    }

    fn packet(&mut self, data: &[u8], target: &mut dyn Target) -> Reply {
        if self.running {
            return self.while_running(data, target);
        }
        if self.lldb.is_some()
            && let Some(reply) = self.lldb_packet(data, target)
        {
            return reply;
        }
        self.packet_of_all(data, target)
    }

    /// A packet that means the same to every debugger.
    pub(super) fn packet_of_all(&mut self, data: &[u8], target: &mut dyn Target) -> Reply {
        let Some((&first, rest)) = data.split_first() else { return unknown() };
        match first {
            b'q' | b'Q' => self.query(data, target),
            b'v' => self.verbose(data, target),
            b'!' => ok(),
            b'?' => self.why(target),
            b'H' => self.choose_thread(rest, target),
            b'T' => match self.thread_of(rest).filter(|tid| target.threads().contains(tid)) {
                Some(_) => ok(),
                None => error(libc::ESRCH),
            },
            b'g' => self.read_all(target),
            b'G' => self.write_all(rest, target),
            b'p' => self.read_one(rest, target),
            b'P' => self.write_one(rest, target),
            b'm' => self.read_memory(rest, target),
            b'M' => self.write_memory(rest, false, target),
            b'X' => self.write_memory(rest, true, target),
            b'x' => self.read_memory_binary(rest, target),
            b'Z' | b'z' => self.breakpoint(first == b'Z', rest, target),
            b'c' | b's' => self.legacy_resume(first == b's', rest, None, target),
            b'C' | b'S' => match rest.get(..2).and_then(number).and_then(|n| self.signal_of(u8::try_from(n).ok()?)) {
                Some(signal) => {
                    let at = rest.get(3..).unwrap_or(b"");
                    self.legacy_resume(first == b'S', at, Some(signal), target)
                }
                None => error(libc::EINVAL),
            },
            b'k' => {
                target.kill();
                Reply::Later
            }
            b'D' => self.detach(rest, target),
            b'R' => {
                target.kill();
                self.launch(target);
                Reply::Later
            }
            _ => unknown(),
        }
    }

    fn while_running(&mut self, data: &[u8], target: &mut dyn Target) -> Reply {
        if data.starts_with(b"vCtrlC") {
            target.interrupt(libc::SIGINT);
            return ok();
        }
        if data.starts_with(b"vKill") || data == b"k" {
            target.kill();
            self.running = false;
            return if data == b"k" { Reply::Later } else { ok() };
        }
        error(libc::EBUSY)
    }

    fn why(&mut self, target: &mut dyn Target) -> Reply {
        if target.process().is_none() {
            return text("W00");
        }
        let tid = self.general.filter(|tid| target.threads().contains(tid)).or(target.process()).unwrap_or(0);
        let stop = match &self.last {
            Some(stop @ Stop::Thread { .. }) => stop.clone(),
            _ => Stop::Thread { tid, why: Why::Signal(libc::SIGTRAP) },
        };
        Reply::Bytes(self.stop_reply(&stop, target))
    }

    /// A thread as a packet names it; 0 and -1 are any.
    pub(super) fn thread_of(&self, text: &[u8]) -> Option<Tid> {
        let text = match text.strip_prefix(b"p") {
            Some(rest) => match rest.iter().position(|byte| *byte == b'.') {
                Some(dot) => &rest[dot + 1..],
                None => return None,
            },
            None => text,
        };
        if text.starts_with(b"-") {
            return None;
        }
        number(text).and_then(|id| Tid::try_from(id).ok()).filter(|tid| *tid != 0)
    }

    fn choose_thread(&mut self, rest: &[u8], target: &mut dyn Target) -> Reply {
        let Some((&operation, id)) = rest.split_first() else { return error(libc::EINVAL) };
        let process = Server::process_of(id);
        let child = target.child().map(|(child, _)| child);
        if process.is_some() && process == child {
            self.at_child |= operation == b'g';
            return ok();
        }
        if operation == b'g' && process.is_some() {
            self.at_child = false;
        }
        let tid = self.thread_of(id);
        if tid.is_some_and(|tid| !target.threads().contains(&tid)) {
            return error(libc::ESRCH);
        }
        match operation {
            b'g' => self.general = tid.or(self.general).or(target.process()),
            b'c' => self.resumed = tid,
            _ => return error(libc::EINVAL),
        }
        ok()
    }

    pub(super) fn current(&self, target: &dyn Target) -> Tid {
        let threads = target.threads();
        self.general.filter(|tid| threads.contains(tid)).or_else(|| threads.first().copied()).unwrap_or(0)
    }

    pub(super) fn is_attached(&self) -> bool {
        self.attached
    }

    pub(super) fn agree(&mut self, features: &[u8], target: &mut dyn Target) {
        let has = |name: &[u8]| features.split(|byte| *byte == b';').any(|feature| feature == name);
        self.multiprocess = has(b"multiprocess+");
        // Which child is let go has to be said, and what follows after an exec.
        let tells = [b"fork-events+".as_slice(), b"vfork-events+", b"exec-events+"].into_iter().all(has);
        target.tell_forks(tells && self.multiprocess);
        // gdb reads words long before it says so (its remote.c, packet_check_result); it is the one that wants these events.
        self.error_messages = has(b"error-message+") || tells;
    }

    pub(super) fn start_no_ack(&mut self) {
        self.no_ack = true;
    }

    pub(super) fn catch(&self, rest: &[u8], target: &mut dyn Target) -> Reply {
        let caught = match rest.split_first() {
            Some((b'0', _)) => Caught::None,
            Some((b'1', [])) => Caught::All,
            Some((b'1', list)) => {
                let calls = list.split(|byte| *byte == b';').filter(|word| !word.is_empty()).map(number);
                match calls.collect::<Option<Vec<u64>>>() {
                    Some(calls) => Caught::Some(calls),
                    None => return error(libc::EINVAL),
                }
            }
            _ => return error(libc::EINVAL),
        };
        target.catch(caught);
        ok()
    }
}

fn default_shell() -> Vec<u8> {
    use std::os::unix::ffi::OsStringExt;
    std::env::var_os("SHELL").map_or_else(|| b"/bin/sh".to_vec(), OsStringExt::into_vec)
}
