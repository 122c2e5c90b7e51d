    /* On pipes, sockets and the like: tried without waiting. Where that would wait or fails it is for the tracer, which makes it anew.
       r11d is the call's number. Out by fred_calls_give_up, fred_calls_copy, fred_calls_leave. */
    .macro FRED_KEEP
    mov [rcx + {saved} + 64], r10
    mov [rcx + {saved} + 72], r8
    mov [rcx + {saved} + 80], r9
    mov [rcx + {saved} + 88], r11
    .endm
    /* After a try: what else the caller has, and the beginning of the entry. EAGAIN, EFAULT, EINVAL, EPIPE (there was to be a signal), ENOTSOCK and
       EOPNOTSUPP come again if it is made again; other errors are those of the socket, which has told of them now. */
    .macro FRED_TRIED
    mov ecx, {buffer}
    mov rdi, [rcx + {saved}]
    mov rdx, [rcx + {saved} + 16]
    mov r10, [rcx + {saved} + 64]
    mov r8, [rcx + {saved} + 72]
    mov r9, [rcx + {saved} + 80]
    mov rsi, [rcx + {saved} + 88]
    .irp error, 11, 14, 22, 32, 88, 95
    cmp rax, -\error
    je 9f
    .endr
    mov r11, [rcx]
    lea r11, [rcx + r11 + {header}]
    mov [r11 + 4], edi
    mov [r11 + 8], rax
    mov qword ptr [r11 + 16], 0
    cmp esi, 40
    jb 3f
    mov [r11 + 16], r10
    3:
    add esi, {base} + {stream}
    mov [r11], esi
    add qword ptr [rcx], 32
    .endm
    /* In rsi the entry that comes next, which has to be this call's. */
    .macro FRED_NEXT
    mov rax, [rcx]
    6:
    cmp rax, [rcx + 8]
    jae fred_calls_give_up
    lea rsi, [rcx + rax + {header}]
    mov edi, [rsi]
    sub edi, {base} + {stream}
    cmp edi, r11d
    je 7f
    cmp qword ptr [rcx + 24], 1
    jne fred_calls_give_up
    cmp dword ptr [rsi], 1
    jne fred_calls_give_up
    add rax, 32
    jmp 6b
    7:
    mov edi, [rcx + {saved}]
    cmp [rsi + 4], edi
    jne fred_calls_give_up
    cmp r11d, 40
    jb 8f
    cmp [rsi + 16], r10
    jne fred_calls_give_up
    8:
    .endm
    /* With a socket's own calls: no address, and no flags but these. */
    .macro FRED_PLAIN_FLAGS flags
    test r8, r8
    jnz fred_calls_give_up
    test r10, ~\flags
    jnz fred_calls_give_up
    .endm

    fred_calls_receive:
    cmp rdx, {longest}
    ja fred_calls_give_up
    cmp r11d, 40
    jb 1f
    FRED_PLAIN_FLAGS 0x4042
    1:
    cmp qword ptr [rcx + {saved} + {read}], 0
    jne 5f
    lea rax, [rdx + 31 + 32]
    add rax, [rcx]
    cmp rax, [rcx + 8]
    ja fred_calls_give_up
    FRED_KEEP
    mov eax, 45
    or r10d, 0x40
    cmp r11d, 40
    jae 2f
    mov [rcx + {saved} + 32], rsi
    mov [rcx + {saved} + 40], rdx
    lea rsi, [rcx + {saved} + 32]
    mov edx, 1
    mov r10, -1
    xor r8d, r8d
    mov r9d, 8
    mov eax, 327
    2:
    syscall
    FRED_TRIED
    mov [r11 + 24], rdx
    test rax, rax
    jle fred_calls_leave
    mov rsi, [rcx + {saved} + 8]
    lea rdi, [r11 + 32]
    jmp fred_calls_copy
    5:
    FRED_NEXT
    cmp [rsi + 24], rdx
    jne fred_calls_give_up
    mov r11, rsi
    lea rax, [rsi + 32 - {header}]
    sub rax, rcx
    mov [rcx], rax
    mov rax, [r11 + 8]
    test rax, rax
    jle fred_calls_leave
    lea rsi, [r11 + 32]
    mov rdi, [rcx + {saved} + 8]
    jmp fred_calls_copy

    9:
    mov r11d, esi
    jmp fred_calls_give_up

    /* A pipe whose other end is closed is not tried: that gives a signal. */
    fred_calls_send:
    lea rax, [rdx - 1]
    cmp rax, {sent}
    jae fred_calls_give_up
    cmp r11d, 40
    jb 1f
    FRED_PLAIN_FLAGS 0x4040
    1:
    FRED_KEEP
    cmp qword ptr [rcx + {saved} + {read}], 0
    jne 5f
    mov rax, [rcx]
    add rax, 32
    cmp rax, [rcx + 8]
    ja fred_calls_give_up
    mov r10d, 0x4040
    xor r8d, r8d
    xor r9d, r9d
    mov eax, 44
    syscall
    cmp rax, -88
    jne 2f
    mov ecx, {buffer}
    mov [rcx + {saved} + 32], edi
    mov dword ptr [rcx + {saved} + 36], 4
    lea rdi, [rcx + {saved} + 32]
    mov esi, 1
    xor edx, edx
    mov eax, 7
    syscall
    mov ecx, {buffer}
    cmp word ptr [rcx + {saved} + 38], 4
    mov rax, -11
    jne 2f
    mov edi, [rcx + {saved}]
    mov rsi, [rcx + {saved} + 8]
    mov [rcx + {saved} + 32], rsi
    mov rdx, [rcx + {saved} + 16]
    mov [rcx + {saved} + 40], rdx
    lea rsi, [rcx + {saved} + 32]
    mov edx, 1
    mov r10, -1
    mov r9d, 8
    mov eax, 328
    syscall
    2:
    FRED_TRIED
    mov rsi, [rcx + {saved} + 8]
    FRED_WRITTEN
    mov [r11 + 24], rdi
    mov rax, [r11 + 8]
    jmp fred_calls_leave
    5:
    FRED_NEXT
    mov r11, rsi
    mov rsi, [rcx + {saved} + 8]
    FRED_WRITTEN
    cmp rdi, [r11 + 24]
    mov rsi, [rcx + {saved} + 88]
    jne 9f
    add qword ptr [rcx], 32
    lea rax, [r11 + 32 - {header}]
    sub rax, rcx
    mov [rcx], rax
    mov rax, [r11 + 8]
    jmp fred_calls_leave
    9:
    mov r11d, esi
    jmp fred_calls_give_up

    /* Calls on sockets alone. */
    .macro FRED_SOCKET name, number, bits, to
    .balign 16
    .globl \name
    \name:
    lahf
    seto al
    mov ecx, {buffer}
    cmp qword ptr [rcx + {mode}], 1
    ja 98f
    mov [rcx + {mode} + 8], r11
    mov [rcx + {saved}], rdi
    mov [rcx + {saved} + 8], rsi
    mov [rcx + {saved} + 16], rdx
    mov [rcx + {saved} + 24], rax
    mov rax, [rcx + {mode}]
    mov [rcx + {saved} + {read}], rax
    mov r11d, \number
    cmp rax, 1
    ja fred_calls_give_up
    cmp edi, {noted}
    jae fred_calls_give_up
    bt dword ptr [rcx + \bits - {buffer}], edi
    jnc fred_calls_give_up
    jmp \to
    98:
    add al, 0x7f
    sahf
    mov eax, \number
    jmp fred_calls_trapped
    .endm
    FRED_SOCKET fred_call_recvfrom, 45, {receiving}, fred_calls_receive
    FRED_SOCKET fred_call_sendto, 44, {sending}, fred_calls_send
