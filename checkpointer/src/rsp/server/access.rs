//! Registers, memory and breakpoints of the program: packets that look at it and change it while it is stopped.

use super::{Reply, Server, error, ok, outcome, text, unknown};
use crate::rsp::agent;
use crate::rsp::packet::{self, hex, number, pair, unhex};
use crate::rsp::registers;
use crate::rsp::target::{Kind, Target, ThreadRegisters};

impl Server {
    pub(super) fn found(&self, target: &mut dyn Target) -> Result<ThreadRegisters, Reply> {
        let tid = self.current(target);
        target.registers(tid).map_err(error)
    }

    pub(super) fn read_all(&mut self, target: &mut dyn Target) -> Reply {
        match self.found(target) {
            Ok(found) => {
                let bytes: Vec<u8> =
                    (0..registers::count()).filter_map(|index| registers::get(&found, index)).flatten().collect();
                text(hex(&bytes))
            }
            Err(reply) => reply,
        }
    }

    pub(super) fn write_all(&mut self, rest: &[u8], target: &mut dyn Target) -> Reply {
        let Some(bytes) = unhex(rest) else { return error(libc::EINVAL) };
        let mut found = match self.found(target) {
            Ok(found) => found,
            Err(reply) => return reply,
        };
        let mut at = 0;
        for index in 0..registers::count() {
            let Some((_, size, _)) = registers::info(index) else { break };
            let Some(slice) = bytes.get(at..at + size) else { break };
            registers::set(&mut found, index, slice);
            at += size;
        }
        let tid = self.current(target);
        outcome(target.set_registers(tid, &found))
    }

    pub(super) fn read_one(&mut self, rest: &[u8], target: &mut dyn Target) -> Reply {
        let Some(index) = number(rest).and_then(|index| usize::try_from(index).ok()) else {
            return error(libc::EINVAL);
        };
        match self.found(target) {
            Ok(found) => match registers::get(&found, index) {
                Some(bytes) => text(hex(&bytes)),
                None => error(libc::EINVAL),
            },
            Err(reply) => reply,
        }
    }

    pub(super) fn write_one(&mut self, rest: &[u8], target: &mut dyn Target) -> Reply {
        let Some(equals) = rest.iter().position(|byte| *byte == b'=') else { return error(libc::EINVAL) };
        let index = number(&rest[..equals]).and_then(|index| usize::try_from(index).ok());
        let (Some(index), Some(bytes)) = (index, unhex(&rest[equals + 1..])) else { return error(libc::EINVAL) };
        let mut found = match self.found(target) {
            Ok(found) => found,
            Err(reply) => return reply,
        };
        if !registers::set(&mut found, index, &bytes) {
            return error(libc::EINVAL);
        }
        let tid = self.current(target);
        outcome(target.set_registers(tid, &found))
    }

    fn fetch(rest: &[u8], most: usize, target: &mut dyn Target) -> Result<Vec<u8>, Reply> {
        let Some((address, length)) = pair(rest) else { return Err(error(libc::EINVAL)) };
        let mut bytes = vec![0u8; usize::try_from(length).unwrap_or(most).min(most)];
        match target.read(address, &mut bytes) {
            Ok(read) => {
                bytes.truncate(read);
                Ok(bytes)
            }
            Err(number) => Err(error(number)),
        }
    }

    pub(super) fn read_memory(&mut self, rest: &[u8], target: &mut dyn Target) -> Reply {
        match Server::fetch(rest, packet::LARGEST / 2 - 8, target) {
            Ok(bytes) => text(hex(&bytes)),
            Err(reply) => reply,
        }
    }

    /// lldb's binary read, which it tries with a length of zero first.
    pub(super) fn read_memory_binary(&mut self, rest: &[u8], target: &mut dyn Target) -> Reply {
        if pair(rest).is_some_and(|(_, length)| length == 0) {
            return ok();
        }
        match Server::fetch(rest, packet::LARGEST / 2 - 8, target) {
            Ok(bytes) => Reply::Bytes(bytes),
            Err(reply) => reply,
        }
    }

    pub(super) fn write_memory(&mut self, rest: &[u8], binary: bool, target: &mut dyn Target) -> Reply {
        let Some(colon) = rest.iter().position(|byte| *byte == b':') else { return error(libc::EINVAL) };
        let data = &rest[colon + 1..];
        let bytes = if binary { Some(data.to_vec()) } else { unhex(data) };
        let (Some((address, length)), Some(bytes)) = (pair(&rest[..colon]), bytes) else {
            return error(libc::EINVAL);
        };
        if bytes.len() as u64 != length {
            return error(libc::EINVAL);
        }
        if bytes.is_empty() {
            return ok();
        }
        outcome(target.write(address, &bytes))
    }

    pub(super) fn breakpoint(&mut self, insert: bool, rest: &[u8], target: &mut dyn Target) -> Reply {
        let kind = match rest.first() {
            Some(b'0') => Kind::Software,
            Some(b'1') => Kind::Hardware,
            Some(b'2') => Kind::Write,
            Some(b'3') => Kind::Read,
            Some(b'4') => Kind::Access,
            _ => return unknown(),
        };
        let mut fields = rest.get(2..).unwrap_or(b"").split(|byte| *byte == b';');
        let Some((address, length)) = fields.next().and_then(pair) else { return error(libc::EINVAL) };
        let conditions = fields.find(|field| field.starts_with(b"X")).map_or(Some(Vec::new()), agent::conditions);
        let Some(conditions) = conditions else { return error(libc::EINVAL) };
        if self.at_child && target.child().is_some_and(|(_, vfork)| !vfork) {
            // Its memory is its own, and none of ours is in it.
            return ok();
        }
        outcome(match insert {
            true => target.insert(kind, address, length).map(|()| {
                if kind == Kind::Software {
                    target.conditions(address, conditions);
                }
            }),
            false => target.remove(kind, address, length),
        })
    }
}
