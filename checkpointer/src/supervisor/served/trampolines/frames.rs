//! Where handlers of signals return to. A jump must not take the place of what a handler that is running when it is put up comes back
//! into the middle of.

use nix::unistd::Pid;

use crate::raw;
use crate::supervisor::served::differences::RETURN;

/// Bytes of a stack in which frames are looked for, and frames and stacks at most.
const LOOKED_AT: usize = 64 << 10;
const MOST_FRAMES: usize = 64;
const MOST_STACKS: usize = 8;

/// Fields of `struct rt_sigframe` (arch/x86/include/asm/sigframe.h), which begins with the address of the code that returns.
const STACK_POINTER: usize = 168;
const INSTRUCTION_POINTER: usize = 176;
const SEGMENTS: usize = 192;
const FRAME: usize = 312;

/// The code and stack segments of 64-bit programs (arch/x86/include/asm/segment.h, __USER_CS and __USER_DS).
const CODE: u64 = 0x33;
const DATA: u64 = 0x2b;

/// The instructions at which a stopped thread was interrupted by signals whose handlers have not returned. Those of handlers that
/// have returned may be among them: what is left of their frames is in variables that nobody has set.
pub(super) fn interrupted(tid: Pid) -> Vec<u64> {
    let mut found = Vec::new();
    let mut stacks: Vec<u64> = raw::registers(tid).iter().map(|registers| registers.rsp).collect();
    let mut next = 0;
    while let Some(&from) = stacks.get(next) {
        next += 1;
        for Frame { pc, stack: above, .. } in frames_above(tid, from) {
            found.push(pc);
            // The one before may be on another stack.
            let known = stacks.iter().any(|stack| (*stack..stack + LOOKED_AT as u64).contains(&above));
            if !known && stacks.len() < MOST_STACKS {
                stacks.push(above);
            }
        }
    }
    found
}

/// Where the stack pointer of a thread was when it was interrupted by the handler that runs on an alternate stack, which ends at an
/// address: in the frame that lies highest there.
pub(in crate::supervisor::served) fn interrupted_stack(tid: Pid, from: u64, end: u64) -> Option<u64> {
    let above = frames_above(tid, from).into_iter().filter(|frame| frame.at < end);
    above.max_by_key(|frame| frame.at).map(|frame| frame.stack)
}

/// A frame: where it is, and the instruction and the stack pointer in it.
struct Frame {
    at: u64,
    pc: u64,
    stack: u64,
}

/// The frames above an address.
fn frames_above(tid: Pid, from: u64) -> Vec<Frame> {
    let mut bytes = vec![0u8; LOOKED_AT];
    let read = raw::read_remote(tid, from, &mut bytes);
    let word = |at: usize| bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map_or(0, u64::from_le_bytes);
    let is_frame = |at: &usize| {
        // `uc_flags` are a few bits, `uc_link` is null. The address of that code alone is left behind by sigaction(2), too.
        let segments = word(at + SEGMENTS);
        let plausible =
            word(at + 8) < 0x10 && word(at + 16) == 0 && segments & 0xffff == CODE && segments >> 48 == DATA;
        let mut code = [0u8; RETURN.len()];
        plausible && raw::read_remote(tid, word(*at), &mut code) == code.len() && code == RETURN
    };
    let frames = (0..read.saturating_sub(FRAME)).step_by(8).filter(is_frame).take(MOST_FRAMES);
    let frame =
        |at: usize| Frame { at: from + at as u64, pc: word(at + INSTRUCTION_POINTER), stack: word(at + STACK_POINTER) };
    frames.map(frame).collect()
}
