/* A timer's signals come to a program that goes round one loop without a call: how far it was then is noted by the handler. */
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>

static volatile int ticks;
static volatile long count;
static long at[8];

static void on_alarm(int signal)
{
    at[ticks & 7] = count;
    ticks += signal == SIGALRM;
}

int main(void)
{
    struct itimerval often = {{0, 20000}, {0, 20000}};
    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &often, 0);
    while (ticks < 4)
        count++;
    return 0;
}
