/* One kind of work, many times: what recording costs. */
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { CALLS = 100000 };

int main(int count, char **words)
{
    char byte = 'x';
    struct timespec now;
    volatile unsigned long sum = 0;
    const char *what = count > 1 ? words[1] : "compute";
    if (strcmp(what, "compute") == 0) {
        for (long i = 0; i < 1000000000; i++)
            sum += i;
    } else if (strcmp(what, "clocks") == 0) {
        for (long i = 0; i < CALLS; i++)
            clock_gettime(CLOCK_MONOTONIC, &now);
    } else if (strcmp(what, "reads") == 0) {
        int file = open("/dev/zero", O_RDONLY);
        for (long i = 0; i < CALLS; i++)
            read(file, &byte, 1);
    } else if (strcmp(what, "pipe") == 0) {
        int ends[2];
        pipe(ends);
        for (long i = 0; i < CALLS / 2; i++) {
            write(ends[1], &byte, 1);
            read(ends[0], &byte, 1);
        }
    } else if (strcmp(what, "ids") == 0) {
        /* Recording stops the program once for each. */
        for (long i = 0; i < CALLS; i++)
            syscall(SYS_getpid);
    } else if (strcmp(what, "counter") == 0) {
        /* Twice: before it and behind it. */
        int counter = eventfd(0, 0);
        long one = 1;
        for (long i = 0; i < CALLS; i++)
            write(counter, &one, sizeof one);
    } else {
        int file = open("written", O_WRONLY | O_CREAT | O_TRUNC, 0644);
        for (long i = 0; i < CALLS; i++)
            write(file, &byte, 1);
    }
    return 0;
}
