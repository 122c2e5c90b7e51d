/* A file is mapped shared, and somebody else writes to it. */
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile int seen;

static void done(void)
{
}

int main(void)
{
    struct timespec while_it_waits = {0, 1000000};
    int data = open("mapped.data", O_RDWR | O_CREAT, 0600);
    if (data < 0 || ftruncate(data, 4096) != 0)
        return 1;
    volatile int *shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, data, 0);
    if (shared == MAP_FAILED)
        return 1;
    shared[1] = 7;
    while (shared[0] == 0)
        nanosleep(&while_it_waits, 0);
    seen = shared[0];
    done();
    return shared[1];
}
