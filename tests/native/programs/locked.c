/* Locks of three kinds, each of a file of its own: taken, given up, and taken again; on one of two ways. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

static volatile int other_way, failed;

static void step(int number)
{
    (void)number;
}

static void set(int record, int description, int whole, int taken)
{
    struct flock range = {.l_type = taken ? F_WRLCK : F_UNLCK, .l_whence = SEEK_SET};
    failed += fcntl(record, F_SETLK, &range) != 0;
    failed += fcntl(description, F_OFD_SETLK, &range) != 0;
    failed += flock(whole, taken ? LOCK_EX : LOCK_UN) != 0;
}

int main(void)
{
    int record = open("record", O_RDWR | O_CREAT, 0600);
    int description = open("description", O_RDWR | O_CREAT, 0600);
    int whole = open("whole", O_RDWR | O_CREAT, 0600);
    step(0);
    set(record, description, whole, 1);
    step(1);
    if (other_way) {
        failed += write(record, "other", 5) != 5;
        step(10);
        set(record, description, whole, 0);
        step(11);
        return failed;
    }
    set(record, description, whole, 0);
    step(2);
    set(record, description, whole, 1);
    step(3);
    failed += write(record, "same", 4) != 4;
    step(4);
    return failed;
}
