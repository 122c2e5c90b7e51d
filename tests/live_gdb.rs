//! Sessions with gdb, from outside: the `fred` binary, a script, and its event stream.

mod native;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use native::{Sample, further_package, is_done, package, place, put_in};
use serde_json::Value;

impl Sample {
    /// Runs lines below fred with gdb.
    fn gdb(&self, lines: &[&str]) -> Vec<Value> {
        self.gdb_with(&[], lines)
    }

    fn gdb_with(&self, options: &[&str], lines: &[&str]) -> Vec<Value> {
        let lines: Vec<&str> = ["set debug-file-directory /none"].into_iter().chain(lines.iter().copied()).collect();
        self.fred_with(options, &["gdb", "-q", "-nx"], &lines)
    }
}

#[test]
fn a_call_in_a_reverse_watchpoint_finds_the_statement() {
    let events =
        Sample::new("list.c").gdb(&["break 31", "run", "fred-reverse-watch list_len(head) < 10", "print *head"]);
    let found = &events[2];
    assert!(is_done(found), "{found}");
    assert_eq!(found["result"]["changed_by"]["line"], 22, "{found}");
    assert_eq!((found["result"]["before"].as_str(), found["result"]["after"].as_str()), (Some("1"), Some("0")));
    assert_eq!(place(found), (Some(22), Some("insert")));
    assert!(found["cost"]["evaluations"].as_u64() <= Some(60), "{found}");
    // Nine elements there.
    assert!(events[3]["output"].as_str().is_some_and(|text| text.contains("value = 64")), "{}", events[3]);
}

#[test]
fn undo_gives_breakpoints_variables_and_values_back() {
    let lines = [
        "break insert",
        "run",
        "set $mine = 5",
        "print $mine",
        "delete",
        "set $mine = 6",
        "next",
        "fred-undo 3",
        "print $mine",
        "info breakpoints",
        "fred-redo 3",
        "print $mine",
        "info breakpoints",
    ];
    let events = Sample::new("list.c").gdb(&lines);
    let said = |index: usize| events[index]["output"].as_str().unwrap_or("").to_owned();
    assert!(events.iter().all(is_done), "{events:#?}");
    assert!(said(8).contains("= 5"), "{}", said(8));
    assert!(said(9).contains("insert"), "{}", said(9));
    assert!(said(11).contains("= 6"), "{}", said(11));
    assert!(said(12).contains("No breakpoints"), "{}", said(12));
    assert_eq!(place(&events[10]), place(&events[6]));
}

#[test]
fn a_crash_is_followed_back_to_its_cause() {
    let events = Sample::new("crash.c").gdb(&[
        "run",
        "fred-reverse-watch items->next->name == 0",
        "fred-reverse-finish",
        "print i",
        "fred-undo 2",
        "fred-reverse-step",
    ]);
    assert_eq!(events[0]["stop"]["signal"], "SIGSEGV");
    assert_eq!(events[1]["result"]["changed_by"]["function"], "add", "{}", events[1]);
    assert_eq!(place(&events[2]), (Some(32), Some("main")));
    assert!(events[3]["output"].as_str().is_some_and(|text| text.contains("= 3")), "{}", events[3]);
    assert_eq!(events[4]["stop"]["signal"], "SIGSEGV");
    assert_eq!(place(&events[5]).1, Some("total"));
}

#[test]
fn the_end_of_the_program_can_be_left_backwards() {
    let events = Sample::new("list.c").gdb(&["break 31", "run", "continue", "fred-reverse-step", "fred-reverse-next"]);
    assert_eq!(
        (events[2]["stop"]["reason"].as_str(), events[2]["stop"]["exit_code"].as_i64()),
        (Some("exited"), Some(0))
    );
    assert_eq!(place(&events[3]), (Some(32), Some("main")), "{}", events[3]);
    assert_eq!(place(&events[4]), (Some(31), Some("main")), "{}", events[4]);
}

