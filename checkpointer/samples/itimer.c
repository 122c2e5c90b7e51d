/* The three interval timers. */
#include "sample.h"
static void set_up(void) {
    struct itimerval real = {{0, 0}, {0, 300000}}, virtual = {{1, 2}, {500, 0}}, profile = {{3, 4}, {700, 0}};
    block(SIGALRM);
    MUST(setitimer(ITIMER_REAL, &real, NULL) == 0 && setitimer(ITIMER_VIRTUAL, &virtual, NULL) == 0 && setitimer(ITIMER_PROF, &profile, NULL) == 0);
}
static void mutate(void) {
    struct itimerval off = {{0, 0}, {0, 0}};
    for (int which = 0; which < 3; which++) MUST(setitimer(which, &off, NULL) == 0);
}
static void check(void) {
    struct itimerval now;
    siginfo_t info;
    sigset_t set = only(SIGALRM);
    MUST(await_signal(&set, &info) == SIGALRM);
    MUST(getitimer(ITIMER_VIRTUAL, &now) == 0 && now.it_interval.tv_sec == 1 && now.it_interval.tv_usec == 2);
    MUST(now.it_value.tv_sec >= 498 && now.it_value.tv_sec <= 500);
    MUST(getitimer(ITIMER_PROF, &now) == 0 && now.it_interval.tv_usec == 4 && now.it_value.tv_sec >= 698);
}
