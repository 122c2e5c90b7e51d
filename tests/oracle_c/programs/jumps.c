/* goto, setjmp and longjmp, loops on one line, several statements on a line, early return. */
#include <setjmp.h>

static jmp_buf back;
static int deep;

static void fall(int n)
{
    deep++;
    if (n == 0)
        longjmp(back, deep);
    fall(n - 1);
    deep = -1;
}

static int early(int n)
{
    if (n > 2)
        return n;
    n += 5; n *= 2;
    return n;
}

int main(void)
{
    int total = 0;
    volatile int tries = 0;
again:
    tries++;
    for (int i = 0; i < 6; i++) total += i;
    int code = setjmp(back);
    if (code == 0)
        fall(3);
    total += code;
    if (tries < 2)
        goto again;
    total += early(1) + early(7);
    return total & 63;
}