#[test]
fn a_run_that_never_stopped_can_be_gone_back_in() {
    let lines =
        ["run", "fred-reverse-step", "fred-reverse-next", "break insert", "fred-reverse-continue", "print value"];
    let events = Sample::new("list.c").gdb(&lines);
    assert_eq!(events[0]["stop"]["reason"], "exited", "{}", events[0]);
    assert_eq!(place(&events[1]), (Some(32), Some("main")), "{}", events[1]);
    assert_eq!(place(&events[2]), (Some(31), Some("main")), "{}", events[2]);
    assert_eq!(place(&events[4]).1, Some("insert"), "{}", events[4]);
    assert!(is_done(&events[5]), "{}", events[5]);
}

#[test]
fn a_change_by_the_user_is_found_and_can_be_undone() {
    let events = Sample::new("list.c").gdb(&[
        "break 31",
        "run",
        "set var i = 77",
        "next",
        "fred-reverse-watch i",
        "fred-undo 3",
        "print i",
    ]);
    assert_eq!(events[4]["result"]["command"], "set var i = 77", "{}", events[4]);
    assert!(events[6]["output"].as_str().is_some_and(|text| text.contains("= 20")), "{}", events[6]);
}

#[test]
fn threads_that_have_been_joined_do_not_keep_from_going_back() {
    let events =
        Sample::new("threads.c").gdb(&["break 24", "run", "next", "fred-reverse-next", "fred-undo 2", "print counter"]);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(place(&events[3]), (Some(24), Some("main")));
    assert!(events[5]["output"].as_str().is_some_and(|text| text.contains("= 400")), "{}", events[5]);
}

/// What a session prints, but for what is different each time.
fn normal(text: &str) -> Vec<String> {
    let addresses = regex::Regex::new("0x[0-9a-f]+").expect("a pattern");
    let processes = regex::Regex::new(r"(process|Thread|LWP) [0-9a-fx.]+").expect("a pattern");
    // Without a terminal gdb is less talkative.
    let talk = ["Starting program: ", "Continuing.", "Run till exit "];
    let usual = |line: &&str| {
        !line.contains("libthread_db") && !line.trim().is_empty() && !talk.iter().any(|talk| line.starts_with(talk))
    };
    let lines = text.lines().filter(usual);
    lines.map(|line| processes.replace_all(&addresses.replace_all(line, "0x"), "$1 N").trim_end().to_owned()).collect()
}

#[test]
fn sessions_read_as_with_plain_gdb() {
    let sample = Sample::new("list.c");
    let lines = [
        "set confirm off",
        "set width 0",
        "set debug-file-directory /none",
        "break insert",
        "info breakpoints",
        "run",
        "bt",
        "info args",
        "next",
        "step",
        "print *fresh",
        "next",
        "finish",
        "until",
        "tbreak list_len",
        "delete 1",
        "watch head",
        "continue",
        "continue",
        "delete",
        "print list_len(head)",
        "ptype head",
        "x/2i $pc",
        "print $_siginfo.si_signo",
        "stepi",
        "nexti",
        "advance 31",
        "frame",
        "info locals",
        "print i = 3",
        "list 20,24",
        "info line main",
        "undefinedcommand",
        "kill",
        "starti",
        "tbreak main",
        "continue",
        "catch syscall exit_group",
        "continue",
        "delete",
        "continue",
        "info frame",
    ];
    let mut plain = Command::new("gdb");
    plain.args(["-q", "-nx", "-batch"]);
    let mut fred = Command::new(env!("CARGO_BIN_EXE_fred"));
    fred.arg("--batch");
    for line in lines {
        plain.args(["-ex", line]);
        fred.args(["-e", line]);
    }
    plain.arg("./program");
    fred.args(["--", "gdb", "-q", "-nx", "./program"]);
    let run = |command: &mut Command| {
        let command = command.current_dir(sample.path()).env("TERM", "dumb").stdin(Stdio::null());
        // As on a terminal, where errors come between.
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$@\" 2>&1", "sh"]).arg(command.get_program()).args(command.get_args());
        let done = shell.current_dir(sample.path()).env("TERM", "dumb").stdin(Stdio::null()).output().expect("it runs");
        normal(&String::from_utf8_lossy(&done.stdout))
    };
    let (plain, fred) = (run(&mut plain), run(&mut fred));
    // fred begins earlier: with what reading the symbols prints.
    let begin = |lines: &[String]| lines.iter().position(|line| line.starts_with("Breakpoint 1 at")).unwrap_or(0);
    assert_eq!(plain[begin(&plain)..], fred[begin(&fred)..]);
}

