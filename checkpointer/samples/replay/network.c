// Sockets: a server and a client on loopback, datagrams, descriptors passed on, poll, select and epoll; what is numbered stays
// numbered.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void pass(int via, int descriptor) {
    char byte = 'd', space[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
    sendmsg(via, &message, 0);
}

static int take(int via) {
    char byte, space[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    int descriptor = -1;
    if (recvmsg(via, &message, 0) == 1) memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof descriptor);
    return descriptor;
}

int main(void) {
    int server = socket(AF_INET, SOCK_STREAM, 0), pair[2];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    bind(server, (struct sockaddr *)&address, length);
    listen(server, 5);
    getsockname(server, (struct sockaddr *)&address, &length);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    pid_t child = fork();
    if (child == 0) {
        int client = socket(AF_INET, SOCK_STREAM, 0), file = open("/etc/passwd", O_RDONLY);
        connect(client, (struct sockaddr *)&address, sizeof address);
        send(client, "ping", 4, 0);
        char answer[16];
        long got = recv(client, answer, sizeof answer, 0);
        printf("client: %ld %.4s\n", got, answer);
        pass(pair[1], file);
        fflush(stdout);
        _exit(7);
    }
    struct pollfd waiting = {server, POLLIN, 0};
    printf("poll %d\n", poll(&waiting, 1, -1));
    struct sockaddr_in peer;
    length = sizeof peer;
    int connection = accept4(server, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC);
    char text[16] = {0};
    long got = recvfrom(connection, text, sizeof text, 0, NULL, NULL);
    printf("server: descriptor %d, port %d, %ld %s\n", connection, ntohs(peer.sin_port), got, text);
    send(connection, "pong", 4, 0);
    int passed = take(pair[0]), next = dup(0);
    got = read(passed, text, 4);
    printf("passed %d, next %d, %ld %.4s\n", passed, next, got, text);
    int timer = timerfd_create(CLOCK_MONOTONIC, 0), counter = eventfd(3, 0), epoll = epoll_create1(0);
    timerfd_settime(timer, 0, &(struct itimerspec){.it_value.tv_nsec = 1000000}, NULL);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 12345}, ready[4];
    epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event);
    printf("epoll %d %lu\n", epoll_wait(epoll, ready, 4, -1), ready[0].data.u64);
    unsigned long count;
    got = read(counter, &count, 8);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(connection, &set);
    struct timeval limit = {5, 0};
    printf("count %lu, select %d\n", count, select(connection + 1, &set, NULL, NULL, &limit));
    int status;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    length = sizeof name;
    getpeername(pair[0], (struct sockaddr *)&name, &length);
    waitpid(child, &status, 0);
    printf("child %d\n", WEXITSTATUS(status));
    return 0;
}
