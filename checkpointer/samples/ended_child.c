/* Children that ended and were not waited for. */
#include "sample.h"
static pid_t exited, killed;
static void set_up(void) {
    siginfo_t info;
    if ((exited = fork()) == 0) _exit(3);
    if ((killed = fork()) == 0) for (;;) pause();
    MUST(kill(killed, SIGKILL) == 0);
    MUST(waitid(P_PID, (id_t)exited, &info, WEXITED | WNOWAIT) == 0 && waitid(P_PID, (id_t)killed, &info, WEXITED | WNOWAIT) == 0);
}
static void mutate(void) { MUST(wait(NULL) > 0 && wait(NULL) > 0 && wait(NULL) == -1); }
static void check(void) {
    int status;
    siginfo_t info;
    MUST(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0 && (info.si_pid == exited || info.si_pid == killed));
    MUST(waitpid(exited, &status, 0) == exited && status == 3 << 8);
    MUST(waitpid(-1, &status, WNOHANG) == killed && status == SIGKILL);
    MUST(wait(NULL) == -1 && errno == ECHILD);
}
