/* Five threads add to counters without a lock between two looks at them; the third one breaks one of them, once. */
#include <pthread.h>
#include <stdio.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int counters[5];
static int total;

static void add(int who, int round)
{
    pthread_mutex_lock(&lock);
    total++;
    counters[who]++;
    if (who == 2 && round == 30)
        total += 1000;
    pthread_mutex_unlock(&lock);
}

static void *work(void *argument)
{
    for (int round = 0; round < 60; round++)
        add((int)(long)argument, round);
    return NULL;
}

int main(void)
{
    pthread_t threads[5];
    for (long i = 0; i < 5; i++)
        pthread_create(&threads[i], NULL, work, (void *)i);
    for (int i = 0; i < 5; i++)
        pthread_join(threads[i], NULL);
    printf("%d\n", total);
    return total != 300;
}
