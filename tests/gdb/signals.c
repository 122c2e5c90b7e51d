/* Signals: handled, ignored, sent by raise and by a timer, and one that ends the program. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile int handled, last;

static void handler(int number, siginfo_t *info, void *context) {
    (void)context;
    handled++;
    last = number + (info->si_code == SI_TKILL ? 100 : 0);
}

static void done(void) { last = 0; }

int main(int argc, char **argv) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    (void)argv;
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGRTMIN + 3, &action, NULL);
    raise(SIGUSR1);
    raise(SIGUSR2);
    raise(SIGRTMIN + 3);
    kill(getpid(), SIGUSR1);
    done();
    if (argc > 1)
        *(volatile int *)NULL = 1;
    abort();
}
