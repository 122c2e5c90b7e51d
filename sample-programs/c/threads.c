/* Three threads add to a counter and are joined; one of them adds too much. */
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long counter;

static void *add(void *amount)
{
    for (int i = 0; i < 100; i++) {
        pthread_mutex_lock(&lock);
        counter += (long)amount;
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[3];
    for (long i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, add, (void *)(i == 1 ? 2L : 1L));
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    long seen = counter;
    return seen == 300;
}
