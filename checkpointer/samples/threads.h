/* For samples with a second thread: it tells when it is there, and whether it still waits in the kernel. */
#ifndef THREADS_H
#define THREADS_H
#include "sample.h"
#include <pthread.h>
#include <semaphore.h>

static volatile pid_t other_tid;

/* Waits until the thread `other_tid` sleeps in the kernel: field 3 of its stat is S. */
static inline void await_sleep(void) {
    char name[64], text[600];
    for (;;) {
        if (other_tid == 0) continue;
        snprintf(name, sizeof name, "/proc/self/task/%d/stat", (int)other_tid);
        int fd = open(name, O_RDONLY);
        ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        if (fd >= 0) close(fd);
        if (length <= 0) continue;
        text[length] = 0;
        char *end = strrchr(text, ')');
        if (end && end[2] == 'S') return;
    }
}

static inline double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}
#endif
