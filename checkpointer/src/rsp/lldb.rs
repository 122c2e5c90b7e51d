//! What lldb says beyond the packets that gdb has, and where it means something else by the same ones
//! (LLDB's docs/resources/lldbgdbremote.md).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::packet::{hex, number, unhex};
use super::registers;
use super::server::{Reply, Server, error, ok, text, unknown};
use super::target::{Kind, Stop, Target, ThreadRegisters, Tid, Why};

/// Settings of a conversation with lldb.
#[derive(Debug, Clone, Default)]
pub(super) struct Lldb {
    /// Errors are told in words.
    error_strings: bool,
    /// Registers that lldb has had saved, by the number that it was given.
    saved: BTreeMap<u64, (Tid, ThreadRegisters)>,
    last_saved: u64,
}

const SUPPORTED: &str = "PacketSize=20000;QStartNoAckMode+;native-signals+;QThreadSuffixSupported+;\
    QListThreadsInStopReply+;qEcho+;qXfer:features:read+;qXfer:auxv:read+;qXfer:libraries-svr4:read+;\
    qXfer:siginfo:read+;QPassSignals+;multiprocess+";

/// A packet without the `;thread:ID;` at its end, and that id.
fn without_suffix(data: &[u8]) -> (&[u8], Option<Tid>) {
    const SUFFIX: &[u8] = b"thread:";
    let Some(at) = data.windows(SUFFIX.len()).rposition(|window| window == SUFFIX) else { return (data, None) };
    let digits = data[at + SUFFIX.len()..].strip_suffix(b";").unwrap_or(&data[at + SUFFIX.len()..]);
    match number(digits).and_then(|id| Tid::try_from(id).ok()) {
        Some(tid) => (data[..at].strip_suffix(b";").unwrap_or(&data[..at]), Some(tid)),
        None => (data, None),
    }
}

fn triple() -> String {
    hex(b"x86_64-pc-linux-gnu")
}

fn host() -> String {
    let mut told = format!("triple:{};ptrsize:8;watchpoint_exceptions_received:after;endian:little;", triple());
    if let Ok(system) = nix::sys::utsname::uname() {
        let release = system.release().to_string_lossy().into_owned();
        let version: String = release.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        let build = hex(release.as_bytes());
        let kernel = hex(system.version().to_string_lossy().as_bytes());
        let name = hex(system.nodename().to_string_lossy().as_bytes());
        write!(told, "os_version:{version};os_build:{build};os_kernel:{kernel};hostname:{name};").ok();
    }
    told
}

impl Server {
    /// The answer to a packet that lldb alone sends, or means in its own way; `None` if it is like gdb's.
    pub(super) fn lldb_packet(&mut self, data: &[u8], target: &mut dyn Target) -> Option<Reply> {
        let (data, tid) = match data.first()? {
            b'g' | b'G' | b'p' | b'P' => without_suffix(data),
            _ => (data, None),
        };
        if let Some(tid) = tid {
            if !target.threads().contains(&tid) {
                return Some(error(libc::ESRCH));
            }
            let before = self.general.replace(tid);
            let reply = self.packet_of_all(data, target);
            self.general = before;
            return Some(reply);
        }
        match data.first()? {
            b'q' | b'Q' => self.lldb_query(data, target),
            b'j' => Some(unknown()),
            b'_' => Some(memory(&data[1..], target)),
            b'A' => Some(self.arguments(&data[1..], target)),
            b'k' => {
                let pid = target.process().unwrap_or(0);
                target.kill();
                Some(text(format!("X09;process:{pid:x}")))
            }
            _ => None,
        }
    }

