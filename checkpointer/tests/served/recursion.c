#include <stdio.h>

static int down(int n) {
    if (n == 0)
        return 7;
    int below = down(n - 1);
    return below;
}

int main(void) {
    int result = down(5);
    printf("%d\n", result);
    return result;
}
