/* Rounds of a loop that differ in one word only, and behind it is what the kernel writes into the frame of a signal. */
struct {
    unsigned long round;
    unsigned magic;
} seal = {0, 0x46505853};
int marked;

int main(void)
{
    for (;;) {
        __asm__ volatile("incq %0" : "+m"(seal.round));
        __asm__ volatile("xor %%eax, %%eax" : : : "rax", "cc");
        marked = 1;
        if (seal.round >= 40)
            break;
    }
    return 0;
}
