/* System V shared memory. */
#include "sample.h"
#include <sys/ipc.h>
#include <sys/shm.h>
static char *memory;
static void set_up(void) {
    int id = shmget(IPC_PRIVATE, 65536, 0600);
    MUST(id >= 0 && (memory = shmat(id, NULL, 0)) != (void *)-1 && shmctl(id, IPC_RMID, NULL) == 0);
    strcpy(memory + 5000, "here");
}
static void mutate(void) { strcpy(memory + 5000, "HERE"), strcpy(memory, "new"); }
static void check(void) { MUST(strcmp(memory + 5000, "here") == 0 && memory[0] == 0); }
