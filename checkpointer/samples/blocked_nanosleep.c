/* A thread that is inside nanosleep: restarted by restart_syscall with the time that remains at the checkpoint. */
#include "blocked_call.h"
static void prepare(void) {}
static int block_here(void) { return nanosleep(&(struct timespec){0, 700000000}, NULL) == 0; }
static void release(void) {}
