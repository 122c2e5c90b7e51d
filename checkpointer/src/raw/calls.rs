//! Machine code that runs inside programs that are recorded in a session: calls on files, made and noted without a stop. The C
//! library jumps here from where it makes them (`supervisor/tape/sites.rs`). Like [`super::clocks`], whose buffer it shares: its header
//! says whether such a call is made and noted, given from the buffer, just made, or left to the tracer.
//!
//! r11 is the address of the library's own `syscall` instruction when one of these begins, and what `syscall` leaves alone may not
//! change. Whoever leaves a call to the tracer goes there. Otherwise the code goes on behind it. Registers and flags are the same both
//! ways, as after a system call, which leaves the flags in r11: states are compared.
//!
//! What may keep its caller waiting, on pipes and sockets, is tried (streams.s) without waiting, and left to the tracer if that gives nothing: so nobody
//! ever waits in here.
//!
//! An entry has 32 bytes, and then what was read, filled up to a multiple of that: which call (4), half of its first argument (4), the
//! result (8), and two words. The first one is where the file stands afterwards (read, write), or an argument; the second one is
//! another argument, or a checksum ([`call_sum`]) of what goes out.

use super::{CALL_BASE, CALL_MODE, CLOCK_BUFFER, CLOCK_HEADER, NOTED_DESCRIPTORS, READY_DESCRIPTORS};

/// Where it is noted which descriptors stand for files that do not change, as for those that never keep anybody waiting.
pub const STILL_DESCRIPTORS: u64 = READY_DESCRIPTORS + NOTED_DESCRIPTORS / 8;

/// Where it is noted which descriptors stand for pipes, sockets and the like, from which what is there is read without waiting.
pub const RECEIVING_DESCRIPTORS: u64 = STILL_DESCRIPTORS + NOTED_DESCRIPTORS / 8;

/// The same of those that take up to [`LONGEST_SENT`] bytes as a whole or not at all, or are not to wait.
pub const SENDING_DESCRIPTORS: u64 = RECEIVING_DESCRIPTORS + NOTED_DESCRIPTORS / 8;

/// Added to a call's number it says that it was made on a pipe or the like.
pub const STREAM_CALL: u32 = 0x800;

/// More bytes than that are sent for the tracer to see: what a pipe takes as a whole (PIPE_BUF, pipe(7)), and a local socket of any
/// size (net/unix/af_unix.c).
pub const LONGEST_SENT: u64 = 2048;

/// Where registers are kept meanwhile.
const SAVED: u64 = SENDING_DESCRIPTORS + NOTED_DESCRIPTORS / 8;

/// Where among these the mode is kept that was found: while recording is stopped it may become another one.
const MODE_READ: u64 = 192;

/// Reads and writes of more bytes are left to the tracer.
pub const LONGEST_CALL: u64 = 0x4000;

/// Paths that are longer are left to the tracer.
pub const LONGEST_PATH: u64 = 4096;

