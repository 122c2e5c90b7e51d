/* Two threads take two locks in different orders; the first thread waits for both to end. */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER, two = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t both;

static void *take_one_then_two(void *unused)
{
	pthread_mutex_lock(&one);
	pthread_barrier_wait(&both);
	pthread_mutex_lock(&two);
	return unused;
}

static void *take_two_then_one(void *unused)
{
	pthread_mutex_lock(&two);
	pthread_barrier_wait(&both);
	pthread_mutex_lock(&one);
	return unused;
}

int main(void)
{
	pthread_t threads[2];
	pthread_barrier_init(&both, NULL, 2);
	puts("begins");
	fflush(stdout);
	pthread_create(&threads[0], NULL, take_one_then_two, NULL);
	pthread_create(&threads[1], NULL, take_two_then_one, NULL);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	puts("ends");
	return 0;
}
