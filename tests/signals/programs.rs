//! Programs with signals, put together at random: from timers, from children, from themselves, nested, on stacks of their own, with calls
//! that are interrupted or made again. Each takes note of what it had counted when a handler ran.

/// Random numbers (SplitMix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// A number below another one.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ word >> 31) % end
    }

    pub fn one_of<T: Copy>(&mut self, things: &[T]) -> T {
        things[usize::try_from(self.below(things.len() as u64)).unwrap_or(0)]
    }
}

const HEAD: &str = r"#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile int length, told[256];
static volatile long count, counts[256], result;
static int nested[65];

static void note(int signal)
{
    told[length] = signal;
    counts[length] = count;
    length++;
}

static void on_signal(int signal)
{
    int before = errno;
    note(signal);
    if (nested[signal]) {
        sigset_t other;
        sigemptyset(&other);
        sigaddset(&other, nested[signal]);
        raise(nested[signal]);
        sigprocmask(SIG_UNBLOCK, &other, NULL);
    }
    errno = before;
}

static void set(int signal, int flags, int within)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
    sigfillset(&action.sa_mask);
    nested[signal] = within;
    sigaction(signal, &action, NULL);
}

static void every(long microseconds)
{
    struct itimerval timer = {{0, microseconds}, {0, microseconds}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void stage(int number)
{
    result = result * 31 + number;
}

static void compute(long rounds)
{
    for (long i = 0; i < rounds; i++)
        count++;
}

static int one(int by)
{
    count += by;
    return by;
}

static void call(long rounds)
{
    for (long i = 0; i < rounds; i++)
        one(1);
}

static void compute_blocked(int signal, long rounds)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigprocmask(SIG_BLOCK, &set, NULL);
    compute(rounds);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void take_one(int signal)
{
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigprocmask(SIG_BLOCK, &set, &before);
    kill(getpid(), signal);
    result += sigtimedwait(&set, NULL, &(struct timespec){1, 0});
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static void await_one(int signal)
{
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigprocmask(SIG_BLOCK, &set, &before);
    raise(signal);
    sigdelset(&before, signal);
    sigsuspend(&before);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static void sleep_for(long microseconds)
{
    struct timespec time = {0, microseconds * 1000};
    while (nanosleep(&time, &time) && errno == EINTR)
        count++;
}

static void wait_for(int milliseconds)
{
    if (poll(NULL, 0, milliseconds))
        count++;
}

/* What a child sends, and its end. */
static void from_child(int signal, int times)
{
    pid_t child = fork();
    if (!child) {
        for (int i = 0; i < times; i++) {
            usleep(2000);
            kill(getppid(), signal);
        }
        _exit(times);
    }
    int status;
    while (waitpid(child, &status, 0) < 0)
        count++;
    result += WEXITSTATUS(status);
}

static void read_from_child(int signal)
{
    int ends[2];
    char byte = 0;
    if (pipe(ends))
        abort();
    pid_t child = fork();
    if (!child) {
        usleep(3000);
        kill(getppid(), signal);
        usleep(3000);
        _exit(write(ends[1], &byte, 1) != 1);
    }
    while (read(ends[0], &byte, 1) < 0)
        count++;
    close(ends[0]);
    close(ends[1]);
    while (waitpid(child, NULL, 0) < 0)
        count++;
}

static void done(void)
{
    every(0);
}

int main(void)
{
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    sigaltstack(&stack, NULL);
";

/// A program, and what is typed at its stages.
pub struct Program {
    pub source: String,
    /// For each stage the signal that the user gives there.
    pub given: Vec<Option<&'static str>>,
}

const SIGNALS: [&str; 5] = ["SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCHLD", "SIGVTALRM"];

/// Those that a program and its children send.
const SENT: [&str; 3] = ["SIGUSR1", "SIGUSR2", "SIGVTALRM"];

impl Program {
    pub fn new(number: usize) -> Program {
        let mut dice = Dice::new(number as u64 + 1);
        let mut source = HEAD.to_owned();
        let mut say = |line: String| source.push_str(&format!("    {line}\n"));
        for signal in SIGNALS {
            let flags = dice.one_of(&["0", "SA_RESTART", "SA_RESTART", "SA_ONSTACK", "SA_ONSTACK | SA_RESTART"]);
            // One that is nested sends no other.
            let within = if matches!(signal, "SIGALRM" | "SIGUSR2") { dice.one_of(&["0", "SIGUSR1"]) } else { "0" };
            say(format!("set({signal}, {flags}, {within});"));
        }
        let stages = 5 + dice.below(4);
        let mut given = Vec::new();
        for stage in 0..stages {
            say(format!("stage({stage});"));
            given.push((dice.below(3) == 0).then(|| dice.one_of(&SENT)));
            let sent = dice.one_of(&SENT);
            let line = match dice.below(13) {
                0..=1 => format!("every({});", 3000 + 1000 * dice.below(10)),
                2..=3 => format!("compute({});", 1_000_000 * (1 + dice.below(20))),
                4..=5 => format!("call({});", 500_000 * (1 + dice.below(20))),
                6 => format!("compute_blocked({}, {});", dice.one_of(&SIGNALS), 1_000_000 * (1 + dice.below(10))),
                7 => format!("take_one({sent});"),
                8 => format!("await_one({sent});"),
                9 => format!("sleep_for({});", 2000 + 1000 * dice.below(30)),
                10 => format!("wait_for({});", 2 + dice.below(30)),
                11 => format!("from_child({sent}, {});", 1 + dice.below(4)),
                _ => format!("read_from_child({sent});"),
            };
            say(line);
            if dice.below(3) == 0 {
                say(format!("raise({});", dice.one_of(&SENT)));
            }
            say(format!("compute({});", 100 + dice.below(2_000_000)));
        }
        say("raise(SIGUSR1);".to_owned());
        source.push_str("    done();\n    return 0;\n}\n");
        Program { source, given }
    }
}
