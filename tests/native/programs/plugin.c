static int calls;

static int twice(int n) {
    calls++;
    return 2 * n + calls;
}

int work(int n) {
    int result = twice(n);
    result += 1;
    return result;
}
