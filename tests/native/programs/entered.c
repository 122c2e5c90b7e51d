/* An inlined call begins right where its line does: two stops in one place. */
volatile int size = 3;
int counter;

static inline __attribute__((always_inline)) int taken(int a)
{
    int x = a & size;
    counter += x;
    return x + 1;
}

int main(void)
{
    for (int i = 0; i < 3; i++) {
        counter--;
        if (taken(i) == 2)
            counter++;
    }
    return counter & 1;
}
