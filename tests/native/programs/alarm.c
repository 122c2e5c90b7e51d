/* All threads wait when a timer's signal comes, whose handler lets one of them go on. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>

static sem_t never, done;
static volatile int got, interrupted;

static void on_alarm(int signal)
{
    got += signal == SIGALRM;
}

static void *work(void *argument)
{
    sem_wait(&done);
    return argument;
}

int main(void)
{
    struct itimerval once = {{0, 0}, {0, 50000}};
    struct sigaction action = {.sa_handler = on_alarm};
    pthread_t thread;
    sigaction(SIGALRM, &action, NULL);
    sem_init(&never, 0, 0);
    sem_init(&done, 0, 0);
    pthread_create(&thread, NULL, work, NULL);
    setitimer(ITIMER_REAL, &once, NULL);
    while (sem_wait(&never) != 0 && !got)
        ;
    interrupted = errno == EINTR;
    sem_post(&done);
    pthread_join(thread, NULL);
    printf("%d\n", got);
    return 0;
}
