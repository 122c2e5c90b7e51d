//! Programs that cannot be loaded again by the name that was used: by a descriptor, which is a placeholder on replay, or by the
//! name of a file that was removed later, or that an effect of the recording made.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use syscalls::Sysno;

use crate::inject::injector::Injector;
use crate::inject::{Remote, SCRATCH_PAGE};
use crate::raw::Registers;
use crate::record::log::Loaded;
use crate::record::thread::{Thread, arguments};
use crate::record::{Trouble, mapping};

/// What has to be done before a program can be loaded.
pub(super) enum Way {
    /// Its descriptor is replaced.
    Descriptor(u64),
    /// Another name is used.
    Name(Name),
}

/// A name that leads nowhere, and what is used instead of it.
pub(super) struct Name {
    pub original: Vec<u8>,
    /// As long as that one, so that the new program's stack is the same.
    prepared: Vec<u8>,
}

/// Reads the call that a thread is about to make. None: the call does as it is.
pub(super) fn way(thread: &Thread, registers: &Registers, loaded: &Loaded) -> Option<Way> {
    let program = loaded.program.as_ref()?;
    let [first, second, _, _, flags, _] = arguments(registers);
    let by_descriptor = registers.orig_rax == Sysno::execveat as u64;
    if by_descriptor && flags & libc::AT_EMPTY_PATH as u64 != 0 {
        return Some(Way::Descriptor(first & 0xffff_ffff));
    }
    let name = thread.text(if by_descriptor { second } else { first });
    let number = ["/proc/self/fd/", "/dev/fd/"].iter().find_map(|folder| name.strip_prefix(folder.as_bytes()));
    if let Some(number) = number.and_then(|number| std::str::from_utf8(number).ok()?.parse().ok()) {
        return Some(Way::Descriptor(number));
    }
    let path = Path::new(std::ffi::OsStr::from_bytes(&loaded.directory)).join(std::ffi::OsStr::from_bytes(&name));
    // A script leads to another file than the program that is loaded to run it.
    let replaced = !mapping::leads_to(&path, program) && (!path.exists() || is_program(&path));
    replaced.then(|| Way::Name(Name { original: name, prepared: Vec::new() }))
}

fn is_program(path: &Path) -> bool {
    use std::io::Read;
    let mut magic = [0u8; 4];
    std::fs::File::open(path).is_ok_and(|mut file| file.read_exact(&mut magic).is_ok()) && magic == *b"\x7fELF"
}

/// Where the program is to be had: under its own name, or from the recorder, which has kept it.
fn place(loaded: &Loaded) -> Option<PathBuf> {
    let program = loaded.program.as_ref()?;
    if mapping::unchanged(program) {
        return Some(PathBuf::from(std::ffi::OsStr::from_bytes(&program.path)));
    }
    let kept = format!("/proc/{}/fd/{}", std::process::id(), loaded.kept?);
    mapping::leads_to(Path::new(&kept), program).then(|| kept.into())
}

/// Prepares that, in a thread that stands outside of calls. False: the program is nowhere.
pub(super) fn prepare(injector: &mut Injector, way: &mut Way, loaded: &Loaded) -> Result<bool, Trouble> {
    let Some(place) = place(loaded) else { return Ok(false) };
    let opened = open(injector, place.as_os_str().as_bytes(), libc::O_RDONLY | libc::O_CLOEXEC)?;
    match way {
        Way::Descriptor(descriptor) => {
            let closed_by_exec = injector.call(Sysno::fcntl, [*descriptor, libc::F_GETFD as u64, 0, 0, 0, 0])?;
            let flags = if closed_by_exec == 0 { 0 } else { libc::O_CLOEXEC as u64 };
            injector.call(Sysno::dup3, [opened, *descriptor, flags, 0, 0, 0])?;
            injector.call(Sysno::close, [opened, 0, 0, 0, 0, 0])?;
        }
        Way::Name(name) => {
            let Some(used) = padded(opened, name.original.len()) else { return Ok(false) };
            let scratch = injector.scratch();
            injector.write(scratch, b"/proc/self/fd\0")?;
            injector.call(Sysno::chdir, [scratch, 0, 0, 0, 0, 0])?;
            name.prepared = used;
        }
    }
    Ok(true)
}

/// At the call: the name that was prepared is used. Not in place of the program's own, which may be in a parent's memory.
pub(super) fn use_name(thread: &Thread, way: &Way) -> Result<(), Trouble> {
    let Way::Name(used) = way else { return Ok(()) };
    let mut registers = thread.registers()?;
    thread.write(SCRATCH_PAGE, &[used.prepared.as_slice(), b"\0"].concat())?;
    if registers.orig_rax == Sysno::execveat as u64 {
        registers.rsi = SCRATCH_PAGE
    } else {
        registers.rdi = SCRATCH_PAGE
    }
    thread.set_registers(&registers)
}

fn open(injector: &mut Injector, path: &[u8], flags: libc::c_int) -> Result<u64, Trouble> {
    let scratch = injector.scratch();
    injector.write(scratch, &[path, b"\0"].concat())?;
    let here = i64::from(libc::AT_FDCWD).cast_unsigned();
    Ok(injector.call(Sysno::openat, [here, scratch, u64::from(flags.unsigned_abs()), 0, 0, 0])?)
}

/// A name of exactly this length for an entry of /proc/self/fd, which is the working directory.
fn padded(descriptor: u64, length: usize) -> Option<Vec<u8>> {
    let number = descriptor.to_string().into_bytes();
    match length.checked_sub(number.len())? {
        0 => Some(number),
        1 => None,
        more => Some([b".", b"/".repeat(more - 1).as_slice(), &number].concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_length_that_is_asked_for() {
        assert_eq!(padded(7, 1).unwrap(), b"7");
        assert_eq!(padded(7, 3).unwrap(), b"./7");
        assert_eq!(padded(12, 7).unwrap(), b".////12");
        assert!(padded(7, 2).is_none() && padded(12, 1).is_none());
    }
}
