//! Mappings of files: which can be made again from the file, and which need their contents in the log.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{File, Metadata};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use syscalls::Sysno;

use super::Trouble;
use super::log::{Call, Identity, Mapped};
use super::thread::Thread;
use crate::inject::injector::Injector;
use crate::inject::{PAGE, Remote};

/// The most bytes of one mapping that go to the log.
const MOST: u64 = 256 << 20;

/// What of a file's state tells that it is the same.
pub(super) fn identity(path: &Path, metadata: &Metadata) -> Identity {
    Identity {
        path: path.as_os_str().as_bytes().to_vec(),
        inode: (metadata.dev(), metadata.ino()),
        size: metadata.size(),
        changed: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
    }
}

/// Whether the file is the one that it was.
pub(super) fn unchanged(then: &Identity) -> bool {
    leads_to(Path::new(std::ffi::OsStr::from_bytes(&then.path)), then)
}

/// Whether a name leads to the file as it was.
pub(super) fn leads_to(name: &Path, then: &Identity) -> bool {
    let path = Path::new(std::ffi::OsStr::from_bytes(&then.path));
    std::fs::metadata(name).is_ok_and(|metadata| identity(path, &metadata) == *then)
}

/// Notes what a mapping that has just been made shows. `began` is when the recording did, in nanoseconds since the epoch: a
/// file whose inode has not changed since then, and that cannot be written through this descriptor, can be mapped again.
pub(super) fn note(thread: &Thread, arguments: &[u64; 6], began: i128) -> Result<Mapped, Trouble> {
    let [_, length, _, _, descriptor, offset] = *arguments;
    let link = PathBuf::from(format!("/proc/{}/fd/{}", thread.tid, descriptor & 0xffff_ffff));
    let refused = |what: String| Trouble::Refused { thread: thread.id, what };
    let path = std::fs::read_link(&link).unwrap_or_default();
    let metadata = std::fs::metadata(&link)
        .map_err(|error| refused(format!("mmap of a descriptor that cannot be looked at: {error}")))?;
    if path == Path::new("/dev/zero") {
        return Ok(Mapped::Bytes(Vec::new()));
    }
    if metadata.file_type().is_char_device() || !metadata.is_file() {
        return Err(refused(format!("mmap of {}: what a device shows cannot be recorded", path.display())));
    }
    let touched = i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
    if touched < began && !writable(thread, descriptor) {
        return Ok(Mapped::File(identity(&path, &metadata)));
    }
    let length = length.min(metadata.size().saturating_sub(offset));
    if length > MOST {
        return Err(refused(format!("mmap of {}: {length} bytes that may change are too many", path.display())));
    }
    #[allow(clippy::cast_possible_truncation)]
    let mut bytes = vec![0u8; length as usize];
    let file = File::open(&link).map_err(|error| refused(format!("mmap of {}: {error}", path.display())))?;
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) => return Err(refused(format!("mmap of {}: {error}", path.display()))),
        }
    }
    bytes.truncate(filled);
    if arguments[3] & KINDS == PRIVATE {
        return Ok(Mapped::Bytes(bytes));
    }
    Ok(Mapped::Shared((metadata.dev(), metadata.ino()), bytes))
}

fn writable(thread: &Thread, descriptor: u64) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{}/fdinfo/{}", thread.tid, descriptor & 0xffff_ffff));
    let flags = text.ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
        u32::from_str_radix(line.trim(), 8).ok()
    });
    #[allow(clippy::cast_sign_loss)]
    flags.is_none_or(|flags| flags & libc::O_ACCMODE as u32 != libc::O_RDONLY as u32)
}

/// mmap(2): MAP_SHARED, MAP_PRIVATE and MAP_SHARED_VALIDATE are one number.
const KINDS: u64 = 0xf;
const PRIVATE: u64 = libc::MAP_PRIVATE as u64;

/// What stands for the files of shared mappings in a replay: by device and inode, unnamed files with their contents as of the
/// last mapping.
#[derive(Debug, Default)]
pub(super) struct StandIns(BTreeMap<(u64, u64), File>);

impl StandIns {
    /// The stand-in of a file, with these bytes at this offset, and room for a mapping of this length. Its name for all.
    fn fill(&mut self, file: (u64, u64), offset: u64, bytes: &[u8], length: u64) -> std::io::Result<String> {
        let file = match self.0.entry(file) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(tempfile::tempfile()?),
        };
        let end = offset + length.div_ceil(PAGE) * PAGE;
        if file.metadata()?.len() < end {
            file.set_len(end)?;
        }
        file.write_all_at(bytes, offset)?;
        Ok(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()))
    }
}

/// Makes a mapping again, in a thread that stands outside of any call.
///
/// # Errors
/// What could not be injected. `Ok(Err(_))`: the file has changed, in words.
pub(super) fn again(
    thread: &Thread,
    call: &Call,
    mapped: &Mapped,
    stand_ins: &mut StandIns,
) -> Result<Result<(), String>, Trouble> {
    const SHARED: u64 = libc::MAP_SHARED as u64;
    const FIXED: u64 = libc::MAP_FIXED as u64;
    const ANONYMOUS: u64 = libc::MAP_ANONYMOUS as u64;
    let [_, length, protection, flags, _, offset] = call.arguments;
    #[allow(clippy::cast_sign_loss)]
    let address = call.result as u64;
    let mut injector = Injector::borrow(thread.tid, thread.tid)?;
    match mapped {
        Mapped::File(file) => {
            if !unchanged(file) {
                let path = String::from_utf8_lossy(&file.path).into_owned();
                return Ok(Err(format!("{path} has been changed since it was recorded")));
            }
            let scratch = injector.scratch();
            let mut path = file.path.clone();
            path.push(0);
            injector.write(scratch, &path)?;
            #[allow(clippy::cast_sign_loss)]
            let here = libc::AT_FDCWD as u64;
            let opened = injector.call(Sysno::openat, [here, scratch, libc::O_RDONLY as u64, 0, 0, 0])?;
            // Nobody can write to it through this mapping, and what others do to the file must not be seen.
            let flags = flags & !(KINDS | ANONYMOUS) | PRIVATE | FIXED;
            injector.call(Sysno::mmap, [address, length, protection, flags, opened, offset])?;
            injector.call(Sysno::close, [opened, 0, 0, 0, 0, 0])?;
        }
        Mapped::Bytes(bytes) => {
            let kind = if flags & KINDS == PRIVATE { PRIVATE } else { SHARED };
            let writable = (libc::PROT_READ | libc::PROT_WRITE) as u64;
            injector.call(Sysno::mmap, [address, length, writable, kind | FIXED | ANONYMOUS, u64::MAX, 0])?;
            injector.write(address, bytes)?;
            let whole = length.div_ceil(PAGE) * PAGE;
            injector.call(Sysno::mprotect, [address, whole, protection, 0, 0, 0])?;
        }
        Mapped::Shared(file, bytes) => {
            let mut path = stand_ins.fill(*file, offset, bytes, length)?.into_bytes();
            path.push(0);
            let scratch = injector.scratch();
            injector.write(scratch, &path)?;
            let here = i64::from(libc::AT_FDCWD).cast_unsigned();
            let opened = injector.call(Sysno::openat, [here, scratch, libc::O_RDWR as u64, 0, 0, 0])?;
            injector.call(Sysno::mmap, [address, length, protection, SHARED | FIXED, opened, offset])?;
            injector.call(Sysno::close, [opened, 0, 0, 0, 0, 0])?;
        }
    }
    injector.finish()?;
    Ok(Ok(()))
}
