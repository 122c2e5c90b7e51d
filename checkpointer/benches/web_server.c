/* A web server of one thread per connection, and a client on the loopback interface that asks it 2,000 times. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REQUESTS = 2000, BODY = 1024 };

static void *serve(void *argument)
{
    int connection = (int) (long) argument;
    char request[512], answer[BODY + 64];
    if (read(connection, request, sizeof request) > 0) {
        int head = sprintf(answer, "HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n", BODY);
        memset(answer + head, 'x', BODY);
        write(connection, answer, head + BODY);
    }
    close(connection);
    return NULL;
}

static int ask(const struct sockaddr_in *server)
{
    char answer[BODY + 64];
    static const char request[] = "GET / HTTP/1.0\r\n\r\n";
    int connection = socket(AF_INET, SOCK_STREAM, 0), all = 0, part;
    if (connect(connection, (const struct sockaddr *) server, sizeof *server) != 0)
        return 0;
    write(connection, request, sizeof request - 1);
    while ((part = read(connection, answer, sizeof answer)) > 0)
        all += part;
    close(connection);
    return all > BODY;
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listening, (struct sockaddr *) &address, length) != 0 || listen(listening, 64) != 0)
        return 1;
    getsockname(listening, (struct sockaddr *) &address, &length);
    pid_t client = fork();
    if (client == 0) {
        for (int i = 0; i < REQUESTS; i++)
            if (!ask(&address))
                _exit(1);
        _exit(0);
    }
    for (int i = 0; i < REQUESTS; i++) {
        pthread_t thread;
        long connection = accept(listening, NULL, NULL);
        pthread_create(&thread, NULL, serve, (void *) connection);
        pthread_join(thread, NULL);
    }
    int status;
    waitpid(client, &status, 0);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}
