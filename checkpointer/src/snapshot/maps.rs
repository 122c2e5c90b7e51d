//! The mappings of a process.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;

use super::scratch::trouble;
use crate::inject::{InjectError, Remote};
use crate::raw;

/// Bytes of a page; x86-64 has no other base size.
pub(crate) const PAGE: u64 = 4096;

/// One mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) writable: bool,
    pub(crate) shared: bool,
    pub(crate) protection: i32,
    pub(crate) offset: u64,
    pub(crate) device: (u32, u32),
    pub(crate) inode: u64,
    pub(crate) name: String,
}

/// All MAP_SHARED mappings, in order of address. PROCMAP_QUERY lets the kernel skip the others (two microseconds when there
/// are none, where reading all of /proc/PID/maps costs one for each mapping); before Linux 6.11 the text is read.
pub(crate) fn shared(remote: &dyn Remote) -> Result<Vec<Mapping>, InjectError> {
    shared_by(remote.pid().as_raw()).map_err(|source| trouble("the list of mappings", remote, source))
}

/// The same, of a process.
pub(crate) fn shared_by(pid: i32) -> io::Result<Vec<Mapping>> {
    const SHARED: u64 = 8;
    let maps = File::open(format!("/proc/{pid}/maps"))?;
    let (mut found, mut address, mut name) = (Vec::new(), 0, vec![0; libc::PATH_MAX as usize]);
    loop {
        match raw::procmap_query(maps.as_fd(), address, SHARED, &mut name) {
            Ok(Some((mapping, length))) => {
                address = mapping.end;
                found.push(Mapping {
                    start: mapping.start,
                    end: mapping.end,
                    writable: mapping.flags & 2 != 0,
                    shared: true,
                    protection: (mapping.flags & 7) as i32,
                    offset: mapping.offset,
                    device: (mapping.major, mapping.minor),
                    inode: mapping.inode,
                    name: String::from_utf8_lossy(&name[..length]).into_owned(),
                });
            }
            Ok(None) => return Ok(found),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTTY | libc::EINVAL)) => {
                let text = fs::read(format!("/proc/{pid}/maps"))?;
                let text = String::from_utf8_lossy(&text);
                return Ok(text.lines().filter_map(parse).filter(|mapping| mapping.shared).collect());
            }
            Err(error) => return Err(error),
        }
    }
}

/// All mappings with the two-letter flags of smaps (proc_pid_smaps(5)). Milliseconds for each 100 MB of resident memory.
pub(crate) fn with_flags(remote: &dyn Remote) -> Result<Vec<(Mapping, Vec<String>)>, InjectError> {
    let text = fs::read(format!("/proc/{}/smaps", remote.pid()));
    let text = text.map_err(|source: io::Error| trouble("the flags of its mappings", remote, source))?;
    let mut found: Vec<(Mapping, Vec<String>)> = Vec::new();
    for line in String::from_utf8_lossy(&text).lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            if let Some(last) = found.last_mut() {
                last.1 = flags.split_whitespace().map(str::to_owned).collect();
            }
        } else if let Some(mapping) = parse(line) {
            found.push((mapping, Vec::new()));
        }
    }
    Ok(found)
}

/// One line of /proc/PID/maps: `7fd0-7fd1 rw-p 00000000 fe:00 1025   /name`.
fn parse(line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let flags = fields.next()?.as_bytes();
    let offset = fields.next()?;
    let (major, minor) = fields.next()?.split_once(':')?;
    let inode = fields.next()?.parse().ok()?;
    let bit = |at: usize, letter: u8, bit: i32| if flags.get(at) == Some(&letter) { bit } else { 0 };
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        writable: flags.get(1) == Some(&b'w'),
        shared: flags.get(3) == Some(&b's'),
        protection: bit(0, b'r', 1) | bit(1, b'w', 2) | bit(2, b'x', 4),
        offset: u64::from_str_radix(offset, 16).ok()?,
        device: (u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?),
        inode,
        name: fields.next().unwrap_or_default().trim_start().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_maps_is_read_and_a_line_of_smaps_is_not() {
        let mapping =
            parse("7fd947a4c000-7fd947a4d000 rw-s 00001000 00:01 1024                       /dev/zero (deleted)");
        let mapping = mapping.unwrap();
        assert_eq!((mapping.start, mapping.end), (0x7fd9_47a4_c000, 0x7fd9_47a4_d000));
        assert_eq!((mapping.writable, mapping.shared, mapping.protection), (true, true, 3));
        assert_eq!((mapping.offset, mapping.device, mapping.inode), (4096, (0, 1), 1024));
        assert_eq!(mapping.name, "/dev/zero (deleted)");
        assert!(parse("Size:                  4 kB").is_none());
        assert!(parse("55cec180e000-55cec182f000 rw-p 00000000 00:00 0 ").unwrap().name.is_empty());
    }
}
