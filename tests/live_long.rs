//! Commands that run for long: searches do not replay all of them, and find the same as if they did.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Runs for a second or so, most of it in the standard library, where pdb does not trace; what is watched happens at a quarter.
const PROGRAM: &str = r#"import json
import driver

def main():
    total = 0
    late = False
    for i in range(40):
        total += driver.work(i)
        if i == 10:
            late = True
        last = i
    return total, late

result = main()
print("end", result)
"#;

const DRIVER: &str = r#"import json

def work(i):
    size = 0
    for k in range(6000):
        size += len(json.dumps({"i": i, "k": k}))
    return size
"#;

fn run(every: &str, commands: &[&str]) -> Vec<Value> {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("long.py"), PROGRAM).expect("a program");
    std::fs::write(dir.path().join("driver.py"), DRIVER).expect("a module");
    let stream = dir.path().join("events");
    let mut fred = Command::new(env!("CARGO_BIN_EXE_fred"));
    fred.current_dir(dir.path()).args(["--batch", "--checkpoint-every", every, "--json"]).arg(&stream);
    for command in commands {
        fred.args(["-e", command]);
    }
    let done = fred.args(["--", "python3", "-m", "pdb", "long.py"]).output().expect("fred runs");
    let text = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{text}");
    let events = std::fs::read_to_string(Path::new(&stream)).expect("events");
    events.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn outputs(events: &[Value], line: &str) -> Vec<String> {
    let of_line = events.iter().filter(|event| event["event"] == "command" && event["line"] == line);
    of_line.map(|event| event["output"].as_str().unwrap_or_default().trim().to_owned()).collect()
}

fn check(every: &str) {
    let commands = [
        "break 15",
        "continue",
        "fred-reverse-step",
        "fred-reverse-step",
        "fred-reverse-watch late",
        "p i, late",
        "step",
        "p i, late",
        "fred-undo 3",
        "fred-reverse-next",
        "fred-reverse-finish",
        "fred-goto 1",
        "continue",
        "p result[1]",
    ];
    let events = run(every, &commands);
    let stops: Vec<String> = events
        .iter()
        .filter(|event| event["event"] == "fred")
        .map(|event| {
            format!(
                "{} {}:{}",
                event["command"].as_str().unwrap_or(""),
                event["stop"]["function"].as_str().unwrap_or(""),
                event["stop"]["line"]
            )
        })
        .collect();
    assert_eq!(
        stops,
        [
            "reverse-step main:12",
            "reverse-step main:12",
            "reverse-watch main:10",
            "undo main:12",
            "reverse-next main:12",
            "reverse-finish <module>:14",
            "goto <module>:1",
        ]
    );
    assert_eq!(outputs(&events, "p i, late"), ["(10, False)", "(10, True)"]);
    assert_eq!(outputs(&events, "p result[1]"), ["True"]);
}

#[test]
fn live_copies_on_the_way_are_used() {
    check("150ms");
}

#[test]
fn live_hops_are_made_where_there_are_none() {
    check("off");
}
