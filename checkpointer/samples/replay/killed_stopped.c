/* Children and their threads are killed at any moment, also while they are stopped and another thread has its turn. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void *asks(void *unused)
{
	for (;;)
		getppid();
}

int main(void)
{
	for (int round = 0; round < 30; round++) {
		pid_t child = fork();
		if (child == 0) {
			pthread_t thread;
			pthread_create(&thread, NULL, asks, NULL);
			asks(NULL);
		}
		usleep(round * 200);
		kill(child, SIGKILL);
		int status;
		waitpid(child, &status, 0);
		printf("%d: %d\n", round, WTERMSIG(status));
	}
	return 0;
}
