//! Record locks (fcntl(2) F_SETLK): they belong to the process, and fork gives the child none. (flock(2) and F_OFD_SETLK locks
//! belong to the open file description, which all copies share.) An owner that still lives, stopped, keeps its locks: then
//! the new process cannot have them, and a warning says so.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};
use syscalls::Sysno;

use super::Table;
use crate::inject::{InjectError, Remote};
use crate::snapshot::scratch::{argument, bytes_of, call, refusal};

/// One lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    number: i32,
    exclusive: bool,
    start: u64,
    /// 0: to the end of the file.
    length: u64,
}

/// With more files than this, /proc/locks is asked first whether the process holds any lock.
const MANY: usize = 32;

/// Lists the locks on the files `numbers`. The list of the whole system is asked only for processes with many files: opening
/// it waits until every processor has passed a grace period (7 to 20 ms here), one file's fdinfo takes 0.05 ms.
pub(crate) fn capture(table: &Table, numbers: &[i32]) -> io::Result<Vec<Lock>> {
    let pid = table.pid.to_string();
    if numbers.len() > MANY {
        let all = fs::read_to_string("/proc/locks").unwrap_or_default();
        if !all.lines().any(|line| line.split_whitespace().nth(4) == Some(&pid)) {
            return Ok(Vec::new());
        }
    }
    let mut locks: Vec<(String, Lock)> = Vec::new();
    for &number in numbers {
        for line in table.information(number)?.lines().filter_map(|line| line.strip_prefix("lock:")) {
            // 1: POSIX  ADVISORY  WRITE 8547 fe:00:10010788 1 5
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, "POSIX", _, mode, owner, file, start, end] = fields[..] else { continue };
            // Another process that has the same open file shows its own there.
            if owner != pid {
                continue;
            }
            let Ok(start) = start.parse::<u64>() else { continue };
            let length = end.parse::<u64>().map_or(0, |end| end - start + 1);
            let lock = Lock { number, exclusive: mode == "WRITE", start, length };
            let known = |(other, same): &(String, Lock)| other == file && (same.start, same.length) == (start, length);
            if !locks.iter().any(known) {
                locks.push((file.to_owned(), lock));
            }
        }
    }
    Ok(locks.into_iter().map(|(_, lock)| lock).collect())
}

/// Takes the lock again, for the process.
pub(crate) fn put_back(state: &Lock, remote: &mut dyn Remote, warnings: &mut Vec<String>) -> Result<(), InjectError> {
    // struct flock: l_type and l_whence in the first word, then l_start, l_len, l_pid.
    let kind = if state.exclusive { libc::F_WRLCK } else { libc::F_RDLCK };
    let address = argument(remote, &bytes_of(&[kind as u64, state.start, state.length, 0]))?;
    let taken = call(remote, Sysno::fcntl, &[state.number as u64, libc::F_SETLK as u64, address]);
    if let Err(errno) = refusal(taken)? {
        warnings.push(format!("descriptor {}: the record lock at {}: {errno}", state.number, state.start));
    }
    Ok(())
}
