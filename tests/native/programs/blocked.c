/* A signal that the program sends itself waits while it is blocked, and while the program computes. */
#include <signal.h>
#include <stdio.h>

static volatile int got;
static volatile long done;

static void on_user(int number, siginfo_t *information, void *context)
{
    (void) number, (void) information, (void) context;
    got++;
}

static void compute(long rounds)
{
    for (long i = 0; i < rounds; i++)
        done++;
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_user, .sa_flags = SA_SIGINFO};
    sigset_t user;
    sigaction(SIGUSR1, &action, NULL);
    sigemptyset(&user);
    sigaddset(&user, SIGUSR1);
    sigprocmask(SIG_BLOCK, &user, NULL);
    raise(SIGUSR1);
    compute(50000000);
    sigprocmask(SIG_UNBLOCK, &user, NULL);
    compute(50000000);
    printf("%d\n", got);
    return 0;
}
