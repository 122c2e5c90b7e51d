//! epoll(7): the set. It belongs to the description; entries are keyed by descriptor number *and* file, so they can be
//! changed only from inside the process.
//!
//! An edge-triggered entry is armed anew always: fdinfo does not tell whether its edge was still to be delivered, and one that is
//! delivered twice does less harm than one that never comes.

use serde::{Deserialize, Serialize};
use syscalls::Sysno;

use super::{Table, close, replace};
use crate::inject::{InjectError, Remote};
use crate::snapshot::scratch::{argument, call, refusal, trouble};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    target: i32,
    events: u32,
    data: u64,
    /// Inode and device, as fdinfo writes them. All descriptors without a file share one inode.
    file: String,
}

/// All entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Set(Vec<Entry>);

/// From fdinfo: `tfd: 6 events: 80000019 data: 1234  pos:0 ino:40f sdev:10`.
#[must_use]
pub fn capture(text: &str) -> Option<Set> {
    text.lines().filter(|line| line.starts_with("tfd:")).map(entry).collect::<Option<_>>().map(Set)
}

fn entry(line: &str) -> Option<Entry> {
    let (head, file) = line.split_once(" pos:")?;
    let fields: Vec<&str> = head.split_whitespace().collect();
    let ["tfd:", target, "events:", events, "data:", data] = fields[..] else { return None };
    Some(Entry {
        target: target.parse().ok()?,
        events: u32::from_str_radix(events, 16).ok()?,
        data: u64::from_str_radix(data, 16).ok()?,
        file: file.split_once(' ')?.1.to_owned(),
    })
}

/// Mends the set. If it holds entries that cannot be taken out (their file is open only in another process by now), the
/// process gets a new epoll instance under the same number.
pub(crate) fn put_back(
    state: &Set,
    number: i32,
    table: &Table,
    remote: &mut dyn Remote,
    warnings: &mut Vec<String>,
) -> Result<(), InjectError> {
    let text = table.information(number).map_err(|source| trouble("an epoll set", remote, source))?;
    let now = capture(&text).map(|set| set.0).unwrap_or_default();
    let mut epoll = number as u64;
    let mut present: Vec<&Entry> = Vec::new();
    let mut fresh = false;
    for other in &now {
        if state.0.iter().any(|entry| (entry.target, &entry.file) == (other.target, &other.file)) {
            present.push(other);
        } else {
            let gone = control(remote, epoll, libc::EPOLL_CTL_DEL, other)?;
            fresh |= gone.is_err();
        }
    }
    if fresh {
        epoll = call(remote, Sysno::epoll_create1, &[0])?;
        present.clear();
    }
    for entry in &state.0 {
        let old = present.iter().find(|other| (other.target, &other.file) == (entry.target, &entry.file));
        let done = match old {
            None => control(remote, epoll, libc::EPOLL_CTL_ADD, entry)?,
            Some(old) if **old == *entry && entry.events & libc::EPOLLET as u32 == 0 => Ok(0),
            Some(_) if entry.events & libc::EPOLLEXCLUSIVE as u32 == 0 => {
                match control(remote, epoll, libc::EPOLL_CTL_MOD, entry)? {
                    // The same number and inode, but another file: all descriptors without a file look alike.
                    Err(nix::errno::Errno::ENOENT) => control(remote, epoll, libc::EPOLL_CTL_ADD, entry)?,
                    done => done,
                }
            }
            // EPOLLEXCLUSIVE may be given only when an entry is added (epoll_ctl(2)).
            Some(_) => {
                let _ = control(remote, epoll, libc::EPOLL_CTL_DEL, entry)?;
                control(remote, epoll, libc::EPOLL_CTL_ADD, entry)?
            }
        };
        if let Err(errno) = done {
            warnings.push(format!("descriptor {number}: watching descriptor {} again: {errno}", entry.target));
        }
    }
    if fresh {
        replace(table, epoll, number, remote)?;
        close(epoll, remote)?;
    }
    Ok(())
}

fn control(
    remote: &mut dyn Remote,
    epoll: u64,
    operation: i32,
    entry: &Entry,
) -> Result<Result<u64, nix::errno::Errno>, InjectError> {
    // struct epoll_event is packed on x86-64: 12 bytes.
    let mut event = entry.events.to_le_bytes().to_vec();
    event.extend(entry.data.to_le_bytes());
    let address = argument(remote, &event)?;
    refusal(call(remote, Sysno::epoll_ctl, &[epoll, operation as u64, entry.target as u64, address]))
}
