#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int worked;

static void child_work(void) { worked = 1; }
static void after_fork(void) { worked = 2; }
static void after_vfork(void) { worked = 3; }

int main(int argc, char **argv) {
    int status;
    if (argc > 1)
        return 5;
    if (fork() == 0) {
        child_work();
        after_vfork();
        _exit(worked);
    }
    if (wait(&status) < 0 || WEXITSTATUS(status) != 3)
        return 1;
    after_fork();
    if (vfork() == 0) {
        child_work();
        after_fork();
        _exit(4);
    }
    if (wait(&status) < 0 || WEXITSTATUS(status) != 4)
        return 2;
    after_vfork();
    execl(argv[0], argv[0], "again", NULL);
    return 3;
}
