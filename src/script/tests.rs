//! Scripts on a scripted session.

use serde_json::json;

use super::*;
use crate::engine::CheckpointTaken;
use crate::mock::{Mock, Shared, screen};

fn run(mock: &mut Mock, lines: &[&str]) -> (String, bool) {
    let (screen, out, _) = screen("");
    let mut runner = Runner::new(screen, OnError::GoOn);
    let steps: Vec<_> = lines.iter().map(|line| Step::Command(line.to_string())).collect();
    runner.script(mock, &steps);
    (out.text(), runner.has_failed())
}

#[test]
fn a_move_shows_the_place_and_then_its_notes() {
    let mut mock = Mock::default().output("next", "> /p/a.py(3)main()\n-> x = 1\n").reply(
        "reverse-watch x < 5",
        Ok(Report {
            place: "> /p/a.py(2)main()\n-> x = 0\n".into(),
            notes: vec!["x < 5 was True, becomes False by executing a.py:2 in main".into()],
            ..Report::default()
        }),
    );
    let (text, failed) = run(&mut mock, &["next", "fred-rw x < 5"]);
    assert_eq!(
        text,
        "> /p/a.py(3)main()\n-> x = 1\n> /p/a.py(2)main()\n-> x = 0\n\
         fred: x < 5 was True, becomes False by executing a.py:2 in main\n"
    );
    assert!(!failed);
    assert_eq!(mock.log, ["line next", "reverse-watch x < 5"]);
}

#[test]
fn failures_are_said_and_remembered_and_the_script_goes_on() {
    let why = "no earlier point: this is the start of the history.";
    let mut mock = Mock::default().output("p 1", "1\n").reply("undo 1", Err(Failure::new(why)));
    let (text, failed) = run(&mut mock, &["fred-undo", "p 1", "fred-undoo", "fred-save /tmp/x"]);
    assert_eq!(
        text,
        "fred: no earlier point: this is the start of the history.\n1\n\
         fred: there is no command fred-undoo; did you mean fred-undo?\n\
         fred: cannot save the session to /tmp/x: fred-save is not available yet in this version; --json FILE keeps a record of \
         the commands\n"
    );
    assert!(failed);
}

#[test]
fn a_part_of_what_was_asked_is_a_failure() {
    let report = Report { place: "> /p/a.py(1)\n".into(), incomplete: Some("only 3 of 5".into()), ..Report::default() };
    let mut mock = Mock::default().reply("undo 5", Ok(report));
    let (text, failed) = run(&mut mock, &["fred-undo 5"]);
    assert_eq!(text, "> /p/a.py(1)\nfred: only 3 of 5\n");
    assert!(failed);
}

#[test]
fn fred_lines_begin_on_a_fresh_line() {
    let mut mock = Mock::default().output("p", "no newline").reply("delete 4", Err(Failure::new("no checkpoint 4")));
    assert_eq!(run(&mut mock, &["p", "fred-delete 4"]).0, "no newline\nfred: no checkpoint 4\n");
}

#[test]
fn tables_are_drawn_from_results() {
    let report = Report { result: Some(json!({"index": 4, "share": 0.5, "events": 12})), ..Report::default() };
    let mut mock = Mock::default().reply("when", Ok(report));
    assert_eq!(run(&mut mock, &["fred-when"]).0, "history 4, 50% of the recorded run, 12 recorded events\n");
}

#[test]
fn aliases_are_read_at_the_command_prompt_only() {
    let mut mock = Mock::default().owning("rs");
    run(&mut mock, &["rs", "bstep 2", "last = 3"]);
    assert_eq!(mock.log, ["line rs", "reverse-step 2", "line last = 3"]);
    let mut mock = Mock::default().at(PromptKind::Interpreter);
    run(&mut mock, &["bstep", "fred-rs"]);
    assert_eq!(mock.log, ["line bstep", "reverse-step 1"]);
}

