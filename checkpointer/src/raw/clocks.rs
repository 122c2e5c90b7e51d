//! Machine code that runs inside programs that are recorded in a session: functions that read clocks. Like those of
//! [`super::vdso`], which recordings use, but a session begins and stops recording while the program runs, so the buffer says
//! what is to be done.
//!
//! Its header has words of eight bytes: bytes used, bytes that may be used, the mode of `clock_gettime` ([`ClockMode`]), not
//! zero where a debugger shares the process (1 where readings of the monotonic clock are told by their address), not zero where what is not in the buffer is none of the notes' concern, the mode of
//! the other functions, that of calls ([`super::calls`]), and a word of theirs. An entry ([`super::CLOCK_ENTRY`]) has which clock (4), the result (4), two or three words that were written, and for
//! `clock_gettime` the address of the caller's buffer.
//!
//! Registers that are not the caller's to keep are zero afterwards, whatever was done: states are compared.

use super::{CLOCK_BUFFER, CLOCK_ENTRY, CLOCK_HEADER};

/// What the functions do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockMode {
    /// Make the call and note what it gave.
    Record,
    /// Give what the buffer has.
    Replay,
    /// Make the call.
    Plain,
    /// Make the call where the filter traps it.
    Trapped,
}

/// Where in the header the mode of calls is.
pub const CALL_MODE: u64 = CLOCK_BUFFER + 48;

/// Added to a call's number it says what an entry is.
pub const CALL_BASE: u32 = 0x200;

/// Where the instructions are that make the calls for the tracer to see: not among the pages that the filter exempts.
pub const CLOCK_STUBS: u64 = super::READY_DESCRIPTORS + 0x1000;

/// What tells the readings of the monotonic clock that are neither noted nor given: words. The address to which the function returns
/// (nothing is told before there is one), and the distance from the stack pointer to the address to which its caller does. Then
/// [`OWN_READERS`] pairs: if it is the first of one, what is at the distance of the second counts instead. Where it is in one of
/// [`OWN_RANGES`] ranges, each a first address and a length, the call is made.
pub const OWN_CALLERS: u64 = CLOCK_STUBS + 0x800;

/// How many functions there are at [`OWN_CALLERS`] that read the clock for others.
pub const OWN_READERS: usize = 4;

/// How many ranges of callers there are at [`OWN_CALLERS`].
pub const OWN_RANGES: usize = 12;

