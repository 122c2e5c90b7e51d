/* The program's own ids: getpid, gettid, raise, kill, pthread_kill of both threads, and their handlers. */
#include "threads.h"
static pthread_t other;
static int ends[2];
static pid_t pid;
static volatile sig_atomic_t handled;
static volatile pid_t handler_tid;
static void handle(int signal) { (void)signal; handler_tid = gettid(), handled++; }
static void *run(void *nothing) {
    char c;
    (void)nothing;
    pid_t tid = other_tid = gettid();
    ssize_t got;
    do got = read(ends[0], &c, 1); while (got < 0 && errno == EINTR);
    if (got != 1) return "read";
    if (gettid() != tid || getpid() != pid) return "ids of the second thread";
    return raise(SIGUSR1) == 0 && handler_tid == tid ? NULL : "raise in the second thread";
}
static void set_up(void) {
    pid = getpid();
    MUST(sigaction(SIGUSR1, &(struct sigaction){.sa_handler = handle}, NULL) == 0);
    MUST(pipe(ends) == 0 && pthread_create(&other, NULL, run, NULL) == 0);
    await_sleep();
}
static void check(void) {
    void *wrong;
    MUST(getpid() == pid && gettid() == pid && raise(SIGUSR1) == 0 && handled == 1 && handler_tid == pid);
    MUST(pthread_kill(pthread_self(), SIGUSR1) == 0 && handled == 2 && syscall(SYS_tgkill, pid, pid, SIGUSR1) == 0 && handled == 3);
    MUST(pthread_kill(other, SIGUSR1) == 0);
    while (handled < 4) {}
    MUST(handler_tid == other_tid && write(ends[1], "x", 1) == 1 && pthread_join(other, &wrong) == 0);
    if (wrong) fail_at(__FILE__, __LINE__, wrong);
    pid_t child = fork();
    int status;
    if (child == 0) _exit(getppid() == pid ? 0 : 9);
    MUST(waitpid(child, &status, 0) == child && status == 0);
}
static void mutate(void) { MUST(raise(SIGUSR1) == 0 && write(ends[1], "x", 1) == 1 && pthread_join(other, NULL) == 0); }
