/* Signals that wait: for the process, for the thread, and a queue of real-time ones in order. */
#include "sample.h"
static void set_up(void) {
    int signals[] = {SIGUSR1, SIGUSR2, SIGRTMIN + 3, SIGSEGV};
    for (int i = 0; i < 4; i++) block(signals[i]);
    MUST(kill(getpid(), SIGUSR1) == 0 && syscall(SYS_tgkill, getpid(), gettid(), SIGUSR2) == 0);
    for (int i = 0; i < 3; i++) MUST(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_int = 40 + i}) == 0);
}
static void mutate(void) {
    siginfo_t info;
    sigset_t set = only(SIGUSR1);
    MUST(await_signal(&set, &info) == SIGUSR1);
    set = only(SIGRTMIN + 3);
    MUST(await_signal(&set, &info) == SIGRTMIN + 3);
}
static void check(void) {
    siginfo_t info;
    sigset_t set = only(SIGUSR1);
    MUST(await_signal(&set, &info) == SIGUSR1 && info.si_code == SI_USER && info.si_uid == getuid());
    set = only(SIGUSR2);
    MUST(await_signal(&set, &info) == SIGUSR2 && (info.si_code == SI_TKILL || info.si_code == SI_USER));
    set = only(SIGRTMIN + 3);
    for (int i = 0; i < 3; i++) MUST(await_signal(&set, &info) == SIGRTMIN + 3 && info.si_value.sival_int == 40 + i && info.si_code == SI_QUEUE);
    MUST(sigpending(&set) == 0 && sigisemptyset(&set));
}
