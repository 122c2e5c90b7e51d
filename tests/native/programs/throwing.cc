/* Exceptions that go through a function whose statements are met often, on the way out of it and into handlers. */
#include <cstdio>
#include <stdexcept>
#include <string>

static long sum;
static int caught, unwound;

struct Guard {
    ~Guard() { unwound++; }
};

static int risky(int n) {
    if (n % 1000 == 7)
        throw std::runtime_error("number " + std::to_string(n));
    return n & 3;
}

static int hot(int n) {
    Guard guard;
    int result = 0;
    for (int i = 0; i < 3; i++)
        result += risky(n + i);
    return result;
}

static int outer(int n) {
    try {
        return hot(n);
    } catch (const std::logic_error &) {
        return -1;
    }
}

int main() {
    for (int i = 0; i < 20000; i++) {
        try {
            sum += outer(i);
        } catch (const std::exception &error) {
            caught++;
            sum ^= error.what()[7];
        }
    }
    std::printf("%ld %d %d\n", sum, caught, unwound);
    return 0;
}
