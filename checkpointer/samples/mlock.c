/* Locked memory: a range, a range on fault, and everything to come. */
#include "sample.h"
static char *memory;
static long locked(void) {
    char text[8192];
    int fd = open("/proc/self/status", O_RDONLY);
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    MUST(length > 0);
    text[length] = 0;
    char *line = strstr(text, "VmLck:");
    return line ? atol(line + 6) : -1;
}
static void set_up(void) {
    memory = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(mlock(memory, 8192) == 0 && mlock2(memory + 32768, 4096, MLOCK_ONFAULT) == 0 && locked() == 12);
    MUST(mlockall(MCL_FUTURE | MCL_ONFAULT) == 0);
}
static void mutate(void) { MUST(munlockall() == 0 && locked() == 0); }
static void check(void) {
    long before = locked();
    MUST(before >= 12 && mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED && locked() == before + 4);
    MUST(munlock(memory, 8192) == 0 && locked() == before - 4 && munlock(memory + 32768, 4096) == 0 && locked() == before - 8);
}
