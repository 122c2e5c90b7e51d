/* A process to attach to: it counts, with as many threads beside it as it is told, until it is told to stop. "idle": with threads
 * that wait, in several ways, for what never comes. */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile int stop, beats;

static void beat(void) {
    int before = beats;
    beats = before + 1;
}

static void *work(void *x) {
    while (!stop)
        usleep(500);
    return x;
}

static int ends[2];
static sem_t never;

static void *in_read(void *x) {
    char c;
    return read(ends[0], &c, 1) == 1 ? x : NULL;
}

static void *in_poll(void *x) {
    struct pollfd one = {ends[0], POLLIN, 0};
    return poll(&one, 1, -1) == 1 ? x : NULL;
}

static void *in_futex(void *x) {
    return sem_wait(&never) == 0 ? x : NULL;
}

int main(int argc, char **argv) {
    pthread_t threads[2];
    int count = argc > 1 ? atoi(argv[1]) : 0;
    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    if (argc > 1 && strcmp(argv[1], "idle") == 0) {
        void *(*idle[])(void *) = {in_read, in_poll, in_futex};
        if (pipe(ends) || sem_init(&never, 0, 0))
            return 1;
        for (int i = 0; i < 3; i++)
            pthread_create(&threads[0], NULL, idle[i], NULL);
    }
    puts("ready");
    fflush(stdout);
    while (!stop && beats < 100000) {
        beat();
        usleep(300);
    }
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    return 3;
}
