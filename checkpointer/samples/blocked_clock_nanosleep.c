/* A thread that is inside clock_nanosleep with an absolute time at the checkpoint. */
#include "blocked_call.h"
static struct timespec until;
static void prepare(void) { clock_gettime(CLOCK_MONOTONIC, &until), until.tv_sec += 1; }
static int block_here(void) { return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == 0; }
static void release(void) {}
