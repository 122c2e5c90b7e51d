//! Full sessions on programs of Python's standard library: forth to a place about a second in, back in every way, and forth
//! again, with the same values everywhere and the same output in the end.
//!
//! Needs `python3` in PATH.

mod live;

use std::process::Command;

use live::{Live, PYTHON, Start};

/// A program and what to look at in it.
struct Program<'p> {
    files: &'p [(&'p str, &'p str)],
    /// Python's arguments, `-m pdb` apart.
    arguments: &'static [&'static str],
    /// What is typed first, to define a breakpoint, number 1 (or the last one if there are temporary ones), and to get to it.
    opening: &'static [&'static str],
    /// The number of that breakpoint.
    breakpoint: &'static str,
    /// How often to `continue` over it.
    hits: usize,
    /// What is shown there, to know the place again.
    state: &'static str,
    /// What the innermost frame in which to watch is called, if that is not where it stopped.
    within: &'static str,
    /// What is watched there. Must have changed since the start, and be cheap.
    watched: &'static [&'static str],
    /// A file that the program writes.
    result: Option<&'static str>,
}

impl Program<'_> {
    fn start(&self) -> Start {
        let mut start = Start::new();
        for (name, text) in self.files {
            start = start.file(name, text);
        }
        start
    }

    /// What the program prints and writes without a debugger.
    fn plain(&self) -> (String, Option<String>) {
        let dir = tempfile::tempdir().expect("a directory");
        for (name, text) in self.files {
            std::fs::write(dir.path().join(name), text).expect("a file");
        }
        let mut python = Command::new(&*PYTHON);
        python
            .args(self.arguments)
            .current_dir(dir.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("LC_ALL", "C.UTF-8");
        let done = python.output().expect("python");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        assert!(done.status.success(), "{}", text(&done.stderr));
        let written = self.result.map(|name| std::fs::read_to_string(dir.path().join(name)).expect("a result"));
        (text(&done.stderr) + &text(&done.stdout), written)
    }
}

/// The place and the state there, as the debugger tells them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Here {
    place: String,
    state: String,
}

fn value(s: &mut Live, expression: &str) -> String {
    s.say(&format!("p {expression}")).output.trim_end().to_owned()
}

/// The frames from the outermost in, as `w` heads them, without the mark of the selected one.
fn frames(s: &mut Live) -> Vec<String> {
    let shown = s.say("w").output.clone();
    let heads = shown.lines().filter(|line| line.starts_with("> /") || line.starts_with("  /"));
    heads.map(|line| line[2..].to_owned()).collect()
}

/// File and name of the function of a frame.
fn function_of(frame: &str) -> String {
    let (path, rest) = frame.split_once('(').expect("a frame");
    let name = rest.split_once(')').expect("a line").1;
    format!("{path} {}", name.split('(').next().expect("a name"))
}

/// What an expression is in the innermost frame of a function, else in its module.
fn value_in(s: &mut Live, function: &str, expression: &str) -> String {
    let functions: Vec<String> = frames(s).iter().rev().map(|frame| function_of(frame)).collect();
    let module = format!("{} <module>", function.split(' ').next().expect("a path"));
    let up = functions.iter().position(|found| found == function);
    let up = up.or_else(|| functions.iter().position(|found| *found == module)).expect("a frame");
    if up == 0 {
        return value(s, expression);
    }
    s.say(&format!("up {up}"));
    let found = value(s, expression);
    s.say(&format!("down {up}"));
    found
}

fn here(s: &mut Live, state: &str) -> Here {
    let place = frames(s).pop().expect("a frame");
    Here { place, state: value(s, state) }
}

/// Watches an expression back, and holds the report to what the debugger shows there.
fn watch(s: &mut Live, within: &str, expression: &str) {
    let stack = frames(s);
    let up = stack.iter().rev().position(|frame| frame.contains(within)).expect("a frame");
    let function = function_of(&stack[stack.len() - 1 - up]);
    if up > 0 {
        s.say(&format!("up {up}"));
    }
    let after = value(s, expression);
    s.say(&format!("fred-reverse-watch {expression}"));
    // On a terminal there are lines of progress before it.
    let shown = s.output.clone();
    let begin = format!("fred: {expression} was ");
    let report = shown.rsplit_once(&begin).unwrap_or_else(|| panic!("no report: {shown}\n{}", s.seen()));
    let report = report.1.lines().next().expect("a report");
    let (before, rest) = report.split_once(", becomes ").expect("a report");
    assert!(rest.starts_with(&format!("{after} by executing ")), "{after}: {report}");
    let (found, stop) = (value_in(s, &function, expression), frames(s));
    if before.starts_with("not to be evaluated") {
        assert!(found.starts_with("*** "), "{found}: {report}");
    } else {
        assert_eq!(found, before, "{report}");
    }
    let cause = rest.rsplit("by executing ").next().expect("a place");
    // At a return it is the rest of the caller's statement that makes the change.
    let named = |frame: &String| {
        let (path, line) = frame.split_once('(').expect("a frame");
        let (line, name) = line.split_once(')').expect("a line");
        let name = name.split('(').next().expect("a name");
        format!("{}:{line} in {name}", path.rsplit('/').next().expect("a name"))
    };
    assert!(stop.iter().rev().take(2).any(|frame| cause == named(frame)), "{cause}: {stop:?}");
    s.say("step");
    assert_eq!(value_in(s, &function, expression), after, "one step from the landing\n{}", s.seen());
    s.say("fred-undo");
    assert_eq!(value_in(s, &function, expression), found, "one step undone\n{}", s.seen());
    s.say("fred-undo");
    assert_eq!(value_in(s, &function, expression), after, "the watch undone\n{}", s.seen());
}

