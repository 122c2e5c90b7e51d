//! Where handlers of signals return to. A jump must not take the place of what a handler that is running when it is put up comes back
//! into the middle of.

use nix::unistd::Pid;

use crate::raw;
use crate::supervisor::served::differences::RETURN;

/// Bytes of a stack in which frames are looked for, and frames at most.
const LOOKED_AT: usize = 64 << 10;
const MOST_FRAMES: usize = 8;

/// Fields of `struct rt_sigframe` (arch/x86/include/asm/sigframe.h), which begins with the address of the code that returns.
const STACK_POINTER: usize = 168;
const INSTRUCTION_POINTER: usize = 176;
const FRAME: usize = 312;

/// The instructions at which a stopped thread was interrupted by signals whose handlers have not returned. One of a handler that has
/// returned may be among them.
pub(super) fn interrupted(tid: Pid) -> Vec<u64> {
    let mut found = Vec::new();
    let mut stack = raw::registers(tid).ok().map(|registers| registers.rsp);
    while let Some((pc, next)) = stack.and_then(|from| frame_above(tid, from)) {
        found.push(pc);
        // The one before may be on another stack.
        stack = Some(next).filter(|_| found.len() < MOST_FRAMES);
    }
    found
}

/// The first frame above an address: the instruction and the stack pointer in it.
fn frame_above(tid: Pid, from: u64) -> Option<(u64, u64)> {
    let mut bytes = vec![0u8; LOOKED_AT];
    let read = raw::read_remote(tid, from, &mut bytes);
    let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    (0..read.saturating_sub(FRAME)).step_by(8).find_map(|at| {
        // `uc_flags` are a few bits, `uc_link` is null.
        let plausible = word(at + 8)? < 0x10 && word(at + 16)? == 0;
        let mut code = [0u8; RETURN.len()];
        let returns = plausible && raw::read_remote(tid, word(at)?, &mut code) == code.len() && code == RETURN;
        returns.then_some((word(at + INSTRUCTION_POINTER)?, word(at + STACK_POINTER)?))
    })
}
