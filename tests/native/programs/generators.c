#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
/* Generators whose stacks are parts of one stack (the classic trick): entered by a call that goes deep, left by longjmp, entered again by longjmp. */
static jmp_buf mainctx, genctx[2];
static int value[2];
static int total;

static void gen_body(int id)
{
    int i;
    volatile int k = id * 10;
    for (i = 0; i < 3; i++) {
        k++;
        value[id] = k;
        if (setjmp(genctx[id]) == 0)
            longjmp(mainctx, 1);
        total += k;
    }
    value[id] = -1;
    longjmp(mainctx, 1);
}

static void deep(int id, int n)
{
    volatile char pad[4096];
    pad[0] = (char)n;
    if (n > 0)
        deep(id, n - 1);
    else
        gen_body(id);
    pad[1] = pad[0];
}

static int next_value(int id)
{
    if (setjmp(mainctx) == 0)
        longjmp(genctx[id], 1);
    return value[id];
}

int main(void)
{
    if (setjmp(mainctx) == 0)
        deep(0, 4);
    if (setjmp(mainctx) == 0)
        deep(1, 9);
    int a, b;
    while ((a = next_value(0)) >= 0) {
        b = next_value(1);
        total += a * 100 + b;
    }
    printf("%d\n", total);
    return 0;
}
