//! The pdb helper against plain pdb: everything that it reports and every place that it arrives at is compared with
//! what stepping through the same program at a stock prompt shows, on every CPython that is found.
//!
//! A copy of a stopped process is stood in for by a fresh process that is brought to the same place.
//! `FRED_TEST_ALL=1` tries every program on every version instead of a rotating sample.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use fred::backends::dialect::{Dialect, PromptKind};
use fred::backends::dialects::pdb::Pdb;
use fred::backends::dialects::pdb_agent::{self, Numbered, Reply, Request};
use regex::Regex;

/// More stops than the longest program makes that is stepped to its end; library code is cut off there.
const LONGEST: usize = 420;

/// A stock pdb on pipes.
struct Session {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    dir: PathBuf,
    code: PathBuf,
    asked: u64,
    ended: bool,
    first: String,
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Python to test with, and where its compiled helper is.
struct Python {
    path: PathBuf,
    dir: PathBuf,
    code: PathBuf,
}

impl Python {
    /// A program under `python -m pdb`.
    fn start(&self, program: &Path, name: &str) -> Session {
        self.start_with(&["-u", "-m", "pdb"], program, name)
    }

    /// A program that calls pdb itself.
    fn start_plain(&self, program: &Path, name: &str) -> Session {
        self.start_with(&["-u"], program, name)
    }

    fn start_with(&self, arguments: &[&str], program: &Path, name: &str) -> Session {
        let dir = self.dir.join(name);
        fs::create_dir_all(&dir).expect("a directory for the files");
        let mut child = Command::new(&self.path)
            .args(arguments)
            .arg(program)
            .env("PYTHONHASHSEED", "0")
            .env("HOME", &self.dir)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(&self.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Python starts");
        let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let code = self.code.clone();
        let mut session = Session { child, input, output, dir, code, asked: 0, ended: false, first: String::new() };
        session.first = session.wait();
        session
    }
}

impl Session {
    /// Output up to the next prompt, without it.
    fn wait(&mut self) -> String {
        let mut bytes = Vec::new();
        let mut buffer = [0; 65536];
        loop {
            let n = self.output.read(&mut buffer).expect("a pipe can be read");
            bytes.extend_from_slice(&buffer[..n]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if n == 0 {
                self.ended = true;
                return text;
            }
            if let Some(prompt) = Pdb::new().prompt_at_end(&text) {
                return text[..prompt.start].to_owned();
            }
        }
    }

    fn say(&mut self, line: &str) -> String {
        self.input.write_all(format!("{line}\n").as_bytes()).expect("pdb reads");
        self.wait()
    }

    /// What the helper replies, and what was printed meanwhile.
    fn ask(&mut self, request: Request) -> (Reply, String) {
        self.asked += 1;
        let (ask, answer) = (self.dir.join("ask"), self.dir.join("answer"));
        let text = serde_json::to_string(&Numbered { seq: self.asked, request }).expect("plain data");
        fs::write(&ask, text).expect("a request is written");
        let shown = self.say(&pdb_agent::bootstrap(PromptKind::Command, &self.code, &ask, &answer));
        let text = fs::read_to_string(&answer).unwrap_or_else(|e| panic!("no reply ({e}); pdb said {shown}"));
        let reply: Reply = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e} in {text}"));
        assert_eq!(reply.seq, self.asked, "an old reply; pdb said {shown}");
        (reply, shown)
    }

    fn run_to(&mut self, n: usize) -> String {
        let (reply, shown) = self.ask(Request::RunTo { n: n as u64, breakpoints: false, during: None, threads: false });
        assert!(reply.ok, "{:?}", reply.error);
        shown
    }

