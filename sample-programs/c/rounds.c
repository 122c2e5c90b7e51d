/* A thousand rounds of computing: going back at the end begins at a copy that was taken on the way.
   gdb -ex 'break 22' -ex run, then: fred-reverse-next */
#include <stdio.h>

static unsigned long mixed(unsigned long seed)
{
    for (int i = 0; i < 1000000; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
    }
    return seed;
}

int main(void)
{
    unsigned long seed = 88172645463325252UL;
    int round;
    for (round = 0; round < 1000; round++)
        seed = mixed(seed);
    int odd = seed & 1;
    printf("%d %lx\n", odd, seed);
    return 0;
}
