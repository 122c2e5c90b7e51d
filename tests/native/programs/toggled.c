/* A value goes up and down. */
#include <stdio.h>

static int x, n;

static void set(int v)
{
    x = v;
    n++;
}

int main(void)
{
    for (int i = 0; i < 6; i++) {
        set(i % 2);
        set(i % 2);
    }
    printf("%d %d\n", x, n);
    return 0;
}
