/* A function on one line: its entry, and the stop behind its prologue, are the same line. */
#include <unistd.h>

static volatile long beats;

static void beat(void) { beats++; usleep(100); }

int main(void)
{
    while (beats < 50) beat();
    return 3;
}
