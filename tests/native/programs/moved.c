/* Optimised, the code of an inlined call is moved to where no line begins. */
int counter;
volatile int zero;
struct { int a, b; } shape;

static int weighed(int a, int b)
{
    int x = a, y = b;
    x += a; counter++;
    return (x + y) & 1023;
}

int main(void)
{
    int x = 4 + zero, y = 3 + zero;
    y = weighed(y, y);
    y = (x - y);
    shape.a = counter;
    shape.b += shape.a & 7;
    y += x; counter++;
    y = weighed(17, ((0 + x) & x));
    counter += x & 15;
    return (counter + y + shape.b) & 63;
}
