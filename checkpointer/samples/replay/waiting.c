/* Ways to wait for each other: a pool with a condition variable, producer and consumer with timeouts, a barrier, semaphores,
   a start flag that is spun on, a read-write lock, a call made once. The order in which they come is printed. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 4, TASKS = 40 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t shelf = PTHREAD_RWLOCK_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_barrier_t all;
static sem_t free_places, taken_places;
static volatile int start;
static int queue[TASKS], head, tail, closed, timeouts;
static char order[1000];
static int written;

static void note(char what)
{
	pthread_rwlock_wrlock(&shelf);
	order[written++] = what;
	pthread_rwlock_unlock(&shelf);
}

static void begin(void) { note('!'); }

static struct timespec in(long milliseconds)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_nsec += milliseconds * 1000000;
	now.tv_sec += now.tv_nsec / 1000000000;
	now.tv_nsec %= 1000000000;
	return now;
}

static void *works(void *name)
{
	while (!start)
		;
	pthread_once(&once, begin);
	pthread_barrier_wait(&all);
	for (;;) {
		pthread_mutex_lock(&lock);
		while (head == tail && !closed) {
			struct timespec until = in(2);
			timeouts += pthread_cond_timedwait(&filled, &lock, &until) == ETIMEDOUT;
		}
		if (head == tail) {
			pthread_mutex_unlock(&lock);
			return NULL;
		}
		int task = queue[head++];
		pthread_mutex_unlock(&lock);
		if (task % 7 == 0)
			usleep(500);
		note('a' + (int)(long)name);
	}
}

static void *consumes(void *unused)
{
	for (int i = 0; i < TASKS; i++) {
		struct timespec until = in(1);
		while (sem_timedwait(&taken_places, &until) != 0) {
			until = in(1);
			note('-');
		}
		note('.');
		sem_post(&free_places);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[WORKERS], consumer;
	pthread_barrier_init(&all, NULL, WORKERS + 1);
	sem_init(&free_places, 0, 3);
	sem_init(&taken_places, 0, 0);
	for (long i = 0; i < WORKERS; i++)
		pthread_create(&threads[i], NULL, works, (void *)i);
	pthread_create(&consumer, NULL, consumes, NULL);
	start = 1;
	pthread_barrier_wait(&all);
	for (int i = 0; i < TASKS; i++) {
		pthread_mutex_lock(&lock);
		queue[tail++] = i;
		pthread_cond_signal(&filled);
		pthread_mutex_unlock(&lock);
		sem_wait(&free_places);
		sem_post(&taken_places);
		if (i % 10 == 0)
			usleep(3000);
	}
	pthread_mutex_lock(&lock);
	closed = 1;
	pthread_cond_broadcast(&filled);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	pthread_join(consumer, NULL);
	printf("%s %d\n", order, timeouts);
	return 0;
}
