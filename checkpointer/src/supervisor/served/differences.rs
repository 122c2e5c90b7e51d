//! Words in which two states of a program differ without a difference in what it does.

use std::arch::x86_64::__cpuid_count;

use nix::unistd::Pid;

use crate::raw;

/// Bytes of a word.
const WORD: usize = 8;

/// `mov $15, %rax; syscall`: what a signal's handler returns to in the C library (rt_sigreturn(2)).
pub(super) const RETURN: [u8; 9] = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];

/// Whether a word in which two states differ may do so, and they are the same to the program.
pub(super) fn may_differ(live: Pid, address: u64, now: u64, then: u64) -> bool {
    signal_frames_may_differ(live, address, now, then) || names_processor(live, address, now, then)
}

/// Whether a word in which two states differ is one of a signal's frame, on the stack or left behind on an alternate one, that tells
/// of the last trap of the thread, or of having been stepped: that is what debuggers do, not what the program does (`struct rt_sigframe`,
/// arch/x86/kernel/signal_64.c). Or one that nobody has written.
fn signal_frames_may_differ(live: Pid, address: u64, now: u64, then: u64) -> bool {
    // A frame begins with the address of the code that returns from the handler; general registers, flags and the rest follow.
    const FLAGS: u64 = 184;
    /// `syscall` leaves the flags there.
    const R11: u64 = 72;
    const TRAP: u64 = 0x100;
    const RESUME: u64 = 0x1_0000;
    /// `err`, `trapno` and `cr2`.
    const LAST_TRAP: [u64; 3] = [200, 208, 224];
    /// `oldmask` and `uc_sigmask`. A trap ends that SIGTRAP is blocked (kernel/signal.c, force_sig_info_to_task), as most handlers have it.
    const MASKS: [u64; 2] = [216, 304];
    const SIGTRAP_BIT: u64 = 1 << (libc::SIGTRAP - 1);
    let only_debuggers = (now ^ then) & !(TRAP | RESUME) == 0;
    let only_sigtrap = (now ^ then) & !SIGTRAP_BIT == 0;
    let flags = [FLAGS, R11].into_iter().filter(|_| only_debuggers);
    let masks = MASKS.into_iter().filter(|_| only_sigtrap);
    let fields = LAST_TRAP.into_iter().chain(flags).chain(masks);
    is_unwritten(live, address) || fields.into_iter().any(|field| is_signal_frame(live, address.wrapping_sub(field)))
}

/// Whether a signal's frame begins at an address: with that of the code which returns from the handler.
fn is_signal_frame(live: Pid, address: u64) -> bool {
    let mut code = [0u8; RETURN.len()];
    word_at(live, address)
        .is_some_and(|restorer| raw::read_remote(live, restorer, &mut code) == code.len() && code == RETURN)
}

/// Whether a word is one of those in the floating-point state of a signal's frame that XSAVE does not write (Intel SDM, volume 1, 13.4.1:
/// bytes 416 to 463), so that what was on the dead stack is still there: the kernel has written behind them what the state is, and into the
/// frame where it is (`uc_mcontext.fpstate`).
fn is_unwritten(live: Pid, address: u64) -> bool {
    /// `FP_XSTATE_MAGIC1`, with the size of the frame's state in the upper half, and where it is in the state.
    const MAGIC: u64 = 0x4650_5853;
    const SOFTWARE: u64 = 464;
    /// What is below the state, which begins at a multiple of 64 (`get_sigframe`, arch/x86/kernel/signal.c): a frame of 440 bytes at
    /// 8 below a multiple of 16.
    const FRAME: u64 = 456;
    const POINTER: u64 = 232;
    (1..=6u64).any(|words| {
        let state = (address + words * WORD as u64).wrapping_sub(SOFTWARE);
        let frame = state.wrapping_sub(FRAME);
        word_at(live, state.wrapping_add(SOFTWARE)).is_some_and(|word| word & u64::from(u32::MAX) == MAGIC)
            && word_at(live, frame.wrapping_add(POINTER)) == Some(state)
            && is_signal_frame(live, frame)
    })
}

fn word_at(live: Pid, address: u64) -> Option<u64> {
    let mut word = [0u8; WORD];
    (raw::read_remote(live, address, &mut word) == WORD).then(|| u64::from_le_bytes(word))
}

/// Whether a word tells on which processor CPUID was asked for its kind: the upper byte of what the first leaf gives in ebx is that of
/// the processor (Intel SDM, volume 2, CPUID). The C library of a program that is linked statically keeps all four registers, and asks in the
/// program's own time.
fn names_processor(live: Pid, address: u64, now: u64, then: u64) -> bool {
    const OTHERS: u32 = 0x00ff_ffff;
    let differs = now ^ then;
    let low = differs & !(u64::from(!OTHERS)) == 0;
    let high = differs & !(u64::from(!OTHERS) << 32) == 0;
    let at = match (low, high) {
        (true, false) => address,
        (false, true) => address + 4,
        _ => return false,
    };
    let mut bytes = [0u8; 16];
    if raw::read_remote(live, at.wrapping_sub(4), &mut bytes) != bytes.len() {
        return false;
    }
    let register = |index: usize| u32::from_le_bytes(std::array::from_fn(|byte| bytes[4 * index + byte]));
    let leaf = __cpuid_count(1, 0);
    let kind = [leaf.eax, leaf.ebx & OTHERS, leaf.ecx, leaf.edx];
    [register(0), register(1) & OTHERS, register(2), register(3)] == kind
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What CPUID has told, as another processor would, in an odd place or an even one.
    fn told(place: usize, other: u32) -> (Vec<u32>, u64) {
        let leaf = __cpuid_count(1, 0);
        let mut words = vec![0u32; 16];
        words[place..place + 4].copy_from_slice(&[leaf.eax, leaf.ebx ^ other, leaf.ecx, leaf.edx]);
        let begin = words.as_ptr() as u64;
        (words, begin)
    }

    fn may(words: &[u32], begin: u64, place: usize, then: u32) -> bool {
        let at = (begin + 4 * place as u64) & !7;
        let index = ((at - begin) / 4) as usize;
        let word = |ebx: u32, at: usize| if at == place { ebx } else { words[at] };
        let whole = |ebx: u32| u64::from(word(ebx, index)) | u64::from(word(ebx, index + 1)) << 32;
        may_differ(Pid::this(), at, whole(words[place]), whole(then))
    }

    #[test]
    fn only_the_number_of_the_processor_may_differ() {
        for place in [2, 3] {
            let (words, begin) = told(place, 0);
            let ebx = words[place + 1];
            assert!(may(&words, begin, place + 1, ebx ^ 1 << 24), "another processor");
            assert!(!may(&words, begin, place + 1, ebx ^ 1 << 8), "something else in the same register");
            assert!(!may(&words, begin, place, words[place] ^ 1 << 24), "another register");
            let (mut words, begin) = told(place, 0);
            words[place + 2] ^= 1;
            assert!(!may(&words, begin, place + 1, ebx ^ 1 << 24), "not what CPUID tells");
        }
    }
}
