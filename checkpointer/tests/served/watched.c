static volatile int counter, other, sum;
static volatile struct wide {
    long parts[3];
} wide;

static void last(void) { sum = 0; }

int main(void) {
    for (int i = 0; i < 3; i++) {
        counter++;
        other = i;
        sum += other;
    }
    sum += counter;
    counter = 9;
    wide.parts[2] = 5;
    last();
    return 0;
}
