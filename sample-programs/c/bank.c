/* A day at a bank: every account may go down to the same limit, and in the evening one of them may not any more.
   gdb -ex 'break 64' -ex run, then: fred-reverse-watch limits_hold() */
#include <stdio.h>
#include <string.h>

#define LIMIT 5000
#define ACCOUNTS 8

struct account {
    char owner[16];
    long limit;
    long balance;
};

static struct account accounts[ACCOUNTS] = {
    {"Ann", LIMIT, 0},   {"Ben", LIMIT, 0},        {"Cleo", LIMIT, 0}, {"Ada Byron", LIMIT, 0},
    {"Emma", LIMIT, 0},  {"Wolfgang", LIMIT, 0},   {"Gil", LIMIT, 0},  {"Hanna", LIMIT, 0},
};

static int limits_hold(void)
{
    for (int i = 0; i < ACCOUNTS; i++)
        if (accounts[i].limit != LIMIT)
            return 0;
    return 1;
}

static int pay(struct account *from, struct account *to, long amount)
{
    if (from->balance - amount < -from->limit)
        return 0;
    from->balance -= amount;
    to->balance += amount;
    return 1;
}

static void set_owner(struct account *account, const char *name)
{
    size_t length = strlen(name);
    if (length > sizeof account->owner)
        length = sizeof account->owner;
    for (size_t i = 0; i < length; i++)
        account->owner[i] = name[i];
    account->owner[length] = '\0';
}

static void day(void)
{
    for (int hour = 8; hour < 18; hour++) {
        for (int i = 0; i < 40; i++)
            pay(&accounts[i % ACCOUNTS], &accounts[(i + hour) % ACCOUNTS], 1 + i % 50);
        if (hour == 11)
            set_owner(&accounts[3], "Ada Lovelace");
        if (hour == 14)
            set_owner(&accounts[5], "Johann Wolfgang von Goethe");
    }
}

int main(void)
{
    day();
    struct account *writer = &accounts[5];
    int paid = pay(writer, &accounts[0], writer->balance + LIMIT);
    puts(paid ? "paid" : "REFUSED: beyond the limit");
    return !paid;
}
