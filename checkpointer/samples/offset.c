/* The position in a regular file. */
#include "sample.h"
static int fd;
static void set_up(void) {
    fd = temporary_file();
    MUST(write(fd, "0123456789", 10) == 10 && lseek(fd, 3, SEEK_SET) == 3);
}
static void mutate(void) { MUST(lseek(fd, 7, SEEK_SET) == 7); }
static void check(void) {
    char two[2];
    MUST(lseek(fd, 0, SEEK_CUR) == 3 && read(fd, two, 2) == 2 && memcmp(two, "34", 2) == 0);
}
