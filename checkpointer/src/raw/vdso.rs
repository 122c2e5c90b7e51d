//! Machine code that runs inside recorded programs: the functions of the replacement of the vDSO, position-independent but for
//! the address of their buffer.
//!
//! Each call takes one entry of the buffer. When recorded the function makes the system call and notes what it gave; when
//! replayed it gives what the entry has. A buffer that is full, used up, or has another entry next than this function's is a
//! matter for the tracer: the function makes a call that the kernel does not have. What is left in registers is the same both
//! times.

/// Where the buffer is in every recorded program. First its header: bytes used, bytes that may be used, and not zero for a
/// replay, eight bytes each.
pub const CLOCK_BUFFER: u64 = 0x7000_5000;

/// Where it is noted which descriptors never keep a reader waiting: a bit for each of the first [`NOTED_DESCRIPTORS`].
pub const READY_DESCRIPTORS: u64 = CLOCK_BUFFER + 0x4_0000;

/// How many descriptors have a bit.
pub const NOTED_DESCRIPTORS: u64 = 4096;

/// Reads of more bytes are left to the tracer.
pub const LONGEST_READ: u64 = 0x8000;

/// Bytes before the first entry.
pub const CLOCK_HEADER: u64 = 64;

/// Bytes of an entry: which function (4) and its result (4), and 24 of what it wrote.
pub const CLOCK_ENTRY: u64 = 32;