/// The history of a session with some gdb that nobody asks for facts, and whether it is one that is told of stops by Python.
fn history(sample: &Sample, gdb: &Path, lines: &[&str]) -> (String, bool) {
    let mut fred = Command::new(env!("CARGO_BIN_EXE_fred"));
    fred.arg("--batch").current_dir(sample.path()).env("TERM", "dumb").stdin(Stdio::null());
    for line in ["set debug-file-directory /none", "python print('fred_hook' in __import__('sys').modules)"] {
        fred.args(["-e", line]);
    }
    for line in lines.iter().chain(&["echo \\nhistory:\\n", "fred-history"]) {
        fred.args(["-e", line]);
    }
    let done = fred.arg("--").arg(gdb).args(["-q", "-nx", "./program"]).output().expect("fred runs");
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let history = text.split("history:\n").nth(1).unwrap_or_else(|| panic!("no history: {done:?}"));
    (history.to_owned(), text.contains("True\n"))
}

#[test]
fn stops_are_told_alike_with_and_without_python() {
    let list = [
        "break insert",
        "run",
        "next",
        "step",
        "finish",
        "watch head",
        "continue",
        "delete",
        "print list_len(head)",
        "continue",
        "run",
        "tbreak list_len",
        "run",
        "next 2",
        "kill",
        "start",
        "stepi",
        "next",
        "info line",
        "continue",
    ];
    let crash = ["run", "up", "bt", "continue", "tbreak total", "run", "kill", "tbreak total", "run", "next"];
    let found = Command::new("sh").args(["-c", "command -v gdb"]).output().expect("a shell");
    let gdb = PathBuf::from(String::from_utf8_lossy(&found.stdout).trim().to_owned());
    for (name, lines) in [("list.c", &list[..]), ("crash.c", &crash[..])] {
        let sample = Sample::new(name);
        // What it executes cannot be seen from outside.
        let other = sample.path().join("gdb");
        std::fs::write(&other, format!("#!/bin/sh\nexec {} \"$@\"\n", gdb.display())).expect("a script");
        std::fs::set_permissions(&other, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
        let (hooked, by_python) = history(&sample, &gdb, lines);
        let (plain, without) = history(&sample, &other, lines);
        assert!(by_python && !without, "{by_python} {without}");
        assert!(hooked.lines().count() >= 8, "{hooked}");
        assert_eq!(hooked, plain);
    }
}

#[test]
fn the_second_interface_is_closed_when_nobody_asks_there() {
    let sample = Sample::new("list.c");
    // How many descriptors gdb has taken from it. While events are written each stop is asked about there, so none are.
    let taken = "python print('taken', len(__import__('fred_hook').left), gdb.selected_frame().find_sal().line)";
    let forward = ["next", "next", taken, "next", taken];
    let before = ["set debug-file-directory /none", "break main", "run", "next", "next", taken, "next", taken];
    let back = ["fred-reverse-next", "fred-reverse-step", "print list_len(head)", "fred-undo", "fred-undo"];
    let mut fred = Command::new(env!("CARGO_BIN_EXE_fred"));
    fred.arg("--batch").current_dir(sample.path()).env("TERM", "dumb").stdin(Stdio::null());
    for line in [&before[..], &back[..], &forward[..], &back[..], &forward[..]].concat() {
        fred.args(["-e", line]);
    }
    let done = fred.args(["--", "gdb", "-q", "-nx", "./program"]).output().expect("fred runs");
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let taken: Vec<(&str, &str)> =
        text.lines().filter_map(|line| line.strip_prefix("taken ")?.split_once(' ')).collect();
    let (counts, lines): (Vec<&str>, Vec<&str>) = taken.into_iter().unzip();
    assert_eq!(counts, ["0", "0", "1", "1", "1", "1"], "{text}");
    // Undone and gone again, twice.
    assert_eq!((lines[2], lines[3]), (lines[4], lines[5]), "{text}");
    // What gdb says of it is not shown.
    assert!(!text.contains("Error detected"), "{text}");
}

#[test]
fn a_program_in_the_background_leaves_the_prompt() {
    let sample = Sample::of("spin.c", "volatile long n;\nint main(void)\n{\n    for (;;)\n        n++;\n}\n");
    let events = sample.gdb(&["break main", "run", "continue &", "print 3 + 4"]);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert!(events[3]["output"].as_str().is_some_and(|text| text.contains("= 7")), "{}", events[3]);
}

#[test]
fn the_demo_finds_the_statement() {
    let demo = Command::new(env!("CARGO_BIN_EXE_fred")).args(["demo", "gdb"]).stdin(Stdio::null()).output();
    let demo = demo.expect("fred runs");
    let text = String::from_utf8_lossy(&demo.stdout);
    assert_eq!(demo.status.code(), Some(0), "{demo:?}");
    let source = include_str!("../sample-programs/c/bank.c");
    let culprit = source.lines().position(|line| line.contains("owner[length] = ")).expect("the statement") + 1;
    let found = format!("limits_hold() was 1, becomes 0 by executing bank.c:{culprit} in set_owner");
    assert!(text.contains(&found), "{text}");
    assert!(text.contains("= 16\n\n# A name of 16 letters"), "{text}");
    assert!(!text.contains('\u{1b}'), "colours where there is no terminal: {text}");
}

#[test]
fn copies_before_main_are_no_beginnings() {
    // Some are taken in a loop of code without lines, which begins each of its rounds alike.
    let early = "static volatile long n;\n__attribute__((constructor)) static void early(void)\n{\n    while (n < 20000000)\n        n++;\n}\n";
    let bank = include_str!("../sample-programs/c/bank.c");
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("early.c"), early).expect("a source");
    std::fs::write(directory.path().join("bank.c"), bank).expect("a source");
    let compile = "gcc -O0 -c early.c && gcc -g -O0 -o program bank.c early.o";
    assert!(Command::new("sh").args(["-c", compile]).current_dir(directory.path()).status().expect("gcc").success());
    let line = |text: &str| bank.lines().position(|line| line.contains(text)).expect("the statement") as u64 + 1;
    let events = Sample::at(directory).gdb_with(
        &["--checkpoint-every", "1ms"],
        &[
            &format!("break {}", line("puts(paid")),
            "run",
            "fred-reverse-watch limits_hold()",
            "fred-reverse-finish",
            "fred-undo 2",
            "break main",
            "fred-reverse-continue",
        ],
    );
    assert_eq!(place(&events[2]), (Some(line("owner[length] = ")), Some("set_owner")), "{}", events[2]);
    assert_eq!(place(&events[3]).1, Some("day"), "{}", events[3]);
    // Nor is one that was taken right at the present stop an earlier one.
    assert_eq!(place(&events[6]), (Some(line("    day();")), Some("main")), "{}", events[6]);
}

