// A signal that comes between two calls, the second of which waits for what its handler does.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static int ends[2];
static void wakes(int number) {
    char byte = number;
    write(ends[1], &byte, 1);
}

int main(void) {
    struct sigaction action = {.sa_handler = wakes};
    sigset_t both, before;
    char byte;
    pipe(ends);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    sigemptyset(&both);
    sigaddset(&both, SIGUSR1);
    sigaddset(&both, SIGUSR2);
    for (int round = 0; round < 20; round++) {
        sigprocmask(SIG_BLOCK, &both, &before);
        raise(SIGUSR1);
        raise(SIGUSR2);
        // They come at the end of this call, of which a recorder sees nothing.
        sigprocmask(SIG_SETMASK, &before, NULL);
        for (int i = 0; i < 2; i++) {
            long got = read(ends[0], &byte, 1);
            printf("%ld %d ", got, byte);
        }
    }
    puts("");
    return 0;
}
