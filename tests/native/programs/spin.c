/* Two threads hand a turn to each other and spin meanwhile. */
#include <pthread.h>
#include <stdio.h>

static volatile int turn, rounds;

static void done(void) {
}

static void *other(void *x) {
    for (int i = 0; i < 2000; i++) {
        while (turn != 1)
            ;
        rounds++;
        turn = 0;
    }
    return x;
}

int main(void) {
    pthread_t thread;
    int own = 0;
    pthread_create(&thread, NULL, other, NULL);
    for (int i = 0; i < 2000; i++) {
        while (turn != 0)
            ;
        own++;
        turn = 1;
        if (i == 1000)
            done();
    }
    pthread_join(thread, NULL);
    done();
    printf("%d %d\n", own, rounds);
    return own == 2000 && rounds == 2000 ? 0 : 1;
}
