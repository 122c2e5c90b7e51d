//! Programs that nobody here wrote, recorded and replayed: docs/replay.md is made of these lists.

mod checked;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use checked::check_in;

/// By subject: what is run by `sh -c` in a folder with the files `p` and `s`.
#[rustfmt::skip]
const SAME: &[(&str, &[&str])] = &[
    ("coreutils", &[
        "basename /a/b", "base64 p", "cat p s", "chmod 644 p", "cksum p", "comm p p", "cp p p2", "csplit -f xx p 5 10", "cut -d: -f1 p",
        "date +%N", "dd if=/dev/urandom of=r bs=1k count=64", "df /", "dirname /a/b", "du -s .", "env", "expand p", "expr 3 + 4",
        "factor 123456789012345", "fmt p", "fold -w 10 p", "groups", "head -3 p", "hostid", "id", "install -m 600 p p3", "join p p",
        "ln -sf p l; readlink -f l", "ls -laR .", "md5sum p", "mkdir -p d/e/f; rmdir d/e/f", "mkfifo ff; echo x > ff & cat ff", "mktemp",
        "mv p p4", "nl p", "nohup true", "nproc", "numfmt --to=iec 123456", "od -N 16 -t x1 /dev/urandom", "paste p p", "pr p", "printenv",
        "ptx p", "pwd", "realpath p", "rm -f p", "seq 10000", "sha256sum p s", "shred -u p", "shuf -i 1-100", "sleep 0.1", "sort -R p",
        "split -l 10 p", "stat p", "stdbuf -oL cat p", "sum p", "sync", "tac p", "tail -3 p", "echo x | tee t", "timeout 0.1 sleep 5",
        "timeout 0.1 yes > y", "touch t", "tr a-z A-Z < p", "truncate -s 100 t", "tsort < /dev/null", "tty; true", "uname -a", "uniq p",
        "wc p s", "who", "yes | head -5",
    ]),
    ("findutils, grep, sed, awk, diffutils", &[
        "find / -xdev -maxdepth 2 -name '*.conf'", "find . -type f | xargs wc", "grep -c root p", "grep -rn line .", "sed -i s/line/row/ p",
        "awk -F: 'BEGIN {srand()} {n += $1} END {print n, rand(), systime()}' p", "diff p s", "cmp p s",
    ]),
    ("archives", &["tar cf t.tar p s && tar tvf t.tar", "gzip -k p && zcat p.gz", "bzip2 -k s", "xz -k s && xzcat s.xz"]),
    ("shells and processes", &[
        "ps aux", "kill -l", "kill -TERM $$", "trap 'echo got' USR1; kill -USR1 $$; echo done", "(sleep 0.05; echo late) & wait; jobs",
        "bash -c 'coproc cat; echo hi >&${COPROC[1]}; read x <&${COPROC[0]}; echo $x'",
        "bash -c 'x=$(date; sleep 0.1); echo \"$x\" | while read a; do echo $a; done'",
        "for i in 1 2 3 4 5; do date & done | sort; wait", "cat /proc/self/maps /proc/meminfo", "timeout 0.1 sh -c 'while :; do :; done'",
    ]),
    ("perl", &[
        "perl -e 'print time, rand, $$; fork or exit 3; wait; print $? >> 8'", "perl -MIO::Socket -e 'print IO::Socket::INET->new(Listen => 1)->sockport'",
    ]),
    ("python", &[
        "python3 -c 'import random, time, os, subprocess; print(random.random(), time.time(), os.getpid(), subprocess.check_output([\"date\"]))'",
        "python3 -c 'import threading; l = []; ts = [threading.Thread(target=lambda i=i: [l.append(i) for _ in range(9999)]) for i in range(4)]; [t.start() for t in ts]; [t.join() for t in ts]; print(hash(tuple(l)))'",
        "python3 -c 'import asyncio; asyncio.run(asyncio.wait_for(asyncio.sleep(0.01), 1))'",
        "python3 -c 'import multiprocessing as m; print(m.Pool(2).map(abs, range(-9, 9)))'",
        "python3 -m json.tool /dev/null; true", "python3 -m unittest -h", "python3 -m timeit -n 1000 pass",
    ]),
    ("compilers and tools", &[
        "printf 'int main(void){return 0;}' > a.c && gcc -O2 -o a a.c && ./a", "printf 'all:\\n\\t@date\\n' | make -s -f -",
        "objdump -d /bin/true | tail -1", "gdb -batch -ex 'print 1' /bin/true", "git init -q g && git -C g status", "openssl rand -hex 8",
        "sqlite3 d.db 'create table t(a); insert into t values (random()), (datetime()); select * from t;'", "rustc --version",
        "java -version", "go version",
    ]),
    ("network on loopback", &[
        "python3 -u -m http.server --bind 127.0.0.1 0 > log 2>&1 & until grep -q port log; do sleep 0.05; done; \
         curl -s http://127.0.0.1:$(sed -n 's/.* port \\([0-9]*\\) .*/\\1/p' log)/p; kill $!",
        "curl -s file:///etc/hostname", "getent hosts localhost",
    ]),
];

/// More of them, by subject: see its first line.
const MORE: &str = include_str!("checked/more.list");

/// The subjects of [`MORE`]: each command, and whether it is tried always.
fn more() -> Vec<(&'static str, Vec<(&'static str, bool)>)> {
    let subjects = MORE.split("\n## ").skip(1);
    let read = |subject: &'static str| {
        let (name, commands) = subject.split_once('\n').unwrap();
        let commands = commands.lines().filter(|line| !line.is_empty());
        let commands = commands.map(|line| line.strip_prefix("+ ").map_or((line, false), |command| (command, true)));
        (name, commands.collect())
    };
    subjects.map(read).collect()
}

