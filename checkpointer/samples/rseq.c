/* Restartable sequences, as glibc registered them: the kernel keeps the processor's number up to date. */
#include "threads.h"
#include <sched.h>
#if defined(__has_include) && __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
static pthread_t other;
static int ends[2];
static const char *verify(void) {
    if (__rseq_size == 0) return NULL;
    struct rseq *area = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);
    cpu_set_t before, one;
    if (sched_getaffinity(0, sizeof before, &before) != 0) return "affinity";
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &before)) continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (sched_setaffinity(0, sizeof one, &one) != 0) return "pinning";
        if ((int)area->cpu_id != cpu) return "rseq does not follow the processor";
    }
    return sched_setaffinity(0, sizeof before, &before) == 0 ? NULL : "unpinning";
}
static void *run(void *nothing) {
    char c;
    (void)nothing;
    other_tid = gettid();
    return read(ends[0], &c, 1) == 1 ? (void *)verify() : "read";
}
static void set_up(void) {
    MUST(pipe(ends) == 0 && pthread_create(&other, NULL, run, NULL) == 0);
    await_sleep();
}
static void check(void) {
    void *wrong;
    const char *own = verify();
    MUST(write(ends[1], "x", 1) == 1 && pthread_join(other, &wrong) == 0);
    if (own || wrong) fail_at(__FILE__, __LINE__, own ? own : wrong);
}
#else
static void set_up(void) {}
static void check(void) {}
#endif
static void mutate(void) { check(); }
