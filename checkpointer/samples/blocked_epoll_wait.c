/* A thread that is inside epoll_wait at the checkpoint. */
#include "blocked_call.h"
#include <sys/epoll.h>
static int ends[2], set;
static void prepare(void) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 9};
    MUST(pipe(ends) == 0 && (set = epoll_create1(0)) >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event) == 0);
}
static int block_here(void) {
    /* epoll_wait is one of the calls that signal(7) says are never restarted after a handler; a bare stop must not show. */
    struct epoll_event event;
    return epoll_wait(set, &event, 1, 60000) == 1 && event.data.u64 == 9;
}
static void release(void) { MUST(write(ends[1], "x", 1) == 1); }
