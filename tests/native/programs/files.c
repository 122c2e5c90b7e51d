/* Thousands of calls on files, whose results all go into one number. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

enum { ROUNDS = 3000 };

static long total, times[ROUNDS];
static volatile long alarms;

static void on_alarm(int number)
{
    alarms++;
}

static void round_of(int in, int out, int noise, int i)
{
    char text[64];
    struct stat about;
    int got = read(in, text, 7);
    total = total * 31 + got + text[0];
    int length = snprintf(text, sizeof text, "line %d %ld\n", i, total);
    total += write(out, text, length);
    if (i % 3 == 0)
        total += lseek(out, -2, SEEK_CUR);
    if (i % 5 == 0) {
        stat("copy", &about);
        total += about.st_size;
    }
    if (i % 7 == 0)
        total += pwrite(out, "XY", 2, i);
    if (i % 11 == 0)
        total += access("nothing", R_OK) + access("copy", W_OK);
    if (i % 13 == 0)
        total += readlink("link", text, 20) + text[0];
    if (i % 17 == 0)
        total += pread(out, text, 5, i) + text[1];
    /* These are other ones each time. */
    read(noise, &times[i], sizeof times[i]);
    fstat(out, &about);
    total += about.st_size + times[i] + about.st_mtim.tv_nsec;
}

int main(int count, char **words)
{
    FILE *source = fopen("source", "w");
    for (int i = 0; i < 20000; i++)
        fprintf(source, "%d ", i);
    fclose(source);
    symlink("copy", "link");
    int in = open("source", O_RDONLY), noise = open("/dev/urandom", O_RDONLY);
    int out = open("copy", O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (count > 1) {
        signal(SIGALRM, on_alarm);
        struct itimerval often = { { 0, 3000 }, { 0, 3000 } };
        setitimer(ITIMER_REAL, &often, NULL);
    }
    for (int i = 0; i < ROUNDS; i++)
        round_of(in, out, noise, i);
    struct itimerval never = { { 0, 0 }, { 0, 0 } };
    setitimer(ITIMER_REAL, &never, NULL);
    long copied = lseek(out, 0, SEEK_CUR);
    close(out);
    return copied == 0;
}
