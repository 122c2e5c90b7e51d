/* A list that grows to a million nodes while something else is computed: about a second in all. */
#include <stdio.h>
#include <stdlib.h>

struct node { long value; struct node *next; };

static struct node *head;

static long list_len(const struct node *at)
{
    long n = 0;
    for (; at; at = at->next)
        n++;
    return n;
}

static unsigned long mixed(unsigned long seed)
{
    for (int i = 0; i < 300; i++)
        seed = seed * 6364136223846793005UL + 1442695040888963407UL;
    return seed;
}

static void grow(long size)
{
    for (long i = 0; i < size; i++) {
        struct node *fresh = malloc(sizeof *fresh);
        fresh->value = (long)mixed((unsigned long)i);
        fresh->next = head;
        head = fresh;
    }
}

int main(int count, char **words)
{
    grow(count > 1 ? atol(words[1]) : 1000000);
    long length = list_len(head);
    printf("%ld\n", length);
    return 0;
}
