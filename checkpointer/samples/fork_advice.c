/* Memory that fork does not copy, or wipes: contents, and the advice itself. */
#include "sample.h"
static char *missing, *wiped;
static void set_up(void) {
    missing = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    wiped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    strcpy(missing, "one"), strcpy(wiped, "two");
    MUST(madvise(missing, 8192, MADV_DONTFORK) == 0 && madvise(wiped, 4096, MADV_WIPEONFORK) == 0);
}
static void mutate(void) { strcpy(missing, "ONE"), strcpy(wiped, "TWO"); MUST(madvise(wiped, 4096, MADV_KEEPONFORK) == 0); }
static void check(void) {
    int status;
    MUST(strcmp(missing, "one") == 0 && strcmp(wiped, "two") == 0);
    pid_t child = fork();
    if (child == 0) {
        int gone = msync(missing, 4096, MS_ASYNC) == -1 && errno == ENOMEM;
        _exit(gone && wiped[0] == 0 ? 0 : 9);
    }
    MUST(waitpid(child, &status, 0) == child && status == 0);
}
