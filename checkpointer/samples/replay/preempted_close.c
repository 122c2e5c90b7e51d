// A process that computes, while another one could run, right after it has closed a descriptor: the copy that goes on has not got
// it either.
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
    int first = open("/dev/null", O_RDONLY);
    if (fork() == 0) {
        for (volatile long i = 0; i < 700000000; i++);
        _exit(0);
    }
    close(first);
    for (volatile long i = 0; i < 700000000; i++);
    printf("the same number: %d\n", first == open("/dev/null", O_RDONLY));
    wait(0);
    return 0;
}
