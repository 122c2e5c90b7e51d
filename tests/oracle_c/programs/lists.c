/* A list on the heap, walked and reversed; calls in the header of a loop. */
#include <stdlib.h>

struct node { int value; struct node *next; };

static struct node *push(struct node *head, int value)
{
    struct node *fresh = malloc(sizeof *fresh);
    fresh->value = value;
    fresh->next = head;
    return fresh;
}

static int length(const struct node *head)
{
    int n = 0;
    for (; head; head = head->next)
        n++;
    return n;
}

static struct node *reversed(struct node *head)
{
    struct node *done = 0;
    while (head) {
        struct node *next = head->next;
        head->next = done;
        done = head;
        head = next;
    }
    return done;
}

int main(void)
{
    struct node *head = 0;
    int sum = 0;
    while (length(head) < 4)
        head = push(head, length(head) * 3);
    head = reversed(head);
    for (struct node *at = head; at; at = at->next)
        sum += at->value;
    return sum;
}
