// Files written, read back, mapped before and after, renamed and removed, in a directory that is made and removed.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

int main(void) {
    char folder[] = "/tmp/replay-XXXXXX", text[64] = {0};
    if (!mkdtemp(folder) || chdir(folder)) return 1;
    int file = open("one", O_RDWR | O_CREAT | O_APPEND, 0644);
    struct iovec parts[2] = {{"hello, ", 7}, {"world\n", 6}};
    if (writev(file, parts, 2) != 13 || ftruncate(file, 8192)) return 2;
    char *shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    char *private = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
    memcpy(shared + 4096, "mapped", 6);
    printf("%.13s%.6s\n", private, shared + 4096);
    if (fork() == 0) {
        shared[5000] = 'c';
        _exit(0);
    }
    sleep(0);
    while (shared[5000] != 'c') usleep(100);
    struct iovec back[2] = {{text, 3}, {text + 10, 20}};
    printf("%ld %s %s", (long)preadv(file, back, 2, 0), text, text + 10);
    struct stat about;
    fstat(file, &about);
    printf("%lu %ld\n", about.st_ino, about.st_mtim.tv_nsec);
    rename("one", "two");
    symlink("two", "three");
    printf("%ld\n", (long)readlink("three", text, sizeof text));
    DIR *listing = opendir(".");
    for (struct dirent *entry; (entry = readdir(listing));) puts(entry->d_name);
    closedir(listing);
    unlink("two");
    unlink("three");
    chdir("/");
    rmdir(folder);
    int zero = open("/dev/zero", O_RDONLY);
    char *nothing = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, zero, 0);
    printf("%d\n", nothing[17]);
    return 0;
}
