/* What a program is given: arguments, environment, directory, input, output. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int lines;

static void show(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        printf("argument %d: [%s]\n", i, argv[i]);
}

int main(int argc, char **argv) {
    char line[200], folder[4096];
    const char *variable = getenv("GIVEN");
    const char *other = getenv("HOME");
    const char *name = getcwd(folder, sizeof folder) ? strrchr(folder, '/') : "?";
    show(argc, argv);
    printf("GIVEN: %s, HOME: %s, in %s\n", variable ? variable : "none", other ? "set" : "none", name);
    while (fgets(line, sizeof line, stdin))
        lines++;
    printf("lines: %d\n", lines);
    return lines;
}
