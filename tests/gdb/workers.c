/* Threads with names that meet, and go on one after the other. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>

static pthread_barrier_t begun, over;
static int total;

static void meet(void) {
    total++;
    total--;
}

static void *work(void *which) {
    char name[16];
    long number = (long)which;
    snprintf(name, sizeof name, "worker-%ld", number);
    pthread_setname_np(pthread_self(), name);
    pthread_barrier_wait(&begun);
    pthread_barrier_wait(&over);
    return which;
}

int main(void) {
    pthread_t threads[2];
    pthread_barrier_init(&begun, NULL, 3);
    pthread_barrier_init(&over, NULL, 3);
    for (long i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, work, (void *)i);
    pthread_barrier_wait(&begun);
    meet();
    pthread_barrier_wait(&over);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
