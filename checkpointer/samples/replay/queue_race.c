/* A queue without a lock, and wrongly so: two producers may take the same place, and one entry is lost. */
#include <pthread.h>
#include <stdio.h>

enum { EACH = 600000 };

static volatile unsigned char entries[2 * EACH + 2];
static volatile long tail;

static void *produces(void *mark)
{
	for (int i = 0; i < EACH; i++) {
		long place = tail;
		entries[place] = *(char *)mark;
		tail = place + 1;
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[2];
	long found = 0;
	pthread_create(&threads[0], NULL, produces, "a");
	pthread_create(&threads[1], NULL, produces, "b");
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	for (long i = 0; i < 2 * EACH; i++)
		found += entries[i] != 0;
	printf("%ld of %d entries\n", found, 2 * EACH);
	return found != 2 * EACH;
}
