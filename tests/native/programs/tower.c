/* A function that calls itself by way of another one, and what it computes is handed over. */
#include <stdio.h>

struct cell { int kind; long number; };

static struct cell result;

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
    return sum;
}

static void show(struct cell *cell)
{
    printf("%ld\n", cell->number);
}

int main(void)
{
    result.number = 1;
    show(&result);
    result.number = level(22);
    show(&result);
    return 0;
}
