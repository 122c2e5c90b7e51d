/* Threads that read clocks and files and write to one, thousands of times, and meet at a lock; what they read goes into one number. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 3, ROUNDS = 2000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long total, rounds, last;
static int out, noise;

static void enter(long me, long value)
{
    pthread_mutex_lock(&lock);
    total = total * 31 + value + me;
    last = value;
    rounds++;
    pthread_mutex_unlock(&lock);
}

static void *work(void *argument)
{
    long me = (long) argument, value;
    struct timespec now;
    char text[64];
    for (int i = 0; i < ROUNDS; i++) {
        clock_gettime(CLOCK_REALTIME, &now);
        read(noise, &value, sizeof value);
        int length = snprintf(text, sizeof text, "%ld %d\n", me, i);
        write(out, text, length);
        enter(me, value + now.tv_nsec + lseek(out, 0, SEEK_CUR));
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    out = open("lines", O_WRONLY | O_CREAT | O_APPEND, 0644);
    noise = open("/dev/urandom", O_RDONLY);
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, (void *) i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    close(out);
    return total == 0;
}
