/* A thread that is inside read on a pipe at the checkpoint. */
#include "blocked_call.h"
static int ends[2];
static void prepare(void) { MUST(pipe(ends) == 0); }
static int block_here(void) { char c; return read(ends[0], &c, 1) == 1 && c == 'x'; }
static void release(void) { MUST(write(ends[1], "x", 1) == 1); }