core::arch::global_asm!(
    r#"
    .pushsection .rodata.fred_vdso, "a", @progbits
    .balign 16

    /* r8: the buffer; r9: the entry; edx: which function; eax: the system call's number. Falls through when an entry is to
       be read, and jumps to \record when one is to be written. */
    .macro FRED_ENTRY which, record
    mov r8d, {buffer}
    21:
    mov rax, [r8]
    cmp rax, [r8 + 8]
    jae 22f
    lea r9, [r8 + rax + {header}]
    cmp qword ptr [r8 + 16], 0
    je \record
    cmp dword ptr [r9], \which
    je 23f
    22:
    mov eax, {flush}
    syscall
    jmp 21b
    23:
    mov eax, [r9 + 4]
    .endm

    .macro FRED_LEAVE
    add qword ptr [r8], {entry}
    xor ecx, ecx
    xor r11d, r11d
    ret
    .endm

    .globl fred_vdso_start
    fred_vdso_start:

    .globl fred_vdso_clock_gettime
    fred_vdso_clock_gettime:
    mov r8d, {buffer}
    1:
    mov rax, [r8]
    cmp rax, [r8 + 8]
    jae 2f
    lea r9, [r8 + rax + {header}]
    cmp qword ptr [r8 + 16], 0
    je 4f
    cmp [r9], edi
    je 3f
    2:
    mov eax, {flush}
    syscall
    jmp 1b
    3:
    mov eax, [r9 + 4]
    test eax, eax
    jnz 5f
    mov rcx, [r9 + 8]
    mov [rsi], rcx
    mov rcx, [r9 + 16]
    mov [rsi + 8], rcx
    jmp 5f
    4:
    mov eax, 228
    syscall
    mov [r9], edi
    mov [r9 + 4], eax
    test eax, eax
    jnz 5f
    mov rcx, [rsi]
    mov [r9 + 8], rcx
    mov rcx, [rsi + 8]
    mov [r9 + 16], rcx
    5:
    FRED_LEAVE

    .balign 16
    .globl fred_vdso_gettimeofday
    fred_vdso_gettimeofday:
    FRED_ENTRY 0x100, 4f
    test eax, eax
    jnz 9f
    test rdi, rdi
    jz 3f
    mov rcx, [r9 + 8]
    mov [rdi], rcx
    mov rcx, [r9 + 16]
    mov [rdi + 8], rcx
    3:
    test rsi, rsi
    jz 9f
    mov rcx, [r9 + 24]
    mov [rsi], rcx
    jmp 9f
    4:
    mov eax, 96
    syscall
    mov dword ptr [r9], 0x100
    mov [r9 + 4], eax
    test eax, eax
    jnz 9f
    test rdi, rdi
    jz 5f
    mov rcx, [rdi]
    mov [r9 + 8], rcx
    mov rcx, [rdi + 8]
    mov [r9 + 16], rcx
    5:
    test rsi, rsi
    jz 9f
    mov rcx, [rsi]
    mov [r9 + 24], rcx
    9:
    FRED_LEAVE

    .balign 16
    .globl fred_vdso_time
    fred_vdso_time:
    FRED_ENTRY 0x101, 4f
    mov rax, [r9 + 8]
    test rdi, rdi
    jz 9f
    mov [rdi], rax
    jmp 9f
    4:
    mov eax, 201
    syscall
    mov dword ptr [r9], 0x101
    mov dword ptr [r9 + 4], 0
    mov [r9 + 8], rax
    9:
    FRED_LEAVE

    .balign 16
    .globl fred_vdso_getcpu
    fred_vdso_getcpu:
    FRED_ENTRY 0x102, 4f
    test eax, eax
    jnz 9f
    test rdi, rdi
    jz 3f
    mov ecx, [r9 + 8]
    mov [rdi], ecx
    3:
    test rsi, rsi
    jz 9f
    mov ecx, [r9 + 16]
    mov [rsi], ecx
    jmp 9f
    4:
    mov eax, 309
    syscall
    mov dword ptr [r9], 0x102
    mov [r9 + 4], eax
    test eax, eax
    jnz 9f
    test rdi, rdi
    jz 5f
    mov ecx, [rdi]
    mov [r9 + 8], ecx
    5:
    test rsi, rsi
    jz 9f
    mov ecx, [rsi]
    mov [r9 + 16], ecx
    9:
    FRED_LEAVE

    /* read(2), jumped to from where the C library makes it (record/reads.rs), with nothing but rax, rcx and r11 to use. r11 is
       where to go on; two bytes before that is a system call for the tracer. An entry of this one has the number of bytes after
       which and descriptor, and then the bytes, rounded up to eight. */
    .balign 16
    .globl fred_vdso_read
    fred_vdso_read:
    mov ecx, {buffer}
    mov [rcx + 24], r11
    mov r11, [rcx]
    cmp qword ptr [rcx + 16], 0
    jne 4f
    cmp edi, {noted}
    jae 8f
    bt dword ptr [rcx + {ready} - {buffer}], edi
    jnc 8f
    cmp rdx, {longest}
    ja 8f
    lea r11, [r11 + rdx + 24]
    cmp r11, [rcx + 8]
    ja 8f
    xor eax, eax
    syscall
    mov ecx, {buffer}
    mov [rcx + 32], rdi
    mov [rcx + 40], rsi
    mov r11, [rcx]
    lea r11, [rcx + r11 + {header}]
    mov dword ptr [r11], 0x200
    mov [r11 + 4], edi
    mov [r11 + 8], rax
    add qword ptr [rcx], 16
    test rax, rax
    jle 7f
    lea rdi, [r11 + 16]
    jmp 6f
    4:
    cmp r11, [rcx + 8]
    jae 8f
    lea r11, [rcx + r11 + {header}]
    cmp dword ptr [r11], 0x200
    jne 8f
    cmp [r11 + 4], edi
    jne 8f
    mov [rcx + 32], rdi
    mov [rcx + 40], rsi
    add qword ptr [rcx], 16
    mov rax, [r11 + 8]
    test rax, rax
    jle 7f
    mov rdi, rsi
    lea rsi, [r11 + 16]
    6:
    mov rcx, rax
    rep movsb
    mov ecx, {buffer}
    lea r11, [rax + 7]
    and r11, -8
    add [rcx], r11
    7:
    mov rdi, [rcx + 32]
    mov rsi, [rcx + 40]
    mov r11, [rcx + 24]
    jmp r11
    8:
    xor eax, eax
    mov r11, [rcx + 24]
    sub r11, 2
    jmp r11

    /* Calls that never wait, jumped to like read: what they give is noted, or taken from an entry that has which call and half of
       an argument, the result, and what was written. \check: that argument; \room: sets r11 to the end of the entry, or goes to 8;
       \some: goes to 7 when nothing was written; \count: sets rcx to how much was; \to: where it was written. */
    .macro FRED_QUIET name, number, check, room, some, count, to
    .balign 16
    .globl \name
    \name:
    mov ecx, {buffer}
    mov [rcx + 24], r11
    mov r11, [rcx]
    cmp qword ptr [rcx + 16], 0
    jne 4f
    \room
    cmp r11, [rcx + 8]
    ja 8f
    mov eax, \number
    syscall
    mov ecx, {buffer}
    mov r11, [rcx]
    lea r11, [rcx + r11 + {header}]
    mov dword ptr [r11], 0x300 + \number
    mov [r11 + 4], \check
    mov [r11 + 8], rax
    add qword ptr [rcx], 16
    \some
    mov [rcx + 32], rdi
    mov [rcx + 40], rsi
    mov rsi, \to
    lea rdi, [r11 + 16]
    jmp 6f
    4:
    cmp r11, [rcx + 8]
    jae 8f
    lea r11, [rcx + r11 + {header}]
    cmp dword ptr [r11], 0x300 + \number
    jne 8f
    cmp [r11 + 4], \check
    jne 8f
    add qword ptr [rcx], 16
    mov rax, [r11 + 8]
    \some
    mov [rcx + 32], rdi
    mov [rcx + 40], rsi
    mov rdi, \to
    lea rsi, [r11 + 16]
    6:
    \count
    rep movsb
    \count
    lea r11, [rcx + 7]
    and r11, -8
    mov ecx, {buffer}
    add [rcx], r11
    mov rdi, [rcx + 32]
    mov rsi, [rcx + 40]
    7:
    mov r11, [rcx + 24]
    jmp r11
    8:
    mov eax, \number
    mov r11, [rcx + 24]
    sub r11, 2
    jmp r11
    .endm

    .macro FRED_ROOM_RESULT
    cmp rdx, {longest}
    ja 8f
    lea r11, [r11 + rdx + 24]
    .endm
    .macro FRED_ROOM_STAT
    add r11, 160
    .endm
    .macro FRED_ROOM_NONE
    add r11, 16
    .endm
    .macro FRED_SOME_RESULT
    test rax, rax
    jle 7f
    .endm
    .macro FRED_SOME_STAT
    test rax, rax
    jnz 7f
    .endm
    .macro FRED_SOME_NONE
    jmp 7f
    .endm
    .macro FRED_COUNT_RESULT
    mov rcx, rax
    .endm
    .macro FRED_COUNT_STAT
    mov ecx, 144
    .endm

    FRED_QUIET fred_vdso_readlink, 89, edi, FRED_ROOM_RESULT, FRED_SOME_RESULT, FRED_COUNT_RESULT, rsi
    FRED_QUIET fred_vdso_newfstatat, 262, esi, FRED_ROOM_STAT, FRED_SOME_STAT, FRED_COUNT_STAT, rdx
    FRED_QUIET fred_vdso_access, 21, edi, FRED_ROOM_NONE, FRED_SOME_NONE, FRED_COUNT_STAT, rdx
    FRED_QUIET fred_vdso_lseek, 8, edi, FRED_ROOM_NONE, FRED_SOME_NONE, FRED_COUNT_STAT, rdx

    /* Calls that write, likewise, to what never keeps a writer waiting. An entry has which call and descriptor, the number of
       bytes, and a checksum of them, which is compared in a replay: who writes something else comes to the tracer.
       The checksum, in rdi, of \seed and rax bytes from rsi on, with rcx: */
    .macro FRED_SUM seed
    mov rdi, \seed
    mov rcx, rax
    31:
    cmp rcx, 8
    jl 32f
    xor rdi, [rsi]
    imul rdi, rdi, 0x1e3779b1
    rol rdi, 29
    add rsi, 8
    sub rcx, 8
    jmp 31b
    32:
    test rcx, rcx
    jle 33f
    xor dil, [rsi]
    imul rdi, rdi, 0x1e3779b1
    rol rdi, 29
    inc rsi
    dec rcx
    jmp 32b
    33:
    mov ecx, {buffer}
    .endm

    .macro FRED_WRITE name, number, seed
    .balign 16
    .globl \name
    \name:
    mov ecx, {buffer}
    mov [rcx + 24], r11
    mov r11, [rcx]
    cmp qword ptr [rcx + 16], 0
    jne 4f
    cmp edi, {noted}
    jae 8f
    bt dword ptr [rcx + {ready} - {buffer}], edi
    jnc 8f
    cmp rdx, {longest}
    ja 8f
    add r11, 24
    cmp r11, [rcx + 8]
    ja 8f
    mov eax, \number
    syscall
    mov ecx, {buffer}
    mov [rcx + 32], rdi
    mov [rcx + 40], rsi
    mov r11, [rcx]
    lea r11, [rcx + r11 + {header}]
    mov dword ptr [r11], 0x300 + \number
    mov [r11 + 4], edi
    mov [r11 + 8], rax
    FRED_SUM \seed
    mov [r11 + 16], rdi
    add qword ptr [rcx], 24
    7:
    mov rdi, [rcx + 32]
    mov rsi, [rcx + 40]
    mov r11, [rcx + 24]
    jmp r11
    4:
    cmp r11, [rcx + 8]
    jae 8f
    lea r11, [rcx + r11 + {header}]
    cmp dword ptr [r11], 0x300 + \number
    jne 8f
    cmp [r11 + 4], edi
    jne 8f
    mov rax, [r11 + 8]
    cmp rax, rdx
    jg 8f
    mov [rcx + 32], rdi
    mov [rcx + 40], rsi
    FRED_SUM \seed
    cmp rdi, [r11 + 16]
    mov rdi, [rcx + 32]
    mov rsi, [rcx + 40]
    jne 8f
    add qword ptr [rcx], 24
    jmp 7b
    8:
    mov eax, \number
    mov r11, [rcx + 24]
    sub r11, 2
    jmp r11
    .endm

    FRED_WRITE fred_vdso_write, 1, rdx
    /* Where it is written counts, too. */
    FRED_WRITE fred_vdso_pwrite64, 18, r10

    .globl fred_vdso_end
    fred_vdso_end:
    .popsection
    "#,
    buffer = const CLOCK_BUFFER,
    header = const CLOCK_HEADER,
    entry = const CLOCK_ENTRY,
    flush = const crate::syscalls::FLUSH,
    ready = const READY_DESCRIPTORS,
    noted = const NOTED_DESCRIPTORS,
    longest = const LONGEST_READ,
);

