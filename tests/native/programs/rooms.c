/* Frames whose size is known when they are made only, in a function that calls itself. */
#include <alloca.h>
#include <string.h>
static int sum(int n)
{
    int v[n];
    char *more = alloca(n * 8);
    memset(more, n, n * 8);
    int s = 0;
    for (int i = 0; i < n; i++) {
        v[i] = i + more[i];
        s += v[i];
    }
    return n > 1 ? s + sum(n - 1) : s;
}
int main(void)
{
    int t = 0;
    for (int i = 1; i < 4; i++)
        t += sum(i);
    return t & 1;
}