    /// Depth of the stack and the simple local variables, as `p` shows them.
    fn state(&mut self) -> (i64, String) {
        // Names in k are those of comprehensions: 3.12 shows them at module level or not, by what was looked at before.
        let shown = self.say(
            "p sum(1 for _ in __import__('traceback').walk_stack(None)), sorted((k, repr(v)) for k, v in \
             locals().items() if k[:2] != '__' and k[0] != 'k' and type(v) in (int, str, float, bool, list, tuple, dict))",
        );
        let (depth, locals) = shown.trim().trim_start_matches('(').split_once(", ").unwrap_or(("0", ""));
        (depth.parse().unwrap_or_else(|_| panic!("no depth in {shown}")), same_everywhere(locals))
    }
}

/// One stop of the oracle.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    header: String,
    depth: i64,
    locals: String,
}

/// The part of the output that pdb prints for a stop: the program's own output is not part of it.
fn header(shown: &str) -> String {
    let lines: Vec<&str> = shown.lines().collect();
    let at = lines.iter().rposition(|line| line.contains("> ") && line.contains("()")).unwrap_or(0);
    let start = &lines[at][lines[at].find("> ").unwrap_or(0)..];
    let mark = if at > 0 && lines[at - 1].starts_with("--") { lines[at - 1] } else { "" };
    // Stepping leaves `__return__` in the module's names, where later headers find it.
    let start = if mark == "--Return--" { start } else { start.split_inclusive("()").next().unwrap_or(start) };
    same_everywhere(&format!("{mark}{start}{}", lines.get(at + 1).unwrap_or(&"")))
}

/// Objects are at other addresses in each process; reprlib cuts a repr in the middle of one.
fn same_everywhere(text: &str) -> String {
    static ADDRESS: LazyLock<Regex> = LazyLock::new(|| Regex::new("(?:0?x|\\.\\.\\.)?[0-9a-f]{8,}").expect("constant"));
    ADDRESS.replace_all(text, "").into_owned()
}

/// Steps a program from its start until pdb restarts it, or to [`LONGEST`].
fn oracle(python: &Python, program: &Path) -> Vec<Seen> {
    let mut session = python.start(program, "oracle");
    let mut shown = session.first.clone();
    let mut base = None;
    let mut trace = Vec::new();
    loop {
        let over = trace.len() > 1 && (shown.contains("will be restarted\n") || shown.contains("exited via sys.exit"));
        let (depth, locals) = session.state();
        let base = *base.get_or_insert(depth - 1);
        trace.push(Seen { header: header(&shown), depth: depth - base, locals });
        if over || trace.len() > LONGEST {
            return trace;
        }
        shown = session.say("step");
    }
}

/// A test of one program on one Python.
struct Case<'a> {
    python: &'a Python,
    program: &'a Path,
    trace: Vec<Seen>,
    dice: u64,
}

