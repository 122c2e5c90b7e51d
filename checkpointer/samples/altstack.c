/* The alternate signal stack, and a handler on it. */
#include "sample.h"
static char *stack;
static volatile sig_atomic_t on_it;
static void handle(int signal) { char here; (void)signal; on_it = &here >= stack && &here < stack + 65536; }
static void set_up(void) {
    stack = malloc(65536);
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};
    MUST(sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = 65536}, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
}
static void mutate(void) {
    MUST(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL) == 0);
    signal(SIGUSR1, SIG_IGN);
}
static void check(void) {
    stack_t now;
    MUST(sigaltstack(NULL, &now) == 0 && now.ss_sp == stack && now.ss_size == 65536 && now.ss_flags == 0);
    MUST(kill(getpid(), SIGUSR1) == 0 && on_it);
}
