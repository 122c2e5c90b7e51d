/* Loops, structures, arrays, unions, pointers to functions, vectors of the processor. */
#include <immintrin.h>
#include <stdio.h>
#include <string.h>

enum colour { RED, GREEN = 5, BLUE };

struct point {
    int x, y;
    unsigned flag : 1, kind : 3;
};

union number {
    float real;
    unsigned bits;
};

static struct point points[4];
static int total;
static double halves[3] = {0.5, 1.5, 2.5};
static const char *names[] = {"one", "two", "three"};

static int square(int n) { return n * n; }
static int cube(int n) { return n * square(n); }

static int apply(int (*function)(int), int n) {
    int result = function(n);
    return result;
}

static int sum(struct point *from, int count) {
    int all = 0;
    for (int i = 0; i < count; i++) {
        int part = from[i].x + from[i].y;
        all += part;
        total = all;
    }
    return all;
}

int main(void) {
    union number number = {.real = 1.0f};
    enum colour colour = GREEN;
    char text[32] = "text";
    __m128i wide = _mm_set_epi32(4, 3, 2, 1);
    for (int i = 0; i < 4; i++)
        points[i] = (struct point){i, i * 2, i & 1, i};
    int all = sum(points, 4);
    int made = apply(square, 5) + apply(cube, 3);
    strcat(text, names[2]);
    number.bits++;
    volatile __m128i kept = _mm_setzero_si128();
    kept = wide;
    (void)kept;
    return all + made + (int)halves[2] + colour - 77;
}