impl Case<'_> {
    fn below(&mut self, n: usize) -> usize {
        self.dice = self.dice.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.dice >> 33) % n.max(1) as u64) as usize
    }

    fn what(&self) -> String {
        format!("{} on {}", self.program.display(), self.python.path.display())
    }

    /// The debugger's stack has other frames under a post-mortem prompt, so its depth says nothing there.
    fn same(&self, session: &mut Session, shown: &str, k: usize, how: &str) {
        let (depth, locals) = session.state();
        let wanted = &self.trace[k];
        assert_eq!(header(shown), wanted.header, "{how}, stop {k} of {}", self.what());
        assert_eq!(locals, wanted.locals, "{how}, stop {k} of {}", self.what());
        let _ = depth;
    }

    /// Arrives at some stops, one after the other, and steps on from each.
    fn arrivals(&mut self) {
        let mut session = self.python.start(self.program, "arrivals");
        let mut at = 0;
        let last = self.trace.len() - 1;
        while at < last {
            let n = 1 + self.below(12.min(last - at) * if at % 2 == 0 { 1 } else { 3 }).min(last - at - 1);
            let shown = session.run_to(n);
            at += n;
            self.same(&mut session, &shown, at, &format!("run_to {n}"));
            let (reply, _) = session.ask(Request::Where);
            let facts = reply.facts.unwrap_or_else(|| panic!("no facts: {:?}", reply.error));
            if facts.event.as_deref() != Some("post-mortem") && facts.depth > 0 {
                assert_eq!(i64::from(facts.depth), self.trace[at].depth, "stop {at} of {}", self.what());
            }
            if at < last {
                let shown = session.say("step");
                at += 1;
                self.same(&mut session, &shown, at, "step after run_to");
            }
        }
        for _ in 0..2 {
            let n = 1 + self.below(last);
            let mut session = self.python.start(self.program, "arrivals");
            let shown = session.run_to(n);
            self.same(&mut session, &shown, n, &format!("run_to {n} from the start"));
        }
    }

    /// Drives two sessions by the same commands, natively and counted, and looks each stop up in the oracle.
    fn counted(&mut self, settings: &[String]) -> Vec<usize> {
        let mut plain = self.python.start(self.program, "plain");
        let mut counted = self.python.start(self.program, "counted");
        for line in settings {
            assert_eq!(plain.say(line), counted.say(line), "{line}");
        }
        let commands = ["next", "step", "return", "until", "continue", "next;;next", "next", "n ;; unt"];
        let mut at = 0;
        let mut continued = Vec::new();
        let mut only_continue = true;
        for _ in 0..60 {
            let command = if only_continue && self.below(4) > 0 { "continue" } else { commands[self.below(8)] };
            only_continue &= command == "continue";
            let expected = plain.say(command);
            let (reply, shown) = counted.ask(Request::Count { command: Some(command.to_owned()) });
            let n = reply.n.unwrap_or_else(|| panic!("{:?} in {}", reply.error, self.what())) as usize;
            assert_eq!(same_everywhere(&shown), same_everywhere(&expected), "{command} from {at} in {}", self.what());
            at += n;
            // Where Bdb.run ends, it depends on the command before whether the interpreter reports each line.
            if at >= self.trace.len() || self.trace[at].header.contains("bdb.py(") {
                break;
            }
            if reply.between {
                continue;
            }
            self.same(&mut counted, &shown, at, &format!("count {command} said {n}"));
            if only_continue {
                continued.push(at);
            }
            if at == self.trace.len() - 1 || self.trace[at].header.contains("<string>") {
                break;
            }
        }
        continued
    }

    /// The last stop of a stretch that is shallow enough, or at a breakpoint.
    fn scans(&mut self, settings: &[String], continued: &[usize]) {
        let last = self.trace.len() - 2;
        let n = 1 + self.below(last);
        let depth = 1 + self.below(3) as i64;
        let mut session = self.python.start(self.program, "scans");
        let (reply, shown) = session.ask(Request::Scan { n: n as u64, depth: Some(depth as u32), during: None });
        let post_mortem = self.trace[..n].iter().any(|seen| seen.depth < -1);
        if !post_mortem {
            let wanted = (0..n).rev().find(|k| self.trace[*k].depth <= depth);
            assert_eq!(reply.found.map(|k| k as usize), wanted, "depth {depth} before {n} in {}", self.what());
        }
        self.same(&mut session, &shown, n, "scan");
        let Some(&furthest) = continued.last() else {
            return;
        };
        let n = 1 + self.below(furthest.min(last));
        let mut session = self.python.start(self.program, "scans");
        for line in settings {
            session.say(line);
        }
        let (reply, shown) = session.ask(Request::Scan { n: n as u64, depth: None, during: None });
        let wanted = continued.iter().copied().filter(|k| *k < n).max();
        let found = reply.found.map(|k| k as usize).filter(|k| *k > 0);
        assert_eq!(found, wanted, "breakpoints {settings:?} before {n} in {}", self.what());
        self.same(&mut session, &shown, n, "scan");
    }

    /// Breakpoints of each kind, on lines that the program passes.
    fn breakpoints(&mut self) -> Vec<String> {
        let own = format!("> {}(", self.program.display());
        let mut lines: Vec<String> = Vec::new();
        for _ in 0..3 {
            let k = self.below(self.trace.len());
            if let Some((line, _)) = self.trace[k].header.strip_prefix(&own).and_then(|rest| rest.split_once(')')) {
                lines.push(line.to_owned());
            }
        }
        let mut settings = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let number = index + 1;
            match self.below(5) {
                0 => settings.push(format!("tbreak {line}")),
                1 => settings.push(format!("break {line}, len(locals()) % 2 == 0")),
                2 => settings.extend([format!("break {line}"), format!("ignore {number} 1")]),
                3 => settings.extend([format!("break {line}"), format!("disable {number}")]),
                _ => settings.push(format!("break {line}")),
            }
        }
        settings
    }
}

