#include <pthread.h>

static pthread_barrier_t all, over;
static volatile int arrived;

static void meet(void) {
    arrived++;
    arrived += 0;
}

static void *work(void *which) {
    pthread_barrier_wait(&all);
    pthread_barrier_wait(&over);
    return which;
}

int main(void) {
    pthread_t threads[3];
    pthread_barrier_init(&all, NULL, 4);
    pthread_barrier_init(&over, NULL, 4);
    for (long i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, work, (void *)i);
    pthread_barrier_wait(&all);
    meet();
    pthread_barrier_wait(&over);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