/// The interpreter of Lua, compiled from the sources in a crate, with something changed in one of them.
fn broken_lua(file: &str, right: &str, wrong: &str) -> Sample {
    let sources = package("lua-src").expect("lua-src is a dependency").join("lua-5.4.7");
    let directory = tempfile::tempdir().expect("a directory");
    let copied = |from: PathBuf| {
        let name = from.file_name().expect("a name").to_owned();
        std::fs::copy(&from, directory.path().join(name)).expect("a copy");
    };
    std::fs::read_dir(sources).expect("sources of Lua").flatten().for_each(|entry| copied(entry.path()));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    copied(root.join("tests/real/lua_main.c"));
    copied(root.join("tests/real/pushes.lua"));
    put_in(&directory.path().join(file), right, wrong);
    let compile = "gcc -g -O0 -w -o program l*.c -lm";
    assert!(Command::new("sh").args(["-c", compile]).current_dir(directory.path()).status().expect("gcc").success());
    Sample::at(directory)
}

#[test]
fn lua_with_a_bug_is_gone_back_in_from_its_abort() {
    let wrong = "lua_seti(L, 1, pos - (pos == 300));  /* t[pos] = v */";
    let sample = broken_lua("ltablib.c", "lua_seti(L, 1, pos);  /* t[pos] = v */", wrong);
    let source = std::fs::read_to_string(sample.path().join("ltablib.c")).expect("the source");
    let culprit = source.lines().position(|line| line.contains(wrong)).expect("the statement") as u64 + 1;
    let events = sample.gdb(&[
        "set args pushes.lua",
        "tbreak mark",
        "run",
        "continue",
        &format!("break ltablib.c:{culprit}"),
        "fred-reverse-continue",
        "print pos",
        "step",
        "next",
        "next",
        "fred-reverse-next",
        "fred-reverse-next",
        "fred-reverse-step",
    ]);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(events[3]["stop"]["signal"], "SIGABRT");
    assert_eq!(place(&events[5]), (Some(culprit), Some("tinsert")), "{}", events[5]);
    // The last of the elements that all went to the same place.
    assert!(events[6]["output"].as_str().is_some_and(|text| text.contains("= 300")), "{}", events[6]);
    // Back over what was just gone forward over: the same places.
    assert_eq!(place(&events[7]).1, Some("lua_seti"));
    assert_eq!(place(&events[10]), place(&events[8]));
    assert_eq!(place(&events[11]), place(&events[7]));
    assert_eq!(place(&events[12]), place(&events[5]));
}

