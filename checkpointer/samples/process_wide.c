/* What fork does carry: working directory, umask, limits, dispositions, signal mask. */
#include "sample.h"
static void handle(int signal) { (void)signal; }
static void set_up(void) {
    struct rlimit limit;
    MUST(chdir("/usr") == 0 && getrlimit(RLIMIT_CORE, &limit) == 0);
    umask(0123);
    limit.rlim_cur = 0;
    MUST(setrlimit(RLIMIT_CORE, &limit) == 0 && signal(SIGWINCH, handle) != SIG_ERR);
    block(SIGURG);
}
static void mutate(void) {
    sigset_t set = only(SIGHUP);
    MUST(chdir("/") == 0 && sigprocmask(SIG_SETMASK, &set, NULL) == 0);
    umask(0), signal(SIGWINCH, SIG_DFL);
}
static void check(void) {
    char name[100];
    struct rlimit limit;
    sigset_t set;
    MUST(getcwd(name, sizeof name) && strcmp(name, "/usr") == 0 && umask(0) == 0123);
    MUST(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 && signal(SIGWINCH, SIG_DFL) == handle);
    MUST(sigprocmask(SIG_BLOCK, NULL, &set) == 0 && sigismember(&set, SIGURG) && !sigismember(&set, SIGHUP));
}
