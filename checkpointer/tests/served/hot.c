#include <signal.h>
#include <sys/time.h>

/* Loops that go round often: short instructions, jumps by a table, calls, and code that a compiler has made tight. */
static volatile unsigned long state = 1;

static void shake(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
}

__attribute__((noinline)) static unsigned long rise(unsigned long n)
{
    return n ? rise(n - 1) + 1 : 1;
}

__attribute__((noinline)) unsigned long plain(long rounds)
{
    unsigned long sum = 0;
    for (long i = 0; i < rounds; i++) {
        switch (i % 7) {
        case 0: sum += 1; break;
        case 1: sum ^= 0xff; break;
        case 2: sum -= 3; break;
        case 3: sum *= 5; break;
        case 4: sum += rise(2); break;
        case 5: sum <<= 1; break;
        default: shake();
        }
        while (sum & 3)
            sum--;
        sum += state;
    }
    return sum;
}

__attribute__((noinline, optimize("O2"))) unsigned long tight(long rounds)
{
    unsigned long sum = 1;
    for (long i = 0; i < rounds; i++) {
        sum ^= sum << 13;
        sum ^= sum >> 7;
        if (sum & 1)
            sum += i;
        state = sum;
    }
    return sum;
}

/* Loops as most programs have them: what counts is four bytes long, and behind it is what the loop begins with. */
__attribute__((noinline)) unsigned narrow(int rounds)
{
    unsigned sum = 0;
    for (int i = 0; i < rounds; i++) {
        for (int j = 0; j < 4; j++) {
            if (j == 2)
                continue;
            sum += j;
        }
        for (int j = 3; j > 0; j--)
            if (sum & 1)
                sum ^= i;
            else
                sum++;
    }
    return sum;
}

static volatile unsigned long beats;

static void beat(int number)
{
    beats += number;
}

static void every(long micros)
{
    struct itimerval timer = {{0, micros}, {0, micros}};
    setitimer(ITIMER_REAL, &timer, 0);
}

/* Signals come at any place. */
__attribute__((noinline)) unsigned beaten(long rounds, long micros)
{
    unsigned sum = 0;
    every(micros);
    for (int i = 0; i < rounds; i++)
        sum += sum ^ i;
    every(0);
    return sum;
}

int main(void)
{
    signal(SIGALRM, beat);
    beaten(10, 0);
    unsigned long one = plain(40), other = tight(100) + narrow(60);
    return one == other;
}
