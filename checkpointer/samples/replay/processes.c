// Processes: pipes between them, other programs, vfork, posix_spawn, kill, exit statuses and ids that are printed.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int main(void) {
    int ends[2], status;
    if (pipe(ends)) return 1;
    pid_t first = fork();
    if (first == 0) {
        dprintf(ends[1], "I am %d, child of %d\n", getpid(), getppid());
        _exit(3);
    }
    char text[64] = {0};
    long got = read(ends[0], text, sizeof text - 1);
    waitpid(first, &status, 0);
    printf("%ld %s%d\n", got, text, WEXITSTATUS(status));
    fflush(stdout);
    pid_t second = vfork();
    if (second == 0) {
        execl("/bin/echo", "echo", "from vfork", NULL);
        _exit(9);
    }
    waitpid(second, &status, 0);
    pid_t third;
    char *words[] = {"sh", "-c", "echo spawned; exit 4", NULL};
    posix_spawnp(&third, "sh", NULL, NULL, words, environ);
    waitpid(third, &status, 0);
    printf("%d %d\n", third, WEXITSTATUS(status));
    printf("%d %d\n", posix_spawnp(&third, "no-such-program", NULL, NULL, words, environ), ENOENT);
    pid_t fourth = fork();
    if (fourth == 0)
        for (;;) pause();
    kill(fourth, SIGKILL);
    waitpid(fourth, &status, 0);
    printf("killed by %d\n", WTERMSIG(status));
    FILE *pipe = popen("tr a-z A-Z | rev", "w");
    fputs("piped\n", pipe);
    printf("%d\n", pclose(pipe));
    fflush(stdout);
    if (fork() == 0) {
        // An orphan, which outlives its parent.
        usleep(20000);
        dprintf(1, "orphan of %d\n", getppid() > 0);
        _exit(0);
    }
    return system("exit 5") >> 8;
}
