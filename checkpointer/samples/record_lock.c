/* Record locks (fcntl). */
#include "sample.h"
static int fd;
static int holder(int start, int kind) {
    struct flock lock = {.l_type = (short)kind, .l_start = start, .l_len = 1};
    pid_t child = fork();
    int status;
    if (child == 0) _exit(fcntl(fd, F_GETLK, &lock) != 0 ? 9 : lock.l_type != F_UNLCK);
    MUST(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}
static void set_up(void) {
    fd = temporary_file();
    struct flock some = {.l_type = F_WRLCK, .l_start = 5, .l_len = 10}, rest = {.l_type = F_RDLCK, .l_start = 100};
    MUST(fcntl(fd, F_SETLK, &some) == 0 && fcntl(fd, F_SETLK, &rest) == 0);
}
static void mutate(void) { MUST(fcntl(fd, F_SETLK, &(struct flock){.l_type = F_UNLCK}) == 0); }
static void check(void) {
    MUST(holder(4, F_WRLCK) == 0 && holder(5, F_RDLCK) == 1 && holder(14, F_RDLCK) == 1 && holder(15, F_WRLCK) == 0);
    MUST(holder(5000, F_WRLCK) == 1 && holder(5000, F_RDLCK) == 0);
}
