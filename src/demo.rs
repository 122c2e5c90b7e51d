//! `fred demo`: bundled programs, each with a bug, and a session that finds it.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::console::Screen;
use crate::engine::{Engine, Options, Session, State};
use crate::events::Events;
use crate::keyboard::Keyboard;
use crate::launch::{Trouble, signals};
use crate::script::{OnError, Runner};
use crate::status;

/// A program with a bug, and how it is found.
struct Demo {
    /// What is wrong, to begin with.
    story: &'static str,
    /// The name of the program's file.
    name: &'static str,
    program: &'static str,
    /// How a person would start it.
    shown: &'static str,
    /// How it is started, in the directory of its file.
    argv: fn(&Path) -> Result<Vec<OsString>, Trouble>,
    /// How the statement begins before which the session stops; `{end}` in the lines is its number.
    end: &'static str,
    scenes: &'static [Scene],
    /// How one goes on with programs of one's own.
    onwards: &'static str,
}

/// A command and why it is typed.
struct Scene {
    why: &'static str,
    line: &'static str,
}

const fn scene(why: &'static str, line: &'static str) -> Scene {
    Scene { why, line }
}

const PDB: Demo = Demo {
    story: "A shop takes 200 orders and cancels some. In the evening the till is wrong, and nothing says since when.",
    name: "orders.py",
    program: include_str!("../sample-programs/python/orders.py"),
    shown: "fred -- python3 -m pdb orders.py",
    argv: python,
    end: "print(\"the till is right\"",
    scenes: &[
        scene("Run to the end of the day.", "break {end}"),
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
    ],
    onwards: "fred -- python3 -m pdb YOUR_PROGRAM.py",
};

const GDB: Demo = Demo {
    story: "A bank lets every account go down to the same limit. In the evening a payment is refused that should not be.",
    name: "bank.c",
    program: include_str!("../sample-programs/c/bank.c"),
    shown: "cc -g -o bank bank.c\n$ fred -- gdb -q bank",
    argv: compiled,
    end: "puts(paid",
    scenes: &[
        scene("Run to the end of the day.", "break {end}"),
        scene("400 payments later ...", "run"),
        scene("... somebody's limit is not what it was. No statement of the program sets one.", "print limits_hold()"),
        scene(
            "Ask for it. fred goes back to the moment when this value came about, calling limits_hold() on copies.",
            "fred-reverse-watch limits_hold()",
        ),
        scene("It was no payment. This is the past, and an ordinary gdb at it: what is written where?", "print length"),
        scene("A name of 16 letters fills its field ...", "print sizeof account->owner"),
        scene(
            "... and the end of the string goes into what is behind it.",
            "print (char *)&account->limit - account->owner",
        ),
        scene("Whose name was it?", "fred-reverse-finish"),
        scene("Two moves back, two commands undone: the evening again.", "fred-undo 2"),
        scene("All that was done is in the history.", "fred-history"),
    ],
    onwards: "fred -- gdb YOUR_PROGRAM",
};

/// Which debuggers there is a demo of.
pub const DEBUGGERS: [&str; 2] = ["pdb", "gdb"];

impl Demo {
    /// By the name of its debugger.
    fn of(debugger: &str) -> Option<&'static Demo> {
        match debugger {
            "pdb" => Some(&PDB),
            "gdb" => Some(&GDB),
            _ => None,
        }
    }

    /// A scene's line as it is typed.
    fn line(&self, scene: &Scene) -> String {
        let lines = (1..).zip(self.program.lines());
        let mut ends = lines.filter(|(_, line)| line.trim_start().starts_with(self.end));
        let end = ends.next().map_or(1, |(number, _)| number);
        scene.line.replace("{end}", &end.to_string())
    }
}

