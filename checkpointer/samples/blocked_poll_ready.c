/* A thread that is inside poll that ends by data at the checkpoint. */
#include "blocked_call.h"
#include <poll.h>
static int ends[2];
static void prepare(void) { MUST(pipe(ends) == 0); }
static int block_here(void) {
    struct pollfd polled = {ends[0], POLLIN, 0};
    return poll(&polled, 1, 60000) == 1 && polled.revents == POLLIN;
}
static void release(void) { MUST(write(ends[1], "x", 1) == 1); }
