/* A file mapped shared and writable. */
#include "sample.h"
static char *memory;
static int fd;
static void set_up(void) {
    fd = temporary_file();
    MUST(ftruncate(fd, 10000) == 0);
    memory = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    MUST(memory != MAP_FAILED);
    strcpy(memory, "first"), strcpy(memory + 9000, "last");
}
static void mutate(void) { strcpy(memory, "FIRST"), strcpy(memory + 5000, "new"); MUST(pwrite(fd, "LAST", 4, 9000) == 4); }
static void check(void) {
    char four[4];
    MUST(strcmp(memory, "first") == 0 && memory[5000] == 0 && pread(fd, four, 4, 9000) == 4 && memcmp(four, "last", 4) == 0);
}