core::arch::global_asm!(
    r#"
    .pushsection .rodata.fred_calls, "a", @progbits
    .balign 16
    .globl fred_calls_start
    fred_calls_start:

    /* What was given goes from rsi to rdi, rax bytes of it. */
    fred_calls_copy:
    lea rdx, [rax + 31]
    mov rcx, rax
    rep movsb
    mov ecx, {buffer}
    and rdx, -32
    add [rcx], rdx
    mov rax, [r11 + 8]
    fred_calls_leave:
    mov rdi, [rcx + {saved}]
    mov rsi, [rcx + {saved} + 8]
    mov rdx, rax
    mov rax, [rcx + {saved} + 24]
    movzx ecx, al
    shl ecx, 11
    mov r11d, eax
    shr r11d, 8
    and r11d, 0xff
    or r11d, 0x200
    or r11d, ecx
    add al, 0x7f
    sahf
    mov rax, rdx
    mov ecx, {buffer}
    mov rdx, [rcx + {saved} + 16]
    mov rcx, [rcx + {mode} + 8]
    lea rcx, [rcx + 2]
    .globl fred_calls_done
    fred_calls_done:
    jmp rcx
    fred_calls_give_up:
    mov rdi, [rcx + {saved}]
    mov rsi, [rcx + {saved} + 8]
    mov rdx, [rcx + {saved} + 16]
    mov rax, [rcx + {saved} + 24]
    add al, 0x7f
    sahf
    mov eax, r11d
    mov r11, [rcx + {mode} + 8]
    .globl fred_calls_trapped
    fred_calls_trapped:
    jmp r11

    /* The checksum, in rdi, which has the seed, of rax bytes from rsi on; goes on at rdx. */
    fred_calls_sum:
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
    jmp rdx

    /* \plain: whether it is made where nothing is noted; \fits: whether it is for us; \room: sets rax to how much it may give at most; \note, \same: fill and compare the two words of
       the entry in r11; \count: sets rax to how much it gave; \to: where that goes. Out by 97 (made, and not noted), 99 (for the tracer), 90. */
    .macro FRED_CALL name, number, plain, fits, room, note, same, count, to
    .balign 16
    .globl \name
    \name:
    .if \number == 0
    xor eax, eax
    .endif
    lahf
    seto al
    mov ecx, {buffer}
    cmp qword ptr [rcx + {mode}], 2
    ja 98f
    mov [rcx + {mode} + 8], r11
    mov [rcx + {saved}], rdi
    mov [rcx + {saved} + 8], rsi
    mov [rcx + {saved} + 16], rdx
    mov [rcx + {saved} + 24], rax
    mov rax, [rcx + {mode}]
    mov [rcx + {saved} + {read}], rax
    cmp rax, 2
    ja 99f
    jne 40f
    \plain
    40:
    \fits
    cmp qword ptr [rcx + {saved} + {read}], 0
    jne 50f
    \room
    add rax, [rcx]
    add rax, 32
    cmp rax, [rcx + 8]
    ja 99f
    mov eax, \number
    syscall
    mov ecx, {buffer}
    cmp rax, -14
    je 99f
    cmp rax, -27
    je 99f
    mov r11, [rcx]
    lea r11, [rcx + r11 + {header}]
    mov dword ptr [r11], {base} + \number
    mov [r11 + 4], edi
    mov [r11 + 8], rax
    \note
    add qword ptr [rcx], 32
    mov rax, [r11 + 8]
    \count
    mov rsi, [rcx + {saved} + \to]
    lea rdi, [r11 + 32]
    jmp 70f
    50:
    mov rax, [rcx]
    51:
    cmp rax, [rcx + 8]
    jae 99f
    lea r11, [rcx + rax + {header}]
    cmp dword ptr [r11], {base} + \number
    jne 52f
    cmp [r11 + 4], edi
    jne 99f
    \same
    lea rax, [r11 + 32 - {header}]
    sub rax, rcx
    mov [rcx], rax
    mov rax, [r11 + 8]
    \count
    lea rsi, [r11 + 32]
    mov rdi, [rcx + {saved} + \to]
    70:
    jmp fred_calls_copy
    /* Where a debugger shares the process, and they are not told otherwise, its readings of the monotonic clock may be missing. */
    52:
    cmp qword ptr [rcx + 24], 1
    jne 99f
    cmp dword ptr [r11], 1
    jne 99f
    add rax, 32
    jmp 51b
    97:
    mov eax, \number
    syscall
    mov ecx, {buffer}
    90:
    jmp fred_calls_leave
    99:
    mov r11d, \number
    jmp fred_calls_give_up
    98:
    add al, 0x7f
    sahf
    mov eax, \number
    jmp fred_calls_trapped
    .endm

    .macro FRED_PLAIN_NEVER
    jmp 99f
    .endm
    .macro FRED_PLAIN_ALWAYS
    jmp 97f
    .endm
    /* Of a regular file of a file system with blocks: those of the kernel's own may wait. struct stat has its mode at 24, and the
       number of blocks at 64. */
    .macro FRED_PLAIN_FILE
    lea rsi, [rcx + {saved} + 32]
    mov eax, 5
    syscall
    mov ecx, {buffer}
    mov rsi, [rcx + {saved} + 8]
    test eax, eax
    jnz 99f
    mov eax, [rcx + {saved} + 32 + 24]
    and eax, 0xf000
    cmp eax, 0x8000
    jne 99f
    cmp qword ptr [rcx + {saved} + 32 + 64], 0
    je 99f
    jmp 97f
    .endm

    .macro FRED_FITS_FILE
    cmp edi, {noted}
    jae 99f
    bt dword ptr [rcx + {still} - {buffer}], edi
    jc 97f
    bt dword ptr [rcx + {ready} - {buffer}], edi
    jnc 99f
    .endm
    .macro FRED_FITS_OR number, bits, to
    cmp edi, {noted}
    jae 99f
    bt dword ptr [rcx + {still} - {buffer}], edi
    jc 97f
    bt dword ptr [rcx + {ready} - {buffer}], edi
    jc 42f
    bt dword ptr [rcx + \bits - {buffer}], edi
    jnc 99f
    mov r11d, \number
    jmp \to
    42:
    .endm
    .macro FRED_FITS_READ
    FRED_FITS_OR 0, {receiving}, fred_calls_receive
    .endm
    .macro FRED_FITS_WRITE
    FRED_FITS_OR 1, {sending}, fred_calls_send
    .endm
    .macro FRED_FITS_ALL
    .endm
    /* Without a path it is about the descriptor, which a debugger in the process has other ones of than the program. */
    .macro FRED_FITS_STAT
    cmp qword ptr [rcx + 24], 0
    je 41f
    test rsi, rsi
    jz 99f
    cmp byte ptr [rsi], 0
    jne 41f
    FRED_FITS_FILE
    41:
    .endm

    .macro FRED_NEEDS_RESULT
    cmp rdx, {longest}
    ja 99f
    lea rax, [rdx + 31]
    .endm
    .macro FRED_NEEDS_SUM
    cmp rdx, {longest}
    ja 99f
    xor eax, eax
    .endm
    .macro FRED_NEEDS_STAT
    mov eax, 160
    .endm
    .macro FRED_NEEDS_NONE
    xor eax, eax
    .endm

    .macro FRED_GIVES_RESULT
    test rax, rax
    jle 90f
    .endm
    .macro FRED_GIVES_STAT
    test rax, rax
    jnz 90f
    mov eax, 144
    .endm
    .macro FRED_GIVES_NONE
    jmp 90f
    .endm

    /* Where the file stands. */
    .macro FRED_POSITION
    xor esi, esi
    mov edx, 1
    mov eax, 8
    syscall
    mov ecx, {buffer}
    mov r11, [rcx]
    lea r11, [rcx + r11 + {header}]
    mov [r11 + 16], rax
    .endm

    .macro FRED_CHECKSUM
    lea rdx, [rip + 39f]
    jmp fred_calls_sum
    39:
    .endm

    /* The same of a path. */
    .macro FRED_PATH seed, pointer
    mov rdi, \seed
    mov rsi, [rcx + {saved} + \pointer]
    xor eax, eax
    35:
    cmp byte ptr [rsi + rax], 0
    je 36f
    inc eax
    cmp eax, {path}
    jne 35b
    36:
    FRED_CHECKSUM
    .endm

    .macro FRED_NOTE_READ
    mov [r11 + 24], rdx
    FRED_POSITION
    .endm
    .macro FRED_SAME_READ
    cmp [r11 + 24], rdx
    jne 99f
    .endm

    .macro FRED_NOTE_TWO first, second
    mov [r11 + 16], \first
    mov [r11 + 24], \second
    .endm
    .macro FRED_SAME_TWO first, second
    cmp [r11 + 16], \first
    jne 99f
    cmp [r11 + 24], \second
    jne 99f
    .endm

    /* What was not written as a whole is known by its length alone: there may be nothing to read behind that. */
    .macro FRED_WRITTEN
    mov rdi, [rcx + {saved} + 16]
    mov rax, [r11 + 8]
    cmp rax, rdi
    je 34f
    xor eax, eax
    34:
    FRED_CHECKSUM
    .endm
    .macro FRED_NOTE_SUM
    mov rsi, [rcx + {saved} + 8]
    FRED_WRITTEN
    mov [r11 + 24], rdi
    .endm
    .macro FRED_NOTE_WRITE
    FRED_POSITION
    FRED_NOTE_SUM
    .endm
    .macro FRED_NOTE_PWRITE
    mov [r11 + 16], r10
    FRED_NOTE_SUM
    .endm
    .macro FRED_SAME_WRITE
    FRED_WRITTEN
    cmp rdi, [r11 + 24]
    jne 99f
    .endm
    .macro FRED_SAME_PWRITE
    cmp [r11 + 16], r10
    jne 99f
    FRED_SAME_WRITE
    .endm

    .macro FRED_NOTE_PATH pointer, seed
    mov rax, [rcx + {saved} + \pointer]
    mov [r11 + 16], rax
    FRED_PATH \seed, \pointer
    mov [r11 + 24], rdi
    .endm
    .macro FRED_SAME_PATH pointer, seed
    mov rax, [rcx + {saved} + \pointer]
    cmp [r11 + 16], rax
    jne 99f
    FRED_PATH \seed, \pointer
    cmp rdi, [r11 + 24]
    jne 99f
    .endm

    "#,
    include_str!("streams.s"),
    r#"
    FRED_CALL fred_call_read, 0, FRED_PLAIN_FILE, FRED_FITS_READ, FRED_NEEDS_RESULT, FRED_NOTE_READ, FRED_SAME_READ, FRED_GIVES_RESULT, 8
    FRED_CALL fred_call_pread64, 17, FRED_PLAIN_FILE, FRED_FITS_FILE, FRED_NEEDS_RESULT, "FRED_NOTE_TWO r10, rdx", "FRED_SAME_TWO r10, rdx", FRED_GIVES_RESULT, 8
    FRED_CALL fred_call_write, 1, FRED_PLAIN_NEVER, FRED_FITS_WRITE, FRED_NEEDS_SUM, FRED_NOTE_WRITE, FRED_SAME_WRITE, FRED_GIVES_NONE, 8
    FRED_CALL fred_call_pwrite64, 18, FRED_PLAIN_NEVER, FRED_FITS_FILE, FRED_NEEDS_SUM, FRED_NOTE_PWRITE, FRED_SAME_PWRITE, FRED_GIVES_NONE, 8
    FRED_CALL fred_call_lseek, 8, FRED_PLAIN_FILE, FRED_FITS_FILE, FRED_NEEDS_NONE, "FRED_NOTE_TWO rsi, rdx", "FRED_SAME_TWO rsi, rdx", FRED_GIVES_NONE, 8
    FRED_CALL fred_call_newfstatat, 262, FRED_PLAIN_ALWAYS, FRED_FITS_STAT, FRED_NEEDS_STAT, "FRED_NOTE_PATH 8, r10", "FRED_SAME_PATH 8, r10", FRED_GIVES_STAT, 16
    FRED_CALL fred_call_readlink, 89, FRED_PLAIN_ALWAYS, FRED_FITS_ALL, FRED_NEEDS_RESULT, "FRED_NOTE_PATH 0, rdx", "FRED_SAME_PATH 0, rdx", FRED_GIVES_RESULT, 8
    FRED_CALL fred_call_access, 21, FRED_PLAIN_ALWAYS, FRED_FITS_ALL, FRED_NEEDS_NONE, "FRED_NOTE_PATH 0, rsi", "FRED_SAME_PATH 0, rsi", FRED_GIVES_NONE, 8

    .globl fred_calls_end
    fred_calls_end:
    .popsection
    "#,
    buffer = const CLOCK_BUFFER,
    header = const CLOCK_HEADER,
    mode = const CALL_MODE - CLOCK_BUFFER,
    base = const CALL_BASE,
    saved = const SAVED - CLOCK_BUFFER,
    read = const MODE_READ,
    ready = const READY_DESCRIPTORS,
    still = const STILL_DESCRIPTORS,
    receiving = const RECEIVING_DESCRIPTORS,
    sending = const SENDING_DESCRIPTORS,
    stream = const STREAM_CALL,
    sent = const LONGEST_SENT,
    noted = const NOTED_DESCRIPTORS,
    longest = const LONGEST_CALL,
    path = const LONGEST_PATH,
);

