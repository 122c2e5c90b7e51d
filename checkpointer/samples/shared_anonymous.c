/* Shared anonymous memory: pages written, pages touched later, and a read-only part. */
#include "sample.h"
static char *memory;
static void set_up(void) {
    memory = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(memory != MAP_FAILED);
    strcpy(memory, "first"), strcpy(memory + (9 << 20), "middle");
    MUST(mprotect(memory, 4096, PROT_READ) == 0);
}
static void mutate(void) {
    MUST(mprotect(memory, 4096, PROT_READ | PROT_WRITE) == 0);
    strcpy(memory, "FIRST"), strcpy(memory + (9 << 20), "MIDDLE"), strcpy(memory + (12 << 20), "new");
}
static void check(void) {
    MUST(strcmp(memory, "first") == 0 && strcmp(memory + (9 << 20), "middle") == 0 && memory[12 << 20] == 0);
    strcpy(memory + (9 << 20), "usable");
}
