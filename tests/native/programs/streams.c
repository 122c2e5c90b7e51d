/* Thousands of messages through a pipe, a local socket, a connection and a counter, most of them read when they are there; what
   they say is another one each time, and all goes into one number. A child counts what it is sent. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 3000, CHILDS = 300 };

struct message {
    long number, noise;
};

static long total, noises[ROUNDS], broken, refused;
static volatile long alarms;
static int inside[2], local[2], there[2], back[2], client, server, counter, noise;

static void on_alarm(int number)
{
    alarms++;
}

static void on_broken(int number)
{
    broken++;
}

/* What is sent to the child comes back as a sum, when it has been there. */
static void echo(void)
{
    struct message one;
    long sum = 0, count = 0;
    while (read(there[0], &one, sizeof one) == sizeof one) {
        sum += one.number;
        count++;
        write(back[1], &sum, sizeof sum);
    }
    FILE *file = fopen("counted", "a");
    fprintf(file, "%ld %ld\n", count, sum);
    fclose(file);
    _exit(0);
}

static void connect_both(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    bind(listening, (struct sockaddr *) &address, sizeof address);
    listen(listening, 1);
    getsockname(listening, (struct sockaddr *) &address, &length);
    client = socket(AF_INET, SOCK_STREAM, 0);
    connect(client, (struct sockaddr *) &address, length);
    server = accept(listening, NULL, NULL);
    fcntl(client, F_SETFL, O_RDWR | O_NONBLOCK);
    close(listening);
}

static void round_of(int i)
{
    struct message one = { i }, other = { 0 };
    read(noise, &one.noise, sizeof one.noise);
    noises[i] = one.noise;
    total = total * 31 + write(inside[1], &one, sizeof one) + read(inside[0], &other, sizeof other);
    total += other.noise;
    total += send(local[0], &one, sizeof one, 0) + recv(local[1], &other, sizeof other, MSG_PEEK);
    total += read(local[1], &other, 8) + recv(local[1], &other.noise, 8, 0) + other.noise;
    total += send(client, &one, sizeof one, MSG_NOSIGNAL);
    if (i % 2)
        total += recv(server, &other, sizeof other, MSG_DONTWAIT) + other.number;
    else
        total += read(server, &other, sizeof other) + other.number;
    if (i % 3 == 0) {
        long times = i + 1;
        write(counter, &times, sizeof times);
        total += read(counter, &times, sizeof times) + times;
    }
}

static void ask_child(void)
{
    pipe(there);
    pipe(back);
    pid_t child = fork();
    if (child == 0) {
        close(there[1]);
        echo();
    }
    close(there[0]);
    for (int i = 0; i < CHILDS; i++) {
        struct message one = { i };
        long sum = 0;
        write(there[1], &one, sizeof one);
        total += read(back[0], &sum, sizeof sum) + sum;
    }
    close(there[1]);
    waitpid(child, NULL, 0);
}

/* A pipe that nobody reads, and a connection that is reset. */
static void ends(void)
{
    struct linger now = { 1, 0 };
    char byte = 0;
    signal(SIGPIPE, on_broken);
    close(inside[0]);
    total += write(inside[1], "x", 1);
    setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(client);
    total += recv(server, &byte, 1, 0);
    refused = errno;
    total += recv(server, &byte, 1, 0);
}

int main(int count, char **words)
{
    pipe(inside);
    socketpair(AF_UNIX, SOCK_STREAM, 0, local);
    counter = eventfd(0, 0);
    noise = open("/dev/urandom", O_RDONLY);
    ask_child();
    connect_both();
    if (count > 1) {
        signal(SIGALRM, on_alarm);
        struct itimerval often = { { 0, 3000 }, { 0, 3000 } };
        setitimer(ITIMER_REAL, &often, NULL);
    }
    for (int i = 0; i < ROUNDS; i++)
        round_of(i);
    struct itimerval never = { { 0, 0 }, { 0, 0 } };
    setitimer(ITIMER_REAL, &never, NULL);
    ends();
    return total == 0;
}
