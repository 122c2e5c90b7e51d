/* A program that is told by a signal what to do, and takes note of it. */
#include <signal.h>

static volatile int told, work, seen[4];

static void on_user(int signal)
{
    seen[told & 3] = work;
    told += signal == SIGUSR1;
}

static void step(void)
{
    for (int i = 0; i < 1000; i++)
        work++;
}

int main(void)
{
    signal(SIGUSR1, on_user);
    for (int round = 0; round < 6; round++)
        step();
    return told;
}
