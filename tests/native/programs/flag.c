/* Workers spin for a start flag, add up their parts, and spin for each other at the end. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

static volatile int started;
static atomic_int finished;
static int parts[3];

static void *work(void *argument)
{
    int who = (int)(long)argument;
    while (!started)
        ;
    for (int i = 0; i < 100; i++)
        parts[who] += i;
    if (who == 1)
        parts[0] = -1;
    atomic_fetch_add(&finished, 1);
    while (atomic_load(&finished) < 3)
        ;
    return NULL;
}

static int sum(void)
{
    return parts[0] + parts[1] + parts[2];
}

int main(void)
{
    pthread_t threads[3];
    for (long i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, work, (void *)i);
    started = 1;
    while (atomic_load(&finished) < 3)
        ;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    printf("%d\n", sum());
    return 0;
}
