/* Thread-local variables: of the program, in static space; of a library that is loaded late, allocated when first used. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#ifdef LIBRARY
__thread int late = 30;
int use_late(void) { return ++late; }
#else

static __thread int counted = 7;
__thread long empty;
static int (*use)(void);

static void reached(void) { empty += 0; }

static void *work(void *by) {
    counted += (int)(long)by;
    empty = counted * 2;
    reached();
    if (use)
        use();
    reached();
    return by;
}

int main(int argc, char **argv) {
    pthread_t thread;
    empty = 1;
    reached();
    if (argc > 1) {
        void *library = dlopen(argv[1], RTLD_NOW);
        if (library == NULL)
            return 2;
        use = (int (*)(void))dlsym(library, "use_late");
        use();
    }
    pthread_create(&thread, NULL, work, (void *)100);
    pthread_join(thread, NULL);
    reached();
    return 0;
}
#endif