unsafe extern "C" {
    static fred_vdso_start: u8;
    static fred_vdso_clock_gettime: u8;
    static fred_vdso_gettimeofday: u8;
    static fred_vdso_time: u8;
    static fred_vdso_getcpu: u8;
    static fred_vdso_read: u8;
    static fred_vdso_readlink: u8;
    static fred_vdso_newfstatat: u8;
    static fred_vdso_access: u8;
    static fred_vdso_lseek: u8;
    static fred_vdso_write: u8;
    static fred_vdso_pwrite64: u8;
    static fred_vdso_end: u8;
}

/// The code, and the names and offsets of its functions (vdso(7)).
pub fn vdso_functions() -> (&'static [u8], [(&'static str, u64); 4]) {
    let start = &raw const fred_vdso_start;
    let offset = |label: *const u8| label as u64 - start as u64;
    let functions = [
        ("__vdso_clock_gettime", offset(&raw const fred_vdso_clock_gettime)),
        ("__vdso_gettimeofday", offset(&raw const fred_vdso_gettimeofday)),
        ("__vdso_time", offset(&raw const fred_vdso_time)),
        ("__vdso_getcpu", offset(&raw const fred_vdso_getcpu)),
    ];
    let length = offset(&raw const fred_vdso_end);
    // SAFETY: the labels enclose bytes that the assembler has put into read-only data.
    #[allow(clippy::cast_possible_truncation)]
    let code = unsafe { std::slice::from_raw_parts(start, length as usize) };
    (code, functions)
}

/// Offset of the replacement of read(2) in the code.
pub fn vdso_read() -> u64 {
    &raw const fred_vdso_read as u64 - &raw const fred_vdso_start as u64
}

/// Numbers of the other calls that have a replacement, and the offsets of these in the code.
pub fn vdso_quiet() -> [(u32, u64); 6] {
    let offset = |label: *const u8| label as u64 - &raw const fred_vdso_start as u64;
    [
        (libc::SYS_readlink as u32, offset(&raw const fred_vdso_readlink)),
        (libc::SYS_newfstatat as u32, offset(&raw const fred_vdso_newfstatat)),
        (libc::SYS_access as u32, offset(&raw const fred_vdso_access)),
        (libc::SYS_lseek as u32, offset(&raw const fred_vdso_lseek)),
        (libc::SYS_write as u32, offset(&raw const fred_vdso_write)),
        (libc::SYS_pwrite64 as u32, offset(&raw const fred_vdso_pwrite64)),
    ]
}
