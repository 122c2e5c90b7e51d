/* A thread waits in a loop that counts how often it has gone round, the other one computes without a call. */
#include <pthread.h>
#include <stdio.h>

static volatile int ready, taken;
static volatile long spins, steps;
static long seen[3];

static void *work(void *argument)
{
    for (int round = 0; round < 3; round++) {
        for (long i = 0; i < 60000000; i++)
            steps = steps + (i & 1);
        ready = round + 1;
        while (taken <= round)
            ;
    }
    return argument;
}

int main(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, work, NULL);
    for (int round = 0; round < 3; round++) {
        while (ready <= round)
            spins++;
        seen[round] = spins;
        taken = round + 1;
    }
    pthread_join(thread, NULL);
    printf("%ld %ld\n", steps, spins);
    return 0;
}
