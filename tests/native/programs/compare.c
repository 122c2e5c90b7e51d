/* A function that the C library calls back. */
#include <stdio.h>
#include <stdlib.h>
static int calls;
static int compare(const void *a, const void *b)
{
    int x = *(const int *)a;
    int y = *(const int *)b;
    calls++;
    return x - y;
}
int main(void)
{
    int v[] = {5, 3, 9, 1, 7};
    calls = 0;
    qsort(v, 5, sizeof v[0], compare);
    printf("%d\n", calls);
    return 0;
}
