/* A signal that a child sends waits, because it is blocked: it is taken by a call, or it comes when that ends. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int got, taken;

static void on_user(int signal)
{
    got += signal == SIGUSR1;
}

/* The child has ended when this returns, and its signal waits. */
static void be_told(void)
{
    pid_t child = fork();
    if (child == 0) {
        kill(getppid(), SIGUSR1);
        _exit(0);
    }
    waitpid(child, 0, 0);
}

int main(void)
{
    sigset_t user;
    signal(SIGUSR1, on_user);
    sigemptyset(&user);
    sigaddset(&user, SIGUSR1);
    sigprocmask(SIG_BLOCK, &user, 0);
    be_told();
    taken += sigwaitinfo(&user, 0) == SIGUSR1;
    sigprocmask(SIG_UNBLOCK, &user, 0);
    access("/", F_OK);
    return got;
}
