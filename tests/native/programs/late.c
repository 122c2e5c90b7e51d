/* A library is loaded, called and unloaded, twice. */
#include <dlfcn.h>
#include <stdio.h>

static int results[4];

int main(void) {
    int n = 0;
    for (int round = 0; round < 2; round++) {
        void *library = dlopen("./plugin.so", RTLD_NOW);
        if (!library)
            return 1;
        int (*work)(int) = (int (*)(int))dlsym(library, "work");
        results[n] = work(round + 3);
        n++;
        results[n] = work(round + 5);
        n++;
        dlclose(library);
    }
    printf("%d %d %d %d\n", results[0], results[1], results[2], results[3]);
    return 0;
}
