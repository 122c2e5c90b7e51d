/* A loop that begins with a jump of two bytes, and a function before it in which nothing else is jumped to. */
struct { int a, b; } shape;
int counter;

static int given(int a, int b)
{
    int x = a, y = b;
    shape.a = b;
    shape.b += shape.a & 7;
    return (x + y) & 1023;
}

static int around(int a, int b)
{
    int x = a, y = b;
    if (a > 9)
        return y + 1;
    for (int i = 0; i < 3; i++) {
        y = given(3, shape.b);
        y = given(b, i - 10);
    }
    if (b > 0 && b < 4)
        y += around(a, b - 1);
    return (x + y) & 1023;
}

int main(void)
{
    int x = 3, y = 2;
    y += 4;
    for (int j = 0; j < 7; j++) x ^= j;
    if ((17 ^ y) != 10)
        x = around(y + counter, 12);
    return x & 7;
}
