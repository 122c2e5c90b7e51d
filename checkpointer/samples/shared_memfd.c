/* Memory files: one mapped, one only written. */
#include "sample.h"
static int mapped, written;
static char *memory;
static void set_up(void) {
    MUST((mapped = memfd_create("mapped", 0)) >= 0 && ftruncate(mapped, 1 << 20) == 0 && (written = memfd_create("written", 0)) >= 0);
    memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, mapped, 0);
    MUST(memory != MAP_FAILED && write(written, "contents", 8) == 8);
    strcpy(memory + 500000, "here");
}
static void mutate(void) {
    strcpy(memory + 500000, "HERE"), strcpy(memory, "new");
    MUST(ftruncate(mapped, 8192) == 0 && pwrite(written, "CONTENTS AND MORE", 17, 0) == 17 && lseek(written, 0, SEEK_SET) == 0);
}
static void check(void) {
    struct stat now;
    char eight[8];
    MUST(strcmp(memory + 500000, "here") == 0 && memory[0] == 0);
    MUST(fstat(written, &now) == 0 && now.st_size == 8 && lseek(written, 0, SEEK_CUR) == 8);
    MUST(pread(written, eight, 8, 0) == 8 && memcmp(eight, "contents", 8) == 0);
}
