/* An interval timer interrupts a computation, and its handler counts. */
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>

static volatile sig_atomic_t ticks;

static void tick(int signal) {
    (void)signal;
    ticks++;
}

static void seen(int ticks) {
    (void)ticks;
}

int main(void) {
    struct itimerval every = {{0, 2000}, {0, 2000}};
    volatile unsigned long work = 0;
    signal(SIGALRM, tick);
    setitimer(ITIMER_REAL, &every, NULL);
    while (ticks < 20)
        work++;
    seen(ticks);
    while (ticks < 40)
        work++;
    seen(ticks);
    printf("%d\n", ticks >= 40);
    return 0;
}
