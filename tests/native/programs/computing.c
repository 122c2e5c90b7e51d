/* A timer's signals come to a program that only computes: how far it was then is noted by the handler. */
#include <signal.h>
#include <sys/time.h>

static volatile int ticks;
static volatile long count;
static long at[8];

static void on_alarm(int signal)
{
    at[ticks & 7] = count;
    ticks += signal == SIGALRM;
}

static void work(void)
{
    for (int i = 0; i < 50000; i++)
        count++;
}

int main(void)
{
    struct itimerval often = {{0, 3000}, {0, 3000}};
    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &often, 0);
    while (ticks < 8)
        work();
    return 0;
}
