/* A vector register (ymm7, 4 words) of a thread that sits in a system call: the kernel keeps it whole over a raw one. */
#include "threads.h"
static pthread_t other;
static int ends[2];
static const uint64_t pattern[8] = {0x1111, 0x2222, 0x3333, 0x4444, 0x5555, 0x6666, 0x7777, 0x8888};
static uint64_t out[8];
__attribute__((target("avx2"))) static void *run(void *nothing) {
    static char byte;
    long result = SYS_read;
    other_tid = gettid();
    __asm__ volatile("vmovdqu (%[in]), %%ymm7\n\tsyscall\n\tvmovdqu %%ymm7, (%[out])"
                     : "+a"(result)
                     : "D"((long)ends[0]), "S"(&byte), "d"(1L), [in] "r"(pattern), [out] "r"(out)
                     : "rcx", "r11", "memory", "xmm7");
    (void)nothing;
    return (void *)result;
}
static void set_up(void) {
    if (!__builtin_cpu_supports("avx2")) return;
    MUST(pipe(ends) == 0 && pthread_create(&other, NULL, run, NULL) == 0);
    await_sleep();
}
static void check(void) {
    void *result;
    if (!__builtin_cpu_supports("avx2")) return;
    MUST(write(ends[1], "x", 1) == 1 && pthread_join(other, &result) == 0 && (long)result == 1);
    MUST(memcmp(out, pattern, 4 * 8) == 0);
}
static void mutate(void) { check(), memset(out, 9, sizeof out); }
