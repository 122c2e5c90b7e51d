/* Loops and calls to walk through, variables to watch, calls of the system, and registers to be shown. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int total, seen, written;
static char text[16] = "abcdefg";

static int leaf(int n) {
    seen = n;
    return n + 1;
}

static int branch(int n) {
    int sum = 0;
    for (int i = 0; i < 3; i++)
        sum += leaf(n + i);
    total += sum;
    return sum;
}

static long deep(int n) {
    if (n == 0)
        return total;
    return deep(n - 1) + n;
}

static void output(void) {
    written = total + seen;
    getppid();
    printf("total %d\n", total);
}

int main(void) {
    int rounds = 0;
    while (rounds < 3) {
        branch(rounds);
        rounds++;
    }
    long sum = deep(4);
    text[0] = (char)('A' + (int)sum % 3);
    output();
    if (written > 30)
        memset(text, 'x', 3);
    return (int)sum & 7;
}
