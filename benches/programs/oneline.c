/* A loop on one line, which a debugger steps over instruction by instruction. */
#include <stdlib.h>

static volatile unsigned long sum;

int main(int count, char **words)
{
    long rounds = count > 1 ? atol(words[1]) : 1000;
    sum = 1;
    for (long i = 0; i < rounds; i++) sum += sum << 1 ^ (unsigned long)i;
    unsigned long seen = sum;
    return seen == 0;
}