    fn lldb_query(&mut self, data: &[u8], target: &mut dyn Target) -> Option<Reply> {
        let end = data.iter().position(|byte| matches!(byte, b':' | b';' | b',')).unwrap_or(data.len());
        let (name, rest) = (&data[..end], data.get(end + 1..).unwrap_or(b""));
        let file = |rest: &[u8]| unhex(rest).filter(|path| !path.is_empty());
        Some(match name {
            b"qSupported" => {
                self.agree(rest, target);
                text(SUPPORTED)
            }
            b"QThreadSuffixSupported" | b"QListThreadsInStopReply" | b"QSetDetachOnError" | b"QLaunchArch" => ok(),
            b"QEnableErrorStrings" => {
                self.lldb.get_or_insert_default().error_strings = true;
                ok()
            }
            b"qEcho" => Reply::Bytes(data.to_vec()),
            b"qHostInfo" => text(host()),
            b"qProcessInfo" => self.process_info(target),
            b"qGetWorkingDir" => match std::fs::read_link(format!("/proc/{}/cwd", target.debugger().unwrap_or(0))) {
                Ok(folder) => text(hex(std::os::unix::ffi::OsStrExt::as_bytes(folder.as_os_str()))),
                Err(why) => error(why.raw_os_error().unwrap_or(libc::EIO)),
            },
            b"QEnvironment" => {
                let equals = rest.iter().position(|byte| *byte == b'=').unwrap_or(rest.len());
                let value = rest.get(equals + 1..).unwrap_or(b"").to_vec();
                self.program.bare_environment = true;
                self.set_variable(&rest[..equals], Some(value));
                ok()
            }
            b"QEnvironmentHexEncoded" => {
                self.program.bare_environment = true;
                return None;
            }
            b"QSetSTDIN" | b"QSetSTDOUT" | b"QSetSTDERR" => {
                let index = match name {
                    b"QSetSTDIN" => 0,
                    b"QSetSTDOUT" => 1,
                    _ => 2,
                };
                self.program.files[index] = file(rest);
                ok()
            }
            b"QSetDisableASLR" => {
                self.program.fixed_addresses = rest != b"0";
                ok()
            }
            b"qLaunchSuccess" => match &self.last {
                Some(Stop::Failed(why)) => text(format!("E{why}")),
                _ => ok(),
            },
            b"qWatchpointSupportInfo" => text("num:4;"),
            b"qMemoryRegionInfo" => match number(rest) {
                Some(address) => region(address, target),
                None => error(libc::EINVAL),
            },
            b"QSaveRegisterState" => self.save_registers(data, target),
            b"QRestoreRegisterState" => self.restore_registers(rest, target),
            _ => match data.strip_prefix(b"qThreadStopInfo") {
                Some(id) => {
                    let tid = number(id).and_then(|id| Tid::try_from(id).ok());
                    match tid.filter(|tid| target.threads().contains(tid)) {
                        Some(tid) => text(self.thread_stop(tid, target)),
                        None => error(libc::ESRCH),
                    }
                }
                None => return None,
            },
        })
    }

    /// `A arglen,argnum,arg,...`: how a program was launched before `vRun`.
    fn arguments(&mut self, rest: &[u8], target: &mut dyn Target) -> Reply {
        let fields: Vec<&[u8]> = rest.split(|byte| *byte == b',').collect();
        let words: Option<Vec<Vec<u8>>> = fields.chunks(3).map(|three| unhex(three.get(2)?)).collect();
        match words.as_deref() {
            Some([path, arguments @ ..]) if !path.is_empty() => {
                self.program.path = path.clone();
                self.program.arguments = arguments.to_vec();
                self.launch(target);
                match self.starting_failed(target) {
                    // The stop is asked for afterwards.
                    Reply::Later => Reply::Later,
                    failed => failed,
                }
            }
            _ => error(libc::EINVAL),
        }
    }

