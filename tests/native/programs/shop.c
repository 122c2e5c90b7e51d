/* A producer that sleeps, and two consumers that do not wait for ever: one of them owes something when its time is over. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t doors;
static sem_t shelf;
static int stock, sold, late, owed;

static void *produce(void *argument)
{
    pthread_barrier_wait(&doors);
    for (int i = 0; i < 12; i++) {
        usleep(i % 4 == 3 ? 12000 : 1000);
        sem_wait(&shelf);
        pthread_mutex_lock(&lock);
        stock++;
        pthread_cond_signal(&filled);
        pthread_mutex_unlock(&lock);
    }
    return argument;
}

static void take(int who, int timed_out)
{
    if (timed_out) {
        late++;
        if (who == 1 && owed == 0)
            owed = late;
        return;
    }
    stock--;
    sold++;
    sem_post(&shelf);
}

static void *consume(void *argument)
{
    pthread_barrier_wait(&doors);
    pthread_mutex_lock(&lock);
    while (sold < 12) {
        struct timespec until;
        int result = 0;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 4000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        while (stock <= 0 && sold < 12 && result != ETIMEDOUT)
            result = pthread_cond_timedwait(&filled, &lock, &until);
        if (sold < 12)
            take((int)(long)argument, result == ETIMEDOUT && stock <= 0);
    }
    pthread_mutex_unlock(&lock);
    return argument;
}

int main(void)
{
    pthread_t threads[3];
    pthread_barrier_init(&doors, NULL, 3);
    sem_init(&shelf, 0, 3);
    pthread_create(&threads[0], NULL, produce, NULL);
    for (long i = 1; i < 3; i++)
        pthread_create(&threads[i], NULL, consume, (void *)(i - 1));
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    printf("%d %d %d\n", stock, sold, late);
    return 0;
}
