/* The robust list: a thread ends while it holds a robust mutex, and the next owner is told. */
#include "threads.h"
static pthread_t other;
static int ends[2];
static pthread_mutex_t mutex;
static void *run(void *nothing) {
    char c;
    (void)nothing;
    pthread_mutex_lock(&mutex);
    other_tid = gettid();
    return read(ends[0], &c, 1) == 1 ? NULL : "read";
}
static void set_up(void) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    MUST(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0 && pthread_mutex_init(&mutex, &attributes) == 0);
    MUST(pipe(ends) == 0 && pthread_create(&other, NULL, run, NULL) == 0);
    await_sleep();
}
static void check(void) {
    void *wrong;
    MUST(pthread_mutex_trylock(&mutex) == EBUSY);
    MUST(write(ends[1], "x", 1) == 1 && pthread_join(other, &wrong) == 0 && wrong == NULL);
    MUST(pthread_mutex_lock(&mutex) == EOWNERDEAD && pthread_mutex_consistent(&mutex) == 0 && pthread_mutex_unlock(&mutex) == 0);
}
static void mutate(void) { check(); }
