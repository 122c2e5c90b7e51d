// Clocks, sleeps, random bytes, ids and figures of the system.
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

int main(void) {
    struct timespec now, pause = {0, 1000000};
    struct timeval day;
    for (int clock = 0; clock < 12; clock++)
        if (!clock_gettime(clock, &now)) printf("%d: %ld.%09ld\n", clock, now.tv_sec, now.tv_nsec);
    if (clock_gettime(77, &now)) printf("no clock 77\n");
    gettimeofday(&day, NULL);
    nanosleep(&pause, NULL);
    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    printf("%ld.%06ld %ld\n", day.tv_sec, day.tv_usec, time(NULL));
    unsigned long bytes[2], *fixed = (unsigned long *)getauxval(AT_RANDOM);
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) return 1;
    printf("%lx %lx %lx %lx\n", bytes[0], bytes[1], fixed[0], fixed[1]);
    struct rusage usage;
    struct sysinfo system;
    struct tms used;
    struct utsname name;
    getrusage(RUSAGE_SELF, &usage);
    sysinfo(&system);
    uname(&name);
    printf("%ld %lu %ld %s\n", usage.ru_utime.tv_usec, system.freeram, (long)times(&used), name.release);
    printf("%d %d %d %d\n", getpid(), getppid(), gettid(), sched_getcpu());
    FILE *file = fopen("/proc/self/stat", "r");
    char line[512];
    if (fgets(line, sizeof line, file)) fputs(line, stdout);
    return (int)(bytes[0] & 63);
}
