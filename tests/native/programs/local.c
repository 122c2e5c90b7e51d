/* What main has on its stack is changed by three threads, below code without lines. */
#include <pthread.h>
#include <stdlib.h>

struct bank { int count; };

static int visit(const void *key, const void *other)
{
    (void)other;
    struct bank *bank = *(struct bank *const *)key;
    bank->count++;
    return 0;
}

static void *work(void *argument)
{
    for (int i = 0; i < 40; i++) {
        void *list[1] = {argument};
        bsearch(&argument, list, 1, sizeof list[0], visit);
    }
    return NULL;
}

int main(void)
{
    struct bank bank = {0};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, work, &bank);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    return bank.count == 0;
}
