/* A second thread sleeps in one system call over the checkpoint. A sample gives prepare(), block_here(), which makes the call
 * and returns whether it ended as it should, and release(), which ends it from outside (or nothing, when it ends by time).
 * After a restore the call must still be under way, end in its own way, and never report EINTR. */
#include "threads.h"

static void prepare(void);
static int block_here(void);
static void release(void);

static pthread_t other;
static volatile int ended;

static void *run(void *nothing) {
    (void)nothing;
    other_tid = gettid();
    int fine = block_here();
    ended = 1;
    return (void *)(intptr_t)(fine ? 1 : 100 + errno);
}
static void set_up(void) {
    prepare();
    MUST(pthread_create(&other, NULL, run, NULL) == 0);
    await_sleep();
    MUST(!ended);
}
static void finish(void) {
    void *result;
    release();
    MUST(pthread_join(other, &result) == 0);
    errno = (int)(intptr_t)result - 100;
    MUST((intptr_t)result == 1);
}
static void mutate(void) { finish(); }
#ifdef AFTER_CHECK
static void check(void) { finish(); AFTER_CHECK(); }
#else
static void check(void) { finish(); }
#endif
