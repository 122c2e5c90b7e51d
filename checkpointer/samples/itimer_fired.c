/* An interval timer that has fired, its signal not taken yet: it goes on when it is. */
#include "sample.h"
static void set_up(void) {
    struct itimerval every = {{0, 20000}, {0, 1000}};
    sigset_t pending;
    block(SIGALRM);
    MUST(setitimer(ITIMER_REAL, &every, NULL) == 0);
    do MUST(sigpending(&pending) == 0); while (!sigismember(&pending, SIGALRM));
}
static void mutate(void) {
    struct itimerval off = {{0, 0}, {0, 0}};
    siginfo_t info;
    sigset_t set = only(SIGALRM);
    MUST(setitimer(ITIMER_REAL, &off, NULL) == 0 && await_signal(&set, &info) == SIGALRM);
}
static void check(void) {
    siginfo_t info;
    sigset_t set = only(SIGALRM);
    for (int i = 0; i < 3; i++) MUST(await_signal(&set, &info) == SIGALRM);
}
