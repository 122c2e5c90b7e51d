/* A lock-free stack of numbers: pushes compare and exchange, but one pop in many writes the head without looking again, so that what was
 * pushed meanwhile is lost. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

struct node {
    int value;
    struct node *next;
};

static struct node nodes[4][40];
static struct node *_Atomic head;
static atomic_int pushed, popped, lost;

static void push(struct node *node)
{
    node->next = atomic_load(&head);
    while (!atomic_compare_exchange_weak(&head, &node->next, node))
        ;
    atomic_fetch_add(&pushed, 1);
}

static int pop(int careless)
{
    struct node *first = atomic_load(&head);
    if (first == NULL)
        return 0;
    sched_yield();
    if (careless) {
        if (atomic_load(&head) != first)
            lost++;
        atomic_store(&head, first->next);
    } else if (!atomic_compare_exchange_strong(&head, &first, first->next)) {
        return 0;
    }
    atomic_fetch_add(&popped, 1);
    return 1;
}

static void *work(void *argument)
{
    int who = (int)(long)argument;
    for (int i = 0; i < 40; i++) {
        nodes[who][i].value = i;
        push(&nodes[who][i]);
        if (i % 3 == 2)
            pop(who == 2 && i == 20);
        if (i % 8 == 0)
            sched_yield();
    }
    return NULL;
}

static int length(void)
{
    int count = 0;
    for (struct node *node = head; node; node = node->next)
        count++;
    return count;
}

int main(void)
{
    pthread_t threads[4];
    for (long i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, work, (void *)i);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    int missing = pushed - popped - length();
    printf("%d\n", missing);
    return missing;
}
