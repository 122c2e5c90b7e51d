//! The seccomp filter made from the table (seccomp(2), classic BPF over `struct seccomp_data`).

use libc::{BPF_ABS, BPF_ALU, BPF_AND, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter};

use super::{Class, FLUSH, PAST, Row, Special, TABLE, When};
use crate::inject::{CODE_PAGE, EXEMPT_PAGES, PAGE};

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const INSTRUCTION: u32 = 8;
const ARGUMENTS: u32 = 16;

/// `AUDIT_ARCH_X86_64`
const X86_64: u32 = 0xc000_003e;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const TRACE: u32 = libc::SECCOMP_RET_TRACE;
#[allow(clippy::cast_sign_loss)]
const ABSENT: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

fn statement(code: u32, k: u32) -> sock_filter {
    #[allow(clippy::cast_possible_truncation)]
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn jump(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    #[allow(clippy::cast_possible_truncation)]
    sock_filter { code: (BPF_JMP | code | BPF_K) as u16, jt, jf, k }
}

fn load(offset: u32) -> sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, offset)
}

fn answer(value: u32) -> sock_filter {
    statement(BPF_RET | BPF_K, value)
}

/// One argument as two 32-bit comparisons; falls through when the condition holds, else jumps `fail` instructions past
/// the end of what it emits.
fn condition(when: &When, fail: u8) -> Vec<sock_filter> {
    #[allow(clippy::cast_possible_truncation)]
    let halves = [(0, when.mask as u32, when.value as u32), (4, (when.mask >> 32) as u32, (when.value >> 32) as u32)];
    let offset = ARGUMENTS + 8 * u32::from(when.argument);
    let halves: Vec<_> = halves.into_iter().filter(|(_, mask, _)| *mask != 0).collect();
    let mut code = Vec::new();
    // Built from the end, so that each jump knows how far the end is.
    for (index, (half, mask, value)) in halves.iter().enumerate().rev() {
        let after = u8::try_from(code.len()).unwrap_or(u8::MAX);
        let last = index + 1 == halves.len();
        let compare = match (when.not, last) {
            // equal: every half must be equal
            (false, _) => jump(BPF_JEQ, *value, 0, after + fail),
            // different: any half that differs decides
            (true, false) => jump(BPF_JEQ, *value, 0, after),
            (true, true) => jump(BPF_JEQ, *value, after + fail, 0),
        };
        let mut piece = vec![load(offset + half)];
        if *mask != u32::MAX {
            piece.push(statement(BPF_ALU | BPF_AND | BPF_K, *mask));
        }
        piece.push(compare);
        piece.extend(code);
        code = piece;
    }
    code
}

/// A trap: reloads the number, so that traps do not depend on each other.
fn trap(rule: &Rule) -> Vec<sock_filter> {
    let mut code = vec![answer(rule.action)];
    for when in rule.when.iter().rev() {
        let fail = u8::try_from(code.len()).unwrap_or(u8::MAX);
        let mut piece = condition(when, fail);
        piece.extend(code);
        code = piece;
    }
    let length = u8::try_from(code.len()).unwrap_or(u8::MAX);
    let mut out = vec![load(NUMBER), jump(BPF_JEQ, rule.number, 0, length)];
    out.extend(code);
    out
}

/// What a filter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Checkpoints.
    Session,
    /// The same of a debugger whose program is a process of its own: its random bytes need not be the same again.
    Debugger,
    /// Checkpoints of a program whose calls are recorded in the session.
    Recorded,
    /// The same, where the debugger lives in the program's process and its standard input is the terminal.
    Shared,
    /// Recording and replay.
    Recording,
}

/// What happens to a call under conditions.
struct Rule {
    number: u32,
    when: &'static [When],
    action: u32,
}

/// Calls that are not just allowed, in the order of the table.
fn rules(purpose: Purpose) -> Vec<Rule> {
    let rows = TABLE.iter().copied().flatten();
    match purpose {
        Purpose::Session => rows
            .flat_map(|row| row.session.iter().map(|trap| Rule { number: row.number, when: trap.when, action: TRACE }))
            .collect(),
        Purpose::Debugger => rows
            .flat_map(|row| row.session.iter().map(move |trap| (row, trap)))
            .filter(|(_, trap)| trap.special != Special::Random)
            .map(|(row, trap)| Rule { number: row.number, when: trap.when, action: TRACE })
            .collect(),
        Purpose::Recorded => rows.flat_map(|row| recorded(row, &[])).collect(),
        Purpose::Shared => rows.flat_map(|row| recorded(row, row.shared)).collect(),
        Purpose::Recording => rows
            .filter_map(|row| {
                let action = match row.class {
                    Class::Internal => return None,
                    Class::Absent => ABSENT,
                    _ => TRACE,
                };
                Some(Rule { number: row.number, when: row.when, action })
            })
            .collect(),
    }
}