/// What cannot be recorded yet: what is run, what is said, and why.
const NOT_YET: &[(&str, &str, &str)] = &[
    (
        "perl -e 'shmget(0, 4096, 0600) or die'",
        "shmget(",
        "System V shared memory: nothing tells when others write to it",
    ),
    ("strace true", "ptrace(", "tracers: a thread has one tracer, and that is the recorder"),
    ("unshare -r true", "unshare(", "namespaces: names of files and processes would mean others"),
    (
        "python3 -c 'import mmap; f = open(\"big\", \"w+b\"); f.truncate(1 << 30); mmap.mmap(f.fileno(), 0)'",
        "bytes that may change are too many",
        "mappings of large files that are being written: their contents would all go to the log",
    ),
];

/// The program that a command needs, if it is not here.
fn missing(command: &str) -> Option<&str> {
    let programs = [
        "curl", "gdb", "git", "go", "java", "nginx", "objdump", "openssl", "perl", "python3", "redis", "rustc",
        "sqlite3", "strace", "unshare",
    ];
    let tests = || Command::new("python3").args(["-c", "import test.support"]).output().unwrap();
    if command.contains(" -m test ") && !tests().status.success() {
        return Some("the package of Python's own tests");
    }
    programs.into_iter().find(|program| {
        let named = command.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == *program);
        // redis-server and the like are two words here.
        let found = if *program == "redis" { "redis-server" } else { program };
        named && !Command::new("sh").args(["-c", &format!("command -v {found}")]).output().unwrap().status.success()
    })
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = (0..300).map(|number| format!("{number}:line of root {number}\n")).collect();
    std::fs::write(folder.path().join("p"), &lines).unwrap();
    std::fs::write(folder.path().join("s"), lines.repeat(3)).unwrap();
    folder
}

fn runs_the_same(subject: &str) {
    let (_, commands) = SAME.iter().find(|(name, _)| *name == subject).unwrap();
    all_run_the_same(commands.iter().copied());
}

fn all_run_the_same(commands: impl Iterator<Item = &'static str>) {
    let mut wrong = Vec::new();
    for command in commands {
        if let Some(program) = missing(command) {
            println!("not tried, because {program} is not here: {command}");
            continue;
        }
        let folder = folder();
        let checked = check_in(folder.path(), &["sh", "-c", command]);
        if checked.program_status() == Some(127) {
            println!("not tried, because it is not here: {command}");
        }
        let its_own_tests_fail = command.contains(" -m test ") && checked.program_status() != Some(0);
        if checked.status() != Some(0) || its_own_tests_fail {
            wrong.push(format!("{command}: {}", checked.said()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn coreutils() {
    runs_the_same("coreutils");
}

#[test]
fn text_tools() {
    runs_the_same("findutils, grep, sed, awk, diffutils");
}

#[test]
fn archives() {
    runs_the_same("archives");
}

#[test]
fn shells() {
    runs_the_same("shells and processes");
}

#[test]
fn perl() {
    runs_the_same("perl");
}

#[test]
fn python() {
    runs_the_same("python");
}

#[test]
fn tools() {
    runs_the_same("compilers and tools");
}

#[test]
fn network() {
    runs_the_same("network on loopback");
}

/// The first few of each subject; with FRED_TEST_ALL=1 all of them, which takes a quarter of an hour.
#[test]
fn more_programs() {
    let all = std::env::var_os("FRED_TEST_ALL").is_some();
    all_run_the_same(
        more()
            .into_iter()
            .flat_map(|(_, commands)| commands)
            .filter(|(_, always)| all || *always)
            .map(|(command, _)| command),
    );
}

#[test]
fn what_is_not_recorded_yet_is_refused_by_name() {
    for (command, words, _) in NOT_YET {
        if let Some(program) = missing(command) {
            println!("not tried, because {program} is not here: {command}");
            continue;
        }
        let folder = folder();
        let checked = check_in(folder.path(), &["sh", "-c", command]);
        assert_eq!(checked.status(), Some(129), "{command}: {}", checked.said());
        assert!(checked.said().contains(words), "{command}: {}", checked.said());
    }
}

#[test]
fn the_document_is_fresh() {
    let mut text = String::from(include_str!("checked/replay.head.md"));
    for (subject, commands) in SAME {
        writeln!(text, "\n### {subject}\n").unwrap();
        for command in *commands {
            writeln!(text, "- `{}`", command.replace("         ", "")).unwrap();
        }
    }
    for (subject, commands) in more() {
        writeln!(text, "\n### {subject}\n").unwrap();
        for (command, always) in commands {
            writeln!(text, "- `{command}`{}", if always { "" } else { " \u{2a}" }).unwrap();
        }
    }
    text.push_str("\n## What is not recorded yet\n\nThe recording stops, and says what it was.\n\n| for example | why |\n| --- | --- |\n");
    for (command, _, why) in NOT_YET {
        writeln!(text, "| `{command}` | {why} |").unwrap();
    }
    text.push_str(include_str!("checked/replay.tail.md"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/replay.md");
    if std::env::var_os("FRED_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let stale = "docs/replay.md is stale: FRED_UPDATE_DOCS=1 cargo test -p fred-checkpointer the_document_is_fresh";
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), text, "{stale}");
}
