/* A socketpair that is shut down after the checkpoint, and one that was before. */
#include "sample.h"
#include <sys/socket.h>
static int open_ends[2], shut_ends[2];
static void set_up(void) {
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, open_ends) == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, shut_ends) == 0);
    MUST(send(open_ends[0], "abc", 3, 0) == 3 && send(shut_ends[0], "last", 4, 0) == 4 && shutdown(shut_ends[0], SHUT_WR) == 0);
}
static void mutate(void) {
    char rest[10];
    MUST(shutdown(open_ends[0], SHUT_RDWR) == 0 && recv(shut_ends[1], rest, 10, 0) == 4);
}
static void check(void) {
    char rest[10];
    MUST(recv(open_ends[1], rest, 10, 0) == 3 && send(open_ends[0], "x", 1, MSG_NOSIGNAL) == 1);
    MUST(recv(shut_ends[1], rest, 10, 0) == 4 && recv(shut_ends[1], rest, 10, 0) == 0);
    MUST(send(shut_ends[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
    MUST(send(shut_ends[1], "x", 1, MSG_NOSIGNAL) == 1 && recv(shut_ends[0], rest, 10, 0) == 1);
    MUST(fcntl(shut_ends[0], F_GETFD) == FD_CLOEXEC && fcntl(open_ends[0], F_GETFD) == 0);
}
