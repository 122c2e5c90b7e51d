/* A thread that is inside poll with a timeout at the checkpoint. */
#include "blocked_call.h"
#include <poll.h>
static int ends[2];
static void prepare(void) { MUST(pipe(ends) == 0); }
static int block_here(void) {
    struct pollfd polled = {ends[0], POLLIN, 0};
    return poll(&polled, 1, 700) == 0;
}
static void release(void) {}