fn session(program: &Program<'_>) {
    session_with(&[], program);
}

/// The same, with options of fred's.
fn session_with(options: &[&str], program: &Program<'_>) {
    let (printed, written) = program.plain();
    let mut arguments = vec!["-m", "pdb"];
    arguments.extend(program.arguments);
    // Not in the directory of the program: if that changes, the import system reads it again in replays.
    let state_home = tempfile::tempdir().expect("a directory");
    let state_home_path = state_home.path().to_str().expect("a path");
    let mut s =
        program.start().options(options).environment("XDG_STATE_HOME", state_home_path).python(&arguments).live();
    let origin = frames(&mut s);
    let mut seen = String::new();
    for line in program.opening {
        seen += &s.say(line).output;
    }
    let state = program.state;
    let mut met = vec![here(&mut s, state)];
    for _ in 1..program.hits {
        seen += &s.say("continue").output;
        met.push(here(&mut s, state));
    }
    let present = met.last().expect("a place").clone();

    for expression in program.watched {
        watch(&mut s, program.within, expression);
        assert_eq!(here(&mut s, state), present);
    }

    // One stop back, and forth.
    s.say("fred-reverse-step").hides("fred: ");
    let before = here(&mut s, state);
    s.say("step");
    assert_eq!(here(&mut s, state), present, "from {before:?}\n{}", s.seen());
    s.say("fred-undo 2");
    assert_eq!(here(&mut s, state), present);

    // Not deeper than here, and one stop before.
    let depth = frames(&mut s).len();
    s.say("fred-reverse-next").hides("fred: ");
    assert!(frames(&mut s).len() <= depth, "{}", s.seen());
    s.say("fred-undo");
    assert_eq!(here(&mut s, state), present);

    // To the call.
    let outer = frames(&mut s);
    if let [.., caller, _] = &outer[..]
        && !caller.contains("<string>")
    {
        s.say("fred-reverse-finish").hides("fred: ");
        assert_eq!(frames(&mut s).last(), Some(caller), "{}", s.seen());
        assert_eq!(frames(&mut s).len(), depth - 1);
        s.say("fred-undo");
        assert_eq!(here(&mut s, state), present);
    }

    // All the hits again, the other way round.
    for hit in met.iter().rev().skip(1) {
        s.say("fred-reverse-continue").hides("fred: ");
        assert_eq!(&here(&mut s, state), hit, "{}", s.seen());
    }
    for hit in met.iter().skip(1) {
        s.say("continue");
        assert_eq!(&here(&mut s, state), hit, "{}", s.seen());
    }

    s.say("fred-undo 1000").shows("fred: no earlier point");
    assert_eq!(frames(&mut s), origin);
    s.say("fred-redo 1000").shows("fred: no later point");
    if program.hits == 1 {
        // The newest command of this line of history is the move to the caller.
        s.say("fred-undo");
    }
    assert_eq!(here(&mut s, state), present);

    s.say(&format!("clear {}", program.breakpoint)).say("continue");
    seen += &s.output;
    let mut lines = seen.lines();
    // But for how long it took.
    for line in printed.lines().map(|line| line.split(" in 0.").next().unwrap_or(line)) {
        assert!(lines.any(|seen| seen.starts_with(line)), "{line:?} is not in {seen:?}");
    }
    if let (Some(name), Some(written)) = (program.result, written) {
        let found = std::fs::read_to_string(s.path(name)).expect("a result");
        assert!(found == written, "{name} differs");
    }
    s.types("quit").ends(0);
}

