/* Two threads that do the same. */
#include <pthread.h>
#include <stdio.h>
static int counts[2];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int shared;
static void *work(void *arg)
{
    long n = (long)arg;
    for (int i = 0; i < 5; i++) {
        counts[n]++;
        pthread_mutex_lock(&lock);
        shared += n + 1;
        pthread_mutex_unlock(&lock);
    }
    return 0;
}
int main(void)
{
    pthread_t a, b;
    pthread_create(&a, 0, work, (void *)0);
    pthread_create(&b, 0, work, (void *)1);
    pthread_join(a, 0);
    pthread_join(b, 0);
    printf("%d %d %d\n", counts[0], counts[1], shared);
    return 0;
}
