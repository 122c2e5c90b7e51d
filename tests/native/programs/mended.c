/* A fault is mended by its handler, and the instruction is executed again. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static char *page;
static volatile int faults;

static void handler(int number, siginfo_t *info, void *context)
{
    faults++;
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static int touch(int at)
{
    int twice = at * 2;
    page[at] = (char)twice;
    return page[at] + 1;
}

int main(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, NULL);
    int sum = 0;
    for (int i = 0; i < 2; i++) {
        page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        sum += touch(i);
        munmap(page, 4096);
    }
    printf("%d %d\n", sum, faults);
    return 0;
}
