/* The position in a directory. */
#include "sample.h"
#include <dirent.h>
static DIR *folder;
static char second[300];
static void set_up(void) {
    folder = opendir("/usr");
    MUST(folder && readdir(folder));
    long place = telldir(folder);
    struct dirent *entry = readdir(folder);
    MUST(entry);
    snprintf(second, sizeof second, "%s", entry->d_name);
    seekdir(folder, place);
}
static void mutate(void) { while (readdir(folder)) {} MUST(lseek(dirfd(folder), 0, SEEK_SET) == 0); }
static void check(void) {
    struct dirent *entry = readdir(folder);
    MUST(entry && strcmp(entry->d_name, second) == 0);
}
