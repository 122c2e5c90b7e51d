/* What is queued in both directions of a socketpair with both ends here: SOCK_SEQPACKET. */
#include "sample.h"
#include <sys/socket.h>
static int ends[2];
static void set_up(void) {
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    MUST(send(ends[0], "abc", 3, 0) == 3 && send(ends[0], "def", 3, 0) == 3 && send(ends[1], "back", 4, 0) == 4);
}
static void mutate(void) {
    char rest[100];
    MUST(recv(ends[1], rest, 2, 0) == 2 && recv(ends[0], rest, sizeof rest, 0) == 4 && send(ends[0], "new", 3, 0) == 3);
}
static void check(void) {
    char rest[100];
    MUST(recv(ends[1], rest, sizeof rest, 0) == 3 && memcmp(rest, "abc", 3) == 0);
    MUST(recv(ends[1], rest, sizeof rest, 0) == 3 && memcmp(rest, "def", 3) == 0);
    MUST(recv(ends[0], rest, sizeof rest, 0) == 4 && memcmp(rest, "back", 4) == 0);
    MUST(recv(ends[0], rest, 1, MSG_DONTWAIT) == -1 && recv(ends[1], rest, 1, MSG_DONTWAIT) == -1);
    MUST(send(ends[1], "x", 1, 0) == 1 && recv(ends[0], rest, 1, 0) == 1);
}
