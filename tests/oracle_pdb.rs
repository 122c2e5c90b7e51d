//! The trace oracle, from outside: whatever `fred` shows while it goes back and forth is what a plain forward run shows.
//!
//! `oracle/plan.py` steps a program from start to end with stock pdb and plans a session of it: lines to type, forward and
//! reverse, and for each the stop and the variables that must be there afterwards. The session is then run by the `fred`
//! binary as a script and its event stream is compared with the plan.
//!
//! The environment decides what is tried (`oracle/run` sets it): `FRED_ORACLE_COUNT` random programs from seed
//! `FRED_ORACLE_SEED` on, with `FRED_ORACLE_PYTHON` instead of every CPython that is found.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

/// Actions of a planned session; each is a line or a few, and asks what is there afterwards.
const ACTIONS: u32 = 24;

/// About as many stops as a random program makes.
const BUDGET: u32 = 200;

/// A program to debug.
struct Case {
    name: String,
    seed: u64,
    /// `None`: it is made from the seed.
    program: Option<PathBuf>,
    python: PathBuf,
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle")
}

fn number(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is {text}, which is no number")),
        Err(_) => otherwise,
    }
}

/// Every CPython 3 that can be found, or the one that was asked for.
fn pythons() -> Vec<PathBuf> {
    if let Some(path) = std::env::var_os("FRED_ORACLE_PYTHON") {
        return vec![PathBuf::from(path)];
    }
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let mut found: Vec<PathBuf> = fs::read_dir(home.join(".pyenv/versions"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with('3'))
        .map(|entry| entry.path().join("bin/python3"))
        .collect();
    found.extend(["/usr/bin/python3", "/usr/local/bin/python3"].map(PathBuf::from));
    found.retain(|path| path.exists());
    found.sort();
    found
}

/// The environment in which both stock pdb and `fred` run a program.
fn command(program: &Path, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env("PYTHONHASHSEED", "0")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("HOME", dir)
        .env_remove("PYTHONSTARTUP")
        .current_dir(dir);
    command
}

impl Case {
    /// Runs the case in a directory of its own; the text says what is wrong. Returns how much was compared.
    fn run(&self, dir: &Path) -> Result<usize, String> {
        let _ = fs::remove_dir_all(dir);
        fs::create_dir_all(dir).expect("a directory");
        let dir = &dir.canonicalize().expect("its path");
        let program = dir.join("program.py");
        let plan = dir.join("plan.json");
        let mut planner = command(&self.python, dir);
        planner.arg(here().join("plan.py")).args([&program, &plan]);
        planner.arg(self.seed.to_string()).arg(ACTIONS.to_string());
        match &self.program {
            Some(path) => drop(fs::copy(path, &program).expect("a program is copied")),
            None => drop(planner.arg(BUDGET.to_string())),
        }
        let planned = planner.stdin(Stdio::null()).output().expect("Python starts");
        if !planned.status.success() {
            return Err(format!("no plan: {}\n{}", planned.status, String::from_utf8_lossy(&planned.stderr)));
        }
        let plan: Value = serde_json::from_slice(&fs::read(&plan).expect("the plan")).expect("JSON");
        let rows = plan["rows"].as_array().expect("rows");
        // By no name: a function's namespace need not have builtins.
        let question = format!(
            "p (lambda b: (lambda g: (b.exec(''.join(b.__import__('linecache').getlines('{}')), g), g['describe']())[1])\
             ({{'__builtins__': b}}))([c for c in ().__class__.__base__.__subclasses__() \
             if c.__name__ == 'BuiltinImporter'][0].find_spec.__func__.__globals__['sys'].modules['builtins'])",
            here().join("state.py").display()
        );
        let mut script = String::new();
        for row in rows {
            let line = row["line"].as_str().unwrap_or(&question);
            writeln!(script, "{line}").expect("memory");
        }
        let (script_path, events) = (dir.join("script"), dir.join("events.json"));
        fs::write(&script_path, script).expect("the script");
        let input = dir.join("input");
        fs::write(&input, plan["inputs"].as_str().unwrap_or("")).expect("the input");
        let ran = command(Path::new(env!("CARGO_BIN_EXE_fred")), dir)
            .args(["--batch", "--json"])
            .arg(&events)
            .arg("-x")
            .arg(&script_path)
            .arg("--")
            .arg(&self.python)
            .args(["-m", "pdb"])
            .arg(&program)
            .stdin(fs::File::open(&input).expect("the input"))
            .output()
            .expect("fred starts");
        fs::write(dir.join("output"), [&ran.stdout[..], &ran.stderr[..]].concat()).expect("the output");
        let events = fs::read_to_string(&events).unwrap_or_default();
        let events: Vec<Value> = events
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .filter(|event: &Value| ["command", "fred"].contains(&event["event"].as_str().unwrap_or("")))
            .collect();
        let mut trouble = Vec::new();
        let mut last = "";
        for (number, row) in rows.iter().enumerate() {
            let line = row["line"].as_str().unwrap_or("");
            last = if line.is_empty() { last } else { line };
            let Some(event) = events.get(number) else {
                trouble.push(format!("line {}: {last}: the session ended ({})", number + 1, ran.status));
                break;
            };
            if let Err(what) = compare(row, event) {
                trouble.push(format!("line {}: {last}\n{what}", number + 1));
                // After the first difference the rest follows from it.
                break;
            }
        }
        let failing = rows.iter().any(|row| row["ok"] == false);
        if trouble.is_empty() && ran.status.code() != Some(i32::from(failing)) {
            trouble.push(format!("fred ended with {}, commands that were refused: {failing}", ran.status));
        }
        if trouble.is_empty() {
            return Ok(rows.len());
        }
        Err(trouble.join("\n"))
    }

    fn describe(&self, dir: &Path, what: &str) -> String {
        let dir = dir.display();
        format!(
            "{} (seed {}) on {}\n{what}\n  program, script, plan, events: {dir}\n  again: cd {dir}; HOME=$PWD PYTHONHASHSEED=0 \
             PYTHONDONTWRITEBYTECODE=1 {} --batch -x script -- {} -m pdb {dir}/program.py <input",
            self.name,
            self.seed,
            self.python.display(),
            env!("CARGO_BIN_EXE_fred"),
            self.python.display()
        )
    }
}

/// Compares what a line did with what was planned.
fn compare(row: &Value, event: &Value) -> Result<(), String> {
    let differs = |what: &str, expected: &Value, got: &Value| {
        let error = event["error"].as_str().map(|error| format!("\n  it said:  {error}")).unwrap_or_default();
        let index = row["index"].as_u64().map(|index| format!(" (stop {index})")).unwrap_or_default();
        Err(format!("  {what}\n  expected: {expected}{index}\n  got:      {got}{error}"))
    };
    if row["ask"] == true {
        let shown = Value::from(event["output"].as_str().unwrap_or("").trim_end());
        return match row["shows_among"].as_array() {
            Some(among) if among.contains(&shown) => Ok(()),
            Some(_) => differs("variables", &row["shows_among"], &shown),
            None if row["shows"] == shown => Ok(()),
            None => differs("variables", &row["shows"], &shown),
        };
    }
    if row["ok"].is_boolean() && row["ok"] != event["ok"] {
        return differs("ok", &row["ok"], &event["ok"]);
    }
    let at = |stop: &Value, wanted: &Value| {
        ["file", "line", "function", "depth"].iter().all(|field| stop[field] == wanted[field])
    };
    if let Some(among) = row["among"].as_array() {
        if !among.iter().any(|wanted| at(&event["stop"], wanted)) {
            return differs("stop", &row["among"], &event["stop"]);
        }
    } else if row["stop"].is_object() && !at(&event["stop"], &row["stop"]) {
        return differs("stop", &row["stop"], &event["stop"]);
    }
    if row["changed_by"].is_object() && row["changed_by"] != event["result"]["changed_by"] {
        return differs("changed_by", &row["changed_by"], &event["result"]["changed_by"]);
    }
    Ok(())
}

/// Runs the cases on all processors, or on half of them where other tests run beside; panics with everything that differed.
fn check(what: &str, cases: &[Case]) {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("oracle-{what}"));
    let next = AtomicUsize::new(0);
    let compared = AtomicUsize::new(0);
    let trouble = Mutex::new(Vec::new());
    let processors = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
    let workers = if std::env::var_os("NEXTEST").is_some() { processors.div_ceil(2) } else { processors };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let dir = root.join(&case.name);
                    match case.run(&dir) {
                        Ok(rows) => {
                            compared.fetch_add(rows, Ordering::Relaxed);
                            fs::remove_dir_all(&dir).expect("nobody is there any more");
                        }
                        Err(what) => trouble.lock().expect("no panic").push(case.describe(&dir, &what)),
                    }
                }
            });
        }
    });
    let trouble = trouble.into_inner().expect("no panic");
    eprintln!("{} of {} programs, {} lines compared", cases.len() - trouble.len(), cases.len(), compared.into_inner());
    assert!(trouble.is_empty(), "{} programs differ\n\n{}", trouble.len(), trouble.join("\n\n"));
}

