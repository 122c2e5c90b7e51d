/* Status flags of a description: O_APPEND and O_NONBLOCK. */
#include "sample.h"
static int fd, ends[2];
static void set_up(void) {
    fd = temporary_file();
    MUST(fcntl(fd, F_SETFL, O_APPEND) == 0 && pipe(ends) == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
}
static void mutate(void) { MUST(fcntl(fd, F_SETFL, 0) == 0 && fcntl(ends[0], F_SETFL, 0) == 0); }
static void check(void) {
    char c;
    MUST((fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK)) == O_APPEND);
    MUST(read(ends[0], &c, 1) == -1 && errno == EAGAIN);
    MUST(write(fd, "ab", 2) == 2 && lseek(fd, 0, SEEK_SET) == 0 && write(fd, "cd", 2) == 2 && lseek(fd, 0, SEEK_CUR) >= 4);
}
