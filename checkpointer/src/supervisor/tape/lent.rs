//! Memory that a child of vfork(2) has borrowed: what it has written there (arguments of a call, a counter that it has moved on)
//! its parent finds. Along the notes there is no child, so what has changed is noted with the call.

use nix::unistd::Pid;

use crate::raw;
use crate::supervisor::served::writable;

/// Mappings larger than this are not looked at: a child that is about to load a program moves about on the stack and in variables.
const LARGEST: u64 = 32 << 20;

/// Changes closer to each other than this are noted as one.
const GAP: usize = 32;

/// A process's memory before its child runs.
#[derive(Debug)]
pub(super) struct Lent(Vec<(u64, Vec<u8>)>);

impl Lent {
    /// Of a process that is about to make the call.
    pub fn of(pid: Pid) -> Lent {
        let ranges = writable(pid).unwrap_or_default();
        let small = ranges.into_iter().filter(|(start, end)| end - start <= LARGEST);
        Lent(small.map(|(start, end)| (start, read(pid, start, end - start))).collect())
    }

    /// What is different now.
    pub fn changes(&self, pid: Pid) -> Vec<(u64, Vec<u8>)> {
        let mut found = Vec::new();
        for (start, then) in &self.0 {
            let now = read(pid, *start, then.len() as u64);
            if now != *then {
                found.extend(differences(then, &now).into_iter().map(|(at, bytes)| (start + at as u64, bytes)));
            }
        }
        found
    }
}

pub(super) fn read(pid: Pid, start: u64, length: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    let read = raw::read_remote(pid, start, &mut bytes);
    bytes.truncate(read);
    bytes
}

/// Where two stretches of memory differ, and the bytes of the second one there.
pub(super) fn differences(then: &[u8], now: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for (at, _) in then.iter().zip(now).enumerate().filter(|(_, (then, now))| then != now) {
        match ranges.last_mut() {
            Some((_, end)) if at < *end + GAP => *end = at + 1,
            _ => ranges.push((at, at + 1)),
        }
    }
    ranges.into_iter().map(|(start, end)| (start, now[start..end].to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_change() {
        let then = [0u8; 200];
        let mut now = then;
        (now[3], now[10], now[199]) = (1, 2, 3);
        assert_eq!(differences(&then, &now), [(3, vec![1, 0, 0, 0, 0, 0, 0, 2]), (199, vec![3])]);
        assert_eq!(differences(&then, &then), []);
    }
}