#[test]
fn random_programs() {
    let pythons = pythons();
    if pythons.is_empty() {
        eprintln!("skipped: no CPython 3 found in ~/.pyenv/versions or /usr/bin");
        return;
    }
    let (count, first) = (number("FRED_ORACLE_COUNT", 80), number("FRED_ORACLE_SEED", 1));
    let cases: Vec<Case> = (0..count)
        .map(|n| Case {
            name: format!("random{}", first + n),
            seed: first + n,
            program: None,
            python: pythons[usize::try_from(n).expect("few") % pythons.len()].clone(),
        })
        .collect();
    check("random", &cases);
}

/// Each of the programs that were written by hand, with a plan of its own on every third Python, or on every one of them.
#[test]
fn written_programs() {
    let folders = [here().join("programs"), Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-programs/python")];
    let mut programs: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("programs").flatten().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
        .collect();
    programs.sort();
    let all = std::env::var_os("FRED_TEST_ALL").is_some() || std::env::var_os("FRED_ORACLE_PYTHON").is_some();
    let mut cases = Vec::new();
    for (which, python) in pythons().into_iter().enumerate() {
        for (number, program) in programs.iter().enumerate() {
            if !all && !(which + number).is_multiple_of(3) {
                continue;
            }
            let seed = cases.len() as u64 + 1;
            let name = program.file_stem().expect("a file").to_string_lossy();
            cases.push(Case {
                name: format!("{name}{seed}"),
                seed,
                program: Some(program.clone()),
                python: python.clone(),
            });
        }
    }
    check("written", &cases);
}

/// The planner's trace is what typing `step` at the prompt of `python3 -m pdb` shows.
#[test]
fn traces_are_those_of_pdb() {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracle-stock");
    for (n, python) in pythons().into_iter().enumerate() {
        let seed = 1000 + n as u64;
        let case = Case { name: format!("stock{seed}"), seed, program: None, python };
        let dir = root.join(&case.name);
        case.run(&dir).unwrap_or_else(|what| panic!("{}", case.describe(&dir, &what)));
        let dir = dir.canonicalize().expect("a directory");
        let plan: Value = serde_json::from_slice(&fs::read(dir.join("plan.json")).expect("a plan")).expect("JSON");
        let trace = plan["trace"].as_array().expect("a trace");
        fs::write(dir.join("steps"), "step\n".repeat(trace.len() - 1)).expect("a file");
        let shown = command(&case.python, &dir)
            .args(["-m", "pdb"])
            .arg(dir.join("program.py"))
            .stdin(fs::File::open(dir.join("steps")).expect("a file"))
            .output()
            .expect("Python starts");
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        // A header with the line above it; the first comes without a prompt.
        let lines: Vec<&str> = shown.lines().map(|line| line.strip_prefix("(Pdb) ").unwrap_or(line)).collect();
        let mut stops = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let header = line.strip_prefix("> ").and_then(|line| line.split_once("()"));
            let Some((place, _)) = header.filter(|_| lines.get(at + 1).is_some_and(|next| next.starts_with("-> ")))
            else {
                if line.starts_with("> <string>(") {
                    stops.push((line[2..].split("()").next().unwrap_or("").to_owned(), lines[at - 1]));
                }
                continue;
            };
            stops.push((place.to_owned(), if at > 0 { lines[at - 1] } else { "" }));
        }
        // The end of its input makes pdb quit, which some versions show as a stop or two.
        assert!(stops.len() >= trace.len(), "stops of {} on {}", dir.display(), case.python.display());
        for (k, (stop, (place, mark))) in trace.iter().zip(&stops).enumerate() {
            let planned = format!("{}({}){}", stop[0].as_str().unwrap_or(""), stop[1], stop[2].as_str().unwrap_or(""));
            assert_eq!(*place, planned, "stop {k} of {}", dir.display());
            let event = stop[3].as_str().unwrap_or("");
            assert_eq!(*mark == "--Call--", event == "call", "stop {k} of {}", dir.display());
            assert_eq!(*mark == "--Return--", event == "return", "stop {k} of {}", dir.display());
        }
    }
}
