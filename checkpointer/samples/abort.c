/* abort() ends the process by SIGABRT: the handler runs first, and says so. */
#include "threads.h"
static void handle(int signal) { (void)signal; say("ok\n"), _exit(0); }
static void set_up(void) { MUST(signal(SIGABRT, handle) != SIG_ERR); }
static void mutate(void) { MUST(signal(SIGABRT, SIG_IGN) != SIG_ERR); }
static void check(void) { abort(); }
