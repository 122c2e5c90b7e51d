/* A timer's signals come while the program waits, and between its calls: how far it was then is noted by the handler. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { TICKS = 12 };

static volatile int ticks, phase;
static volatile long count, at[TICKS + 1];
static long rest, failed;

static void on_alarm(int signal)
{
    if (ticks < TICKS)
        at[ticks] = 1000000 * phase + count;
    ticks += signal == SIGALRM;
}

static void work(void)
{
    struct timespec now;
    for (int i = 0; i < 200; i++)
        count++;
    clock_getres(CLOCK_MONOTONIC, &now);
    getppid();
    access("/", F_OK);
}

int main(void)
{
    struct itimerval often = {{0, 3000}, {0, 3000}}, never = {{0, 0}, {0, 0}};
    struct timespec second = {1, 0}, left = {0, 0};
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    phase = 1;
    while (ticks < 4)
        pause();
    phase = 2;
    while (ticks < 8)
        work();
    phase = 3;
    while (ticks < TICKS) {
        failed += nanosleep(&second, &left) == -1 && errno == EINTR;
        rest += left.tv_nsec;
    }
    setitimer(ITIMER_REAL, &never, NULL);
    printf("%d ticks, %ld sleeps\n", ticks, failed);
    return 0;
}