    fn process_info(&self, target: &mut dyn Target) -> Reply {
        let (Some(pid), Some(real)) = (target.process(), target.real_process()) else { return error(libc::ESRCH) };
        let status = std::fs::read_to_string(format!("/proc/{real}/status")).unwrap_or_default();
        let field = |name: &str, index: usize| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().nth(index)?.parse::<u32>().ok()).unwrap_or(0)
        };
        text(format!(
            "pid:{pid:x};parent-pid:{:x};real-uid:{:x};real-gid:{:x};effective-uid:{:x};effective-gid:{:x};\
             triple:{};ostype:linux;endian:little;ptrsize:8;",
            field("PPid:", 0),
            field("Uid:", 0),
            field("Gid:", 0),
            field("Uid:", 1),
            field("Gid:", 1),
            triple()
        ))
    }

    fn save_registers(&mut self, data: &[u8], target: &mut dyn Target) -> Reply {
        let tid = without_suffix(data).1.unwrap_or_else(|| self.current(target));
        match target.registers(tid) {
            Ok(found) => {
                let lldb = self.lldb.get_or_insert_default();
                lldb.last_saved += 1;
                lldb.saved.insert(lldb.last_saved, (tid, found));
                text(lldb.last_saved.to_string())
            }
            Err(number) => error(number),
        }
    }

    /// The number is decimal.
    fn restore_registers(&mut self, rest: &[u8], target: &mut dyn Target) -> Reply {
        let digits = rest.split(|byte| *byte == b';').next().unwrap_or(b"");
        let id = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok());
        let saved = id.and_then(|id| self.lldb.as_mut()?.saved.remove(&id));
        match saved.map(|(tid, registers)| target.set_registers(tid, &registers)) {
            Some(Ok(())) => ok(),
            Some(Err(number)) => error(number),
            None => error(libc::EINVAL),
        }
    }

    /// Why something could not be done, in words if lldb reads them.
    pub(super) fn lldb_failure(&self, why: &str) -> Vec<u8> {
        match &self.lldb {
            Some(lldb) if lldb.error_strings => format!("E01;{}", hex(why.as_bytes())).into_bytes(),
            _ => b"E01".to_vec(),
        }
    }

    /// The stop of one thread when another one was told of.
    fn thread_stop(&self, tid: Tid, target: &mut dyn Target) -> String {
        match &self.last {
            Some(Stop::Thread { tid: stopped, why }) if *stopped == tid => self.lldb_stop(tid, Some(why), target),
            _ => self.lldb_stop(tid, None, target),
        }
    }

    /// A stop reply: signals by their Linux numbers, all threads with their instruction pointers, all general registers.
    pub(super) fn lldb_stop(&self, tid: Tid, why: Option<&Why>, target: &mut dyn Target) -> String {
        let signal = match why {
            Some(Why::Signal(0) | Why::Exchanged) => libc::SIGSTOP,
            Some(Why::Signal(number)) => *number,
            // The program has just been loaded.
            Some(Why::Exec { .. }) if self.starting => libc::SIGSTOP,
            Some(_) => libc::SIGTRAP,
            None => 0,
        };
        let pid = target.process().unwrap_or(0);
        let mut reply = format!("T{signal:02x}thread:{};", self.thread_name(pid, tid));
        if let Some(name) = target.thread_name(tid) {
            if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
                write!(reply, "name:{name};").ok();
            } else {
                write!(reply, "hexname:{};", hex(name.as_bytes())).ok();
            }
        }
        if why.is_some() {
            let threads = target.threads();
            let pcs: Vec<String> = threads
                .iter()
                .map(|tid| {
                    target.registers(*tid).map_or_else(|_| "0".to_owned(), |r| format!("{:016x}", r.general.rip))
                })
                .collect();
            let ids: Vec<String> = threads.iter().map(|tid| format!("{tid:x}")).collect();
            write!(reply, "threads:{};thread-pcs:{};", ids.join(","), pcs.join(",")).ok();
        }
        if let Ok(found) = target.registers(tid) {
            for index in 0..=registers::GENERAL_COUNT {
                if let Some(bytes) = registers::get(&found, index) {
                    write!(reply, "{index:02x}:{};", hex(&bytes)).ok();
                }
            }
        }
        reply += &match why {
            Some(Why::Software | Why::Hardware) => "reason:breakpoint;".to_owned(),
            // Address, index of the debug register (which lldb only shows), and the address that was touched.
            Some(Why::Watch { kind: Kind::Write | Kind::Read | Kind::Access, address }) => {
                format!("reason:watchpoint;description:{};", hex(format!("{address} 0 {address}").as_bytes()))
            }
            // After a signal it has entered all inlined calls that begin there.
            Some(Why::Stepped | Why::Halted) => "reason:trace;".to_owned(),
            Some(Why::Exec { .. }) if !self.starting => "reason:exec;".to_owned(),
            Some(Why::Exchanged) => format!("reason:signal;description:{};", hex(b"restored")),
            Some(_) => "reason:signal;".to_owned(),
            None => String::new(),
        };
        reply
    }
}

