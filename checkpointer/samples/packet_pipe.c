/* A pipe in packet mode (O_DIRECT): the boundaries of its packets. */
#include "sample.h"
static int ends[2];
static void set_up(void) {
    MUST(pipe2(ends, O_DIRECT) == 0 && write(ends[1], "one", 3) == 3 && write(ends[1], "three", 5) == 5);
}
static void mutate(void) {
    char rest[100];
    MUST(read(ends[0], rest, sizeof rest) == 3 && read(ends[0], rest, sizeof rest) == 5);
}
static void check(void) {
    char rest[100];
    MUST(read(ends[0], rest, sizeof rest) == 3 && memcmp(rest, "one", 3) == 0);
    MUST(read(ends[0], rest, sizeof rest) == 5 && memcmp(rest, "three", 5) == 0);
}
