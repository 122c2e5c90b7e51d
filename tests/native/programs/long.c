/* A statement that takes long, in code that is compiled without line numbers. */
#ifdef OUTSIDE
int outside(int n)
{
    volatile unsigned long sum = 0;
    for (volatile unsigned i = 0; i < 100000000u; i++)
        sum += i * n;
    return (int)(sum & 0xff) | 0x100;
}
#else
int outside(int n);
int result;
int main(void)
{
    result = 1;
    result = outside(3);
    return 0;
}
#endif
