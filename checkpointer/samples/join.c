/* Many threads, joined through their clear-child-tid words. */
#include "threads.h"
enum { THREADS = 8 };
static pthread_t threads[THREADS];
static int ends[2];
static sem_t there;
static void *run(void *number) {
    char c;
    sem_post(&there);
    return read(ends[0], &c, 1) == 1 ? number : NULL;
}
static void set_up(void) {
    MUST(pipe(ends) == 0 && sem_init(&there, 0, 0) == 0);
    for (intptr_t i = 0; i < THREADS; i++) MUST(pthread_create(&threads[i], NULL, run, (void *)(i + 1)) == 0);
    for (int i = 0; i < THREADS; i++) while (sem_wait(&there) != 0) {}
}
static void check(void) {
    MUST(write(ends[1], "12345678", THREADS) == THREADS);
    for (intptr_t i = 0; i < THREADS; i++) {
        void *result;
        MUST(pthread_join(threads[i], &result) == 0 && (intptr_t)result == i + 1);
    }
}
static void mutate(void) { check(); }
