//! The table of system calls: one row for each that x86-64 Linux has. It drives the seccomp filters of sessions and of
//! recordings; recorder and replayer read the same row. A call of class [`Class::Internal`] without traps runs at full speed.

mod arity;
mod filter;
mod irregular;
mod row;
mod table;

use std::sync::OnceLock;

pub use arity::arity;
pub use filter::{Purpose, completion, program};
pub use irregular::{Shape, shape};
pub use row::{Class, Given, Harmless, Irregular, Output, Row, Special, Trap, When};
pub use table::TABLE;

/// One more than the last number that the table knows.
pub const PAST: u32 = 470;

/// Number of the call that says that the buffer of clock readings is full or used up (our own vDSO makes it; the kernel has
/// none of that number).
pub const FLUSH: u32 = 0x0f_5ed0;

/// The row of a call.
pub fn find(number: u64) -> Option<&'static Row> {
    static BY_NUMBER: OnceLock<Vec<Option<&'static Row>>> = OnceLock::new();
    let rows = BY_NUMBER.get_or_init(|| {
        let mut rows = vec![None; PAST as usize];
        for row in TABLE.iter().copied().flatten() {
            rows[row.number as usize] = Some(row);
        }
        rows
    });
    *rows.get(usize::try_from(number).ok()?)?
}

/// What a session does with a trapped call.
pub fn special(number: u64, arguments: &[u64; 6]) -> Option<Special> {
    let holds = |when: &When| (arguments[usize::from(when.argument)] & when.mask == when.value) != when.not;
    find(number)?.session.iter().find(|trap| trap.when.iter().all(holds)).map(|trap| trap.special)
}

/// The name of a call.
pub fn name(number: u64) -> &'static str {
    if number == u64::from(FLUSH) {
        return "(clock buffer)";
    }
    find(number).map_or("unknown", |row| row.name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use syscalls::Sysno;

    use super::*;

    fn rows() -> BTreeMap<u32, &'static Row> {
        let mut rows = BTreeMap::new();
        for row in TABLE.iter().copied().flatten() {
            assert!(rows.insert(row.number, row).is_none(), "two rows for {}", row.name);
        }
        rows
    }

    #[test]
    fn every_call_of_the_crate_has_a_row() {
        let rows = rows();
        let missing: Vec<_> = Sysno::iter().filter(|call| !rows.contains_key(&(call.id() as u32))).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    /// The numbers of the C library's header, and, being newer, those that the running kernel has: it answers ENOSYS to the
    /// others.
    #[test]
    fn every_call_of_the_header_and_of_the_running_kernel_has_a_row() {
        let rows = rows();
        if let Ok(header) = std::fs::read_to_string("/usr/include/x86_64-linux-gnu/asm/unistd_64.h") {
            for line in header.lines() {
                let Some(rest) = line.strip_prefix("#define __NR_") else { continue };
                let mut words = rest.split_whitespace();
                let (name, number) = (words.next().unwrap(), words.next().unwrap());
                assert_eq!(rows.get(&number.parse().unwrap()).map(|row| row.name), Some(name));
            }
        }
        for number in 462..600 {
            // With arguments that no call of that range takes as valid.
            let answer = crate::raw::probe_call(number);
            assert!(answer == -i64::from(libc::ENOSYS) || rows.contains_key(&number), "{number}: {answer}");
        }
    }

    #[test]
    fn arguments_exist() {
        for row in rows().values() {
            for when in row.when.iter().chain(row.session.iter().flat_map(|trap| trap.when)) {
                assert!(when.argument < 6, "{}", row.name);
            }
            assert!(row.number < PAST, "{}", row.name);
        }
    }
}