/// What happens in a session to the calls of a program that is recorded; only under one of these conditions, if there are any.
fn recorded(row: &'static Row, only: &'static [&'static [When]]) -> Vec<Rule> {
    let trap = |when| Rule { number: row.number, when, action: TRACE };
    let mut rules: Vec<Rule> = row.session.iter().map(|one| trap(one.when)).collect();
    match row.class {
        Class::Absent if row.unseen => rules.push(Rule { action: ABSENT, ..trap(row.when) }),
        Class::Absent | Class::Internal => {}
        _ if row.local && !row.turns => {}
        _ if only.is_empty() => rules.push(trap(row.when)),
        // Rows have either, which a test checks.
        _ => rules.extend(only.iter().map(|when| trap(when))),
    }
    rules
}

/// Calls made from our own pages are allowed: the instruction pointer is the one after `syscall`.
fn own_pages_pass() -> [sock_filter; 6] {
    #[allow(clippy::cast_possible_truncation)]
    let (first, past) = (CODE_PAGE as u32, (CODE_PAGE + EXEMPT_PAGES * PAGE) as u32);
    [
        load(INSTRUCTION + 4),
        jump(BPF_JEQ, (CODE_PAGE >> 32) as u32, 0, 4),
        load(INSTRUCTION),
        jump(BPF_JGE, first, 0, 2),
        jump(BPF_JGE, past, 1, 0),
        answer(ALLOW),
    ]
}

/// Traps what [`Purpose::Shared`] leaves out, for a process that has that filter already and whose standard input has become
/// something else: the strictest answer counts (seccomp(2)).
pub fn completion() -> Vec<sock_filter> {
    let mut code = vec![load(ARCHITECTURE), jump(BPF_JEQ, X86_64, 1, 0), answer(ALLOW)];
    code.extend(own_pages_pass());
    for row in TABLE.iter().copied().flatten().filter(|row| !row.shared.is_empty()) {
        code.extend(trap(&Rule { number: row.number, when: row.when, action: TRACE }));
    }
    code.push(answer(ALLOW));
    code
}

/// The whole filter. The number is looked at first: for calls without a rule the kernel then knows beforehand that they are
/// allowed and does not run the filter at all (kernel/seccomp.c, `seccomp_cache_prepare`). Calls of another architecture
/// (32-bit) pass untouched in sessions, and stop a recording. A number that the table does not know is unknown to the kernel
/// for all that the program can tell.
pub fn program(purpose: Purpose) -> Vec<sock_filter> {
    let rules = rules(purpose);
    let mut numbers: Vec<u32> = rules.iter().map(|rule| rule.number).collect();
    numbers.dedup();
    let foreign = if purpose == Purpose::Recording { TRACE } else { ALLOW };
    let mut code = vec![load(ARCHITECTURE), jump(BPF_JEQ, X86_64, 1, 0), answer(foreign), load(NUMBER)];
    if purpose == Purpose::Recording {
        // Made by code on one of our pages, and yet meant for the tracer.
        code.extend([jump(BPF_JEQ, FLUSH, 0, 1), answer(TRACE)]);
    }
    // After the jumps come one or two instructions of the default, then the rules.
    let default = if purpose == Purpose::Recording {
        vec![jump(BPF_JGE, PAST, 0, 1), answer(ABSENT), answer(ALLOW)]
    } else {
        vec![answer(ALLOW)]
    };
    for (index, number) in numbers.iter().enumerate() {
        // Two instructions for each number, then the default: a far jump, since conditional ones reach 255 instructions only.
        let left = u32::try_from(2 * (numbers.len() - index - 1) + default.len()).unwrap_or(u32::MAX);
        code.push(jump(BPF_JEQ, *number, 0, 1));
        code.push(statement(BPF_JMP | BPF_JA, left));
    }
    code.extend(default);
    code.extend(own_pages_pass());
    for rule in &rules {
        code.extend(trap(rule));
    }
    code.push(answer(ALLOW));
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Interprets the filter: the oracle of what the kernel will do.
    fn run(code: &[sock_filter], number: u32, instruction: u64, arguments: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend_from_slice(&number.to_le_bytes());
        data.extend_from_slice(&X86_64.to_le_bytes());
        data.extend_from_slice(&instruction.to_le_bytes());
        for argument in arguments {
            data.extend_from_slice(&argument.to_le_bytes());
        }
        let (mut at, mut a) = (0usize, 0u32);
        loop {
            let op = &code[at];
            at += 1;
            let kind = u32::from(op.code);
            if kind == BPF_LD | BPF_W | BPF_ABS {
                let k = op.k as usize;
                a = u32::from_le_bytes(data[k..k + 4].try_into().unwrap());
            } else if kind == BPF_ALU | BPF_AND | BPF_K {
                a &= op.k;
            } else if kind == BPF_JMP | BPF_JA {
                at += op.k as usize;
            } else if kind == BPF_RET | BPF_K {
                return op.k;
            } else {
                let hit = if kind == BPF_JMP | BPF_JEQ | BPF_K { a == op.k } else { a >= op.k };
                at += usize::from(if hit { op.jt } else { op.jf });
            }
        }
    }

    const EVERY: [Purpose; 5] =
        [Purpose::Session, Purpose::Debugger, Purpose::Recorded, Purpose::Shared, Purpose::Recording];

    /// What the rows say, read directly.
    fn expected(purpose: Purpose, number: u32, arguments: [u64; 6]) -> u32 {
        let holds = |when: &When| (arguments[usize::from(when.argument)] & when.mask == when.value) != when.not;
        let Some(row) = crate::syscalls::find(u64::from(number)) else {
            let known = purpose != Purpose::Recording || number < PAST;
            return if known {
                ALLOW
            } else if number == FLUSH {
                TRACE
            } else {
                ABSENT
            };
        };
        let hit = match purpose {
            Purpose::Session => row.session.iter().any(|trap| trap.when.iter().all(holds)),
            Purpose::Debugger => number != 318 && row.session.iter().any(|trap| trap.when.iter().all(holds)),
            Purpose::Recorded | Purpose::Shared => {
                let trapped = row.session.iter().any(|trap| trap.when.iter().all(holds));
                let absent = row.class == Class::Absent;
                if !trapped && absent && row.unseen {
                    return ABSENT;
                }
                let taken =
                    (!row.local || row.turns) && !absent && row.class != Class::Internal && row.when.iter().all(holds);
                let left_out = purpose == Purpose::Shared
                    && !row.shared.is_empty()
                    && !row.shared.iter().any(|when| when.iter().all(holds));
                trapped || taken && !left_out
            }
            Purpose::Recording => row.class != Class::Internal && row.when.iter().all(holds),
        };
        match (hit, purpose, row.class) {
            (false, ..) => ALLOW,
            (true, Purpose::Recording, Class::Absent) => ABSENT,
            (true, ..) => TRACE,
        }
    }

    #[test]
    fn filter_agrees_with_the_rows() {
        let values = [0, 1, 2, 10, 14, 18, 0x20, 1030, 0x5402, 0x5403, 0xffff_ffff, u64::MAX, 1 << 32, (1 << 32) | 1];
        for purpose in EVERY {
            let code = program(purpose);
            for number in (0..480).chain([FLUSH]) {
                for &a in &values {
                    for slot in 0..6 {
                        for mut arguments in [[0; 6], [a; 6]] {
                            arguments[slot] = if arguments[slot] == 0 { a } else { 0 };
                            assert_eq!(
                                run(&code, number, 0x5555_0000, arguments),
                                expected(purpose, number, arguments),
                                "{purpose:?} {number} {arguments:x?}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn our_own_calls_pass() {
        for purpose in EVERY {
            let code = program(purpose);
            assert_eq!(run(&code, 39, CODE_PAGE + 2, [0; 6]), ALLOW);
            assert_eq!(run(&code, 39, CODE_PAGE - 2, [0; 6]), TRACE);
            assert_eq!(run(&code, 39, CODE_PAGE + EXEMPT_PAGES * PAGE, [0; 6]), TRACE);
            assert_eq!(run(&code, 39, (1 << 32) | CODE_PAGE, [0; 6]), TRACE);
        }
    }

    #[test]
    fn what_is_left_out_for_line_editors_can_be_trapped_later() {
        let rows = TABLE.iter().copied().flatten().filter(|row| !row.shared.is_empty());
        for row in rows {
            assert!(row.when.is_empty(), "{}", row.name);
        }
        let [read, pselect6] = [0, 270];
        for (number, arguments) in [(read, [0, 0x5555, 1, 0, 0, 0]), (pselect6, [1, 0x5555, 0, 0, 0, 0x5555])] {
            assert_eq!(run(&program(Purpose::Shared), number, 0x5555, arguments), ALLOW);
            assert_eq!(run(&completion(), number, 0x5555, arguments), TRACE);
            assert_eq!(run(&completion(), number, CODE_PAGE + 2, arguments), ALLOW);
        }
        assert_eq!(run(&completion(), 39, 0x5555, [0; 6]), ALLOW);
    }

    #[test]
    fn the_kernel_takes_it() {
        for purpose in EVERY {
            // BPF_MAXINSNS
            assert!(program(purpose).len() < 4096);
        }
    }
}
