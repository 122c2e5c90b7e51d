/* Computes for about so many seconds; whether it is right is seen at the end. */
#include <stdio.h>
#include <stdlib.h>

static unsigned long state = 1;

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
    long rounds = count > 1 ? atol(words[1]) : 5;
    for (long i = 0; i < rounds; i++)
        advance(100000000);
    unsigned long seen = state;
    printf("%lx\n", seen);
    return 0;
}
