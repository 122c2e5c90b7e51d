// Threads that take turns under a mutex, wait for a condition with a timeout, sleep and are joined.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <time.h>
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static int turn; static long order;
static void *work(void *arg) { long me = (long)arg;
  for (int i = 0; i < 200; i++) { pthread_mutex_lock(&m); order = order * 31 + me; if (i % 10 == me) { turn++; pthread_cond_broadcast(&c);} pthread_mutex_unlock(&m); if (i % 50 == 0) usleep(100 * me); }
  return 0; }
int main(void) { pthread_t t[5]; for (long i = 0; i < 5; i++) pthread_create(&t[i], 0, work, (void *)i);
  pthread_mutex_lock(&m); struct timespec ts; clock_gettime(CLOCK_REALTIME, &ts); ts.tv_sec++; while (turn < 50) if (pthread_cond_timedwait(&c, &m, &ts)) break; pthread_mutex_unlock(&m);
  for (int i = 0; i < 5; i++) pthread_join(t[i], 0); printf("%lx %d\n", order, turn); return 0; }
