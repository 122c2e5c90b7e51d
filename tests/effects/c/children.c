/* Effects of other processes, and on them. */

static long status_of(pid_t child)
{
    int status = 0;
    pid_t ended = waitpid(child, &status, 0);
    must(ended == child, "waitpid");
    return status;
}

static long op_fork(int i)
{
    pid_t child = fork();
    if (child == 0) {
        put("children", named("fork ", i));
        _exit(i % 7 + 1);
    }
    learnt[i] += child;
    return status_of(child);
}

static long op_exec(int i)
{
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", "echo exec >> children; exit 9", NULL);
        _exit(127);
    }
    put("parent", named("exec ", i));
    return status_of(child);
}

static long op_vfork(int i)
{
    pid_t child = vfork();
    if (child == 0) {
        execl("/bin/mkdir", "mkdir", named("by_vfork", i), NULL);
        _exit(127);
    }
    return status_of(child);
}

static long op_spawn(int i)
{
    pid_t child;
    char *words[] = { "sh", "-c", "echo spawned >> children", NULL };
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    must(posix_spawn(&child, "/bin/sh", &actions, NULL, words, environ) == 0, "posix_spawn");
    posix_spawn_file_actions_destroy(&actions);
    return status_of(child) + i;
}

static long op_system(int i)
{
    char command[64];
    snprintf(command, sizeof command, "echo system %d >> children; exit %d", i, i % 5);
    return system(command);
}

static long op_to_a_pipe(int i)
{
    FILE *pipe_ = popen("sort >> sorted", "w");
    fprintf(pipe_, "b %d\na %d\n", i, i);
    return pclose(pipe_) * 10000000 + look("sorted") % 10000000;
}

static long op_from_a_pipe(int i)
{
    char line[32] = "";
    FILE *pipe_ = popen("echo said >> children; echo told; date +%N", "r");
    must(fgets(line, sizeof line, pipe_) != NULL, "a line");
    long found = sum(line, strlen(line));
    must(fgets(line, sizeof line, pipe_) != NULL, "a line");
    learnt[i] += atol(line);
    return found * 10 + pclose(pipe_);
}

/* To and fro. */
static long op_socket_to_a_child(int i)
{
    int pair[2];
    char text[32];
    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
    pid_t child = fork();
    if (child == 0) {
        close(pair[0]);
        long got = read(pair[1], text, sizeof text);
        put("children", named("heard ", got));
        write(pair[1], "answer", 6);
        got = read(pair[1], text, sizeof text);
        _exit(got);
    }
    close(pair[1]);
    write(pair[0], "question", 8);
    long got = read(pair[0], text, sizeof text);
    write(pair[0], "thanks", 6);
    close(pair[0]);
    return status_of(child) * 10 + got + i;
}

static int heard, answers;

static void on_told(int number)
{
    put("children", number == SIGUSR1 ? "usr1\n" : "usr2\n");
    heard++;
    write(answers, "h", 1);
}

/* It answers each, or else both could be waiting for it at once. */
static long op_signals_to_a_child(int i)
{
    int ready[2];
    char byte;
    pipe(ready);
    pid_t child = fork();
    if (child == 0) {
        sigset_t none, both;
        sigemptyset(&none);
        sigemptyset(&both);
        sigaddset(&both, SIGUSR1);
        sigaddset(&both, SIGUSR2);
        sigprocmask(SIG_BLOCK, &both, NULL);
        answers = ready[1];
        signal(SIGUSR1, on_told);
        signal(SIGUSR2, on_told);
        write(ready[1], "r", 1);
        while (heard < 2)
            sigsuspend(&none);
        _exit(heard + 40);
    }
    close(ready[1]);
    long done = read(ready[0], &byte, 1);
    done += kill(child, SIGUSR1) + read(ready[0], &byte, 1);
    done += kill(child, SIGUSR2) + read(ready[0], &byte, 1);
    close(ready[0]);
    return status_of(child) * 10 + done + i;
}

static long op_killed_child(int i)
{
    pid_t child = fork();
    if (child == 0) {
        for (;;)
            pause();
    }
    put("parent", named("kill ", i));
    kill(child, i % 2 ? SIGTERM : SIGKILL);
    siginfo_t info;
    waitid(P_PID, child, &info, WEXITED | WNOWAIT);
    return status_of(child) * 1000 + info.si_status * 10 + info.si_code;
}

/* Its parent has ended before it has. */
static long op_grandchild(int i)
{
    int end[2];
    char byte;
    pipe(end);
    pid_t child = fork();
    if (child == 0) {
        if (fork() == 0) {
            close(end[0]);
            put("children", named("grandchild ", i));
            _exit(0);
        }
        _exit(5);
    }
    close(end[1]);
    long status = status_of(child);
    status = status * 10 + read(end[0], &byte, 1);
    close(end[0]);
    return status;
}

static volatile int ended;

static void on_child(int number)
{
    ended += number == SIGCHLD;
}

static long op_child_tells_its_end(int i)
{
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    signal(SIGCHLD, on_child);
    int was = ended;
    pid_t child = fork();
    if (child == 0) {
        put("children", "tells\n");
        _exit(i % 3);
    }
    while (ended == was)
        sigsuspend(&before);
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return status_of(child) * 10 + (ended - was);
}

/* A child that lives on; another operation, or the next of this kind, ends it. */
static long op_child_for_long(int i)
{
    static int to_child = -1;
    static pid_t child;
    if (to_child < 0) {
        int ends[2];
        pipe2(ends, O_CLOEXEC);
        child = fork();
        if (child == 0) {
            char byte;
            close(ends[1]);
            while (read(ends[0], &byte, 1) == 1)
                put("children", "on\n");
            _exit(33);
        }
        close(ends[0]);
        to_child = ends[1];
        return i;
    }
    write(to_child, "x", 1);
    close(to_child);
    to_child = -1;
    return status_of(child);
}

static void *put_by_thread(void *name)
{
    put(name, "thread\n");
    return name;
}

/* The end of a thread is waited for while a child lives. */
static long op_thread_beside_a_child(int i)
{
    int ends[2];
    char byte;
    pthread_t thread;
    pipe(ends);
    pid_t child = fork();
    if (child == 0) {
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) + 20);
    }
    close(ends[0]);
    pthread_create(&thread, NULL, put_by_thread, "by_thread");
    pthread_join(thread, NULL);
    write(ends[1], "x", 1);
    close(ends[1]);
    return status_of(child) + i;
}

static long op_several_children(int i)
{
    long total = 0;
    int order[2];
    pipe(order);
    for (int k = 0; k < 3; k++) {
        if (fork() == 0) {
            char byte;
            read(order[0], &byte, 1);
            put("several", "child\n");
            _exit(k + 1);
        }
    }
    write(order[1], "123", 3);
    close(order[0]);
    close(order[1]);
    for (int k = 0; k < 3; k++) {
        int status = 0;
        must(wait(&status) > 0, "wait");
        total += WEXITSTATUS(status);
    }
    return total * 100 + (wait(NULL) == -1 ? errno : 0) + i;
}