core::arch::global_asm!(
    r#"
    .pushsection .rodata.fred_clocks, "a", @progbits
    .balign 16

    .macro FRED_DONE
    xor ecx, ecx
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    xor r11d, r11d
    ret
    .endm

    .macro FRED_STUB offset
    mov ecx, {stubs} + \offset
    jmp rcx
    .endm

    .globl fred_clocks_start
    fred_clocks_start:
    .globl fred_clocks_gettime
    fred_clocks_gettime:
    mov r8d, {buffer}
    mov rax, [r8 + 16]
    cmp rax, 1
    ja 22f
    cmp edi, 1
    jne 63f
    mov r9d, {own}
    mov rcx, [rsp]
    cmp rcx, [r9]
    jne 63f
    mov rcx, [r9 + 8]
    mov rcx, [rsp + rcx]
    .set fred_own, 16
    .rept {readers}
    mov r10, [r9 + fred_own + 8]
    cmp rcx, [r9 + fred_own]
    je 62f
    .set fred_own, fred_own + 16
    .endr
    jmp 64f
    62:
    mov rcx, [rsp + r10]
    64:
    .rept {ranges}
    mov r10, rcx
    sub r10, [r9 + fred_own]
    cmp r10, [r9 + fred_own + 8]
    jb 52f
    .set fred_own, fred_own + 16
    .endr
    63:
    cmp rax, 1
    je 42f
    mov rax, [r8]
    cmp rax, [r8 + 8]
    jae 32f
    lea r9, [r8 + rax + {header}]
    mov eax, 228
    syscall
    mov eax, eax
    mov [r9], edi
    mov [r9 + 4], eax
    mov [r9 + 24], rsi
    test eax, eax
    jnz 5f
    mov rcx, [rsi]
    mov [r9 + 8], rcx
    mov rcx, [rsi + 8]
    mov [r9 + 16], rcx
    5:
    add qword ptr [r8], {entry}
    jmp 44f
    42:
    mov r10, [r8]
    43:
    cmp r10, [r8 + 8]
    jae 35f
    lea r9, [r8 + r10 + {header}]
    cmp [r9], edi
    jne 33f
    cmp qword ptr [r8 + 24], 1
    jne 34f
    cmp edi, 1
    jne 34f
    cmp [r9 + 24], rsi
    je 34f
    33:
    cmp qword ptr [r8 + 24], 0
    je 32f
    cmp dword ptr [r9], 1
    jne 36f
    add r10, {entry}
    jmp 43b
    34:
    add r10, {entry}
    mov [r8], r10
    mov eax, [r9 + 4]
    test eax, eax
    jnz 44f
    mov rcx, [r9 + 8]
    mov [rsi], rcx
    mov rcx, [r9 + 16]
    mov [rsi + 8], rcx
    jmp 44f
    35:
    cmp qword ptr [r8 + 32], 0
    je 32f
    36:
    cmp edi, 1
    jne 32f
    cmp qword ptr [r8 + 24], 1
    je 52f
    jmp 32f
    22:
    cmp rax, 2
    jne 32f
    52:
    mov eax, 228
    syscall
    mov eax, eax
    jmp 44f
    32:
    FRED_STUB 0
    44:
    FRED_DONE

    .macro FRED_OTHER name, which, number, stub, save, load, narrow
    .balign 16
    .globl \name
    \name:
    mov r8d, {buffer}
    mov rax, [r8 + 40]
    cmp rax, 1
    je 42f
    ja 22f
    mov rax, [r8]
    cmp rax, [r8 + 8]
    jae 32f
    lea r9, [r8 + rax + {header}]
    mov eax, \number
    syscall
    \narrow
    mov dword ptr [r9], \which
    mov [r9 + 4], eax
    \save
    5:
    add qword ptr [r8], {entry}
    jmp 44f
    42:
    mov r10, [r8]
    cmp r10, [r8 + 8]
    jae 32f
    lea r9, [r8 + r10 + {header}]
    cmp dword ptr [r9], \which
    jne 32f
    add qword ptr [r8], {entry}
    mov eax, [r9 + 4]
    \load
    jmp 44f
    22:
    cmp rax, 2
    jne 32f
    mov eax, \number
    syscall
    \narrow
    jmp 44f
    32:
    FRED_STUB \stub
    44:
    FRED_DONE
    .endm

    .macro FRED_NARROW
    mov eax, eax
    .endm
    .macro FRED_WIDE
    .endm

    .macro FRED_SAVE_DAY
    test eax, eax
    jnz 5f
    test rdi, rdi
    jz 3f
    mov rcx, [rdi]
    mov [r9 + 8], rcx
    mov rcx, [rdi + 8]
    mov [r9 + 16], rcx
    3:
    test rsi, rsi
    jz 5f
    mov rcx, [rsi]
    mov [r9 + 24], rcx
    .endm
    .macro FRED_LOAD_DAY
    test eax, eax
    jnz 44f
    test rdi, rdi
    jz 3f
    mov rcx, [r9 + 8]
    mov [rdi], rcx
    mov rcx, [r9 + 16]
    mov [rdi + 8], rcx
    3:
    test rsi, rsi
    jz 44f
    mov rcx, [r9 + 24]
    mov [rsi], rcx
    .endm

    .macro FRED_SAVE_TIME
    mov [r9 + 8], rax
    .endm
    .macro FRED_LOAD_TIME
    mov rax, [r9 + 8]
    test rdi, rdi
    jz 44f
    mov [rdi], rax
    .endm

    .macro FRED_SAVE_CPU
    test eax, eax
    jnz 5f
    test rdi, rdi
    jz 3f
    mov ecx, [rdi]
    mov [r9 + 8], rcx
    3:
    test rsi, rsi
    jz 5f
    mov ecx, [rsi]
    mov [r9 + 16], rcx
    .endm
    .macro FRED_LOAD_CPU
    test eax, eax
    jnz 44f
    test rdi, rdi
    jz 3f
    mov ecx, [r9 + 8]
    mov [rdi], ecx
    3:
    test rsi, rsi
    jz 44f
    mov ecx, [r9 + 16]
    mov [rsi], ecx
    .endm

    FRED_OTHER fred_clocks_timeofday, 0x100, 96, 32, FRED_SAVE_DAY, FRED_LOAD_DAY, FRED_NARROW
    FRED_OTHER fred_clocks_time, 0x101, 201, 64, FRED_SAVE_TIME, FRED_LOAD_TIME, FRED_WIDE
    FRED_OTHER fred_clocks_getcpu, 0x102, 309, 96, FRED_SAVE_CPU, FRED_LOAD_CPU, FRED_NARROW
    .globl fred_clocks_end
    fred_clocks_end:

    .macro FRED_TRAPPED number
    .balign 32
    mov eax, \number
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    syscall
    xor ecx, ecx
    xor r11d, r11d
    ret
    .endm
    .balign 32
    .globl fred_clock_stubs_start
    fred_clock_stubs_start:
    FRED_TRAPPED 228
    FRED_TRAPPED 96
    FRED_TRAPPED 201
    FRED_TRAPPED 309
    .globl fred_clock_stubs_end
    fred_clock_stubs_end:
    .popsection
    "#,
    buffer = const CLOCK_BUFFER,
    header = const CLOCK_HEADER,
    entry = const CLOCK_ENTRY,
    stubs = const CLOCK_STUBS,
    own = const OWN_CALLERS,
    readers = const OWN_READERS,
    ranges = const OWN_RANGES,
);

unsafe extern "C" {
    static fred_clocks_start: u8;
    static fred_clocks_gettime: u8;
    static fred_clocks_timeofday: u8;
    static fred_clocks_time: u8;
    static fred_clocks_getcpu: u8;
    static fred_clocks_end: u8;
    static fred_clock_stubs_start: u8;
    static fred_clock_stubs_end: u8;
}

pub(super) fn between(start: *const u8, end: *const u8) -> &'static [u8] {
    #[allow(clippy::cast_possible_truncation)]
    let length = (end as u64 - start as u64) as usize;
    // SAFETY: only called with labels that enclose bytes which the assembler has put into read-only data.
    unsafe { std::slice::from_raw_parts(start, length) }
}

/// The code, and the names and offsets of its functions (vdso(7)).
pub fn clock_functions() -> (&'static [u8], [(&'static str, u64); 4]) {
    let start = &raw const fred_clocks_start;
    let offset = |label: *const u8| label as u64 - start as u64;
    let functions = [
        ("__vdso_clock_gettime", offset(&raw const fred_clocks_gettime)),
        ("__vdso_gettimeofday", offset(&raw const fred_clocks_timeofday)),
        ("__vdso_time", offset(&raw const fred_clocks_time)),
        ("__vdso_getcpu", offset(&raw const fred_clocks_getcpu)),
    ];
    (between(start, &raw const fred_clocks_end), functions)
}

/// What belongs at [`CLOCK_STUBS`].
pub fn clock_stubs() -> &'static [u8] {
    between(&raw const fred_clock_stubs_start, &raw const fred_clock_stubs_end)
}
