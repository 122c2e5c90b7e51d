/* A thread that is inside select with a timeout at the checkpoint. */
#include "blocked_call.h"
#include <sys/select.h>
static int ends[2];
static void prepare(void) { MUST(pipe(ends) == 0); }
static int block_here(void) {
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    return select(ends[0] + 1, &set, NULL, NULL, &(struct timeval){0, 700000}) == 0;
}
static void release(void) {}
