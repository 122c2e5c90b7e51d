/* Signals that a process sends itself, and that wait until a call takes them or lets them in. */
#define _GNU_SOURCE
#include <signal.h>
#include <time.h>
#include <unistd.h>

static volatile int got, taken, before[4];

static void on_user(int signal)
{
    before[got & 3] = taken;
    got += signal == SIGUSR1;
}

static void pause_a_little(void)
{
    nanosleep(&(struct timespec){0, 1000000}, NULL);
}

int main(void)
{
    sigset_t user, none;
    sigemptyset(&none);
    sigemptyset(&user);
    sigaddset(&user, SIGUSR1);
    signal(SIGUSR1, on_user);
    pause_a_little();
    sigprocmask(SIG_BLOCK, &user, NULL);
    kill(getpid(), SIGUSR1);
    taken += sigtimedwait(&user, NULL, &(struct timespec){1, 0});
    sigprocmask(SIG_UNBLOCK, &user, NULL);
    pause_a_little();
    sigprocmask(SIG_BLOCK, &user, NULL);
    raise(SIGUSR1);
    sigsuspend(&none);
    sigprocmask(SIG_UNBLOCK, &user, NULL);
    pause_a_little();
    return got;
}
