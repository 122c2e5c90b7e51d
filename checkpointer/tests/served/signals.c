#include <signal.h>
#include <unistd.h>

static volatile int handled, late;

static void handle(int number) {
    if (number == SIGUSR1)
        handled++;
    else
        late++;
}

static void done(void) {}

static void raiser(void) {
    raise(SIGUSR1);
    handled += 0;
}

int main(void) {
    signal(SIGUSR1, handle);
    signal(SIGUSR2, handle);
    raiser();
    raise(SIGUSR1);
    raise(SIGUSR2);
    done();
    raise(SIGTERM);
    return 0;
}
