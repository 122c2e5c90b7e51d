/* A thread ends while a file is mapped that the program goes on to store in. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile int *number;
static volatile int seen;

static void step(int round)
{
    seen = *number * 10 + round;
}

static void *add(void *none)
{
    *number += 5;
    return none;
}

int main(void)
{
    int file = open("counter.data", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || ftruncate(file, 4096))
        return 1;
    number = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (number == MAP_FAILED)
        return 1;
    pthread_t thread;
    for (int round = 0; round < 4; round++) {
        pthread_create(&thread, 0, add, 0);
        pthread_join(thread, 0);
        step(round);
    }
    *number += 100;
    return 0;
}
