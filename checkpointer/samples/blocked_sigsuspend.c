/* A thread that is inside sigsuspend at the checkpoint. */
#include "blocked_call.h"
static volatile sig_atomic_t handled;
static void handle(int signal) { (void)signal; handled++; }
static void prepare(void) {
    block(SIGUSR1);
    MUST(sigaction(SIGUSR1, &(struct sigaction){.sa_handler = handle}, NULL) == 0);
}
static int block_here(void) {
    sigset_t set;
    sigprocmask(SIG_BLOCK, NULL, &set);
    sigdelset(&set, SIGUSR1);
    int returned = sigsuspend(&set), reason = errno;
    sigprocmask(SIG_BLOCK, NULL, &set);
    return returned == -1 && reason == EINTR && handled == 1 && sigismember(&set, SIGUSR1);
}
static void release(void) { MUST(pthread_kill(other, SIGUSR1) == 0); }
