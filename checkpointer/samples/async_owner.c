/* Who gets SIGIO of a descriptor. */
#include "sample.h"
#include <sys/socket.h>
static int ends[2];
static void set_up(void) {
    block(SIGIO);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && fcntl(ends[0], F_SETOWN, getpid()) == 0 && fcntl(ends[0], F_SETFL, O_ASYNC) == 0);
}
static void mutate(void) { MUST(fcntl(ends[0], F_SETFL, 0) == 0 && fcntl(ends[0], F_SETOWN, 0) == 0); }
static void check(void) {
    siginfo_t info;
    sigset_t set = only(SIGIO);
    MUST(write(ends[1], "x", 1) == 1 && await_signal(&set, &info) == SIGIO);
}
