/* Code that the program makes, and changes between its calls. */
#include <string.h>
#include <sys/mman.h>
typedef int (*made)(int);
static int total;
static made make(unsigned char by)
{
    unsigned char code[] = {0x8d, 0x47, by, 0xc3};
    unsigned char *at = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(at, code, sizeof code);
    mprotect(at, 4096, PROT_READ | PROT_EXEC);
    return (made)at;
}
static void patch(made f, unsigned char by)
{
    mprotect((void *)f, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
    ((unsigned char *)f)[2] = by;
}
int main(void)
{
    made f = make(3);
    for (int i = 0; i < 4; i++) {
        total += f(i);
        patch(f, i + 5);
        total ^= f(1);
    }
    return total & 1;
}
