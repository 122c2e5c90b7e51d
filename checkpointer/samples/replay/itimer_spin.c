// The same in a program that makes none: the handler must come all the same.
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>
static volatile int ticks;
static void h(int s) { ticks++; }
int main(void) { struct sigaction a = {.sa_handler = h}; sigaction(SIGALRM, &a, 0); struct itimerval v = {{0, 5000}, {0, 5000}}; setitimer(ITIMER_REAL, &v, 0); long n = 0;
 while (ticks < 20) { n++;  } printf("%ld %d\n", n, ticks); return 0; }
