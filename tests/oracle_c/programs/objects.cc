// Methods, constructors and destructors, a template, an exception thrown through frames.
struct Counter {
    int value;
    explicit Counter(int start) : value(start) { value++; }
    ~Counter() { value = 0; }
    int add(int n)
    {
        value += n;
        return value;
    }
};

template <typename T>
T larger(T a, T b)
{
    if (a < b)
        return b;
    return a;
}

static int thrower(int n)
{
    Counter held(n);
    if (held.add(1) > 3)
        throw n;
    return held.value;
}

int main()
{
    int total = 0;
    for (int i = 0; i < 3; i++) {
        try {
            total += thrower(i);
        } catch (int caught) {
            total += larger(caught, 10);
        }
    }
    Counter last(total);
    total = last.add(2);
    return total & 63;
}
