// A thread with an alternate signal stack, while another one of its process is stopped where nothing names the place: the copy that
// goes on has all of them, and the first thread is made again there like any other.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static volatile int flag;
static char *base;
static void handle(int number) { char here; printf("on its stack: %d\n", &here >= base && &here < base + 65536); }
static void *work(void *arg) { while (!flag); return 0; }
int main(void)
{
    setvbuf(stdout, 0, _IONBF, 0);
    base = malloc(65536);
    stack_t stack = { .ss_sp = base, .ss_size = 65536 };
    sigaltstack(&stack, 0);
    struct sigaction action = { .sa_handler = handle, .sa_flags = SA_ONSTACK };
    sigaction(SIGUSR1, &action, 0);
    pthread_t other;
    pthread_create(&other, 0, work, 0);
    usleep(1000);
    raise(SIGUSR1);
    flag = 1;
    pthread_join(other, 0);
    return 0;
}
