/* The counts of an eventfd and of a semaphore. */
#include "sample.h"
#include <sys/eventfd.h>
static int counter, semaphore, empty;
static void set_up(void) { MUST((counter = eventfd(5, 0)) >= 0 && (semaphore = eventfd(3, EFD_SEMAPHORE)) >= 0 && (empty = eventfd(0, EFD_NONBLOCK)) >= 0); }
static void mutate(void) {
    eventfd_t value;
    MUST(eventfd_read(counter, &value) == 0 && eventfd_write(semaphore, 9) == 0 && eventfd_write(empty, 1) == 0);
}
static void check(void) {
    eventfd_t value;
    MUST(eventfd_read(counter, &value) == 0 && value == 5);
    for (int i = 0; i < 3; i++) MUST(eventfd_read(semaphore, &value) == 0 && value == 1);
    MUST(fcntl(semaphore, F_SETFL, O_NONBLOCK) == 0 && eventfd_read(semaphore, &value) == -1);
    MUST(eventfd_read(empty, &value) == -1 && errno == EAGAIN);
}
