/* A thread that is inside waitpid for a live child at the checkpoint. */
#include "blocked_call.h"
static pid_t child;
static int ends[2];
static void prepare(void) {
    MUST(pipe(ends) == 0);
    if ((child = fork()) == 0) {
        char c;
        close(ends[1]);
        _exit(read(ends[0], &c, 1) == 1 ? 7 : 9);
    }
}
static int block_here(void) { int status; return waitpid(child, &status, 0) == child && status == 7 << 8; }
static void release(void) { MUST(write(ends[1], "x", 1) == 1); }
