/* A fault is left by its handler with siglongjmp. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static sigjmp_buf back;
static volatile int *nowhere;
static volatile int faults, sum;

static void handler(int number)
{
    faults++;
    siglongjmp(back, number);
}

static int load(int at)
{
    int twice = at * 2;
    int value = *nowhere;
    return value + twice;
}

static int tried(int at)
{
    int got;
    if (sigsetjmp(back, 1) == 0) {
        got = load(at);
    } else {
        got = -1;
        sum += at;
    }
    sum++;
    return got;
}

int main(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigaction(SIGSEGV, &action, NULL);
    int total = 0;
    for (int i = 0; i < 3; i++) {
        total += tried(i);
        total += 10;
    }
    printf("%d %d %d\n", total, faults, sum);
    return 0;
}
