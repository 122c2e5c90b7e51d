/* A thread computes while a message arrives from a child for the main thread, which waits for it. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static volatile long steps, half, sum;
static pthread_barrier_t begun;

static void middle(void)
{
    half = steps;
}

static void chunk(void)
{
    for (int i = 0; i < 1000000; i++)
        sum += i;
    steps++;
}

static void *compute(void *argument)
{
    pthread_barrier_wait(&begun);
    while (steps < 40)
        chunk();
    middle();
    return argument;
}

int main(void)
{
    int ends[2];
    pthread_t thread;
    char *message = malloc(4096);
    pthread_barrier_init(&begun, NULL, 2);
    if (pipe(ends) != 0)
        return 1;
    if (fork() == 0) {
        usleep(10000);
        write(ends[1], "hello", 6);
        _exit(0);
    }
    pthread_create(&thread, NULL, compute, NULL);
    pthread_barrier_wait(&begun);
    read(ends[0], message, 4096);
    pthread_join(thread, NULL);
    puts(message);
    return 0;
}
