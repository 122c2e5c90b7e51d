/* Timers behind descriptors: one that runs, one with expiries not read, one with an absolute time, one not armed. */
#include "sample.h"
#include <sys/timerfd.h>
static int soon, ticked, absolute, idle;
static void set_up(void) {
    struct itimerspec setting = {{0, 0}, {0, 300000000}}, once = {{0, 0}, {0, 1}}, far;
    MUST((soon = timerfd_create(CLOCK_MONOTONIC, 0)) >= 0 && timerfd_settime(soon, 0, &setting, NULL) == 0);
    MUST((ticked = timerfd_create(CLOCK_MONOTONIC, 0)) >= 0 && timerfd_settime(ticked, 0, &once, NULL) == 0);
    far = (struct itimerspec){{7, 5}, {0, 0}};
    MUST(clock_gettime(CLOCK_REALTIME, &far.it_value) == 0);
    far.it_value.tv_sec += 1000;
    MUST((absolute = timerfd_create(CLOCK_REALTIME, 0)) >= 0 && timerfd_settime(absolute, TFD_TIMER_ABSTIME, &far, NULL) == 0);
    MUST((idle = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK)) >= 0);
}
static void mutate(void) {
    struct itimerspec off = {{0, 0}, {0, 0}}, once = {{0, 0}, {0, 1}};
    uint64_t ticks;
    MUST(read(ticked, &ticks, 8) == 8 && timerfd_settime(soon, 0, &off, NULL) == 0 && timerfd_settime(absolute, 0, &off, NULL) == 0);
    MUST(timerfd_settime(idle, 0, &once, NULL) == 0);
}
static void check(void) {
    struct itimerspec now;
    uint64_t ticks;
    MUST(read(soon, &ticks, 8) == 8 && ticks == 1);
    MUST(read(ticked, &ticks, 8) == 8 && ticks == 1);
    MUST(timerfd_gettime(absolute, &now) == 0 && now.it_value.tv_sec > 900 && now.it_value.tv_sec <= 1000);
    MUST(now.it_interval.tv_sec == 7 && now.it_interval.tv_nsec == 5);
    MUST(read(idle, &ticks, 8) == -1 && errno == EAGAIN);
}
