/* POSIX timers of every kind of notice, with gaps in their ids; one whose signal waits. */
#include "sample.h"
static int process, thread, nobody, fired, periodic;
static int make(int clock, int notify, int signal, int data) {
    struct sigevent event = {.sigev_notify = notify, .sigev_signo = signal, .sigev_value.sival_int = data};
    event._sigev_un._tid = gettid();
    int id = -1;
    MUST(syscall(SYS_timer_create, clock, &event, &id) == 0);
    return id;
}
static void arm(int id, long nanoseconds, long interval) {
    struct itimerspec setting = {{interval, 0}, {nanoseconds / 1000000000, nanoseconds % 1000000000}};
    MUST(syscall(SYS_timer_settime, id, 0, &setting, NULL) == 0);
}
static void set_up(void) {
    block(SIGUSR1), block(SIGUSR2), block(SIGRTMIN), block(SIGRTMIN + 1);
    int gap = make(CLOCK_REALTIME, SIGEV_NONE, 0, 0);
    process = make(CLOCK_REALTIME, SIGEV_SIGNAL, SIGUSR1, 11);
    int other_gap = make(CLOCK_REALTIME, SIGEV_NONE, 0, 0);
    thread = make(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGUSR2, 12);
    nobody = make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_NONE, 0, 13);
    fired = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 14);
    periodic = make(CLOCK_BOOTTIME, SIGEV_SIGNAL, SIGRTMIN + 1, 15);
    MUST(syscall(SYS_timer_delete, gap) == 0 && syscall(SYS_timer_delete, other_gap) == 0);
    arm(process, 300000000, 0), arm(thread, 310000000, 0), arm(nobody, 1000000000000, 0), arm(fired, 1, 0), arm(periodic, 900000000000, 50);
    sigset_t set;
    do MUST(sigpending(&set) == 0); while (!sigismember(&set, SIGRTMIN));
}
static void mutate(void) {
    siginfo_t info;
    sigset_t set = only(SIGRTMIN);
    MUST(await_signal(&set, &info) == SIGRTMIN);
    MUST(syscall(SYS_timer_delete, process) == 0 && syscall(SYS_timer_delete, thread) == 0);
    arm(nobody, 5, 0), arm(periodic, 5, 0);
}
static void check(void) {
    siginfo_t info;
    struct itimerspec now;
    sigset_t set = only(SIGRTMIN);
    MUST(await_signal(&set, &info) == SIGRTMIN && info.si_value.sival_int == 14 && info.si_code == SI_TIMER && info.si_timerid == fired);
    set = only(SIGUSR1);
    MUST(await_signal(&set, &info) == SIGUSR1 && info.si_value.sival_int == 11 && info.si_timerid == process);
    set = only(SIGUSR2);
    MUST(await_signal(&set, &info) == SIGUSR2 && info.si_value.sival_int == 12 && info.si_timerid == thread);
    MUST(syscall(SYS_timer_gettime, nobody, &now) == 0 && now.it_value.tv_sec >= 990 && now.it_value.tv_sec <= 1000);
    MUST(syscall(SYS_timer_gettime, periodic, &now) == 0 && now.it_interval.tv_sec == 50 && now.it_value.tv_sec > 800);
    arm(fired, 1, 0);
    set = only(SIGRTMIN);
    MUST(await_signal(&set, &info) == SIGRTMIN && info.si_timerid == fired);
}
