// Memory shared with whoever knows its key: a recording must refuse it by name.
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/shm.h>

int main(void) {
    puts("before");
    fflush(stdout);
    return shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600) < 0;
}
