/* Fills so many megabytes. With a second argument it forks so many times instead of stopping, and says how long that takes in
   milliseconds: the median. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1e3 + at.tv_nsec / 1e6;
}

static int by_size(const void *one, const void *other)
{
    double difference = *(const double *)one - *(const double *)other;
    return difference < 0 ? -1 : difference > 0;
}

int main(int count, char **words)
{
    size_t size = (count > 1 ? atol(words[1]) : 100) << 20;
    int forks = count > 2 ? atoi(words[2]) : 0;
    char *heap = malloc(size);
    memset(heap, 1, size);
    double *spent = calloc(forks + 1, sizeof *spent);
    for (int i = 0; i < forks; i++) {
        double begin = now();
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        spent[i] = now() - begin;
        waitpid(child, NULL, 0);
    }
    qsort(spent, forks, sizeof *spent, by_size);
    if (forks)
        printf("%f\n", spent[forks / 2]);
    return heap[size / 2] - 1;
}
