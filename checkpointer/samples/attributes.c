/* What prctl(2) set and fork resets: parent-death signal, child subreaper, scheduling with reset-on-fork. */
#include "sample.h"
#include <sched.h>
#include <sys/prctl.h>
static void set_up(void) {
    struct sched_param zero = {0};
    MUST(prctl(PR_SET_PDEATHSIG, SIGUSR2) == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 && prctl(PR_SET_TIMERSLACK, 77777) == 0);
    MUST(sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &zero) == 0);
    MUST(prctl(PR_SET_NAME, "a-name") == 0);
}
static void mutate(void) {
    MUST(prctl(PR_SET_PDEATHSIG, 0) == 0 && prctl(PR_SET_CHILD_SUBREAPER, 0) == 0 && prctl(PR_SET_TIMERSLACK, 1) == 0);
    MUST(prctl(PR_SET_NAME, "another") == 0);
}
static void check(void) {
    int signal = 0, reaper = 0;
    char name[16];
    MUST(prctl(PR_GET_PDEATHSIG, &signal) == 0 && signal == SIGUSR2);
    MUST(prctl(PR_GET_CHILD_SUBREAPER, &reaper) == 0 && reaper == 1 && prctl(PR_GET_TIMERSLACK) == 77777);
    MUST(sched_getscheduler(0) == (SCHED_BATCH | SCHED_RESET_ON_FORK));
    MUST(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "a-name") == 0);
}
