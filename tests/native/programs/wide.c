static int seen;

static void note(int round)
{
    seen += round;
}

int main(void)
{
    for (int round = 1; round <= 3; round++) {
        __asm__ volatile("kmovw %0, %%k7\n\tvpbroadcastd %0, %%zmm31" ::"r"(round * 11) : "k7", "xmm31");
        note(round);
    }
    return 0;
}
