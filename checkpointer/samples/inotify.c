/* The watches of an inotify instance, with their numbers. */
#include "sample.h"
#include <sys/inotify.h>
static int fd, first, second, folder;
static char names[3][80], top[64];
static void set_up(void) {
    strcpy(top, "/tmp/sample-XXXXXX");
    MUST(mkdtemp(top) && (fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) >= 0);
    /* Kept open, so that their paths can be found. */
    for (int i = 0; i < 3; i++) {
        snprintf(names[i], 80, "%s/%d", top, i);
        MUST(mkdir(names[i], 0700) == 0 && open(names[i], O_RDONLY) >= 0);
    }
    MUST(inotify_rm_watch(fd, inotify_add_watch(fd, names[2], IN_CREATE)) == 0);
    first = inotify_add_watch(fd, names[0], IN_CREATE), second = inotify_add_watch(fd, names[1], IN_CREATE);
    char rest[4096];
    MUST(first == 2 && second == 3 && read(fd, rest, sizeof rest) > 0);
    folder = open(top, O_RDONLY);
}
static void mutate(void) {
    MUST(inotify_rm_watch(fd, first) == 0 && inotify_add_watch(fd, names[2], IN_CREATE | IN_DELETE) == 4);
}
static void check(void) {
    char rest[4096];
    MUST(read(fd, rest, sizeof rest) == -1 && errno == EAGAIN);
    MUST(mkdirat(folder, "0/x", 0700) == 0 && mkdirat(folder, "1/y", 0700) == 0 && mkdirat(folder, "2/z", 0700) == 0);
    ssize_t length = read(fd, rest, sizeof rest);
    struct inotify_event *event = (void *)rest, *next = (void *)(rest + sizeof *event + event->len);
    MUST(length > 0 && event->wd == first && next->wd == second && (char *)next + sizeof *next + next->len == rest + length);
    MUST(fcntl(fd, F_GETFD) == FD_CLOEXEC);
    for (int i = 0; i < 3; i++) MUST(unlinkat(folder, (char *[]){"0/x", "1/y", "2/z"}[i], AT_REMOVEDIR) == 0 && rmdir(names[i]) == 0);
    MUST(rmdir(top) == 0);
}
