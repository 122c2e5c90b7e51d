/* Calls on files, one by one: what a debugger sees inside of them. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char text[16];
static struct stat about;

int main(void)
{
    int made = open("made", O_RDWR | O_CREAT | O_TRUNC, 0644);
    long sum = 0;
    for (int i = 0; i < 20; i++) {
        sum += write(made, "written text", 12);
        sum += lseek(made, -10, SEEK_CUR);
        sum += read(made, text, 4);
        sum += stat("made", &about);
        sum += about.st_size;
    }
    printf("sum %ld, %.4s\n", sum, text);
    return 0;
}
