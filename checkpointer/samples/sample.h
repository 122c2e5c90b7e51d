/* What every sample shares: it sets something up, says "ready", and reads a line. A checkpoint is taken there.
 *   "mutate": everything that was set up is changed; says "mutated" and reads on for ever.
 *   "check":  everything is as it was set up, and works; says "ok" and exits 0, or says what is wrong and exits 1.
 * A sample gives set_up(), mutate() and check(). */
#ifndef SAMPLE_H
#define SAMPLE_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void set_up(void);
static void mutate(void);
static void check(void);

static void say(const char *text) {
    size_t left = strlen(text);
    while (left > 0) {
        ssize_t done = write(1, text, left);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) _exit(2);
        text += done;
        left -= (size_t)done;
    }
}

static void fail_at(const char *file, int line, const char *what) {
    char text[400];
    snprintf(text, sizeof text, "wrong: %s:%d: %s (errno %d)\n", file, line, what, errno);
    say(text);
    _exit(1);
}

#define MUST(condition) do { if (!(condition)) fail_at(__FILE__, __LINE__, #condition); } while (0)

static void next_line(char *line, size_t size) {
    size_t length = 0;
    for (;;) {
        char c;
        ssize_t got = read(0, &c, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) _exit(3);
        if (c == '\n') break;
        if (c != '\r' && length + 1 < size) line[length++] = c;
    }
    line[length] = 0;
}

/* A file of our own, nowhere to be found by name. */
static inline int temporary_file(void) {
    const char *folder = getenv("TMPDIR");
    char name[300];
    snprintf(name, sizeof name, "%s/sample-XXXXXX", folder ? folder : "/tmp");
    int fd = mkstemp(name);
    MUST(fd >= 0 && unlink(name) == 0);
    return fd;
}

/* Waits for one of the blocked signals in `set`, five seconds at most. */
static inline int await_signal(const sigset_t *set, siginfo_t *info) {
    struct timespec limit = {5, 0};
    int got;
    do got = sigtimedwait(set, info, &limit); while (got < 0 && errno == EINTR);
    return got;
}

static inline void block(int signal) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    MUST(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
}

static inline sigset_t only(int signal) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    return set;
}

int main(void) {
    char line[64];
    set_up();
    say("ready\n");
    for (;;) {
        next_line(line, sizeof line);
        if (strcmp(line, "check") == 0) {
            check();
            say("ok\n");
            return 0;
        }
        if (strcmp(line, "mutate") == 0) {
            mutate();
            say("mutated\n");
        }
    }
}
#endif
