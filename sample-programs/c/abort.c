/* A sum that is found to be wrong, too late. Which statement made it so?
   gdb -ex 'break main' -ex run -ex continue, then: fred-reverse-watch sum */
#include <stdlib.h>

static int sum;

int main(void)
{
    for (int i = 1; i <= 4; i++)
        sum += i == 3 ? 30 : i;
    if (sum != 10)
        abort();
    return 0;
}