unsafe extern "C" {
    static fred_calls_start: u8;
    static fred_calls_done: u8;
    static fred_calls_trapped: u8;
    static fred_call_read: u8;
    static fred_call_pread64: u8;
    static fred_call_write: u8;
    static fred_call_pwrite64: u8;
    static fred_call_lseek: u8;
    static fred_call_newfstatat: u8;
    static fred_call_readlink: u8;
    static fred_call_access: u8;
    static fred_call_recvfrom: u8;
    static fred_call_sendto: u8;
    static fred_calls_end: u8;
}

fn offset(label: *const u8) -> u64 {
    label as u64 - &raw const fred_calls_start as u64
}

/// The code.
pub fn call_code() -> &'static [u8] {
    super::clocks::between(&raw const fred_calls_start, &raw const fred_calls_end)
}

/// Numbers of the calls, and the offsets in the code of what makes them.
pub fn call_functions() -> [(u32, u64); 10] {
    [
        (libc::SYS_read as u32, offset(&raw const fred_call_read)),
        (libc::SYS_pread64 as u32, offset(&raw const fred_call_pread64)),
        (libc::SYS_write as u32, offset(&raw const fred_call_write)),
        (libc::SYS_pwrite64 as u32, offset(&raw const fred_call_pwrite64)),
        (libc::SYS_lseek as u32, offset(&raw const fred_call_lseek)),
        (libc::SYS_newfstatat as u32, offset(&raw const fred_call_newfstatat)),
        (libc::SYS_readlink as u32, offset(&raw const fred_call_readlink)),
        (libc::SYS_access as u32, offset(&raw const fred_call_access)),
        (libc::SYS_recvfrom as u32, offset(&raw const fred_call_recvfrom)),
        (libc::SYS_sendto as u32, offset(&raw const fred_call_sendto)),
    ]
}

/// Offsets of the instructions by which the code is left, of two bytes each.
pub fn call_exits() -> [u64; 2] {
    [offset(&raw const fred_calls_done), offset(&raw const fred_calls_trapped)]
}

/// The checksum that the code makes of what goes out.
pub fn call_sum(seed: u64, bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x1e37_79b1;
    let mix = |sum: u64| sum.wrapping_mul(FACTOR).rotate_left(29);
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words.iter().fold(seed, |sum, word| mix(sum ^ u64::from_le_bytes(*word)));
    rest.iter().fold(sum, |sum, byte| mix(sum ^ u64::from(*byte)))
}
