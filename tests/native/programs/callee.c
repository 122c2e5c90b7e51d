/* A local of a caller is changed in a callee. */
static void inner(int *p, int n)
{
    if (n % 3 == 0)
        *p += n;
}

static void outer(int *p, int n)
{
    inner(p, n);
    inner(p, n + 1);
}

int main(void)
{
    int total = 0;
    for (int i = 0; i < 20; i++)
        outer(&total, i);
    return total & 63;
}
