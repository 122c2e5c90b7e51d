// A thread that waits for a flag without a system call: only a time slice lets the other one set it.
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static volatile int flag, seen;
static void *work(void *arg) { while (!flag); seen = 1; return 0; }
int main(void) { pthread_t t; pthread_create(&t, 0, work, 0); usleep(1000); flag = 1; pthread_join(t, 0); printf("seen %d\n", seen); return 0; }
