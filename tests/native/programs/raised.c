/* A handler of a signal that the program sends itself. */
#include <signal.h>
#include <stdio.h>
static volatile int got;
static void on_user(int number)
{
    got++;
    got += number;
}
int main(void)
{
    signal(SIGUSR1, on_user);
    got = 1;
    raise(SIGUSR1);
    printf("%d\n", got);
    return 0;
}
