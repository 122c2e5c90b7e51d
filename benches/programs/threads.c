/* Three threads that read a clock and random bytes, write to a file, and meet at a lock, 10,000 times each. */
#include <fcntl.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 3, ROUNDS = 10000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long total;
static int out, noise;

static void *work(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct timespec now;
        long value;
        clock_gettime(CLOCK_REALTIME, &now);
        read(noise, &value, sizeof value);
        write(out, &value, sizeof value);
        pthread_mutex_lock(&lock);
        total = total * 31 + value + now.tv_nsec;
        pthread_mutex_unlock(&lock);
    }
    return argument;
}

int main(void)
{
    pthread_t threads[THREADS];
    out = open("/dev/shm/fred-bench", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    unlink("/dev/shm/fred-bench");
    noise = open("/dev/zero", O_RDONLY);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], 0, work, 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], 0);
    return 0;
}
