/* Thread-local storage, the thread's name, its signal mask and its alternate stack; then join. */
#include "threads.h"
#include <sys/prctl.h>
static pthread_t other;
static int ends[2];
static __thread int mine = 5;
static char stack[65536];
static volatile sig_atomic_t on_it;
static void handle(int signal) { char here; (void)signal; on_it = &here >= stack && &here < stack + sizeof stack; }
static void *run(void *nothing) {
    char c, name[16];
    sigset_t set;
    stack_t now;
    (void)nothing;
    mine = 77;
    block(SIGURG);
    prctl(PR_SET_NAME, "second");
    if (sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL) != 0) return "sigaltstack";
    other_tid = gettid();
    if (read(ends[0], &c, 1) != 1) return "read";
    if (mine != 77) return "thread-local variable";
    if (prctl(PR_GET_NAME, name) != 0 || strcmp(name, "second") != 0) return "name";
    if (pthread_sigmask(SIG_BLOCK, NULL, &set) != 0 || !sigismember(&set, SIGURG) || sigismember(&set, SIGUSR1)) return "mask";
    if (sigaltstack(NULL, &now) != 0 || now.ss_sp != stack || now.ss_size != sizeof stack) return "alternate stack";
    if (pthread_kill(pthread_self(), SIGUSR1) != 0 || !on_it) return "handler on the alternate stack";
    return NULL;
}
static void set_up(void) {
    MUST(sigaction(SIGUSR1, &(struct sigaction){.sa_handler = handle, .sa_flags = SA_ONSTACK}, NULL) == 0);
    MUST(pipe(ends) == 0 && pthread_create(&other, NULL, run, NULL) == 0);
    await_sleep();
}
static void check(void) {
    void *wrong;
    MUST(mine == 5 && write(ends[1], "x", 1) == 1 && pthread_join(other, &wrong) == 0);
    if (wrong) fail_at(__FILE__, __LINE__, wrong);
}
static void mutate(void) { check(), mine = 6; }
