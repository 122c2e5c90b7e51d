/* Says which of three files somebody else has locked; with a name, takes the record lock of that file and keeps it until it may read. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

static int is_free(const char *name, int whole)
{
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int file = open(name, O_RDWR);
    return whole ? flock(file, LOCK_EX | LOCK_NB) == 0 : fcntl(file, F_SETLK, &range) == 0;
}

int main(int count, char **words)
{
    char byte;
    if (count > 1) {
        printf("%d\n", is_free(words[1], 0));
        fflush(stdout);
        return read(0, &byte, 1) < 0;
    }
    printf("free: %d %d %d\n", is_free("record", 0), is_free("description", 0), is_free("whole", 1));
    return 0;
}