#[test]
fn asyncio_queue() {
    session(&Program {
        files: &[(
            "prog.py",
            "\
import asyncio

handled = []
totals = {}

async def produce(queue, n):
    for i in range(n):
        await queue.put(i)
        if i % 50 == 0:
            await asyncio.sleep(0)
    for _ in range(3):
        await queue.put(None)

async def consume(queue, name):
    while True:
        item = await queue.get()
        if item is None:
            return name
        handled.append((name, item))
        totals[name] = totals.get(name, 0) + item
        if item % 500 == 499:
            report(queue, name)
            await asyncio.sleep(0)

def report(queue, name):
    return name, queue.qsize()

async def main():
    queue = asyncio.Queue(10)
    work = [produce(queue, 3000)] + [consume(queue, name) for name in ('a', 'b', 'c')]
    print(await asyncio.gather(*work))
    print(len(handled), sum(totals.values()))

asyncio.run(main())
",
        )],
        arguments: &["prog.py"],
        opening: &["break report", "continue"],
        breakpoint: "1",
        hits: 4,
        state: "(name, len(handled), sum(totals.values()), queue.qsize())",
        within: "",
        watched: &["len(handled)", "sum(totals.values())", "queue.qsize() > 3", "'c' in totals"],
        result: None,
    });
}

#[test]
fn threads_and_a_child() {
    // Its threads take turns, and the child is run once.
    session_with(
        &["--record"],
        &Program {
            files: &[(
                "prog.py",
                "\
import subprocess, sys, zlib
from concurrent.futures import ThreadPoolExecutor

sums = {}
rounds = 0
version = None

def work(n):
    data = b''.join(b'%d,' % i for i in range(n))
    return zlib.crc32(zlib.compress(data, 6))

def collect(pool, numbers):
    for n, crc in zip(numbers, pool.map(work, numbers)):
        sums[n] = crc

def child(n):
    code = 'print(%d ** 3)' % n
    return subprocess.run([sys.executable, '-S', '-c', code], stdout=subprocess.PIPE).stdout.decode().strip()

with ThreadPoolExecutor(3) as pool:
    for rounds in range(4):
        collect(pool, range(rounds * 20, rounds * 20 + 500, 50))
        if rounds == 1:
            version = child(rounds)
        total = sum(sums.values())
print(len(sums), total, version)
",
            )],
            arguments: &["prog.py"],
            opening: &["break collect", "continue"],
            breakpoint: "1",
            hits: 3,
            state: "(rounds, len(sums), version)",
            within: "",
            watched: &["len(sums)", "version"],
            result: None,
        },
    );
}

#[test]
fn unittest_module() {
    session(&Program {
        files: &[(
            "test_many.py",
            "\
import fractions, unittest

class Sums(unittest.TestCase):
    def setUp(self):
        self.parts = [fractions.Fraction(1, k) for k in range(1, 12)]

def make(n):
    def test(self):
        with self.subTest(n=n):
            self.assertEqual(sum(self.parts[:n % 11]), sum(reversed(self.parts[:n % 11])))
        if n % 40 == 7:
            self.skipTest('seven')
    return test

for n in range(200):
    setattr(Sums, 'test_%03d' % n, make(n))
",
        )],
        arguments: &["-m", "unittest", "-q", "test_many"],
        opening: &["import unittest.result", "break unittest.result.TestResult.addSkip", "continue"],
        breakpoint: "1",
        hits: 4,
        state: "(self.testsRun, len(self.skipped), str(test))",
        within: "unittest/suite.py",
        watched: &["result.testsRun", "len(result.skipped)", "result.testsRun > 90"],
        result: None,
    });
}

#[test]
fn difflib_and_templates() {
    session(&Program {
        files: &[(
            "prog.py",
            "\
import difflib, random, string, textwrap

words = 'lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod'.split()
rng = random.Random(7)
page = string.Template('$title\\n$line\\n$body\\n')
pages = []

def render(n):
    body = textwrap.fill(' '.join(rng.choice(words) for _ in range(60)), 40)
    return page.substitute(title='page %d' % n, line='-' * 7, body=body).splitlines()

def compare(old, new):
    return list(difflib.unified_diff(old, new, lineterm=''))

lines = 0
for n in range(60):
    pages.append(render(n))
    if n % 10 == 9:
        changes = compare(pages[-2], pages[-1])
        lines += len(changes)
    ratio = difflib.SequenceMatcher(None, ''.join(pages[0]), ''.join(pages[-1]), False).quick_ratio()
print(lines, round(ratio, 6))
print('\\n'.join(changes))
",
        )],
        arguments: &["prog.py"],
        opening: &["break compare", "continue"],
        breakpoint: "1",
        hits: 5,
        state: "(n, len(pages), old[-1], new[-1])",
        within: "",
        watched: &["len(pages)", "ratio", "rng.getstate()[1][-1]", "len(pages) > 30"],
        result: None,
    });
}

