/* Two coroutines with stacks of their own. */
#include <ucontext.h>
#include <stdlib.h>
static ucontext_t a, b, c;
static int total;
static void work(int n)
{
    for (int i = 0; i < 3; i++) {
        total += n * i;
        swapcontext(n == 1 ? &b : &c, n == 1 ? &c : &b);
    }
}
int main(void)
{
    getcontext(&b); b.uc_stack.ss_sp = malloc(65536); b.uc_stack.ss_size = 65536; b.uc_link = &a;
    makecontext(&b, (void (*)(void))work, 1, 1);
    getcontext(&c); c.uc_stack.ss_sp = malloc(65536); c.uc_stack.ss_size = 65536; c.uc_link = &a;
    makecontext(&c, (void (*)(void))work, 1, 2);
    swapcontext(&a, &b);
    total++;
    return total & 1;
}
