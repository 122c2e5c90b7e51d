/* Calls that are jumps. */
int counter;
__attribute__((noinline)) int third(int x) { counter += x; return counter * 3; }
__attribute__((noinline)) int second(int x) {
    counter++;
    return third(x + 1);
}
__attribute__((noinline)) int first(int x) {
    counter += 2;
    if (x & 1)
        return second(x);
    return third(x);
}
int main(void)
{
    int t = 0;
    for (int i = 0; i < 3; i++)
        t += first(i);
    return t & 1;
}
