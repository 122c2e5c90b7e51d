/* An epoll set: entries added, changed and removed, edges, a one-shot. */
#include "sample.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
static int set, level, changed, edge, added;
static int control(int operation, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(set, operation, fd, &event);
}
static void set_up(void) {
    MUST((set = epoll_create1(0)) >= 0);
    level = eventfd(1, 0), changed = eventfd(1, 0), edge = eventfd(1, 0), added = eventfd(1, 0);
    MUST(control(EPOLL_CTL_ADD, level, EPOLLIN, 1) == 0 && control(EPOLL_CTL_ADD, changed, EPOLLIN | EPOLLONESHOT, 2) == 0);
    MUST(control(EPOLL_CTL_ADD, edge, EPOLLIN | EPOLLET, 3) == 0);
}
static void mutate(void) {
    struct epoll_event events[8];
    MUST(epoll_wait(set, events, 8, 0) == 3);
    MUST(control(EPOLL_CTL_DEL, level, 0, 0) == 0 && control(EPOLL_CTL_MOD, changed, EPOLLOUT, 77) == 0);
    MUST(control(EPOLL_CTL_ADD, added, EPOLLIN, 4) == 0);
    int other = eventfd(1, 0);
    MUST(control(EPOLL_CTL_ADD, other, EPOLLIN, 5) == 0);
}
static void check(void) {
    struct epoll_event events[8];
    MUST(epoll_wait(set, events, 8, 1000) == 3);
    uint64_t seen = 0;
    for (int i = 0; i < 3; i++) seen |= 1u << events[i].data.u64;
    MUST(seen == (1 << 1 | 1 << 2 | 1 << 3));
    MUST(epoll_wait(set, events, 8, 0) == 1 && events[0].data.u64 == 1);
    MUST(control(EPOLL_CTL_ADD, added, EPOLLIN, 4) == 0);
}
