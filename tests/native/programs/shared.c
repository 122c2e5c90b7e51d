/* A process and its child count in memory that they share, in turns that semaphores give them, and each by itself. */
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct both {
    sem_t parents, childs;
    volatile int turns, own;
};

static volatile int seen[8], polled, result;

static void step(int number)
{
    result = result * 3 + number;
}

static void child(struct both *both)
{
    for (int i = 0; i < 8; i++) {
        sem_wait(&both->childs);
        both->turns += 10;
        sem_post(&both->parents);
    }
    both->own = 7;
    _exit(3);
}

int main(void)
{
    step(1);
    struct both *both = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (both == MAP_FAILED || sem_init(&both->parents, 1, 0) || sem_init(&both->childs, 1, 0))
        return 1;
    pid_t made = fork();
    if (!made)
        child(both);
    for (int i = 0; i < 8; i++) {
        both->turns++;
        sem_post(&both->childs);
        sem_wait(&both->parents);
        seen[i] = both->turns;
    }
    struct timespec a_while = {0, 100000};
    while (both->own != 7) {
        nanosleep(&a_while, 0);
        polled++;
    }
    int status;
    waitpid(made, &status, 0);
    step(WEXITSTATUS(status));
    step(both->turns);
    return 0;
}
