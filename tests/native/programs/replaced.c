/* Optimised, a call takes the place of the one that makes it, and has another one inlined. */
static volatile int limit = 100;
static int kept;

static inline __attribute__((always_inline)) int rounded(int x)
{
    int more = x + 7;
    if (more > limit)
        more = limit;
    return more & ~7;
}

static __attribute__((noinline)) int taken(int x)
{
    kept++;
    int size = rounded(x);
    kept += size;
    limit++;
    return kept;
}

static __attribute__((noinline)) int asked(int x)
{
    kept += limit;
    limit += 2;
    return taken(x + 1);
}

int main(void)
{
    int sum = 0;
    for (int i = 0; i < 5; i++)
        sum += asked(i);
    return sum & 63;
}