/// `breakpoint()` steps through the debugger's own code, and how many stops that makes depends on the source files that
/// it has shown before, so a stepped oracle says nothing. From the same prompt it is always the same number.
fn halts(python: &Python, program: &Path) {
    let what = format!("{} on {}", program.display(), python.path.display());
    let mut plain = python.start(program, "plain");
    let mut counted = python.start(program, "counted");
    let mut reached = python.start(program, "reached");
    for command in ["continue", "next", "until", "continue", "continue"] {
        let expected = plain.say(command);
        let (reply, shown) = counted.ask(Request::Count { command: Some(command.to_owned()) });
        assert_eq!(shown, expected, "{command} in {what}");
        let n = reply.n.unwrap_or_else(|| panic!("{:?} in {what}", reply.error));
        let shown = reached.run_to(n as usize);
        assert_eq!(header(&shown), header(&expected), "{command}, run_to {n} in {what}");
        assert_eq!(reached.state().1, plain.state().1, "{command}, run_to {n} in {what}");
        assert_eq!(plain.state().1, counted.state().1, "{command} in {what}");
    }
    let mut first = python.start(program, "counted");
    let n = first.ask(Request::Count { command: Some("continue".to_owned()) }).0.n.expect("a stop");
    let mut scanned = python.start(program, "scans");
    let (reply, _) = scanned.ask(Request::Scan { n: n + 5, depth: None, during: None });
    assert_eq!(reply.found, Some(n), "a breakpoint() is a stop of continue in {what}");
}

fn pythons() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let mut found: Vec<PathBuf> = fs::read_dir(home.join(".pyenv/versions"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with('3'))
        .map(|entry| entry.path().join("bin/python3"))
        .filter(|path| path.exists())
        .collect();
    found.extend(["/usr/bin/python3", "/usr/local/bin/python3"].map(PathBuf::from).into_iter().filter(|p| p.exists()));
    found.sort();
    found
}

/// Prepares a Python: its helper is compiled by a session of its own.
fn prepare(path: PathBuf, dir: &Path) -> Python {
    let name = path.to_string_lossy().replace('/', "_");
    let dir = dir.join(name);
    fs::create_dir_all(&dir).expect("a directory for the files");
    let (source, empty) = (dir.join("agent.py"), dir.join("empty.py"));
    fs::write(&source, pdb_agent::SOURCE).expect("the helper's source");
    fs::write(&empty, "pass\n").expect("a program");
    let python = Python { path, code: dir.join("agent.code"), dir };
    let shown =
        python.start(&empty, "compile").say(&pdb_agent::compile_line(PromptKind::Command, &source, &python.code));
    assert_eq!(shown, "", "compiling the helper prints nothing");
    python
}

