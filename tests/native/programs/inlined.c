/* Spends its time in what is inlined. */
#include <stdlib.h>
static unsigned long state = 1;
static int level;
static inline __attribute__((always_inline)) unsigned long mix(unsigned long x)
{
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x;
}
static __attribute__((noinline)) void advance(long steps)
{
    for (long i = 0; i < steps; i++)
        state = mix(state) + mix(state >> 1);
}
static __attribute__((noinline)) void deepen(void)
{
    advance(200000);
    level++;
}
int main(void)
{
    for (int i = 0; i < 100; i++)
        deepen();
    return state == 0;
}
