/* A thread that is inside pthread_cond_timedwait at the checkpoint. */
#include "blocked_call.h"
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int flag;
static void prepare(void) {}
static int block_here(void) {
    struct timespec limit;
    int result = 0;
    clock_gettime(CLOCK_REALTIME, &limit), limit.tv_sec += 60;
    pthread_mutex_lock(&mutex);
    while (!flag && result == 0) result = pthread_cond_timedwait(&condition, &mutex, &limit);
    pthread_mutex_unlock(&mutex);
    return result == 0 && flag;
}
static void release(void) { pthread_mutex_lock(&mutex), flag = 1, pthread_cond_signal(&condition), pthread_mutex_unlock(&mutex); }
