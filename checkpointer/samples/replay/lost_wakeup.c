/* The flag is looked at, and the wait begun, without the lock held in between: a wakeup that comes there is lost. */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static volatile int ready;

static void *waits(void *unused)
{
	if (!ready) {
		write(2, "it is not ready\n", 16);
		pthread_mutex_lock(&lock);
		pthread_cond_wait(&changed, &lock);
		pthread_mutex_unlock(&lock);
	}
	return unused;
}

static void *wakes(void *unused)
{
	pthread_mutex_lock(&lock);
	ready = 1;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
	return unused;
}

int main(void)
{
	pthread_t waiter, waker;
	pthread_create(&waiter, NULL, waits, NULL);
	pthread_create(&waker, NULL, wakes, NULL);
	pthread_join(waker, NULL);
	pthread_join(waiter, NULL);
	puts("woken");
	return 0;
}
