//! inotify(7): the watches. When they differ from those at capture, the process gets a new instance under the same number,
//! with the same watch descriptors. Events that had been read since, or that waited at capture and were read, are lost.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use syscalls::Sysno;

use super::{Open, Table, close, is_readable, replace};
use crate::inject::{InjectError, Remote};
use crate::raw;
use crate::snapshot::scratch::{argument, call, refusal, trouble};
use crate::snapshot::state::Hints;

/// Watch descriptors that are passed over at most on the way to a wanted one.
const STEPS: i32 = 10_000;

/// One watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Watch {
    inode: u64,
    device: String,
    mask: u32,
    path: Option<PathBuf>,
}

/// All watches by their numbers, and how many bytes of events waited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watches {
    watches: BTreeMap<i32, Watch>,
    waiting: usize,
    flags: i32,
}

/// From fdinfo: `inotify wd:1 ino:3c4a7 sdev:fe00000 mask:100 ignored_mask:0 fhandle-bytes:...`. Paths come from the hints,
/// else from the process's own descriptors and working directory, if one of them is the watched inode.
pub(crate) fn capture(text: &str, open: &Open, table: &Table, hints: &Hints) -> Option<Watches> {
    let mut watches = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("inotify ")) {
        let field = |key: &str| line.split_whitespace().find_map(|field| field.strip_prefix(key));
        let inode = u64::from_str_radix(field("ino:")?, 16).ok()?;
        let device = field("sdev:")?.to_owned();
        let watch = Watch {
            inode,
            mask: u32::from_str_radix(field("mask:")?, 16).ok()?,
            path: path(inode, &device, table, hints),
            device,
        };
        watches.insert(i32::from_str_radix(field("wd:")?, 16).ok()?, watch);
    }
    let waiting = raw::bytes_waiting(open.fd.as_fd()).unwrap_or(0);
    Some(Watches { watches, waiting, flags: open.flags })
}

/// `device` is the kernel's own form of it: major above twenty bits of minor (MKDEV).
fn path(inode: u64, device: &str, table: &Table, hints: &Hints) -> Option<PathBuf> {
    let device = u64::from_str_radix(device, 16).ok()?;
    let wanted = (nix::sys::stat::makedev(device >> 20, device & 0xf_ffff), inode);
    if let Some(path) = hints.inotify_paths.get(&wanted) {
        return Some(path.clone());
    }
    let process = PathBuf::from(format!("/proc/{}", table.pid));
    let numbers = table.numbers().unwrap_or_default();
    let own = numbers.into_iter().map(|number| format!("fd/{number}")).chain(["cwd".to_owned(), "root".to_owned()]);
    own.map(|name| process.join(name))
        .find(|link| link.metadata().is_ok_and(|file| (file.dev(), file.ino()) == wanted))
        .and_then(|link| std::fs::read_link(link).ok())
}

/// Makes the watches those of the capture.
pub(crate) fn put_back(
    state: &Watches,
    number: i32,
    fd: &OwnedFd,
    table: &Table,
    remote: &mut dyn Remote,
    warnings: &mut Vec<String>,
) -> Result<(), InjectError> {
    let text = table.information(number).map_err(|source| trouble("inotify watches", remote, source))?;
    let now: Vec<&str> = text.lines().filter(|line| line.starts_with("inotify ")).collect();
    let same = now.len() == state.watches.len()
        && state.watches.iter().all(|(wd, watch)| {
            let Watch { inode, device, mask, .. } = watch;
            let start = format!("inotify wd:{wd:x} ino:{inode:x} sdev:{device} mask:{mask:x} ");
            now.iter().any(|line| line.starts_with(&start))
        });
    let waiting = raw::bytes_waiting(fd.as_fd()).unwrap_or(0);
    if state.waiting > 0 && !(same && waiting >= state.waiting) {
        warnings.push(format!("descriptor {number}: {} bytes of file events are lost", state.waiting));
    }
    if !same {
        return renew(state, number, table, remote, warnings);
    }
    if state.waiting == 0 && is_readable(fd) {
        // Events since the capture. One read takes what fits, so this never waits.
        let mut rest = vec![0; waiting.max(4096)];
        let _ = nix::unistd::read(fd, &mut rest);
    }
    Ok(())
}

fn renew(
    state: &Watches,
    number: i32,
    table: &Table,
    remote: &mut dyn Remote,
    warnings: &mut Vec<String>,
) -> Result<(), InjectError> {
    let fresh = call(remote, Sysno::inotify_init1, &[(state.flags & libc::O_NONBLOCK) as u64])?;
    let mut next = 1;
    for (wd, watch) in &state.watches {
        let Some(path) = &watch.path else {
            warnings.push(format!("descriptor {number}: the path of watch {wd} is not known"));
            continue;
        };
        let mut name = path.as_os_str().as_bytes().to_vec();
        name.push(0);
        // Numbers are given in ascending order and not used again (idr_alloc_cyclic), so the ones before are used up.
        while next < *wd && *wd - next < STEPS {
            let address = argument(remote, b"/\0")?;
            let passed = call(remote, Sysno::inotify_add_watch, &[fresh, address, u64::from(libc::IN_DELETE_SELF)])?;
            call(remote, Sysno::inotify_rm_watch, &[fresh, passed])?;
            next += 1;
        }
        let address = argument(remote, &name)?;
        let added = refusal(call(remote, Sysno::inotify_add_watch, &[fresh, address, u64::from(watch.mask)]))?;
        match added {
            Ok(got) if got == *wd as u64 => {}
            Ok(got) => warnings.push(format!("descriptor {number}: watch {wd} on {} is {got} now", path.display())),
            Err(errno) => warnings.push(format!("descriptor {number}: watching {} again: {errno}", path.display())),
        }
        next += i32::from(added.is_ok());
    }
    // Passing numbers over leaves IN_IGNORED events behind.
    let mine = table.get(fresh as i32).map_err(|source| trouble("a new inotify instance", remote, source))?;
    while is_readable(&mine) {
        let _ = nix::unistd::read(&mine, &mut vec![0; 65536]);
    }
    replace(table, fresh, number, remote)?;
    close(fresh, remote)
}
