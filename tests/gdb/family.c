/* Children of every kind: fork, vfork, posix_spawn, system, popen; and the exec of another program at the end. */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static int results[5];

/* A breakpoint here is left in no child's memory: the child would die of it. */
static int worked(int value) {
    value += 1;
    return value;
}

static void done(int which, int status) {
    results[which] = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(int argc, char **argv) {
    int status;
    pid_t child;
    if (argc > 1)
        return worked(atoi(argv[1]));
    child = fork();
    if (child == 0)
        _exit(worked(10));
    waitpid(child, &status, 0);
    done(0, status);
    child = vfork();
    if (child == 0)
        _exit(worked(20));
    waitpid(child, &status, 0);
    done(1, status);
    char *words[] = {argv[0], "30", NULL};
    posix_spawn(&child, argv[0], NULL, NULL, words, environ);
    waitpid(child, &status, 0);
    done(2, status);
    done(3, system("exit 41"));
    FILE *pipe = popen("exit 51", "r");
    done(4, pclose(pipe));
    printf("%d %d %d %d %d\n", results[0], results[1], results[2], results[3], results[4]);
    fflush(stdout);
    execl(argv[0], argv[0], "60", NULL);
    return 1;
}