fn programs(dir: &Path, python: &Python) -> Vec<PathBuf> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut programs = Vec::new();
    let mut written: Vec<_> = fs::read_dir(tests.join("pdb_agent/programs")).expect("programs").flatten().collect();
    written.sort_by_key(|entry| entry.file_name());
    for entry in written {
        let path = dir.join(entry.file_name());
        fs::copy(entry.path(), &path).expect("a program is copied");
        programs.push(path);
    }
    let seeds = if std::env::var_os("FRED_TEST_ALL").is_some() { 24 } else { 6 };
    for seed in 1..=seeds {
        let path = dir.join(format!("random{seed}.py"));
        let made = Command::new(&python.path)
            .arg(tests.join("oracle/genprog.py"))
            .arg(seed.to_string())
            .output()
            .expect("the generator runs");
        assert!(made.status.success());
        fs::write(&path, made.stdout).expect("a program");
        programs.push(path);
    }
    programs
}

#[test]
fn agrees_with_plain_stepping() {
    let found = pythons();
    if found.is_empty() {
        eprintln!("skipped: no CPython 3 found in ~/.pyenv/versions or /usr/bin");
        return;
    }
    let all = std::env::var_os("FRED_TEST_ALL").is_some();
    let only = std::env::var("FRED_TEST_PROGRAM").unwrap_or_default();
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().canonicalize().expect("its path");
    let pythons: Vec<Python> = found.into_iter().map(|path| prepare(path, &root)).collect();
    let programs = programs(&root, &pythons[0]);
    let mut cases = Vec::new();
    for (p, program) in programs.iter().enumerate() {
        for (v, python) in pythons.iter().enumerate() {
            if (all || (p + v) % 4 == 0) && program.to_string_lossy().contains(&only) {
                cases.push((program, python, (p * 31 + v) as u64));
            }
        }
    }
    let next = AtomicUsize::new(0);
    let per_worker = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
    std::thread::scope(|scope| {
        for worker in 0..per_worker {
            let (cases, next, root) = (&cases, &next, &root);
            scope.spawn(move || {
                while let Some((program, python, seed)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // A worker has files of its own beside the others'.
                    let dir = root.join(format!("worker{worker}"));
                    let python = Python { path: python.path.clone(), dir, code: python.code.clone() };
                    if program.ends_with("halts.py") {
                        halts(&python, program);
                        continue;
                    }
                    let trace = oracle(&python, program);
                    let mut case = Case { python: &python, program, trace, dice: *seed };
                    assert!(case.trace.len() > 10, "too short: {}", case.what());
                    case.arrivals();
                    let settings = case.breakpoints();
                    let continued = case.counted(&settings);
                    case.scans(&settings, &continued);
                }
            });
        }
    });
}

const SHOP: &str = "\
import sys
class Box:
    def __init__(self):
        self.v = 1
def inner(a, b):
    c = a + b
    return c * 2
def outer(n):
    acc = []
    for i in range(n):
        acc.append(inner(i, n))
    return acc
box = Box()
out = outer(4)
print(out)
";

/// Settings, expressions, completion, and the moment that a signature names.
#[test]
fn answers_questions() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().canonicalize().expect("its path");
    let shop = root.join("shop.py");
    fs::write(&shop, SHOP).expect("a program");
    for path in pythons() {
        let python = prepare(path, &root);
        settings_are_carried_over(&python, &shop);
        expressions_have_a_scope(&python, &shop);
        moments_are_found_again(&python, &shop);
        exit_is_reported(&python, &root);
        own_code_is_left(&python, &root);
    }
}

