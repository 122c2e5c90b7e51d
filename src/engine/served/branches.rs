//! Whether a piece of code can lead out of its function, seen from its bytes alone (Intel SDM vol. 2: CALL, JMP). There is no
//! disassembler here: what may be such an instruction counts as one.

/// Whether bytes of a function, which lie at `start`, may call something or jump to somewhere outside `function`.
pub(super) fn may_lead_out(code: &[u8], start: u64, function: (u64, u64)) -> bool {
    (0..code.len()).any(|at| {
        let rest = &code[at..];
        match rest {
            // call rel32: where it leads has to be code, so that a byte e8 in an operand is seldom taken for one.
            [0xe8, a, b, c, d, ..] => is_near(target(start, at, [*a, *b, *c, *d]), start),
            // jmp rel32
            [0xe9, a, b, c, d, ..] => {
                let target = target(start, at, [*a, *b, *c, *d]);
                is_near(target, start) && !(function.0..function.1).contains(&target)
            }
            // call and jmp through a register or memory: /2 to /5
            [0xff, modrm, ..] => (2..=5).contains(&(modrm >> 3 & 7)) && !follows_displacement(code, at),
            // syscall, sysenter
            [0x0f, 0x05 | 0x34, ..] => true,
            _ => false,
        }
    })
}

/// The target of a relative branch of five bytes.
fn target(start: u64, at: usize, displacement: [u8; 4]) -> u64 {
    let next = start.wrapping_add(at as u64).wrapping_add(5);
    #[allow(clippy::cast_sign_loss)]
    next.wrapping_add(i64::from(i32::from_le_bytes(displacement)) as u64)
}

/// Whether a branch of a program would lead there: within the reach of its own code.
fn is_near(target: u64, start: u64) -> bool {
    const REACH: u64 = 1 << 28;
    target.abs_diff(start) < REACH
}

/// Whether a byte ff is the end of a negative displacement of four bytes, which are the commonest: ff is then before it, too.
fn follows_displacement(code: &[u8], at: usize) -> bool {
    at >= 1 && code[at - 1] == 0xff
}

#[cfg(test)]
mod tests {
    use super::may_lead_out;

    const FUNCTION: (u64, u64) = (0x1000, 0x1100);

    #[test]
    fn a_loop_stays_inside() {
        // movq $0,-8(%rbp); jmp +8; addq $1,-8(%rbp); cmpq -8(%rbp); jl -0x14
        let code = [
            0x48, 0xc7, 0x45, 0xf8, 0, 0, 0, 0, 0xeb, 0x05, 0x48, 0x83, 0x45, 0xf8, 0x01, 0x48, 0x8b, 0x45, 0xf8, 0x48,
            0x3b, 0x45, 0xd8, 0x7c, 0xed,
        ];
        assert!(!may_lead_out(&code, 0x1010, FUNCTION));
        // jl rel32 backwards
        assert!(!may_lead_out(&[0x0f, 0x8c, 0x10, 0xff, 0xff, 0xff], 0x1080, FUNCTION));
    }

    #[test]
    fn calls_and_jumps_elsewhere_lead_out() {
        assert!(may_lead_out(&[0xe8, 0x10, 0, 0, 0], 0x1010, FUNCTION));
        assert!(may_lead_out(&[0xff, 0xd0], 0x1010, FUNCTION));
        assert!(may_lead_out(&[0xff, 0x15, 1, 2, 3, 0], 0x1010, FUNCTION));
        assert!(may_lead_out(&[0xff, 0xe0], 0x1010, FUNCTION));
        assert!(may_lead_out(&[0xe9, 0, 0x10, 0, 0], 0x1010, FUNCTION));
        assert!(!may_lead_out(&[0xe9, 0x10, 0, 0, 0], 0x1010, FUNCTION));
        assert!(may_lead_out(&[0x90, 0x0f, 0x05], 0x1010, FUNCTION));
    }
}
