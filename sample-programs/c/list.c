/* A list that is built by insert(). When did it come to have ten elements?
   gdb -ex 'break 31' -ex run, then: fred-reverse-watch list_len(head) < 10 */
#include <stdlib.h>

struct node { int value; struct node *next; };

static struct node *head;

static int list_len(const struct node *at)
{
    int n = 0;
    for (; at; at = at->next)
        n++;
    return n;
}

static void insert(int value)
{
    struct node *fresh = malloc(sizeof *fresh);
    fresh->value = value;
    fresh->next = head;
    head = fresh;
}

int main(void)
{
    int i;
    for (i = 0; i < 20; i++)
        insert(i * i);
    int length = list_len(head);
    return length - 20;
}