/// Shows that of a debugger; the exit status.
///
/// # Errors
/// It could not begin, or a command did not do what it should.
pub fn run(debugger: &str) -> Result<u8, Trouble> {
    let demo = Demo::of(debugger).ok_or_else(|| Trouble::Usage(format!("there is no demo of {debugger}")))?;
    let directory = tempfile::Builder::new().prefix("fred-demo-").tempdir();
    let directory =
        directory.map_err(|error| Trouble::Own(format!("cannot make a directory for the program: {error}")))?;
    let file = directory.path().join(demo.name);
    std::fs::write(&file, demo.program)
        .map_err(|error| Trouble::Own(format!("cannot write {}: {error}", file.display())))?;
    let argv = (demo.argv)(&file)?;
    let screen = Screen::new(Some(Box::new(io::stdout())), Events::none(), Keyboard::of(""), Some(signals()?));
    let mut runner = Runner::new(screen, OnError::GoOn);
    runner.screen.print(&format!("{}\n\n$ {}\n", demo.story, demo.shown));
    let options = Options {
        argv,
        checkpoint_every: Some(std::time::Duration::from_secs(1)),
        memory_limit: None,
        record: true,
        facts: false,
        unattended: true,
        size: (24, 80),
    };
    let (mut engine, _) = Engine::start(options, &mut runner.screen).map_err(Trouble::Start)?;
    let shown = show(demo, &mut runner, &mut engine);
    drop(engine);
    if !shown {
        return Err(Trouble::Own("the demo did not go as it should; fred doctor says what works here".into()));
    }
    runner.screen.print(&format!("\nThat is all: {}, and fred-help at the prompt.\n", demo.onwards));
    Ok(status::DONE)
}

fn python(file: &Path) -> Result<Vec<OsString>, Trouble> {
    Ok(["python3", "-m", "pdb"].map(OsString::from).into_iter().chain([file.into()]).collect())
}

/// Compilers of C that are tried, in this order.
const COMPILERS: [&str; 3] = ["cc", "gcc", "clang"];

/// Compiles a C program beside its source.
fn compiled(source: &Path) -> Result<Vec<OsString>, Trouble> {
    let program = source.with_extension("");
    for compiler in COMPILERS {
        let done =
            Command::new(compiler).args(["-g", "-O0", "-o"]).args([&*program, source]).stdin(Stdio::null()).output();
        match done {
            Ok(done) if done.status.success() => {
                // The user's own settings would be part of what is shown.
                return Ok(["gdb", "-q", "-nx"].map(OsString::from).into_iter().chain([program.into()]).collect());
            }
            Ok(done) => {
                return Err(Trouble::Usage(format!(
                    "{compiler} does not compile the demo's program (C library headers are needed: apt-get install gcc libc6-dev): {}",
                    String::from_utf8_lossy(&done.stderr).trim()
                )));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Trouble::Own(format!("cannot start {compiler}: {error}"))),
        }
    }
    Err(Trouble::Usage(format!(
        "the demo's program is compiled here, and there is no C compiler ({}): apt-get install gcc libc6-dev",
        COMPILERS.join(", ")
    )))
}

/// Plays the scenes; whether all went well.
fn show(demo: &Demo, runner: &mut Runner, session: &mut dyn Session) -> bool {
    for scene in demo.scenes {
        let State::Prompt(prompt) = session.state() else {
            return false;
        };
        let line = demo.line(scene);
        runner.screen.fresh_line();
        runner.screen.print(&format!("\n# {}\n{}{line}\n", scene.why, prompt.text));
        if !runner.run(session, &line) {
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
        assert!(show(&PDB, &mut Runner::new(screen, OnError::GoOn), &mut mock));
        let text = out.text();
        assert!(text.contains("\n# 200 orders later ...\n(Pdb) continue\n"), "{text}");
        assert!(text.contains("(Pdb) p shop.agrees()\nFalse\n\n# Ask"), "{text}");
        assert_eq!(mock.log.len(), PDB.scenes.len());
    }

    #[test]
    fn each_stops_at_a_line_of_its_program() {
        for demo in DEBUGGERS.map(|debugger| Demo::of(debugger).expect("a demo")) {
            let line = demo.line(&demo.scenes[0]);
            let number: usize = line.strip_prefix("break ").and_then(|number| number.parse().ok()).expect("a number");
            let at = demo.program.lines().nth(number - 1).expect("a line");
            assert!(at.trim_start().starts_with(demo.end), "{line}: {at}");
        }
    }
}
