//! Sessions record and replay: what a program does outside happens once, what it has learnt from there it learns again, whatever
//! moves are made in between.

mod native;
#[path = "recorded/printed.rs"]
mod printed;
#[path = "recorded/world.rs"]
mod world;

use native::{Sample, is_done, said};
use world::{PDB, World};

/// What a program does in a round, and the checksum of what it has learnt in it.
const PYTHON: &str = "\
import os, socket, subprocess, time, zlib
seen = []
def effects(i, server):
    with open('log.txt', 'a') as f:
        f.write('line %d\\n' % i)
    os.mkdir('dir%d' % i)
    now = (time.time(), time.monotonic())
    chance = os.urandom(4)
    r, w = os.pipe()
    os.write(w, b'piped')
    got = os.read(r, 5)
    os.close(r)
    os.close(w)
    server.sendall(b'say %d\\n' % i)
    answer = server.recv(64)
    child = subprocess.run(['sh', '-c', 'echo child >> log.txt; date +%N'], stdout=subprocess.PIPE).stdout
    seen.append(zlib.crc32(repr((i, now, chance, got, answer, child)).encode()))
    print('round', i)
def main():
    server = socket.socket(socket.AF_UNIX)
    server.connect('server')
    for i in range(3):
        effects(i, server)
    server.close()
    print(len(seen), flush=True)
    os._exit(0)
main()
";

const C: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static unsigned seen[3];

static void mix(unsigned *sum, const void *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        *sum = *sum * 31 + ((const unsigned char *) data)[i] + 1;
}

static void effects(int i, int server)
{
    char text[64];
    unsigned sum = 7;
    int file = open("log.txt", O_WRONLY | O_CREAT | O_APPEND, 0644);
    snprintf(text, sizeof text, "line %d\n", i);
    write(file, text, strlen(text));
    close(file);
    snprintf(text, sizeof text, "dir%d", i);
    if (mkdir(text, 0755) != 0)
        abort();
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    mix(&sum, &now, sizeof now);
    int chance = open("/dev/urandom", O_RDONLY);
    read(chance, text, 4);
    mix(&sum, text, 4);
    close(chance);
    int ends[2];
    pipe(ends);
    write(ends[1], "piped", 5);
    read(ends[0], text, 5);
    mix(&sum, text, 5);
    close(ends[0]);
    close(ends[1]);
    snprintf(text, sizeof text, "say %d\n", i);
    send(server, text, strlen(text), 0);
    ssize_t got = recv(server, text, sizeof text, 0);
    mix(&sum, text, got > 0 ? got : 0);
    if (system("echo child >> log.txt") != 0)
        abort();
    seen[i] = sum;
    printf("round %d\n", i);
    fflush(stdout);
}

int main(void)
{
    struct sockaddr_un name = { AF_UNIX, "server" };
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(server, (struct sockaddr *) &name, sizeof name) != 0)
        return 1;
    for (int i = 0; i < 3; i++)
        effects(i, server);
    close(server);
    return 0;
}
"#;

/// Numbers that look random and are the same each time (xorshift).
struct Dice(u64);

impl Dice {
    fn roll<'w>(&mut self, words: &[&'w str]) -> &'w str {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        words[usize::try_from(self.0 >> 33).unwrap_or(0) % words.len()]
    }
}

const MOVES: [&str; 14] = [
    "next",
    "next",
    "next",
    "next",
    "next",
    "continue",
    "fred-undo",
    "fred-undo 2",
    "fred-undo 4",
    "fred-redo",
    "fred-reverse-next",
    "fred-reverse-next 3",
    "fred-reverse-step",
    "fred-reverse-continue",
];

