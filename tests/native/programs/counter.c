/* A counter in a file that is mapped, written to by stores alone; unmapped, and mapped once more. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile int seen, again;

static volatile int *map(int data)
{
    volatile int *counter = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, data, 0);
    return counter == MAP_FAILED ? 0 : counter;
}

static void step(int number)
{
    seen = number;
}

int main(void)
{
    step(0);
    int data = open("counter.data", O_RDWR | O_CREAT, 0600);
    if (data < 0 || ftruncate(data, 4096) != 0)
        return 1;
    volatile int *counter = map(data);
    if (!counter)
        return 1;
    for (int i = 0; i < 10; i++)
        counter[0]++;
    step(counter[0]);
    munmap((void *)counter, 4096);
    step(-1);
    counter = map(data);
    if (!counter)
        return 1;
    counter[0] += 5;
    again = counter[0];
    step(again);
    return 0;
}
