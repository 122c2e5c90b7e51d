//! `q` and `Q` packets: what the debugger asks about the server, the threads and the process, and what it sets.

use super::libraries;
use super::packet::{hex, number, pair, unhex};
use super::server::{Reply, Server, error, ok, text, unknown};
use super::target::Target;
use super::thread_local;

const SUPPORTED: &str = "PacketSize=20000;QStartNoAckMode+;multiprocess+;vContSupported+;swbreak+;hwbreak+;\
    qXfer:features:read+;qXfer:auxv:read+;qXfer:exec-file:read+;qXfer:siginfo:read+;qXfer:siginfo:write+;\
    qXfer:threads:read+;qXfer:libraries-svr4:read+;augmented-libraries-svr4-read+;QPassSignals+;QProgramSignals+;\
    QCatchSyscalls+;QEnvironmentHexEncoded+;QEnvironmentUnset+;QEnvironmentReset+;QSetWorkingDir+;\
    QStartupWithShell+;ConditionalBreakpoints+;QDisableRandomization+;exec-events+;fork-events+;vfork-events+;\
    error-message+";

impl Server {
    pub(super) fn query(&mut self, data: &[u8], target: &mut dyn Target) -> Reply {
        let end = data.iter().position(|byte| matches!(byte, b':' | b',' | b';')).unwrap_or(data.len());
        let (name, rest) = (&data[..end], data.get(end + 1..).unwrap_or(b""));
        match name {
            b"qSupported" => {
                self.agree(rest, target);
                text(SUPPORTED)
            }
            b"QStartNoAckMode" => {
                self.start_no_ack();
                ok()
            }
            b"qXfer" => self.transfer(rest, target),
            b"qC" => match target.process() {
                Some(pid) => text(format!("QC{}", self.thread_name(pid, self.current(target)))),
                None => text("QC0"),
            },
            b"qfThreadInfo" => {
                let pid = target.process().unwrap_or(0);
                let names: Vec<String> = target.threads().into_iter().map(|tid| self.thread_name(pid, tid)).collect();
                if names.is_empty() { text("l") } else { text(format!("m{}", names.join(","))) }
            }
            b"qsThreadInfo" => text("l"),
            b"qThreadExtraInfo" => match self.thread_of(rest).and_then(|tid| target.thread_name(tid)) {
                Some(name) => text(hex(name.as_bytes())),
                None => error(libc::ESRCH),
            },
            b"qGetTLSAddr" => {
                let mut words = rest.split(|byte| *byte == b',');
                let tid = words.next().and_then(|word| self.thread_of(word));
                let (Some(tid), Some(offset), Some(module)) =
                    (tid, words.next().and_then(number), words.next().and_then(number))
                else {
                    return error(libc::EINVAL);
                };
                match thread_local::address(target, tid, offset, module) {
                    Ok(address) => text(format!("{address:x}")),
                    Err(why) => self.refuse(&why),
                }
            }
            b"qAttached" => text(if self.is_attached() { "1" } else { "0" }),
            b"qSymbol" | b"QProgramSignals" => ok(),
            b"QPassSignals" => {
                let signals = rest.split(|byte| *byte == b';').filter_map(number);
                let signals: Vec<i32> = signals.filter_map(|n| self.signal_of(u8::try_from(n).ok()?)).collect();
                target.pass_signals(&signals);
                ok()
            }
            b"QCatchSyscalls" => self.catch(rest, target),
            b"QEnvironmentHexEncoded" => match unhex(rest) {
                Some(pair) => {
                    let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
                    let value = pair.get(equals + 1..).unwrap_or(b"").to_vec();
                    self.set_variable(&pair[..equals], Some(value));
                    ok()
                }
                None => error(libc::EINVAL),
            },
            b"QEnvironmentUnset" => match unhex(rest) {
                Some(name) => {
                    self.set_variable(&name, None);
                    ok()
                }
                None => error(libc::EINVAL),
            },
            b"QEnvironmentReset" => {
                self.program.environment.clear();
                ok()
            }
            b"QSetWorkingDir" => match unhex(rest) {
                Some(folder) => {
                    self.program.directory = (!folder.is_empty()).then_some(folder);
                    ok()
                }
                None => error(libc::EINVAL),
            },
            b"QStartupWithShell" => {
                self.program.shell = if rest == b"0" { None } else { Server::new().program.shell };
                ok()
            }
            b"QDisableRandomization" => {
                self.program.fixed_addresses = rest != b"0";
                ok()
            }
            b"QThreadEvents" => unknown(),
            _ => unknown(),
        }
    }

