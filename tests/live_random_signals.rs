//! Signals in recorded sessions of generated programs: what a search finds, and what is met on the way back and forth, is what the
//! program itself has noted.
//!
//! A few programs are tried; with `FRED_TEST_ALL` a hundred, and `FRED_TEST_SIGNALS=7` (or `7-30`) tries those of that number.

mod native;
#[path = "signals/programs.rs"]
mod programs;

use native::{Sample, is_done, place, said};
use programs::{Dice, Program};
use serde_json::Value;

/// Those that are tried without being asked for.
const FEW: [usize; 6] = [0, 5, 10, 11, 12, 18];

/// Searches in each.
const SEARCHES: usize = 3;

fn numbers() -> Vec<usize> {
    if let Ok(words) = std::env::var("FRED_TEST_SIGNALS") {
        let (first, last) = words.split_once('-').unwrap_or((&words, &words));
        return (first.parse().expect("a number")..=last.parse().expect("a number")).collect();
    }
    if std::env::var_os("FRED_TEST_ALL").is_some() { (0..100).collect() } else { FEW.to_vec() }
}

/// The lines of a session, each with what is asked of it.
struct Script {
    lines: Vec<String>,
}

impl Script {
    /// Adds a line; its number.
    fn say(&mut self, line: impl Into<String>) -> usize {
        self.lines.push(line.into());
        self.lines.len() - 1
    }

    /// Adds questions for what has been noted; their numbers.
    fn state(&mut self) -> Vec<usize> {
        ["count", "result", "length", "told", "counts"].map(|what| self.say(format!("print {what}"))).into()
    }
}

/// What was printed for an expression.
fn value(event: &Value) -> &str {
    said(event).rsplit_once("= ").map_or("", |(_, value)| value.trim())
}

fn number(event: &Value) -> i64 {
    value(event).parse().unwrap_or_else(|_| panic!("no number: {event:#?}"))
}

/// Numbers of an array.
fn numbers_of(event: &Value) -> Vec<i64> {
    let text = value(event).trim_matches(['{', '}']);
    text.split(',').map(|word| word.trim().parse().unwrap_or_else(|_| panic!("no numbers: {event:#?}"))).collect()
}

/// What is looked for, and the lines that tell what was found.
enum Search {
    /// The handler that made the notes longer than a share of them: the search, `length - $k`, `count - $c`, a step, `length - $k`.
    Length([usize; 5]),
    /// A share of what was counted: the search, `count - $m`, `length`, `$m`.
    Count([usize; 4]),
}

fn try_program(seed: usize) {
    let program = Program::new(seed);
    let mut dice = Dice::new(seed as u64 ^ 0x5eed);
    let sample = Sample::of("program.c", &program.source);
    let mut script = Script { lines: Vec::new() };
    for line in ["set debug-file-directory /none", "set width 0", "set print elements 0", "set print repeats 0"] {
        script.say(line);
    }
    script.say("handle SIGUSR1 SIGUSR2 SIGALRM SIGCHLD SIGVTALRM nostop noprint pass");
    script.say("break stage");
    script.say("break done");
    script.say("run");
    // A signal's handler comes back to the breakpoint, which is met once more.
    let stages: Vec<String> = program
        .given
        .iter()
        .flat_map(|given| given.map(|signal| format!("signal {signal}")).into_iter().chain(["continue".to_owned()]))
        .collect();
    for line in &stages {
        script.say(line);
    }
    let at_end = script.lines.len() - 1;
    let state = script.state();
    let mut again = Vec::new();
    // Whoever goes back and does the same comes to the same.
    let back = usize::try_from(1 + dice.below(stages.len() as u64)).expect("a number");
    script.say(format!("fred-undo {back}"));
    for line in &stages[stages.len() - back..] {
        script.say(line);
    }
    again.push(script.state());
    script.say("disable");
    let mut searches = Vec::new();
    for _ in 0..SEARCHES {
        let share = dice.below(100);
        if dice.below(3) > 0 {
            script.say(format!("set $k = 1 + length * {share} / 101"));
            script.say("set $c = counts[$k - 1]");
            searches.push(Search::Length([
                script.say("fred-reverse-watch length < $k"),
                script.say("print length - $k"),
                script.say("print count - $c"),
                script.say("next"),
                script.say("print length - $k"),
            ]));
            script.say("fred-undo");
        } else {
            script.say(format!("set $m = 1 + (count - 1) * {share} / 100"));
            searches.push(Search::Count([
                script.say("fred-reverse-watch count < $m"),
                script.say("print count - $m"),
                script.say("print length"),
                script.say("print $m"),
            ]));
        }
        script.say("fred-undo");
        again.push(script.state());
    }
    let lines: Vec<&str> = script.lines.iter().map(String::as_str).collect();
    let mut events = sample.fred_with(&["--record"], &["gdb", "-q", "-nx"], &lines);
    // The first line's is left out.
    events.insert(0, Value::Null);
    let told = |what: &str| {
        let dialogue = lines.iter().zip(&events).map(|(line, event)| {
            format!(
                "{line}\n{}{}",
                said(event),
                event["error"].as_str().map_or_else(String::new, |error| format!("! {error}\n"))
            )
        });
        format!(
            "program {seed}: {what}\n{}\n{}",
            program.source.split_once("int main").map_or("", |(_, main)| main),
            dialogue.collect::<String>()
        )
    };
    assert_eq!(events.len(), lines.len(), "{}", told("lines are missing"));
    assert!(events[1..].iter().all(is_done), "{}", told("a line has failed"));
    assert_eq!(place(&events[at_end]).1, Some("done"), "{}", told("its end was not met"));
    let values = |lines: &[usize]| lines.iter().map(|line| value(&events[*line]).to_owned()).collect::<Vec<_>>();
    let at = values(&state);
    for state in &again {
        assert_eq!(values(state), at, "{}", told(&format!("the end is not the same at line {}", state[0])));
    }
    let length = usize::try_from(number(&events[state[2]])).expect("a length");
    let counts = &numbers_of(&events[state[4]])[..length];
    for search in &searches {
        match search {
            Search::Length([found, before, count, _, after]) => {
                assert_eq!(place(&events[*found]).1, Some("note"), "{}", told("another place was found"));
                let values = [before, count, after].map(|line| number(&events[*line]));
                assert_eq!(values, [-1, 0, 0], "{}", told(&format!("another state was found at line {found}")));
            }
            Search::Count([found, before, length, wanted]) => {
                assert_eq!(
                    number(&events[*before]),
                    -1,
                    "{}",
                    told(&format!("another state was found at line {found}"))
                );
                let wanted = number(&events[*wanted]);
                let had = counts.iter().filter(|count| **count < wanted - 1).count();
                let may = counts.iter().filter(|count| **count < wanted).count();
                let length = usize::try_from(number(&events[*length])).expect("a length");
                assert!(
                    (had..=may).contains(&length),
                    "{}",
                    told(&format!("signals at line {found} are not {had} to {may}"))
                );
            }
        }
    }
}

#[test]
fn searches_over_signals_find_what_the_program_has_noted() {
    for seed in numbers() {
        try_program(seed);
    }
}
