/* Optimised: code of a later line is moved behind a call, where a line of its own begins later. */
#include <stdlib.h>

int counter;
volatile int zero;
struct shape { int a, b; } shape;

static int one(int v)
{
    counter += v & 3;
    return v + 1;
}

static int two(int v) { return v * 2 & 255; }

static int (*table[2])(int) = {one, two};

static int compare(const void *p, const void *q)
{
    int l = *(const int *)p;
    int r = *(const int *)q;
    return l - r;
}

static int f0(int a, int b)
{
    int x = a, y = b;
    x = x;
    if (x < b)
        x = b;
    for (int j1 = 0; j1 < 5; j1++) x ^= j1;
    return (x + y) & 1023;
}

int main(void)
{
    int x = 6 + zero, y = 5 + zero;
    y += counter; counter++;
    y += counter; counter++;
    y = counter;
    for (int i1 = 0; i1 < 4; i1++) {
        y += 2; counter++;
        x = y;
    }
    y = f0(y, x);
    y = table[(unsigned)y % 2](x);
    int values[3] = {x & 15, y & 15, 7};
    qsort(values, 3, sizeof values[0], compare);
    x += values[0];
    counter += x & 15;
    return (counter + y + shape.b) & 63;
}
