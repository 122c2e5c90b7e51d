// The time-stamp counter.
#include <x86intrin.h>
#include <stdio.h>
int main(void) { unsigned a; unsigned long x = __rdtsc(), y = __rdtscp(&a); printf("%lu %lu %u\n", x, y, a); return 0; }
