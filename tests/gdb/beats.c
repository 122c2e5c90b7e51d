/* A process to attach to: it counts, with as many threads beside it as it is told, until it is told to stop. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
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

int main(int argc, char **argv) {
    pthread_t threads[2];
    int count = argc > 1 ? atoi(argv[1]) : 0;
    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, work, NULL);
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