#[test]
fn source_tools() {
    session(&Program {
        files: &[(
            "prog.py",
            "\
import ast, collections, io, pyclbr, tokenize
import argparse, textwrap, inspect

kinds = collections.Counter()
names = set()
deepest = 0

class Names(ast.NodeVisitor):
    depth = 0

    def generic_visit(self, node):
        global deepest
        self.depth += 1
        deepest = max(deepest, self.depth)
        super().generic_visit(node)
        self.depth -= 1

    def visit_FunctionDef(self, node):
        names.add(node.name)
        self.generic_visit(node)

def read(module):
    with open(module.__file__) as file:
        return file.read()

def scan(text):
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        kinds[tokenize.tok_name[token.type]] += 1

def close(module, classes):
    return module.__name__, len(classes), len(names)

for module in (textwrap, argparse, pyclbr, inspect):
    text = read(module)
    scan(text[:40000])
    Names().visit(ast.parse(text))
    print(close(module, pyclbr.readmodule(module.__name__)))
print(sorted(kinds.items()), deepest)
",
        )],
        arguments: &["prog.py"],
        opening: &["break close", "continue"],
        breakpoint: "1",
        hits: 3,
        state: "(module.__name__, sorted(kinds.items()), deepest, len(names))",
        within: "",
        watched: &["len(names)", "kinds['NAME']", "deepest", "len(classes)"],
        result: None,
    });
}

#[test]
fn tables_and_markup() {
    session(&Program {
        files: &[(
            "prog.py",
            "\
import csv, html.parser, io, sqlite3
import xml.etree.ElementTree as ET

class Cells(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.cells = []
        self.open = False

    def handle_starttag(self, tag, attrs):
        self.open = tag == 'td'

    def handle_data(self, data):
        if self.open:
            self.cells.append(data)
            self.open = False

def store(base, rows):
    base.executemany('insert into t values (?, ?)', rows)
    base.commit()

base = sqlite3.connect(':memory:')
base.execute('create table t (n integer, word text)')
root = ET.Element('all')
parser = Cells()
for part in range(12):
    text = io.StringIO()
    out = csv.writer(text)
    for n in range(part * 100, part * 100 + 100):
        out.writerow([n, 'w%d' % (n * n)])
    rows = list(csv.reader(io.StringIO(text.getvalue())))
    for n, word in rows:
        ET.SubElement(root, 'row', n=n).text = word
        parser.feed('<tr><td class=\"n\">%s</td><td>%s &amp; co</td></tr>' % (n, word))
    store(base, rows)
print(base.execute('select count(*), sum(n), max(word) from t').fetchone())
print(len(ET.tostring(root)), len(parser.cells), parser.cells[-1])
",
        )],
        arguments: &["prog.py"],
        opening: &["break store", "continue"],
        breakpoint: "1",
        hits: 6,
        state: "(part, len(root), len(parser.cells), base.total_changes)",
        within: "",
        watched: &[
            "len(parser.cells)",
            "base.total_changes",
            "base.execute('select count(*) from t').fetchone()",
            "len(root)",
            "parser.getpos()",
        ],
        result: None,
    });
}

/// A good megabyte.
fn big_json() -> String {
    let row = |n| {
        format!("{{\"id\": {n}, \"name\": \"item {n}\", \"tags\": [\"a\", \"{n}\"], \"share\": {n}.5, \"none\": null}}")
    };
    format!("[{}]", (0..16000).map(row).collect::<Vec<_>>().join(", "))
}

#[test]
fn json_tool() {
    session(&Program {
        // The file is there before: a directory that changes makes the import system read it again in replays.
        files: &[("big.json", &big_json()), ("out.json", "")],
        arguments: &["-m", "json.tool", "big.json", "out.json"],
        opening: &[
            "tbreak main",
            "continue",
            "import json.encoder",
            "break json.encoder.JSONEncoder.iterencode",
            "continue",
        ],
        breakpoint: "2",
        hits: 1,
        state: "(len(o), o[-1], self.indent)",
        within: "json/tool.py",
        watched: &["infile.closed", "len(obj)"],
        result: Some("out.json"),
    });
}

#[test]
fn ctrl_c_while_all_threads_wait() {
    let text = "\
import threading
stop = threading.Event()

def work():
    stop.wait(1)

thread = threading.Thread(target=work)
thread.start()
print('joining', flush=True)
thread.join()
print('joined')
";
    let mut s = Start::new().file("prog.py", text).options(&["--record"]).python(&["-m", "pdb", "prog.py"]).live();
    // The handler runs while the main thread waits; it goes on waiting then (PEP 475), and pdb stops behind that.
    s.types("continue").until("joining").ctrl_c().until("Program interrupted").prompt().hides("joined");
    s.say("fred-undo").stops_at("prog.py:1").types("q").ends(0);
}
