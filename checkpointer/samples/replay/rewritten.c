// Maps the file that it is given, and then changes it: a replay finds another file.
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int count, char **words) {
    int file = open(words[1], O_RDONLY);
    char *text = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
    printf("%.5s\n", text);
    int again = open(words[1], O_WRONLY | O_APPEND);
    return write(again, "more\n", 5) != 5;
}