fn settings_are_carried_over(python: &Python, shop: &Path) {
    let what = python.path.display();
    let mut from = python.start(shop, "from");
    for line in [
        "break 6, a > 1",
        "tbreak inner",
        "break 12",
        "ignore 3 1",
        "disable 1",
        "commands 3",
        "silent",
        "p acc",
        "end",
        "alias pi p %1",
        "clear 2",
        "display x",
    ] {
        from.say(line);
    }
    let settings = from.ask(Request::Settings).0.settings.expect("settings");
    assert_eq!(settings.breakpoints.iter().map(|bp| bp.number).collect::<Vec<_>>(), [1, 3], "{what}");
    let mut to = python.start(shop, "to");
    to.say("break 5");
    let (reply, _) = to.ask(Request::Apply { settings: settings.clone(), keep_counts: true });
    assert!(reply.ok, "{:?} on {what}", reply.error);
    assert_eq!(to.ask(Request::Settings).0.settings.as_ref(), Some(&settings), "{what}");
    assert_eq!(to.say("break"), from.say("break"), "{what}");
    for line in ["enable 1", "continue", "pi c", "continue", "continue", "break 11", "continue"] {
        assert_eq!(to.say(line), from.say(line), "{line} on {what}");
    }
    // A breakpoint that was passed before the settings changed keeps its count.
    let mut kept = python.start(shop, "to");
    kept.say("break 6");
    kept.say("continue");
    let mut wanted = kept.ask(Request::Settings).0.settings.expect("settings");
    wanted.breakpoints[0].hits = 9;
    wanted.breakpoints[0].cond = Some("a == 2".to_owned());
    kept.ask(Request::Apply { settings: wanted, keep_counts: true });
    let now = kept.ask(Request::Settings).0.settings.expect("settings");
    assert_eq!((now.breakpoints[0].hits, now.breakpoints[0].cond.as_deref()), (1, Some("a == 2")), "{what}");
}

fn expressions_have_a_scope(python: &Python, shop: &Path) {
    let what = python.path.display();
    let mut session = python.start(shop, "asked");
    for line in ["break 7", "continue", "continue"] {
        session.say(line);
    }
    let facts = session.ask(Request::Where).0.facts.expect("facts");
    assert_eq!((facts.line, facts.function.as_str(), facts.depth), (Some(7), "inner", 3), "{what}");
    let mut scope = facts.scope();
    let mut value = |expr: &str, scope: Option<&pdb_agent::Scope>| {
        let (reply, _) = session.ask(Request::Eval { expr: expr.to_owned(), scope: scope.cloned() });
        reply.repr.or(reply.error).unwrap_or_default()
    };
    assert_eq!(value("c", None), "5", "{what}");
    (scope.function, scope.firstlineno) = ("outer".to_owned(), 8);
    assert_eq!(value("acc", Some(&scope)), "[8]", "{what}");
    scope.function = "gone".to_owned();
    assert_eq!(value("box.v", Some(&scope)), "1", "{what}");
    assert_eq!(value("1/0", None), "ZeroDivisionError: division by zero", "{what}");
    scope.file = "/nowhere.py".to_owned();
    assert!(value("c", Some(&scope)).starts_with("LookupError"), "{what}");
    assert_eq!(value("'a' * 9000", None).len(), 4000, "{what}");
    let words = ["c", "acc", "box", "print"].map(str::to_owned).to_vec();
    assert_eq!(session.ask(Request::Names { words }).0.names, ["c", "box"], "{what}");
    let mut offers = |line: &str| session.ask(Request::Complete { line: line.to_owned() }).0.matches;
    assert_eq!(offers("p box.v"), ["box.v"], "{what}");
    assert!(offers("con").contains(&"continue".to_owned()), "{what}");
    // What the user assigned at this prompt is still there after the questions.
    session.say("!c = 77");
    session.ask(Request::Signature);
    session.ask(Request::Eval { expr: "c".to_owned(), scope: None });
    let (reply, shown) = session.ask(Request::Count { command: Some("return".to_owned()) });
    assert!(shown.contains("()->154"), "{shown} on {what}");
    assert_eq!(reply.n, Some(1), "{what}");
}

