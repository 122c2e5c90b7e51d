// The same, counting: no two states of the loop are equal.
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static volatile int flag; static volatile long n;
static void *work(void *arg) { while (!flag) n++; return 0; }
int main(void) { pthread_t t; pthread_create(&t, 0, work, 0); usleep(1000); flag = 1; pthread_join(t, 0); printf("n %ld\n", n); return 0; }
