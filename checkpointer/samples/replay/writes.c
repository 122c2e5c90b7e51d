// Many writes to a file, of which the recorder sees nothing; and the same descriptor then naming things that keep a writer waiting.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static void *reads_late(void *end) {
    static char bytes[1 << 17];
    usleep(5000);
    for (long left = sizeof bytes; left > 0;) left -= read(*(int *)end, bytes, left);
    return end;
}

int main(void) {
    static char bytes[1 << 17];
    int file = open("written", O_RDWR | O_CREAT | O_TRUNC, 0644), ends[2];
    struct timespec now;
    long total = 0;
    // What is written is another each time, and so is what has been learnt to write it.
    for (int i = 0; i < 3000; i++) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        total += write(file, &now.tv_nsec, i % 9);
    }
    for (int i = 0; i < 500; i++) total += pwrite(file, "pwrite", 1 + i % 6, 7 * i);
    total += write(file, bytes, 30000) + write(file, bytes, 40000);
    printf("%ld %ld\n", total, (long)lseek(file, 0, SEEK_CUR));
    unsigned long sum = 0;
    lseek(file, 0, SEEK_SET);
    for (long got; (got = read(file, bytes, 5000)) > 0;)
        for (long i = 0; i < got; i++) sum = sum * 31 + bytes[i];
    printf("%lx\n", sum);
    printf("%ld %d\n", (long)write(file, (void *)8, 4), errno);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){lseek(file, 0, SEEK_END) + 2, RLIM_INFINITY});
    long first = write(file, "four", 4), second = write(file, "four", 4);
    printf("%ld %ld %d\n", first, second, errno);
    close(file);
    printf("%ld %d\n", (long)write(file, "x", 1), errno);
    int only = open("written", O_RDONLY);
    printf("%ld %d\n", (long)write(only, "x", 1), errno);
    close(only);
    // The number of the file is now that of a pipe that has not as much room.
    pipe(ends);
    ends[0] = dup(ends[0]);
    dup2(ends[1], file);
    pthread_t reader;
    pthread_create(&reader, NULL, reads_late, &ends[0]);
    total = 0;
    while (total < (long)sizeof bytes) total += write(file, bytes, sizeof bytes - total);
    pthread_join(reader, NULL);
    printf("%ld\n", total);
    return 0;
}
