/* Calls that signals interrupt, and handlers in handlers: what happened in which order is noted. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile int trace[64], length, inside;
static long chance;
static sigset_t none, alarm_only;

static void say(int what)
{
    trace[length++] = what;
}

/* Blocked signals in a handler tell with which mask it was entered. */
static void on_alarm(int signal, siginfo_t *info, void *context)
{
    sigset_t now, before = ((ucontext_t *) context)->uc_sigmask;
    int here;
    sigprocmask(SIG_BLOCK, NULL, &now);
    say(1000 + 100 * sigismember(&now, SIGUSR1) + 10 * sigismember(&before, SIGUSR1) + sigismember(&before, SIGALRM));
    stack_t stack;
    sigaltstack(NULL, &stack);
    if ((stack.ss_flags & SS_ONSTACK) != 0)
        say((char *) &here >= (char *) stack.ss_sp && (char *) &here < (char *) stack.ss_sp + stack.ss_size);
    (void) signal, (void) info;
}

static void on_user(int signal)
{
    say(200 + inside);
    inside++;
    if (signal == SIGUSR1)
        raise(SIGUSR2);
    inside--;
    say(210 + inside);
}

static void on_child(int signal)
{
    int status;
    (void) signal;
    pid_t child = waitpid(-1, &status, WNOHANG);
    say(300 + (child > 0 ? WEXITSTATUS(status) : 99));
}

/* Late enough for the call that is to be interrupted to have begun, on a busy machine, too. */
static void soon(int microseconds)
{
    struct itimerval once = {{0, 0}, {0, microseconds}};
    setitimer(ITIMER_REAL, &once, NULL);
}

static void handle(int signal, void (*handler)(), int flags)
{
    struct sigaction action = {.sa_flags = flags};
    if ((flags & SA_SIGINFO) != 0)
        action.sa_sigaction = (void (*)(int, siginfo_t *, void *)) handler;
    else
        action.sa_handler = (void (*)(int)) handler;
    sigaction(signal, &action, NULL);
}

static void waits(void)
{
    sigset_t user = none, set;
    struct timespec long_enough = {2, 0}, left = {0, 0};
    char byte;
    int ends[2], epoll = epoll_create1(0);
    pipe(ends);
    sigaddset(&user, SIGUSR1);

    handle(SIGALRM, on_alarm, SA_SIGINFO);
    soon(20000);
    say(pause() == -1 ? errno : 0);
    soon(20000);
    say(nanosleep(&long_enough, &left) == -1 ? errno : 0);
    say(left.tv_sec == 1 && left.tv_nsec > 500000000);
    chance = left.tv_nsec;
    soon(20000);
    say(read(ends[0], &byte, 1) == -1 ? errno : 0);
    /* With another mask meanwhile. */
    sigprocmask(SIG_BLOCK, &alarm_only, NULL);
    soon(20000);
    say(sigsuspend(&user) == -1 ? errno : 0);
    soon(20000);
    say(ppoll(NULL, 0, &long_enough, &user) == -1 ? errno : 0);
    soon(20000);
    say(epoll_pwait(epoll, &(struct epoll_event){0}, 1, 2000, &user) == -1 ? errno : 0);
    soon(20000);
    say(pselect(0, NULL, NULL, NULL, &long_enough, &user) == -1 ? errno : 0);
    soon(20000);
    siginfo_t info;
    say(sigwaitinfo(&alarm_only, &info) == SIGALRM && info.si_code == SI_KERNEL);
    soon(20000);
    while (sigpending(&set), !sigismember(&set, SIGALRM))
        usleep(1000);
    say(400);
    sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
    usleep(1);
    say(epoll_wait(epoll, &(struct epoll_event){0}, 1, (soon(20000), 2000)) == -1 ? errno : 0);
    close(epoll);
    /* Made again: the answer comes from the handler's side. */
    handle(SIGALRM, on_alarm, SA_SIGINFO | SA_RESTART | SA_ONSTACK);
    stack_t stack = {.ss_sp = malloc(SIGSTKSZ), .ss_size = SIGSTKSZ};
    sigaltstack(&stack, NULL);
    pid_t child = fork();
    if (child == 0) {
        usleep(20000);
        write(ends[1], "x", 1);
        _exit(3);
    }
    soon(4000);
    say(read(ends[0], &byte, 1) == 1 ? byte : -errno);
    say(waitpid(child, NULL, 0) == child);
}

static void nested(void)
{
    handle(SIGUSR1, on_user, 0);
    handle(SIGUSR2, on_user, 0);
    raise(SIGUSR1);
    /* From outside. */
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        usleep(3000);
        kill(parent, SIGUSR1);
        _exit(0);
    }
    pause();
    waitpid(child, NULL, 0);
}

static void children(void)
{
    handle(SIGCHLD, on_child, SA_RESTART);
    for (int i = 1; i < 4; i++) {
        int before = length;
        if (fork() == 0)
            _exit(i);
        while (length == before)
            usleep(1000);
    }
    handle(SIGPIPE, on_user, 0);
    int ends[2];
    pipe(ends);
    close(ends[0]);
    say(write(ends[1], "x", 1) == -1 ? errno : 0);
}

int main(void)
{
    sigemptyset(&none);
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    waits();
    nested();
    children();
    say(0);
    return 0;
}