    pub(super) fn set_variable(&mut self, name: &[u8], value: Option<Vec<u8>>) {
        self.program.environment.retain(|(known, _)| known != name);
        self.program.environment.push((name.to_vec(), value));
    }

    /// `qXfer:object:read:annex:offset,length` and `...:write:annex:offset:data`.
    fn transfer(&mut self, rest: &[u8], target: &mut dyn Target) -> Reply {
        let mut parts = rest.splitn(4, |byte| *byte == b':');
        let (Some(object), Some(operation), Some(annex), Some(last)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return error(libc::EINVAL);
        };
        if operation == b"write" {
            return self.transfer_write(object, last, target);
        }
        let Some((offset, length)) = pair(last) else { return error(libc::EINVAL) };
        let whole = match self.object(object, annex, target) {
            Ok(Some(whole)) => whole,
            Ok(None) => return unknown(),
            Err(number) => return error(number),
        };
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(whole.len());
        // Every byte may have to be escaped.
        let most = usize::try_from(length).unwrap_or(0).min(0xf000);
        let to = (from + most).min(whole.len());
        let mut reply = vec![if to == whole.len() { b'l' } else { b'm' }];
        reply.extend(&whole[from..to]);
        Reply::Bytes(reply)
    }

    fn object(&self, object: &[u8], annex: &[u8], target: &mut dyn Target) -> Result<Option<Vec<u8>>, i32> {
        let of_process = |name: &str, target: &dyn Target| {
            let pid = target.real_process().ok_or(libc::ESRCH)?;
            std::fs::read(format!("/proc/{pid}/{name}")).map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))
        };
        Ok(Some(match object {
            b"features" if annex == b"target.xml" => self.description.clone().into_bytes(),
            b"auxv" => of_process("auxv", target)?,
            b"exec-file" => {
                let pid = target.real_process().ok_or(libc::ESRCH)?;
                let path = std::fs::read_link(format!("/proc/{pid}/exe"));
                let path = path.map_err(|error| error.raw_os_error().unwrap_or(libc::EIO))?;
                std::os::unix::ffi::OsStringExt::into_vec(path.into_os_string())
            }
            b"siginfo" => {
                let tid = self.current(target);
                target.signal_information(tid)?
            }
            b"threads" => self.threads(target),
            b"libraries-svr4" => libraries::list(target, self.lldb.is_none()).into_bytes(),
            _ => return Ok(None),
        }))
    }

    fn threads(&self, target: &mut dyn Target) -> Vec<u8> {
        let pid = target.process().unwrap_or(0);
        let mut list = String::from("<?xml version=\"1.0\"?><threads>");
        for tid in target.threads() {
            list += &format!("<thread id=\"{}\"", self.thread_name(pid, tid));
            if let Some(name) = target.thread_name(tid) {
                list += &format!(" name=\"{}\"", libraries::escaped(&name));
            }
            list += "/>";
        }
        list += "</threads>";
        list.into_bytes()
    }

    fn transfer_write(&self, object: &[u8], last: &[u8], target: &mut dyn Target) -> Reply {
        let Some(colon) = last.iter().position(|byte| *byte == b':') else { return error(libc::EINVAL) };
        let data = &last[colon + 1..];
        if object != b"siginfo" {
            return unknown();
        }
        let tid = self.current(target);
        match target.set_signal_information(tid, data) {
            Ok(()) => text(format!("{:x}", data.len())),
            Err(number) => error(number),
        }
    }
}