/// How many random sessions are tried of each kind.
fn sessions() -> u64 {
    std::env::var("FRED_TEST_SESSIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Random moves, with a look at what the program has learnt after each; then to the end.
fn moves(seed: u64, opening: &[&str], look: &str, end: &[&str]) -> Vec<String> {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut lines: Vec<String> = opening.iter().map(|line| (*line).to_owned()).collect();
    lines.extend(std::iter::repeat_n("next".to_owned(), 8));
    // Entries that can be undone without going back to before the program's start.
    let mut room = 8;
    for _ in 0..24 {
        let word = dice.roll(&MOVES);
        let undone = match word.strip_prefix("fred-undo") {
            Some(times) => times.trim().parse().unwrap_or(1),
            None => 0,
        };
        let word = if undone > room { "next" } else { word };
        room = if word.starts_with("fred-undo") { room - undone } else { room + usize::from(!word.contains("re")) };
        lines.push(word.to_owned());
        lines.push(look.to_owned());
    }
    lines.extend(end.iter().map(|line| (*line).to_owned()));
    lines
}

/// What the program has learnt in a round is the same whenever one looks: texts of looks, each a list of numbers.
fn same_whenever_seen<'t>(looks: impl Iterator<Item = &'t str>) -> usize {
    let mut known: Vec<Option<u64>> = vec![None; 3];
    for text in looks {
        let text = text.rsplit_once('=').map_or(text, |(_, text)| text);
        let Some(list) = text.trim().strip_prefix(['[', '{']) else { continue };
        let list = list.trim_end_matches([']', '}']);
        for (index, word) in list.split(',').enumerate() {
            let Ok(value) = word.trim().parse::<u64>() else { continue };
            if value == 0 {
                continue;
            }
            assert_eq!(*known[index].get_or_insert(value), value, "round {index}: {text}");
        }
    }
    known.into_iter().flatten().count()
}

#[test]
fn effects_of_a_python_program_happen_once() {
    for seed in 1..=sessions() {
        let world = World::new().file("prog.py", PYTHON);
        let opening = ["break 18", "tbreak 4", "continue"];
        let lines = moves(seed, &opening, "p seen", &["clear 1", "clear 2", "continue"]);
        let events = world.fred(PDB, &["prog.py"], &lines);
        let looks = events.iter().filter(|event| event["line"] == "p seen").map(said);
        same_whenever_seen(looks);
        world.has_what_one_run_leaves(&lines, &events);
        assert_eq!(world.diverged(), 0, "seed {seed}: {lines:?}");
        printed_once(&world, &events);
    }
}

#[test]
fn effects_of_a_native_program_happen_once() {
    for seed in 1..=sessions() {
        let sample = Sample::of("program.c", C);
        let world = World::at(sample.path());
        let opening = ["set debug-file-directory /none", "break effects", "run"];
        let lines = moves(seed, &opening, "print seen", &["delete", "continue"]);
        let events = world.fred(&["gdb", "-q", "-nx"], &["./program"], &lines);
        let looks = events.iter().filter(|event| event["line"] == "print seen").map(said);
        same_whenever_seen(looks);
        world.has_what_one_run_leaves(&lines, &events);
        assert_eq!(world.diverged(), 0, "seed {seed}: {lines:?}");
        printed_once(&world, &events);
    }
}

/// Each line of the program has been shown once, if it has come to its end; else once or never.
fn printed_once(world: &World, events: &[serde_json::Value]) {
    let ended = events.iter().any(|event| event["stop"]["reason"] == "exited");
    for round in 0..3 {
        let shown = world.output().matches(&format!("round {round}\n")).count();
        assert!(shown == 1 || shown == 0 && !ended, "round {round}, {shown} times: {}", world.output());
    }
}

/// The whole way back and forth over every statement, which random moves may leave out.
#[test]
fn every_statement_is_gone_over_twice() {
    let world = World::new().file("prog.py", PYTHON);
    let mut lines = vec!["tbreak 4".to_owned(), "continue".to_owned()];
    lines.extend(std::iter::repeat_n("next".to_owned(), 15));
    lines.push("p seen".to_owned());
    lines.push("fred-undo 15".to_owned());
    lines.extend(std::iter::repeat_n("next".to_owned(), 15));
    lines.extend(["p seen", "fred-reverse-next 14", "next", "continue"].map(str::to_owned));
    let events = world.fred(PDB, &["prog.py"], &lines);
    assert!(events.iter().all(is_done), "{events:#?}");
    let looks: Vec<&str> = events.iter().filter(|event| event["line"] == "p seen").map(said).collect();
    assert_eq!(looks.len(), 2);
    assert!(looks[0].starts_with('[') && looks[0].len() > 4, "{looks:?}");
    assert_eq!(looks[0], looks[1]);
    world.has_what_one_run_leaves(&lines, &events);
    assert_eq!(world.diverged(), 0);
}

const COUNTS: &str = "\
import os
f = open('log.txt', 'a')
word = 'old'
f.write(word + '\\n')
f.flush()
os.mkdir(word)
end = 1
";

#[test]
fn what_is_changed_in_the_past_begins_a_line_of_its_own() {
    let world = World::new().file("prog.py", COUNTS);
    let lines = [
        "tbreak 4",
        "continue",
        "next",
        "next",
        "next",
        "fred-undo 3",
        "!word = 'new'",
        "next",
        "next",
        "next",
        "fred-undo 2",
        "next",
        "next",
        "p os.path.isdir('new')",
    ];
    let events = world.fred(PDB, &["prog.py"], &lines.map(str::to_owned));
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(said(events.last().expect("a last one")).trim(), "True");
    // The change is made once, too, and it is no fault of the replay.
    assert_eq!(world.read("log.txt"), "old\nnew\n");
    assert!(world.path().join("old").is_dir() && world.path().join("new").is_dir());
    let told = world.told("after the change the program goes another way, for real: ");
    assert_eq!(told.len(), 1, "{}", world.output());
    assert!(
        told[0].contains("stays done: ") && told[0].contains("log.txt") && told[0].contains("mkdir old"),
        "{told:?}"
    );
    assert_eq!(world.diverged(), 0);
}

const READS: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static char text[16];

int main(void)
{
    int file = open("settings", O_RDONLY);
    read(file, text, 3);
    close(file);
    puts(text);
    return 0;
}
"#;

#[test]
fn a_file_that_was_changed_since_is_told_of_once() {
    let folder = tempfile::tempdir().expect("a directory");
    std::fs::write(folder.path().join("settings"), "one\n").expect("a file");
    let sample = Sample::of("program.c", READS);
    std::fs::copy(folder.path().join("settings"), sample.path().join("settings")).expect("a copy");
    // Only a file that is older than the session counts as one that does not change, and a change time cannot be set.
    std::thread::sleep(std::time::Duration::from_millis(100));
    let world = World::at(sample.path());
    let lines = [
        "set debug-file-directory /none",
        "break 10",
        "run",
        "next",
        "next",
        "print text",
        "fred-undo 2",
        "next",
        "next",
        "print text",
        "shell echo two > settings",
        "fred-undo 2",
        "next",
        "next",
        "print text",
    ];
    let events = world.fred(&["gdb", "-q", "-nx"], &["./program"], &lines.map(str::to_owned));
    assert!(events.iter().all(is_done), "{events:#?}");
    let looks: Vec<&str> = events.iter().filter(|event| event["line"] == "print text").map(said).collect();
    assert!(looks[0].contains("one") && looks[1].contains("one"), "{looks:?}");
    assert_eq!(world.diverged(), 1, "{}", world.output());
    let told = world.told("the program did not replay the same way: ");
    assert_eq!(told.len(), 1, "{}", world.output());
    assert!(told[0].contains("openat(") && told[0].contains("a file that has been changed since"), "{told:?}");
    // The session goes on.
    assert!(looks.last().is_some_and(|text| text.contains("two")), "{looks:?}");
}

const SHARES: &str = r#"
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/shm.h>

int main(void)
{
    int a = 1;
    int memory = shmget(IPC_PRIVATE, 4096, 0600);
    shmctl(memory, IPC_RMID, 0);
    a = 2;
    printf("a is %d\n", a);
    return 0;
}
"#;

#[test]
fn what_cannot_be_recorded_is_named_and_ends_nothing() {
    let sample = Sample::of("program.c", SHARES);
    let world = World::at(sample.path());
    let lines = [
        "set debug-file-directory /none",
        "break main",
        "run",
        "next",
        "next",
        "next",
        "next",
        "print a",
        "fred-undo 3",
        "next",
        "continue",
    ];
    let events = world.fred(&["gdb", "-q", "-nx"], &["./program"], &lines.map(str::to_owned));
    assert!(events.iter().all(is_done), "{events:#?}");
    let told = world.told("recording stops here: ");
    assert!(told.first().is_some_and(|text| text.contains("shmget cannot be recorded")), "{}", world.output());
    assert_eq!(events.last().map(|event| event["stop"]["exit_code"].clone()), Some(0.into()), "{events:#?}");
}

const CLOCKS: &str = r#"
#include <pthread.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

static unsigned sum, calls, seen[5];

static void learn(void)
{
    struct timespec now;
    struct timeval day;
    calls++;
    clock_gettime(CLOCK_REALTIME, &now);
    sum = sum * 31 + now.tv_nsec;
    gettimeofday(&day, NULL);
    sum = sum * 31 + day.tv_usec;
    sum = sum * 31 + time(NULL);
}

static void learn_counter(void)
{
    unsigned processor;
    sum = sum * 31 + __rdtsc();
    sum = sum * 31 + __rdtscp(&processor);
    sum = sum * 31 + processor;
}

static void round_over(int round)
{
    seen[round] = sum;
}

static void *other(void *nothing)
{
    learn();
    return nothing;
}

int main(void)
{
    for (int round = 0; round < 3; round++) {
        for (int k = 0; k < 4000; k++)
            learn();
        for (int k = 0; k < 100; k++)
            learn_counter();
        round_over(round);
    }
    pthread_t thread;
    pthread_create(&thread, NULL, other, NULL);
    pthread_join(thread, NULL);
    learn();
    round_over(3);
    if (vfork() == 0)
        _exit(0);
    wait(NULL);
    learn();
    round_over(4);
    return 0;
}
"#;

/// More readings in a round than the buffer has room for, copies in the middle of them, a thread and a child.
#[test]
fn clocks_of_a_native_program_are_read_again_as_they_were() {
    let sample = Sample::of("program.c", CLOCKS);
    let world = World::at(sample.path());
    let mut lines = vec!["set debug-file-directory /none", "break round_over", "run"];
    lines.extend(["continue"; 4]);
    lines.extend(["finish", "print seen", "fred-undo 5", "tbreak learn if calls == 6000", "continue", "print sum"]);
    // From the middle of what has been read, twice.
    for _ in 0..2 {
        lines.extend(["continue", "finish", "print seen", "fred-undo 2", "print sum"]);
    }
    lines.extend(["next", "next", "fred-reverse-next", "print sum", "continue"]);
    lines.extend(["continue"; 3]);
    lines.extend(["finish", "print seen"]);
    let lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
    let events = world.fred(&["gdb", "-q", "-nx"], &["./program"], &lines);
    assert!(events.iter().all(is_done), "{events:#?}");
    let looks = |line: &str| events.iter().filter(|event| event["line"] == line).map(said).collect::<Vec<_>>();
    let sums = looks("print sum");
    let value = |text: &str| text.rsplit_once('=').map(|(_, value)| value.trim().to_owned());
    assert!(sums[..3].windows(2).all(|pair| value(pair[0]) == value(pair[1])), "{sums:?}");
    let seen = looks("print seen");
    // What the rounds had learnt when they were run first is what they have learnt at the end, and in between.
    assert_eq!(value(seen[0]), value(seen[seen.len() - 1]), "{seen:?}");
    assert_eq!(value(seen[1]), value(seen[2]), "{seen:?}");
    assert_eq!(world.diverged(), 0, "{}", world.output());
}

const PROCESSORS: &str = r#"
#define _GNU_SOURCE
#include <sched.h>
#include <x86intrin.h>

int main(void)
{
    cpu_set_t set;
    unsigned long long before = __rdtsc();
    int found = 0;
    for (int i = 0; i < 3; i++)
        sched_getaffinity(0, sizeof set, &set);
    found = CPU_COUNT(&set);
    return before < __rdtsc() ? found : 0;
}
"#;

/// Who is stepped is kept on one processor, which is not to be seen; and a step over a reading of the counter is one step.
#[test]
fn a_program_that_is_stepped_sees_all_processors() {
    let sample = Sample::of("program.c", PROCESSORS);
    let world = World::at(sample.path());
    let mut lines = vec!["break main", "run", "display/i $pc"];
    lines.extend(["next"; 3]);
    lines.extend(["stepi"; 12]);
    lines.extend([
        "tbreak program.c:14",
        "continue",
        "print found",
        "fred-reverse-next",
        "next",
        "print found",
        "continue",
    ]);
    let lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
    let events = world.fred(&["gdb", "-q", "-nx"], &["./program"], &lines);
    assert!(events.iter().all(is_done), "{events:#?}");
    let processors = std::thread::available_parallelism().expect("processors").get();
    let found: Vec<&str> = events.iter().filter(|event| event["line"] == "print found").map(said).collect();
    assert!(found.iter().all(|text| text.trim().ends_with(&format!("= {processors}"))), "{found:?}");
    assert_eq!(events.last().expect("events")["stop"]["exit_code"], processors, "{events:#?}");
    assert_eq!(world.diverged(), 0, "{}", world.output());
}

const TIMES: &str = "\
import time, zlib
seen = []
def learn(total):
    for k in range(300):
        now = (time.time(), time.monotonic(), time.perf_counter(), time.clock_gettime(time.CLOCK_REALTIME))
        total = zlib.crc32(repr(now).encode(), total)
    return total
def main():
    for i in range(3):
        seen.append(learn(i))
        time.sleep(0.001)
    return seen
main()
end = 1
";

/// A debugger in the process reads clocks, too, and more or less often each time.
#[test]
fn clocks_of_a_python_program_are_read_again_as_they_were() {
    let world = World::new().file("prog.py", TIMES);
    let mut lines = vec!["tbreak 9", "continue"];
    lines.extend([
        "next",
        "next",
        "p seen",
        "next",
        "p time.monotonic()",
        "next",
        "p seen",
        "next",
        "next",
        "next",
        "p seen",
    ]);
    lines.extend([
        "fred-reverse-watch len(seen) < 2",
        "p seen",
        "next",
        "p seen",
        "fred-undo 5",
        "next",
        "step",
        "next",
    ]);
    lines.extend([
        "p (time.time(), time.monotonic())",
        "return",
        "next",
        "next",
        "next",
        "p seen",
        "tbreak 13",
        "continue",
        "p seen",
    ]);
    let lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
    let events = world.fred(PDB, &["prog.py"], &lines);
    assert!(events.iter().all(is_done), "{events:#?}");
    let looks = events.iter().filter(|event| event["line"] == "p seen").map(said);
    assert_eq!(same_whenever_seen(looks), 3, "{events:#?}");
    assert_eq!(world.diverged(), 0, "{}", world.output());
}

const LOCKED: &str = "\
import pdb, threading, time
seen = []
lock = threading.Lock()
def learn(times):
    for i in range(times):
        with lock:
            seen.append(int(time.monotonic() * 1e9))
learn(25)
for worker in [threading.Thread(target=learn, args=(5,)) for i in range(3)]:
    worker.start()
    worker.join()
for last in range(10):
    learn(1)
pdb.set_trace()
end = 1
";

/// Without breakpoints a debugger does not trace, and a search that does has other frames of C, and takes locks more often.
#[test]
fn a_clock_that_was_read_without_tracing_is_read_again_with_it() {
    for python in pythons() {
        eprintln!("{python}");
        let world = World::new().file("prog.py", LOCKED);
        let lines = ["continue", "p seen", "fred-reverse-watch len(seen) < 45", "p seen", "fred-undo", "p seen"];
        let events = world.fred(&[&python, "-m", "pdb"], &["prog.py"], &lines.map(str::to_owned));
        assert!(events.iter().all(is_done), "{events:#?}");
        let looks: Vec<&str> =
            events.iter().filter(|event| event["line"] == "p seen").map(|event| said(event).trim()).collect();
        let [first, landed, again] = looks[..] else { panic!("{events:#?}") };
        assert!(first.starts_with(landed.trim_end_matches(']')), "{first}\n{landed}");
        assert_eq!(landed.split(',').count(), 44, "{landed}");
        assert_eq!(first, again);
        assert_eq!(world.diverged(), 0, "{}", world.output());
    }
}

const POOL: &str = "\
import concurrent.futures, pdb
with concurrent.futures.ThreadPoolExecutor(3) as pool:
    squares = list(pool.map(lambda x: x * x, range(40)))
total = 0
for square in squares:
    total += square
    with open('log.txt', 'a') as log:
        log.write('%d\\n' % total)
pdb.set_trace()
end = 1
";

/// The pool waits for its threads in the order of their addresses, which are others where a search has made objects before.
#[test]
fn threads_of_a_pool_may_end_in_another_order_and_no_effect_is_made_twice() {
    let world = World::new().file("prog.py", POOL);
    let lines = [
        "continue",
        "fred-reverse-watch total < 500",
        "p total",
        "fred-reverse-watch total < 200",
        "p total",
        "fred-undo 2",
        "p total",
    ];
    let events = world.fred(PDB, &["prog.py"], &lines.map(str::to_owned));
    assert!(events.iter().all(is_done), "{events:#?}");
    let looks: Vec<&str> =
        events.iter().filter(|event| event["line"] == "p total").map(|event| said(event).trim()).collect();
    assert_eq!(looks, ["385", "140", "20540"]);
    assert_eq!(world.diverged(), 0, "{}", world.output());
    let wanted: Vec<String> = (0..40u32)
        .scan(0, |sum, x| {
            *sum += x * x;
            Some(sum.to_string())
        })
        .collect();
    assert_eq!(world.read("log.txt").lines().collect::<Vec<_>>(), wanted);
}

/// The interpreter in PATH, that of the system, which is built in another way, and all of pyenv's.
fn pythons() -> Vec<String> {
    let home = std::env::var("HOME").unwrap_or_default();
    let versions = std::fs::read_dir(format!("{home}/.pyenv/versions")).into_iter().flatten().flatten();
    let versions = versions.map(|version| version.path().join("bin/python3"));
    let found = versions.chain(["/usr/bin/python3".into()]).filter(|python| python.exists());
    found.map(|python| python.to_string_lossy().into_owned()).chain(["python3".to_owned()]).collect()
}

const REPLACED: &str = "\
import os
def take():
    keep, (r, w) = os.dup(0), os.pipe()
    os.write(w, b'abcd')
    os.dup2(r, 0)
    took = os.read(0, 1) + os.read(0, 1)
    os.dup2(keep, 0)
    return took
first = take()
second = take()
end = 1
";

/// Reads of single bytes from the terminal are not looked at; from what has taken its place they are.
#[test]
fn what_takes_the_place_of_the_terminal_is_recorded() {
    let world = World::new().file("prog.py", REPLACED);
    let lines =
        ["tbreak 9", "continue", "next", "next", "p first, second", "fred-undo 2", "next", "next", "p first, second"];
    let events = world.fred(PDB, &["prog.py"], &lines.map(str::to_owned));
    assert!(events.iter().all(is_done), "{events:#?}");
    let looks: Vec<&str> = events.iter().filter(|event| event["line"] == "p first, second").map(said).collect();
    assert_eq!(looks.iter().map(|text| text.trim()).collect::<Vec<_>>(), ["(b'ab', b'ab')"; 2]);
    assert_eq!(world.diverged(), 0, "{}", world.output());
}

/// Who does not want it gets none.
#[test]
fn nothing_is_recorded_where_that_is_not_wanted() {
    let world = World::new().file("prog.py", COUNTS);
    let lines = ["tbreak 5", "continue", "next", "fred-undo", "next", "p word"];
    let events = world.fred_with(&["--no-record"], PDB, &["prog.py"], &lines.map(str::to_owned));
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(world.read("log.txt"), "old\nold\n");
}
