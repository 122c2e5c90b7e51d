/* A signal handler, on a stack of its own, that calls and changes things; calls at the end of functions; mutual recursion. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>

static volatile int seen;
static int depth;

static int even(int n);

static int odd(int n)
{
    depth++;
    return n == 0 ? 0 : even(n - 1);
}

static int even(int n)
{
    depth++;
    return n == 0 ? 1 : odd(n - 1);
}

static void handler(int number)
{
    int before = seen;
    seen = before + number % 4;
    if (seen > 5)
        seen -= even(2);
}

static int raised(int times)
{
    /* Not on the stack: what is there before the first assignment is different each time. */
    static int sum, i;
    sum = 0;
    for (i = 0; i < times; i++) {
        raise(SIGALRM);
        sum += seen;
    }
    return sum;
}

int main(void)
{
    static char stack[65536];
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    sigaltstack(&other, NULL);
    sigaction(SIGALRM, &action, NULL);
    int total = raised(3);
    total += odd(5);
    raise(SIGALRM);
    total += raised(2) + depth;
    return total & 63;
}