/// `_M size,permissions` and `_m address`: memory for the debugger.
fn memory(rest: &[u8], target: &mut dyn Target) -> Reply {
    let answer = match rest.split_first() {
        Some((b'M', rest)) => {
            let comma = rest.iter().position(|byte| *byte == b',').unwrap_or(rest.len());
            let Some(length) = number(&rest[..comma]) else { return error(libc::EINVAL) };
            let allowed = |letter: u8, bit: i32| if rest[comma..].contains(&letter) { bit } else { 0 };
            let protection =
                allowed(b'r', libc::PROT_READ) | allowed(b'w', libc::PROT_WRITE) | allowed(b'x', libc::PROT_EXEC);
            target.allocate(length, u64::try_from(protection).unwrap_or(0)).map(|address| text(format!("{address:x}")))
        }
        Some((b'm', rest)) => match number(rest) {
            Some(address) => target.deallocate(address).map(|()| ok()),
            None => Err(libc::EINVAL),
        },
        _ => return unknown(),
    };
    answer.unwrap_or_else(error)
}

/// What is mapped at an address, or how far there is nothing.
fn region(address: u64, target: &mut dyn Target) -> Reply {
    let Some(pid) = target.real_process() else { return error(libc::ESRCH) };
    let maps = match std::fs::read_to_string(format!("/proc/{pid}/maps")) {
        Ok(maps) => maps,
        Err(why) => return error(why.raw_os_error().unwrap_or(libc::EIO)),
    };
    text(region_in(&maps, address))
}

fn region_in(maps: &str, address: u64) -> String {
    let mut free = 0;
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(flags)) = (words.next(), words.next()) else { continue };
        let Some((start, end)) = range.split_once('-') else { continue };
        let (Some(start), Some(end)) = (number(start.as_bytes()), number(end.as_bytes())) else { continue };
        if address < start {
            return format!("start:{free:x};size:{:x};", start - free);
        }
        if address < end {
            let allowed: String = flags.chars().take(3).filter(|c| *c != '-').collect();
            let mut told = format!("start:{start:x};size:{:x};permissions:{allowed};flags:;", end - start);
            let name = words.skip(3).collect::<Vec<_>>().join(" ");
            if !name.is_empty() {
                write!(told, "name:{};", hex(name.as_bytes())).ok();
            }
            return told;
        }
        free = end;
    }
    format!("start:{free:x};size:{:x};", u64::MAX - free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_names_the_thread() {
        assert_eq!(without_suffix(b"g;thread:068a;"), (&b"g"[..], Some(0x68a)));
        assert_eq!(without_suffix(b"P0=00ff;thread:1"), (&b"P0=00ff"[..], Some(1)));
        assert_eq!(without_suffix(b"p10"), (&b"p10"[..], None));
        assert_eq!(without_suffix(b"p1;thread:zz;"), (&b"p1;thread:zz;"[..], None));
    }

    #[test]
    fn regions_and_the_gaps_between_them() {
        let maps = "1000-3000 r-xp 00000000 08:01 7  /bin/some thing\n5000-6000 rw-p 00000000 00:00 0 \n";
        assert_eq!(
            region_in(maps, 0x2fff),
            format!("start:1000;size:2000;permissions:rx;flags:;name:{};", hex(b"/bin/some thing"))
        );
        assert_eq!(region_in(maps, 0x3000), "start:3000;size:2000;");
        assert_eq!(region_in(maps, 0x5000), "start:5000;size:1000;permissions:rw;flags:;");
        assert_eq!(region_in(maps, 0x6000), "start:6000;size:ffffffffffff9fff;");
    }
}
