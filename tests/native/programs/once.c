/* A timer that fires once, while the program waits for something else. */
#include <signal.h>
#include <sys/time.h>
#include <time.h>

static volatile int fired, rounds;

static void on_alarm(int signal)
{
    fired += signal == SIGALRM;
}

int main(void)
{
    struct timespec moment = {0, 2000000};
    struct itimerval once = {{0, 0}, {0, 150000}};
    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &once, 0);
    nanosleep(&moment, 0);
    rounds = 1;
    while (!fired) {
        nanosleep(&moment, 0);
        rounds++;
    }
    for (int more = 0; more < 100; more++)
        nanosleep(&moment, 0);
    return fired != 1;
}
