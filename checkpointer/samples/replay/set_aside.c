/* While a thread waits in accept, or in open of a FIFO, the kernel has set a descriptor aside for it: others get other numbers,
   and a child does not inherit it. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int listener;
static char fifo[] = "/tmp/set-aside-XXXXXX";

static void *accepts(void *unused) { return (void *)(long)accept(listener, NULL, NULL); }

static void *opens(void *unused) { return (void *)(long)open(fifo, O_RDONLY); }

static void *fails(void *unused) { return (void *)(long)open("/no/such/file", O_RDONLY); }

int main(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof address;
	pthread_t server, reader, other;
	void *accepted, *opened, *failed;
	listener = socket(AF_INET, SOCK_STREAM, 0);
	bind(listener, (struct sockaddr *)&address, sizeof address);
	listen(listener, 1);
	getsockname(listener, (struct sockaddr *)&address, &length);
	mktemp(fifo);
	mkfifo(fifo, 0600);
	pthread_create(&server, NULL, accepts, NULL);
	usleep(20000);
	pthread_create(&reader, NULL, opens, NULL);
	pthread_create(&other, NULL, fails, NULL);
	usleep(20000);
	int made = dup(0);
	pid_t child = fork();
	if (child == 0)
		_exit(dup(0));
	int status;
	waitpid(child, &status, 0);
	int client = socket(AF_INET, SOCK_STREAM, 0);
	connect(client, (struct sockaddr *)&address, sizeof address);
	int writer = open(fifo, O_WRONLY);
	pthread_join(server, &accepted);
	pthread_join(reader, &opened);
	pthread_join(other, &failed);
	unlink(fifo);
	printf("%d %d %d: %d %d %d %d\n", (int)(long)accepted, (int)(long)opened, (int)(long)failed, made,
	       WEXITSTATUS(status), client, writer);
	return 0;
}
