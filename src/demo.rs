//! `fred demo`: a bundled program with a bug, and a session that finds it.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use crate::console::Screen;
use crate::engine::{Engine, Options, Session, State};
use crate::events::Events;
use crate::keyboard::Keyboard;
use crate::launch::{Trouble, signals};
use crate::script::{OnError, Runner};
use crate::status;

const PROGRAM: &str = include_str!("../sample-programs/python/orders.py");
const NAME: &str = "orders.py";
/// The statement before which the session stops.
const END: &str = "print(\"the till is right\"";

/// A command and why it is typed.
struct Scene {
    why: &'static str,
    line: String,
}

fn scenes() -> Vec<Scene> {
    let end = (1..).zip(PROGRAM.lines()).find(|(_, line)| line.starts_with(END)).map_or(1, |(number, _)| number);
    let scene = |why, line: &str| Scene { why, line: line.to_owned() };
    vec![
        scene("Run to the end of the day.", &format!("break {end}")),
        scene("200 orders later ...", "continue"),
        scene("... the till does not agree with the order book. Which statement was it?", "p shop.agrees()"),
        scene(
            "Ask for it. fred goes back to the moment when this value came about.",
            "fred-reverse-watch shop.agrees()",
        ),
        scene(
            "This is the past, and an ordinary debugger at it: what is the order?",
            "p order.number, order.price, order.discount",
        ),
        scene(
            "It was sold at a discount, and cancelling it took the full price out of the till. Who cancelled it?",
            "fred-reverse-finish",
        ),
        scene("Two moves back, two commands undone: the evening again.", "fred-undo 2"),
        scene("All that was done is in the history.", "fred-history"),
    ]
}

/// Shows it; the exit status.
///
/// # Errors
/// It could not begin, or a command did not do what it should.
pub fn run() -> Result<u8, Trouble> {
    let directory = tempfile::Builder::new().prefix("fred-demo-").tempdir();
    let directory =
        directory.map_err(|error| Trouble::Own(format!("cannot make a directory for the program: {error}")))?;
    let file = directory.path().join(NAME);
    std::fs::write(&file, PROGRAM)
        .map_err(|error| Trouble::Own(format!("cannot write {}: {error}", file.display())))?;
    let screen = Screen::new(Some(Box::new(io::stdout())), Events::none(), Keyboard::of(""), Some(signals()?));
    let mut runner = Runner::new(screen, OnError::GoOn);
    runner.screen.print(&format!(
        "A shop takes 200 orders and cancels some. In the evening the till is wrong, and nothing says since when.\n\n\
         $ fred -- python3 -m pdb {NAME}\n"
    ));
    let options = Options {
        argv: argv(&file),
        checkpoint_every: Some(std::time::Duration::from_secs(1)),
        memory_limit: None,
        facts: false,
        unattended: true,
        size: (24, 80),
    };
    let (mut engine, _) = Engine::start(options, &mut runner.screen).map_err(Trouble::Start)?;
    let shown = show(&mut runner, &mut engine);
    drop(engine);
    if !shown {
        return Err(Trouble::Own("the demo did not go as it should; fred doctor says what works here".into()));
    }
    runner.screen.print("\nThat is all: fred -- python3 -m pdb YOUR_PROGRAM.py, and fred-help at the prompt.\n");
    Ok(status::DONE)
}

fn argv(file: &Path) -> Vec<OsString> {
    let mut argv: Vec<OsString> = ["python3", "-m", "pdb"].map(OsString::from).to_vec();
    argv.push(file.into());
    argv
}

/// Plays the scenes; whether all went well.
fn show(runner: &mut Runner, session: &mut dyn Session) -> bool {
    for scene in scenes() {
        let State::Prompt(prompt) = session.state() else {
            return false;
        };
        runner.screen.fresh_line();
        runner.screen.print(&format!("\n# {}\n{}{}\n", scene.why, prompt.text, scene.line));
        if !runner.run(session, &scene.line) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::{Mock, screen};

    #[test]
    fn every_command_is_shown_with_its_reason() {
        let (screen, out, _) = screen("");
        let mut mock = Mock::default().output("p shop.agrees()", "False\n");
        assert!(show(&mut Runner::new(screen, OnError::GoOn), &mut mock));
        let text = out.text();
        assert!(text.contains("\n# 200 orders later ...\n(Pdb) continue\n"), "{text}");
        assert!(text.contains("(Pdb) p shop.agrees()\nFalse\n\n# Ask"), "{text}");
        assert_eq!(mock.log.len(), scenes().len());
        assert_ne!(mock.log[0], "line break 1");
    }
}
