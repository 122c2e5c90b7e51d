/* A signal that comes by a system call which has a line of its own: a debugger that steps over that line steps over the call. */
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile int got;
static void on_user(int number)
{
    got += number;
}
int main(void)
{
    long result;
    signal(SIGUSR1, on_user);
    pid_t own = getpid();
    got = 1;
    __asm__ volatile("syscall" : "=a"(result) : "a"(SYS_kill), "D"(own), "S"(SIGUSR1) : "rcx", "r11", "memory");
    printf("%d\n", got);
    return (int)result;
}