#[test]
fn files_skip_blanks_and_comments_and_keep_indentation() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("script");
    std::fs::write(&file, "# first\n\n  next\nfred-undo 2\n").unwrap();
    let mut mock = Mock::default();
    let (_, failed) = run(&mut mock, &[&format!("fred-source {}", file.display())]);
    assert_eq!(mock.log, ["line   next", "undo 2"]);
    assert!(!failed);
    let mut mock = Mock::default().at(PromptKind::Interpreter);
    run(&mut mock, &[&format!("fred-source {}", file.display())]);
    assert_eq!(mock.log, ["line # first", "line ", "line   next", "undo 2"]);
}

#[test]
fn a_file_that_calls_itself_stops() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("loop");
    std::fs::write(&file, format!("fred-source {}\n", file.display())).unwrap();
    let (text, failed) = run(&mut Mock::default(), &[&format!("fred-source {}", file.display())]);
    assert!(text.contains("does one call itself?"), "{text}");
    assert!(failed);
}

#[test]
fn missing_files_are_named() {
    let (text, failed) = run(&mut Mock::default(), &["fred-source /nowhere/at/all"]);
    assert!(text.starts_with("fred: cannot read the commands in /nowhere/at/all: "), "{text}");
    assert!(failed);
}

#[test]
fn stop_on_error_stops_the_script() {
    let (screen, _, _) = screen("");
    let mut runner = Runner::new(screen, OnError::Stop);
    let mut mock = Mock::default();
    let file = Step::File("next\nfred-nonsense\nnext\n".into());
    runner.script(&mut mock, &[file, Step::Command("next".into())]);
    assert_eq!(mock.log, ["line next"]);
}

#[test]
fn nothing_runs_after_quit() {
    let mut mock = Mock::default();
    run(&mut mock, &["quit", "next", "fred-undo"]);
    assert_eq!(mock.log, ["line quit"]);
}

#[test]
fn pasted_lines_are_lines() {
    let mut mock = Mock::default();
    run(&mut mock, &["next\nfred-rs\n"]);
    assert_eq!(mock.log, ["line next", "reverse-step 1"]);
}

#[test]
fn events_follow_the_commands() {
    let (screen, _, events) = screen("");
    let mut runner = Runner::new(screen, OnError::GoOn);
    let taken = CheckpointTaken { id: "1".into(), origin: "user", index: 1, note: Some("n".into()), elapsed_ms: 0.5 };
    let mut mock = Mock::default().output("next", "> x\n").taking(taken);
    runner.screen.events.session("mock", &["mock".into()], &Mock::line_report(""));
    for line in ["next", "fred-ckpt n", "fred-rs x", "rs"] {
        runner.run(&mut mock, line);
    }
    runner.screen.events.end(1);
    insta::assert_snapshot!(events.text(), @r#"
    {"event":"session","schema":"fred/1","version":"0.1.0","dialect":"mock","argv":["mock"],"output":"","stop":null}
    {"event":"command","index":1,"line":"next","effect":"moves","origin":"user","output":"> x\n","stop":null,"elapsed_ms":1.5}
    {"event":"checkpoint","id":"1","origin":"user","index":1,"note":"n","elapsed_ms":0.5}
    {"event":"fred","command":"checkpoint","argument":"n","ok":true,"error":null,"stop":null,"result":null,"cost":{"checkpoints":0,"restores":0,"evaluations":0,"replayed":0,"elapsed_ms":0.0}}
    {"event":"fred","command":"reverse-step","argument":"x","ok":false,"error":"fred-reverse-step: \"x\" is not a number from 1: fred-reverse-step [n]","stop":null,"result":null,"cost":{"checkpoints":0,"restores":0,"evaluations":0,"replayed":0,"elapsed_ms":0.0}}
    {"event":"fred","command":"reverse-step","argument":null,"ok":true,"error":null,"stop":null,"result":null,"cost":{"checkpoints":0,"restores":0,"evaluations":0,"replayed":0,"elapsed_ms":0.0}}
    {"event":"end","status":1}
    "#);
}

#[test]
fn text_for_people_can_be_switched_off() {
    let mut screen = Screen::new(
        None,
        crate::events::Events::to(Box::new(Shared::default())),
        crate::keyboard::Keyboard::of(""),
        None,
    );
    screen.print("x");
    screen.say("y");
}
