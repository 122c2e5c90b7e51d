/* A loop that is short enough for a debugger that records every instruction: so many rounds, and then `done`. */
#include <stdlib.h>

static volatile unsigned long state = 1;
static volatile int done;

static void advance(long steps)
{
    for (long i = 0; i < steps; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
}

int main(int count, char **words)
{
    long steps = count > 1 ? atol(words[1]) : 1000;
    advance(steps);
    done = 1;
    return 0;
}
