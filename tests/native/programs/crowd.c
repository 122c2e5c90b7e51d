/* Threads that read and write thousands of times and meet at a lock, while one starts programs, or a timer ticks every so many microseconds. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 3, ROUNDS = 1500 };
#ifndef SPAWNS
#define SPAWNS 0
#endif
#ifndef EVERY
#define EVERY 0
#endif
extern char **environ;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile long total, rounds, ticks, statuses;
static int out, noise;

static void on_alarm(int number) { ticks++; }

static void enter(long me, long value)
{
    pthread_mutex_lock(&lock);
    total = total * 31 + value + me;
    rounds++;
    pthread_mutex_unlock(&lock);
}

static void *work(void *argument)
{
    long me = (long) argument, value;
    struct timespec now;
    char text[64];
    for (int i = 0; i < ROUNDS; i++) {
        clock_gettime(CLOCK_REALTIME, &now);
        read(noise, &value, sizeof value);
        int length = snprintf(text, sizeof text, "%ld %d\n", me, i);
        write(out, text, length);
        enter(me, value + now.tv_nsec + ticks);
    }
    return NULL;
}

static void *spawn(void *none)
{
    for (int i = 0; i < SPAWNS; i++) {
        char text[32];
        sprintf(text, "exit %d", i);
        char *arguments[] = {"sh", "-c", text, NULL};
        pid_t made;
        int status;
        posix_spawn(&made, "/bin/sh", NULL, NULL, arguments, environ);
        waitpid(made, &status, 0);
        enter(7, WEXITSTATUS(status));
        statuses += WEXITSTATUS(status);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS], other;
    signal(SIGALRM, on_alarm);
    struct itimerval every = {{0, EVERY}, {0, EVERY}};
    setitimer(ITIMER_REAL, &every, NULL);
    out = open("lines", O_WRONLY | O_CREAT | O_APPEND, 0644);
    noise = open("/dev/urandom", O_RDONLY);
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, (void *) i);
    pthread_create(&other, NULL, spawn, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_join(other, NULL);
    close(out);
    every = (struct itimerval) {};
    setitimer(ITIMER_REAL, &every, NULL);
    return total == 0;
}
