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
    seen = before + number % 7;
    if (seen > 5)
        seen -= even(2);
}

static int raised(int times)
{
    static int sum;
    sum = 0;
    for (int i = 0; i < times; i++) {
        raise(SIGURG);
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
    sigaction(SIGURG, &action, NULL);
    int total = raised(3);
    total += odd(5);
    raise(SIGURG);
    total += raised(2) + depth;
    return total & 63;
}
