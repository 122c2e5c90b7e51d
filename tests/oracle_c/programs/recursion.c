/* Deep and mutual recursion: the same function at several depths, frames told apart by their addresses. */
static int calls;

static int odd(int n);

static int even(int n)
{
    calls++;
    if (n == 0)
        return 1;
    return odd(n - 1);
}

static int odd(int n)
{
    calls++;
    if (n == 0)
        return 0;
    return even(n - 1);
}

static int fib(int n)
{
    if (n < 2)
        return n;
    return fib(n - 1) + fib(n - 2);
}

int main(void)
{
    int a = even(6);
    int b = fib(5);
    a += odd(3) + fib(3);
    return (a + b + calls) & 63;
}
