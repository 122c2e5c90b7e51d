// Several threads wait when the process is ended by one of them; before that one of them ends alone, and the first thread too.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_barrier_t all;

static void *waits(void *nothing) {
    pthread_barrier_wait(&all);
    for (;;) pause();
}

static void *leaves(void *nothing) {
    pthread_barrier_wait(&all);
    return nothing;
}

static void *ends(void *first) {
    pthread_barrier_wait(&all);
    pthread_join(*(pthread_t *)first, NULL);
    puts("the first thread has ended");
    exit(6);
}

int main(void) {
    static pthread_t threads[3], self;
    self = pthread_self();
    pthread_barrier_init(&all, NULL, 4);
    pthread_create(&threads[0], NULL, waits, NULL);
    pthread_create(&threads[1], NULL, leaves, NULL);
    pthread_create(&threads[2], NULL, ends, &self);
    pthread_barrier_wait(&all);
    pthread_join(threads[1], NULL);
    pthread_exit(NULL);
}
