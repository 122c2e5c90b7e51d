//! What a program does outside happens once, whatever it does there: generated programs with effects on files, on peers and of
//! children, in sessions that go back and forth at random, leave files, folders, peers and output as one plain run does.
//!
//! Each operation of `effects/` is in a program at least once; with `FRED_TEST_ALL` in twenty, and `FRED_TEST_EFFECTS=7` (or `7-9`) tries the
//! programs of that number only.

mod native;
#[path = "effects/programs.rs"]
mod programs;
#[path = "effects/world.rs"]
mod world;

use std::collections::HashMap;
use std::ops::Range;

use programs::{Dice, Language, Program};
use serde_json::Value;
use world::World;

const MOVES: [&str; 22] = [
    "next",
    "next",
    "next",
    "next",
    "next",
    "step",
    "step",
    "step",
    "AWAY",
    "AWAY",
    "continue",
    "fred-undo",
    "fred-undo 2",
    "fred-undo 4",
    "fred-redo",
    "fred-redo 2",
    "fred-reverse-next",
    "fred-reverse-next 3",
    "fred-reverse-step",
    "fred-reverse-step 4",
    "fred-reverse-finish",
    "fred-reverse-continue",
];

/// Which programs are tried.
fn numbers(language: Language) -> Range<usize> {
    if let Ok(words) = std::env::var("FRED_TEST_EFFECTS") {
        let (first, last) = words.split_once('-').unwrap_or((&words, &words));
        return first.parse().expect("a number")..last.parse::<usize>().expect("a number") + 1;
    }
    let rounds = if std::env::var_os("FRED_TEST_ALL").is_some() { 20 } else { 1 };
    0..rounds * language.programs()
}

/// Random moves, with a look at what the program has learnt after some; then to the end, back to the start, and to the end again.
fn moves(number: usize, language: Language, program: &Program) -> Vec<String> {
    let mut dice = Dice::new(number as u64 + 1);
    let away = if language == Language::C { "finish" } else { "return" };
    let look = if language == Language::C { "print told" } else { "p told" };
    let mut lines: Vec<String> = match language {
        Language::C => [
            "set debug-file-directory /none",
            "set width 0",
            "set print repeats unlimited",
            "set print elements unlimited",
            "handle SIGCHLD nostop noprint",
            "break main",
            "run",
        ]
        .map(str::to_owned)
        .to_vec(),
        Language::Python => vec![format!("tbreak {}", program.last_line - 1), "continue".to_owned(), "step".to_owned()],
    };
    lines.push("fred-checkpoint".to_owned());
    lines.push(format!("tbreak {}", program.last_line));
    for _ in 0..3 {
        let name = &program.operations[dice.below(program.operations.len())];
        lines.push(format!("break op_{name}"));
    }
    // Entries that can be undone without going back to before the checkpoint.
    let mut room = 0;
    for _ in 0..24 {
        let word = dice.one_of(&MOVES);
        let undone = match word.strip_prefix("fred-undo") {
            Some("") => 1,
            Some(times) => times.trim().parse().unwrap_or(0),
            None => 0,
        };
        let word = if undone > room { "next" } else { word };
        room = if word.starts_with("fred-undo") { room - undone } else { room + usize::from(!word.contains("re")) };
        lines.push(if word == "AWAY" { away } else { word }.to_owned());
        if dice.below(3) == 0 {
            lines.push(look.to_owned());
        }
    }
    lines.extend(["fred-restart 1", "continue", "continue", look, "fred-restart 1"].map(str::to_owned));
    let clear: &[&str] = if language == Language::C { &["delete"] } else { &["clear 1 2 3 4 5"] };
    lines.extend(clear.iter().map(|line| (*line).to_owned()));
    lines.push("continue".to_owned());
    lines
}

/// What the program has learnt is the same whenever one looks.
fn is_learnt_once(events: &[Value]) {
    let mut known: HashMap<usize, u64> = HashMap::new();
    let is_look = |event: &&Value| event["line"].as_str().is_some_and(|line| line.ends_with(" told"));
    for text in events.iter().filter(is_look).map(native::said) {
        let list = text.rsplit('{').next().unwrap_or_default().split('}').next().unwrap_or_default();
        for (index, word) in list.split(',').enumerate() {
            let (key, word) = word.split_once(':').unwrap_or(("", word));
            let index = key.trim().parse().unwrap_or(index);
            let Ok(value) = word.trim().parse::<u64>() else { continue };
            if value != 0 {
                assert_eq!(*known.entry(index).or_insert(value), value, "operation {index}: {text}");
            }
        }
    }
}

fn happens_once(language: Language) {
    let mut failures = Vec::new();
    for number in numbers(language) {
        let program = language.program(number);
        let mut alone = World::new(language, &program);
        let printed = alone.plain();
        let expected = alone.left(&printed);
        let mut world = World::new(language, &program);
        let lines = moves(number, language, &program);
        let (events, output) = world.session(&lines);
        let survivors = native::survivors(&world.mark());
        let left = world.left(&output);
        let diverged = events.iter().filter(|event| event["event"] == "diverged").count();
        let unrecorded = output.contains("fred: recording stops here");
        let ended = events.last().is_some_and(|event| event["event"] == "end");
        if left != expected || !ended || unrecorded || diverged > 0 || !survivors.is_empty() {
            let kept = world.keep();
            std::fs::write(kept.join("output"), &output).expect("a file");
            std::fs::write(kept.join("lines"), lines.join("\n") + "\n").expect("a file");
            let parts = [
                differences(&left.files, &expected.files),
                differences(&left.heard, &expected.heard),
                said_otherwise(&left.said, &expected.said),
            ];
            failures.push(format!(
                "program {number}, {:?}: came to its end: {ended}, recording ended: {unrecorded}, {diverged} diverged, survivors {survivors:?}, see {}\n{}",
                program.operations,
                kept.display(),
                parts.concat()
            ));
        }
        is_learnt_once(&events);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn differences<K: Ord + std::fmt::Debug>(
    ours: &std::collections::BTreeMap<K, String>,
    plain: &std::collections::BTreeMap<K, String>,
) -> String {
    let names: std::collections::BTreeSet<&K> = ours.keys().chain(plain.keys()).collect();
    let differ = names.into_iter().filter(|name| ours.get(name) != plain.get(name));
    differ.map(|name| format!("{name:?}: {:?}, alone {:?}\n", ours.get(name), plain.get(name))).collect()
}

fn said_otherwise(ours: &[String], plain: &[String]) -> String {
    if ours == plain { String::new() } else { format!("said {ours:#?}, alone {plain:#?}\n") }
}

#[test]
fn effects_of_generated_c_programs_happen_once() {
    happens_once(Language::C);
}

#[test]
fn effects_of_generated_python_programs_happen_once() {
    happens_once(Language::Python);
}
