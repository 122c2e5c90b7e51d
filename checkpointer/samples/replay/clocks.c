// Reads clocks more often than the buffer has room for, in two processes and several threads.
#include <pthread.h>
#include <stdio.h>
#include <sched.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void *reads(void *sum) {
    struct timespec now;
    struct timeval day;
    for (int i = 0; i < 4000; i++) {
        clock_gettime(i % 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME, &now);
        if (i % 100 == 0) gettimeofday(&day, NULL);
        *(long *)sum = *(long *)sum * 31 + now.tv_nsec + day.tv_usec + (i % 1000 ? 0 : time(NULL)) + sched_getcpu();
        if (i % 1000 == 500) usleep(10);
    }
    return sum;
}

int main(void) {
    pthread_t threads[3];
    long sums[4] = {0};
    pid_t child = fork();
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, reads, &sums[i]);
    reads(&sums[3]);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    printf("%lx %lx %lx %lx %d\n", sums[0], sums[1], sums[2], sums[3], clock_gettime(77, NULL));
    if (child) waitpid(child, NULL, 0);
    return 0;
}
