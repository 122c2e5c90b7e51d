/* A thread that is inside semtimedop with a timeout at the checkpoint. */
/* The set belongs to the system, not to the process: it is removed once, by whoever checks. */
static void remove_set(void);
#define AFTER_CHECK remove_set
#include "blocked_call.h"
#include <sys/ipc.h>
#include <sys/sem.h>
static int id;
static void prepare(void) { MUST((id = semget(IPC_PRIVATE, 1, 0600)) >= 0); }
static int block_here(void) {
    struct sembuf down = {0, -1, 0};
    return semtimedop(id, &down, 1, &(struct timespec){0, 700000000}) == -1 && errno == EAGAIN;
}
static void release(void) {}
static void remove_set(void) { semctl(id, 0, IPC_RMID); }
