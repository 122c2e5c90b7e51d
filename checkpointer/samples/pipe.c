/* The contents of a pipe with both ends here, and its size. */
#include "sample.h"
static int ends[2];
static char big[5000];
static void set_up(void) {
    memset(big, 'x', sizeof big);
    MUST(pipe(ends) == 0 && fcntl(ends[0], F_SETPIPE_SZ, 16384) == 16384);
    MUST(write(ends[1], "hello", 5) == 5 && write(ends[1], big, sizeof big) == sizeof big);
}
static void mutate(void) {
    char rest[6000];
    MUST(read(ends[0], rest, sizeof rest) > 0 && fcntl(ends[0], F_SETPIPE_SZ, 8192) == 8192 && write(ends[1], "bad", 3) == 3);
    close(ends[0]);
}
static void check(void) {
    char rest[6000];
    MUST(fcntl(ends[0], F_GETPIPE_SZ) == 16384);
    close(ends[1]);
    size_t length = 0;
    while (length < 5005) {
        ssize_t got = read(ends[0], rest + length, sizeof rest - length);
        MUST(got > 0);
        length += (size_t)got;
    }
    MUST(length == 5005 && memcmp(rest, "hello", 5) == 0 && memcmp(rest + 5, big, sizeof big) == 0);
    MUST(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0 && read(ends[0], rest, 1) <= 0);
}
