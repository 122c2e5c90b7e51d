/* A thread that is inside a futex wait with a relative timeout at the checkpoint. */
#include "blocked_call.h"
#include <linux/futex.h>
static int word;
static void prepare(void) {}
static int block_here(void) {
    return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &(struct timespec){0, 700000000}, NULL, 0) == -1 && errno == ETIMEDOUT;
}
static void release(void) {}
