/* A thread that is inside a futex wait with a timeout, ended by a wake at the checkpoint. */
#include "blocked_call.h"
#include <linux/futex.h>
static volatile int word;
static void prepare(void) {}
static int block_here(void) {
    return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &(struct timespec){60, 0}, NULL, 0) == 0 || errno == EAGAIN;
}
/* Woken until it is gone: after a restore it may not have come back to its wait yet. */
static void release(void) {
    word = 1;
    while (!ended) syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