#[test]
fn bzip2_with_a_bug_is_gone_back_in_from_its_internal_error() {
    let Some(sources) = further_package("bzip2-sys") else {
        eprintln!("skipped: the sources of bzip2 are not here; tests/further fetches them");
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    for entry in std::fs::read_dir(sources.join("bzip2-1.0.8")).expect("sources of bzip2").flatten() {
        std::fs::copy(entry.path(), directory.path().join(entry.file_name())).expect("a copy");
    }
    // Below the array there is the block that is being sorted; bzip2 finds its sum wrong some time later (1007).
    let (right, wrong) = ("quadrant[a2update] = qVal;", "quadrant[a2update - (a2update < 2 ? 40 : 0)] = qVal;");
    let culprit = put_in(&directory.path().join("blocksort.c"), right, wrong);
    let objects = "bzip2 bzlib blocksort compress decompress huffman crctable randtable";
    let compile = format!("gcc -g -O0 -w -o program $(printf '%s.c ' {objects})");
    assert!(Command::new("sh").args(["-c", &compile]).current_dir(directory.path()).status().expect("gcc").success());
    let events = Sample::at(directory).gdb(&[
        "set args -c sample2.ref > out.bz2",
        "break BZ2_bz__AssertH__fail",
        "run",
        "fred-reverse-next",
        "fred-reverse-watch block[nblock-46] == 0",
        "print a2update",
        "fred-reverse-finish",
        "fred-undo 3",
        "print errcode",
    ]);
    assert!(events.iter().all(is_done), "{events:#?}");
    assert_eq!(place(&events[3]).1, Some("mainSort"), "{}", events[3]);
    // Its lines were met some ten million times.
    assert!(events[3]["cost"]["elapsed_ms"].as_f64() < Some(30_000.0), "{}", events[3]);
    assert_eq!(place(&events[4]), (Some(culprit), Some("mainSort")), "{}", events[4]);
    assert!(events[5]["output"].as_str().is_some_and(|text| text.contains("= 0")), "{}", events[5]);
    assert_eq!(place(&events[6]).1, Some("BZ2_blockSort"), "{}", events[6]);
    assert!(events[8]["output"].as_str().is_some_and(|text| text.contains("= 1007")), "{}", events[8]);
}

#[test]
fn a_parser_that_aborts_is_gone_back_in_to_the_text_that_was_too_deep() {
    let (Some(parser), Some(json)) = (further_package("tree-sitter"), further_package("tree-sitter-json")) else {
        eprintln!("skipped: the sources of tree-sitter are not here; tests/further fetches them");
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/parse_json.c");
    let (parser, json, program) = (parser.display(), json.display(), program.display());
    let compile = format!(
        "gcc -g -O0 -w -o program -I {parser}/include -I {parser}/src -I {json}/src {parser}/src/lib.c {json}/src/parser.c {program}"
    );
    assert!(Command::new("sh").args(["-c", &compile]).current_dir(directory.path()).status().expect("gcc").success());
    let events = Sample::at(directory).gdb(&[
        "break abort",
        "run",
        "frame function main",
        "fred-reverse-watch length < last + 600",
        "print depth",
        "fred-reverse-finish",
        "fred-undo 2",
        "frame function main",
        "fred-reverse-watch parser->lexer.current_position.bytes",
    ]);
    assert!(events.iter().all(is_done), "{events:#?}");
    let (line, function) = place(&events[3]);
    assert_eq!((line, function), (Some(17), Some("nested")), "{}", events[3]);
    let evaluations = |event: &Value| event["cost"]["evaluations"].as_u64().expect("a number");
    assert_eq!(place(&events[5]).1, Some("nested"), "{}", events[5]);
    assert_eq!(place(&events[8]).1, Some("ts_lexer_goto"), "{}", events[8]);
    // Call for call it was 875.
    assert!([3, 8].iter().all(|index| evaluations(&events[*index]) < 150), "{events:#?}");
}

#[test]
fn abort_can_be_gone_back_from() {
    let events = Sample::new("abort.c").gdb(&[
        "break main",
        "run",
        "continue",
        "fred-reverse-watch sum",
        "fred-undo",
        "fred-reverse-next",
    ]);
    assert_eq!(events[2]["stop"]["signal"], "SIGABRT");
    assert_eq!(events[3]["result"]["changed_by"]["line"], 10, "{}", events[3]);
    assert!(is_done(&events[5]), "{}", events[5]);
    assert_eq!(place(&events[5]), (Some(12), Some("main")), "{}", events[5]);
}

#[test]
fn going_back_over_a_long_run_begins_at_a_copy_on_the_way() {
    // Each of a thousand rounds takes about a millisecond.
    let sample = Sample::new("rounds.c");
    let events = sample.gdb_with(
        &["--checkpoint-every", "100ms"],
        &[
            "break 22",
            "run",
            "fred-reverse-next",
            "fred-reverse-next",
            "print round",
            "fred-reverse-next",
            "fred-reverse-next",
        ],
    );
    assert!(events.iter().all(is_done), "{events:#?}");
    let lines: Vec<_> = [2, 3, 5, 6].map(|index| place(&events[index]).0).into();
    assert_eq!(lines, [Some(21), Some(19), Some(20), Some(19)], "{events:#?}");
    assert!(events[4]["output"].as_str().is_some_and(|text| text.contains("= 999")), "{}", events[4]);
    // From the start it would meet the statements of all rounds.
    assert!(events[2]["cost"]["replayed"].as_u64() < Some(2000), "{}", events[2]);
}

/// A gdb of today reads these from where Intel's processors keep them, on AMD's too; a served program's are where the processor says.
#[test]
fn registers_of_avx512_are_read_written_and_those_of_the_place_gone_back_to() {
    if !std::arch::is_x86_feature_detected!("avx512f") {
        eprintln!("left out: this processor has no AVX-512");
        return;
    }
    let sample = Sample::made(&["wide.c"], "gcc -g -mavx512f -o program wide.c");
    let look = ["print $k7", "print $zmm31.v16_int32[15]"];
    let mut lines = vec!["break note", "run", "continue", "continue"];
    lines.extend(look);
    lines.extend(["fred-reverse-continue"].iter().chain(&look));
    lines.extend(["set var $k7 = 1234", "set var $zmm31.v16_int32[15] = 5678", "next"].iter().chain(&look));
    lines.extend(["fred-undo 3"].iter().chain(&look));
    let events = sample.gdb(&lines);
    assert!(events.iter().all(is_done), "{events:#?}");
    let values: Vec<&str> = events
        .iter()
        .filter(|event| event["line"].as_str().is_some_and(|line| line.starts_with("print")))
        .map(|event| event["output"].as_str().unwrap_or_default().rsplit(' ').next().unwrap_or_default().trim())
        .collect();
    assert_eq!(values, ["33", "33", "22", "22", "1234", "5678", "22", "22"]);
}
