//! Host I/O (`vFile`): the debugger reads files of the program's system, which is this one.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use super::packet::{number, unhex};
use super::server::{Reply, text, unknown};

/// Files that the debugger has opened. A copy of the server has the same ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    open: BTreeMap<u64, Arc<File>>,
}

/// The numbers of the File-I/O protocol (gdb's manual, "Errno Values"), which are those of old Unix.
fn failed(error: &std::io::Error) -> Reply {
    let number = match error.raw_os_error().unwrap_or(libc::EIO) {
        libc::ENAMETOOLONG => 91,
        number @ (1..=7 | 9 | 13 | 14 | 16 | 17 | 19..=24 | 27..=30) => number,
        _ => 9999,
    };
    text(format!("F-1,{number:x}"))
}

fn bad() -> Reply {
    text("F-1,16")
}

impl Files {
    /// Answers a packet. The program may have another id than it knows, and its files in /proc are meant by the one that it knows.
    pub(super) fn packet(&mut self, rest: &[u8], known: Option<i32>, real: Option<i32>) -> Reply {
        let (name, arguments) = match rest.iter().position(|byte| *byte == b':') {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, &b""[..]),
        };
        let words: Vec<&[u8]> = arguments.splitn(3, |byte| *byte == b',').collect();
        let path = || {
            let path = words.first().and_then(|word| unhex(word))?;
            let (Some(known), Some(real)) = (known, real) else { return Some(path) };
            match path.strip_prefix(format!("/proc/{known}/").as_bytes()) {
                Some(file) => Some([format!("/proc/{real}/").as_bytes(), file].concat()),
                None => Some(path),
            }
        };
        let at = |index: usize| words.get(index).and_then(|word| number(word));
        match name {
            b"setfs" => text("F0"),
            b"open" => {
                let (Some(path), Some(flags), Some(mode)) = (path(), at(1), at(2)) else { return bad() };
                self.open(&path, flags, mode)
            }
            b"close" => match at(0).and_then(|handle| self.open.remove(&handle)) {
                Some(_) => text("F0"),
                None => text("F-1,9"),
            },
            b"pread" => {
                let (Some(handle), Some(count), Some(offset)) = (at(0), at(1), at(2)) else { return bad() };
                let Some(file) = self.open.get(&handle) else { return text("F-1,9") };
                let mut bytes = vec![0u8; usize::try_from(count).unwrap_or(0).min(0xf000)];
                match file.read_at(&mut bytes, offset) {
                    Ok(read) => {
                        let mut reply = format!("F{read:x};").into_bytes();
                        reply.extend(&bytes[..read]);
                        Reply::Bytes(reply)
                    }
                    Err(error) => failed(&error),
                }
            }
            b"pwrite" => {
                let (Some(handle), Some(offset), Some(data)) = (at(0), at(1), words.get(2)) else { return bad() };
                let Some(file) = self.open.get(&handle) else { return text("F-1,9") };
                match file.write_at(data, offset) {
                    Ok(written) => text(format!("F{written:x}")),
                    Err(error) => failed(&error),
                }
            }
            b"fstat" => {
                let Some(file) = at(0).and_then(|handle| self.open.get(&handle)) else { return text("F-1,9") };
                match file.metadata() {
                    Ok(found) => Reply::Bytes(stat(&found)),
                    Err(error) => failed(&error),
                }
            }
            b"readlink" => {
                let Some(path) = path() else { return bad() };
                match std::fs::read_link(Path::new(std::ffi::OsStr::from_bytes(&path))) {
                    Ok(target) => {
                        let target = target.as_os_str().as_bytes();
                        let mut reply = format!("F{:x};", target.len()).into_bytes();
                        reply.extend(target);
                        Reply::Bytes(reply)
                    }
                    Err(error) => failed(&error),
                }
            }
            b"unlink" => {
                let Some(path) = path() else { return bad() };
                match std::fs::remove_file(Path::new(std::ffi::OsStr::from_bytes(&path))) {
                    Ok(()) => text("F0"),
                    Err(error) => failed(&error),
                }
            }
            _ => unknown(),
        }
    }

    fn open(&mut self, path: &[u8], flags: u64, mode: u64) -> Reply {
        let mut options = OpenOptions::new();
        // O_RDONLY 0, O_WRONLY 1, O_RDWR 2, O_APPEND 8, O_CREAT 0x200, O_TRUNC 0x400, O_EXCL 0x800
        options.read(flags & 3 != 1).write(flags & 3 != 0).append(flags & 8 != 0);
        if flags & 0x200 != 0 {
            options.create(true).create_new(flags & 0x800 != 0).mode(u32::try_from(mode & 0o7777).unwrap_or(0o600));
        }
        options.truncate(flags & 0x400 != 0);
        match options.open(Path::new(std::ffi::OsStr::from_bytes(path))) {
            Ok(file) => {
                let handle = (1..).find(|handle| !self.open.contains_key(handle)).unwrap_or(0);
                self.open.insert(handle, Arc::new(file));
                text(format!("F{handle:x}"))
            }
            Err(error) => failed(&error),
        }
    }
}

/// struct stat of the File-I/O protocol: big-endian, 64 bytes.
fn stat(found: &std::fs::Metadata) -> Vec<u8> {
    let mut bytes = Vec::new();
    let short = |value: u64| u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes();
    bytes.extend(short(found.dev()));
    bytes.extend(short(found.ino()));
    bytes.extend(found.mode().to_be_bytes());
    bytes.extend(short(found.nlink()));
    bytes.extend(found.uid().to_be_bytes());
    bytes.extend(found.gid().to_be_bytes());
    bytes.extend(short(found.rdev()));
    for value in [found.size(), found.blksize(), found.blocks()] {
        bytes.extend(value.to_be_bytes());
    }
    for time in [found.atime(), found.mtime(), found.ctime()] {
        bytes.extend(short(u64::try_from(time).unwrap_or(0)));
    }
    let mut reply = format!("F{:x};", bytes.len()).into_bytes();
    reply.extend(bytes);
    reply
}
