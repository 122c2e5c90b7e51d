/* Names are added to a list; one of them is missing, which crashes total() much later. Who put it there?
   gdb -ex run, then: fred-reverse-watch items->next->name == 0 */
#include <stdlib.h>
#include <string.h>

struct item { char *name; struct item *next; };

static struct item *items;

static void add(const char *name)
{
    struct item *fresh = malloc(sizeof *fresh);
    fresh->name = name ? strdup(name) : NULL;
    fresh->next = items;
    items = fresh;
}

static size_t total(void)
{
    size_t sum = 0;
    for (struct item *at = items; at; at = at->next) {
        char first = *at->name;
        sum += first != 0;
    }
    return sum;
}

int main(void)
{
    const char *names[] = {"one", "two", NULL, "four"};
    for (int i = 0; i < 4; i++)
        add(names[i]);
    return total() == 4;
}