fn moments_are_found_again(python: &Python, shop: &Path) {
    let what = python.path.display();
    let mut there = python.start(shop, "there");
    for line in ["break 7", "continue", "continue", "continue"] {
        there.say(line);
    }
    let signature = there.ask(Request::Signature).0.signature.expect("a signature");
    let facts = there.ask(Request::Where).0.facts.expect("facts");
    let place = pdb_agent::Place { file: facts.file, line: 7, function: facts.function };
    let find = |limit| Request::Find { signature: signature.clone(), place: place.clone(), limit, during: None };
    let mut session = python.start(shop, "found");
    let (reply, shown) = session.ask(find(1000));
    assert!(shown.contains("(7)inner()"), "{shown} on {what}");
    let n = reply.n.expect("it is found");
    assert_eq!(session.state().1, there.state().1, "{what}");
    let mut session = python.start(shop, "found");
    session.run_to(n as usize);
    assert_eq!(session.ask(Request::Signature).0.signature.as_ref(), Some(&signature), "{what}");
    let mut session = python.start(shop, "found");
    let (reply, _) = session.ask(find(n - 1));
    assert!(reply.lost && reply.n.is_none(), "{what}");
    // The passed breakpoints count, use up what they ignore, and delete themselves.
    let mut passed = python.start(shop, "passed");
    for line in ["break 7", "break 6", "ignore 2 2", "tbreak 9"] {
        passed.say(line);
    }
    passed.ask(Request::RunTo { n, breakpoints: true, during: None, threads: false });
    let rows = passed.ask(Request::Settings).0.settings.expect("settings").breakpoints;
    let counts: Vec<_> = rows.iter().map(|bp| (bp.number, bp.hits, bp.ignore)).collect();
    assert_eq!(counts, [(1, 2, 0), (2, 3, 0)], "{what}");
}

/// A program that called the debugger itself ends without another prompt.
fn exit_is_reported(python: &Python, root: &Path) {
    let program = root.join("own.py");
    fs::write(&program, "import pdb\npdb.set_trace()\nx = 1\ny = 2\n").expect("a program");
    let mut session = python.start_plain(&program, "own");
    session.asked = 1;
    let (ask, answer) = (session.dir.join("ask"), session.dir.join("answer"));
    let request = Numbered { seq: 1, request: Request::Count { command: Some("continue".to_owned()) } };
    fs::write(&ask, serde_json::to_string(&request).expect("plain data")).expect("a request is written");
    session.say(&pdb_agent::bootstrap(PromptKind::Command, &session.code.clone(), &ask, &answer));
    assert!(session.ended, "{}", python.path.display());
    let reply: Reply = serde_json::from_str(&fs::read_to_string(&answer).expect("a reply")).expect("JSON");
    assert!(reply.exited && reply.n.is_some_and(|n| n >= 3), "{reply:?} on {}", python.path.display());
}

/// Ctrl-C while pdb traces stops it in its own handler; from there `continue` would stop there once more.
fn own_code_is_left(python: &Python, root: &Path) {
    let what = python.path.display();
    let program = root.join("interrupted.py");
    fs::write(&program, "import os\ndef f():\n    os.kill(os.getpid(), 2)\n    return 1\nx = f()\ny = 2\n")
        .expect("a program");
    let start = |name| {
        let mut session = python.start(&program, name);
        session.say("break 6");
        let shown = session.say("continue");
        assert!(shown.contains("Program interrupted"), "{shown} on {what}");
        session
    };
    let mut session = start("left");
    // 3.13 stops at the statement that goes on, too.
    let mut rest = 2;
    if session.ask(Request::Where).0.facts.is_some_and(|facts| facts.own) {
        assert!(session.say("continue").contains("bdb.py"), "{what}");
        session = start("left");
        let (_, shown) = session.ask(Request::Leave);
        assert!(shown.contains("(4)f()") || shown.contains("(3)f()"), "{shown} on {what}");
        rest += u64::from(shown.contains("(3)f()"));
    }
    let (reply, shown) = session.ask(Request::Count { command: Some("continue".to_owned()) });
    assert!(shown.contains("(6)<module>()"), "{shown} on {what}");
    assert_eq!(reply.n, Some(rest), "{what}");
}
