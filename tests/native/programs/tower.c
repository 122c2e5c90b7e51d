/* A function that calls itself by way of another one; the outermost call keeps what it has computed. */
#include <stdio.h>

struct cell { int kind; long number; };

static struct cell result = {0, 1};

static long level(int n);

static long twice(int n)
{
    long left = level(n);
    return left + level(n - 1);
}

static long level(int n)
{
    if (n < 2)
        return 1;
    long sum = twice(n - 1);
    if (n == 21)
        result.number = sum;
    return sum;
}

static void show(struct cell *cell)
{
    printf("%ld\n", cell->number);
}

int main(void)
{
    show(&result);
    level(21);
    show(&result);
    return 0;
}
