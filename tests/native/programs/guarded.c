/* Optimised, a call and what it guards on one line: behind the call begins no statement, and what is guarded begins no line in gdb's eyes. */
static int calls;

static __attribute__((noinline)) int armed(int *place)
{
    *place = calls;
    return 0;
}

static __attribute__((noinline)) void work(int x)
{
    calls += x;
}

static __attribute__((noinline)) int guarded(void (*f)(int), int x)
{
    int before = calls, place;
    if (armed(&place) == 0) { (*f)(x); }
    return calls - before + place;
}

int main(void)
{
    int sum = 0;
    for (int i = 0; i < 4; i++)
        sum += guarded(work, i);
    return sum;
}
