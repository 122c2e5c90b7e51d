// Many reads of a file, of which the recorder sees nothing; and the same descriptor then naming things that keep a reader waiting.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void *writes_late(void *end) {
    usleep(5000);
    write(*(int *)end, "late", 4);
    return end;
}

static unsigned long sum(int file, long size) {
    static char bytes[40000];
    unsigned long sum = 0;
    struct timespec now;
    for (long got, count = 0; (got = read(file, bytes, size)) > 0 && count < 3000; count++) {
        for (long i = 0; i < got; i++) sum = sum * 31 + bytes[i];
        clock_gettime(CLOCK_MONOTONIC, &now);
        sum += now.tv_nsec;
    }
    return sum;
}

int main(int count, char **words) {
    int file = open(words[0], O_RDONLY), ends[2], pair[2], status;
    printf("%lx ", sum(file, 7));
    printf("%lx ", sum(file, 40000));
    lseek(file, 0, SEEK_SET);
    printf("%lx\n", sum(file, 30000));
    char text[16] = {0};
    printf("%ld %d\n", (long)read(file, (void *)8, 4), errno);
    lseek(file, 0, SEEK_SET);
    printf("%ld %d\n", (long)read(file, (void *)8, 4), errno);
    close(file);
    printf("%ld %d\n", (long)read(file, text, 4), errno);
    // The number of the file is now that of a pipe; then, by dup2, of a socket.
    pipe(ends);
    pthread_t writer;
    pthread_create(&writer, NULL, writes_late, &ends[1]);
    printf("%d %ld %s\n", ends[0] == file, (long)read(ends[0], text, 15), text);
    pthread_join(writer, NULL);
    int random = open("/dev/urandom", O_RDONLY);
    printf("%lx\n", read(random, text, 8) == 8 ? *(unsigned long *)text : 0);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    dup2(pair[0], random);
    pthread_create(&writer, NULL, writes_late, &pair[1]);
    memset(text, 0, sizeof text);
    printf("%ld %s\n", (long)read(random, text, 15), text);
    pthread_join(writer, NULL);
    // A child with this memory and descriptors of its own makes its 0 a file; that of the parent remains a pipe.
    pipe(ends);
    dup2(ends[0], 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/etc/passwd", O_RDONLY, 0);
    pid_t child;
    fflush(stdout);
    posix_spawnp(&child, "head", &actions, NULL, (char *[]){"head", "-1", NULL}, environ);
    waitpid(child, &status, 0);
    pthread_create(&writer, NULL, writes_late, &ends[1]);
    memset(text, 0, sizeof text);
    printf("%ld %s %d\n", (long)read(0, text, 15), text, WEXITSTATUS(status));
    pthread_join(writer, NULL);
    return 0;
}
