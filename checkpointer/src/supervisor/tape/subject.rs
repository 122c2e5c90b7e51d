//! What a call is about, read from its row and its arguments.

use nix::unistd::Pid;

use super::super::tasks::proc_text;
use crate::raw::Registers;
use crate::record::outputs;
use crate::record::recorder::life::ids;
use crate::record::thread::Thread;
use crate::syscalls::{Class, Harmless, Irregular, Row, Shape};

/// Whether a call makes another number for what a descriptor stands for.
pub(super) fn is_duplicate(row: &Row, shape: &Shape) -> bool {
    matches!(row.name, "dup" | "dup2" | "dup3")
        || row.irregular == Some(Irregular::Fcntl) && matches!(shape.class, Class::Descriptor(_))
}

/// Whether a call without a frame of its own was made for the line editor of a debugger in the process, which notes when a line
/// was typed.
pub(super) fn of_line_editor(thread: &Thread, registers: &Registers) -> bool {
    let Some(caller) = thread.word(registers.rsp) else { return false };
    let Ok(maps) = std::fs::read_to_string(format!("/proc/{}/maps", thread.pid)) else { return false };
    maps.lines().any(|line| {
        let range = line.split_whitespace().next().and_then(|range| range.split_once('-'));
        let Some((start, end)) = range else { return false };
        let number = |text| u64::from_str_radix(text, 16).unwrap_or(0);
        (number(start)..number(end)).contains(&caller) && (line.contains("readline") || line.contains("libedit"))
    })
}

pub(super) fn is_open(row: &Row) -> bool {
    matches!(row.name, "open" | "openat" | "openat2" | "creat")
}

/// Whether a file is opened for reading and nothing else.
pub(super) fn reads_only(thread: &Thread, row: &Row, arguments: &[u64; 6]) -> bool {
    let flags = match row.name {
        "open" => arguments[1],
        "openat" => arguments[2],
        // struct open_how begins with the flags.
        "openat2" => thread.word(arguments[2]).unwrap_or(u64::MAX),
        _ => return false,
    };
    let changes = (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_TMPFILE & !libc::O_DIRECTORY) as u64;
    flags & changes == 0
}

/// Whether a call on a file that does not change gives the same whenever it is made.
pub(super) fn is_of_contents(row: &Row, shape: &Shape) -> bool {
    let asks = shape.class == Class::Input && !matches!(row.name, "fstat" | "fstatfs");
    asks || matches!(row.name, "fadvise64" | "readahead")
}

/// Numbers of the descriptors that a call has made.
pub(super) fn numbers_made(thread: &Thread, row: &Row, shape: &Shape, arguments: &[u64; 6], result: i64) -> Vec<i32> {
    let word = |address: u64| thread.half(address).map(u32::cast_signed);
    match shape.class {
        // pipe, socketpair
        Class::Descriptor(Harmless::Same) if !shape.outputs.is_empty() => {
            let ranges = outputs::ranges(thread, shape, arguments, &[], result);
            ranges.into_iter().flat_map(|(at, _)| [word(at), word(at + 4)]).flatten().collect()
        }
        #[allow(clippy::cast_possible_truncation)]
        Class::Descriptor(_) => vec![result as i32],
        Class::Process => ids(thread, row, arguments).descriptor.and_then(word).into_iter().collect(),
        _ if row.irregular == Some(Irregular::Passed) => {
            outputs::passed(thread, arguments[1]).into_iter().map(u32::cast_signed).collect()
        }
        _ => Vec::new(),
    }
}

pub(super) fn closes_on_exec(pid: Pid, number: i32) -> bool {
    let text = proc_text(&format!("/proc/{pid}/fdinfo/{number}")).unwrap_or_default();
    let flags = crate::snapshot::descriptors::value(&text, "flags");
    let flags = flags.and_then(|flags| i32::from_str_radix(flags, 8).ok()).unwrap_or(0);
    flags & libc::O_CLOEXEC != 0
}
