/* The mask of a signalfd, and a signal that waits for it. */
#include "sample.h"
#include <sys/signalfd.h>
static int fd;
static void set_up(void) {
    sigset_t set = only(SIGUSR1);
    block(SIGUSR1), block(SIGUSR2);
    MUST((fd = signalfd(-1, &set, SFD_NONBLOCK)) >= 0 && kill(getpid(), SIGUSR1) == 0 && kill(getpid(), SIGUSR2) == 0);
}
static void mutate(void) {
    struct signalfd_siginfo info;
    sigset_t set = only(SIGUSR2);
    MUST(read(fd, &info, sizeof info) == sizeof info && info.ssi_signo == SIGUSR1 && signalfd(fd, &set, 0) == fd);
}
static void check(void) {
    struct signalfd_siginfo info;
    MUST(read(fd, &info, sizeof info) == sizeof info && info.ssi_signo == SIGUSR1);
    MUST(read(fd, &info, sizeof info) == -1 && errno == EAGAIN);
}
