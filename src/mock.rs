//! A scripted session for the tests of the user's side.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use crate::backends::dialect::{Prompt, PromptKind};
use crate::console::Screen;
use crate::engine::{CheckpointTaken, Console, Failure, LineReport, Report, Session, State};
use crate::events::Events;
use crate::history::entry::{Effect, Reason, Stop};
use crate::keyboard::Keyboard;

/// A writer whose text a test can read.
#[derive(Default, Clone)]
pub struct Shared(Rc<RefCell<Vec<u8>>>);

impl Shared {
    /// What was written.
    pub fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).expect("UTF-8")
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A screen with its text, its events, and `stdin` to read.
pub fn screen(stdin: &str) -> (Screen, Shared, Shared) {
    let (out, events) = (Shared::default(), Shared::default());
    let screen =
        Screen::new(Some(Box::new(out.clone())), Events::to(Box::new(events.clone())), Keyboard::of(stdin), None);
    (screen, out, events)
}

type Done = Result<Report, Failure>;

/// Logs what it is asked; answers as told.
pub struct Mock {
    /// What was called, in order.
    pub log: Vec<String>,
    /// What it waits for.
    pub state: State,
    outputs: HashMap<String, (String, Option<Stop>)>,
    replies: HashMap<String, Done>,
    values: Vec<(bool, String)>,
    owned: Vec<&'static str>,
    taking: Option<CheckpointTaken>,
    /// Lines that end it as if it had crashed, with their status.
    pub dies_at: Option<(&'static str, i32)>,
    index: u32,
}

impl Default for Mock {
    fn default() -> Self {
        Self {
            log: Vec::new(),
            state: State::Prompt(Prompt { start: 0, text: "(Pdb) ".into(), kind: PromptKind::Command }),
            outputs: HashMap::new(),
            replies: HashMap::new(),
            values: Vec::new(),
            owned: Vec::new(),
            taking: None,
            dies_at: None,
            index: 0,
        }
    }
}

impl Mock {
    /// What a line prints.
    pub fn output(mut self, line: &str, output: &str) -> Self {
        self.outputs.insert(line.into(), (output.into(), None));
        self
    }

    /// What a line prints and where it stops.
    pub fn stopping(mut self, line: &str, output: &str, stop: Stop) -> Self {
        self.outputs.insert(line.into(), (output.into(), Some(stop)));
        self
    }

    /// What a fred command does.
    pub fn reply(mut self, command: &str, done: Done) -> Self {
        self.replies.insert(command.into(), done);
        self
    }

    /// The values of the next evaluations.
    pub fn values(mut self, values: &[(bool, &str)]) -> Self {
        self.values = values.iter().rev().map(|(known, text)| (*known, text.to_string())).collect();
        self
    }

    /// A word of the debugger's own.
    pub fn owning(mut self, word: &'static str) -> Self {
        self.owned.push(word);
        self
    }

    /// The prompt it shows.
    pub fn at(mut self, kind: PromptKind) -> Self {
        self.state = State::Prompt(Prompt { start: 0, text: ">>> ".into(), kind });
        self
    }

    /// What `fred-checkpoint` takes.
    pub fn taking(mut self, taken: CheckpointTaken) -> Self {
        self.taking = Some(taken);
        self
    }

    /// A stop.
    pub fn stop(reason: Reason, line: u32) -> Stop {
        Stop {
            reason,
            file: Some("/p/a.py".into()),
            line: Some(line),
            function: Some("main".into()),
            depth: None,
            thread: None,
            exit_code: None,
            signal: None,
        }
    }

    /// A report with that output.
    pub fn line_report(output: &str) -> LineReport {
        LineReport {
            index: 0,
            effect: Effect::Moves,
            output: output.into(),
            stop: None,
            elapsed: Duration::from_micros(1500),
        }
    }

    fn done(&mut self, call: String) -> Done {
        let reply = self.replies.get(&call).cloned().unwrap_or_else(|| Ok(Report::default()));
        self.log.push(call);
        reply
    }
}

impl Session for Mock {
    fn state(&self) -> State {
        self.state.clone()
    }

    fn dialect(&self) -> &'static str {
        "mock"
    }

    fn owns_word(&mut self, word: &str) -> bool {
        self.owned.contains(&word)
    }

    fn run_line(&mut self, line: Option<&str>, console: &mut dyn Console) -> Result<LineReport, Failure> {
        let line = line.unwrap_or("EOF");
        self.log.push(format!("line {line}"));
        if matches!(self.state, State::Ended { .. }) {
            return Err(Failure::new("the debugger has ended; fred-undo goes back to before that"));
        }
        let (output, stop) = self.outputs.get(line).cloned().unwrap_or_default();
        console.output(&output);
        self.index += 1;
        if line == "EOF" || line == "quit" {
            self.state = State::Ended { status: 0, asked: true };
        }
        if let Some((at, status)) = self.dies_at
            && at == line
        {
            self.state = State::Ended { status, asked: false };
        }
        Ok(LineReport { index: self.index, stop, ..Self::line_report(&output) })
    }

    fn interrupt_prompt(&mut self, _: &mut dyn Console) -> Result<String, Failure> {
        self.log.push("interrupt".into());
        Ok("--KeyboardInterrupt--\n".into())
    }

    fn complete(&mut self, line: &str) -> Vec<String> {
        self.log.push(format!("complete {line}"));
        self.outputs.get(line).map(|(text, _)| text.split(' ').map(str::to_owned).collect()).unwrap_or_default()
    }

    fn resize(&mut self, rows: u16, columns: u16) {
        self.log.push(format!("resize {rows} {columns}"));
    }

    fn undo(&mut self, n: u32, _: &mut dyn Console) -> Done {
        self.done(format!("undo {n}"))
    }

    fn redo(&mut self, n: u32, _: &mut dyn Console) -> Done {
        self.done(format!("redo {n}"))
    }

    fn reverse_step(&mut self, n: u32, _: &mut dyn Console) -> Done {
        self.done(format!("reverse-step {n}"))
    }

    fn reverse_next(&mut self, n: u32, _: &mut dyn Console) -> Done {
        self.done(format!("reverse-next {n}"))
    }

    fn reverse_finish(&mut self, _: &mut dyn Console) -> Done {
        self.done("reverse-finish".into())
    }

    fn reverse_continue(&mut self, n: u32, _: &mut dyn Console) -> Done {
        self.done(format!("reverse-continue {n}"))
    }

    fn reverse_watch(&mut self, expression: &str, _: &mut dyn Console) -> Done {
        self.done(format!("reverse-watch {expression}"))
    }

    fn checkpoint(&mut self, note: Option<&str>, console: &mut dyn Console) -> Done {
        if let Some(taken) = &self.taking {
            console.checkpointed(taken);
        }
        self.done(format!("checkpoint {}", note.unwrap_or_default()))
    }

    fn restart(&mut self, id: Option<&str>, _: &mut dyn Console) -> Done {
        self.done(format!("restart {}", id.unwrap_or_default()))
    }

    fn list(&mut self) -> Done {
        self.done("list".into())
    }

    fn delete(&mut self, id: &str) -> Done {
        self.done(format!("delete {id}"))
    }

    fn branch(&mut self, name: &str) -> Done {
        self.done(format!("branch {name}"))
    }

    fn switch(&mut self, name: &str, _: &mut dyn Console) -> Done {
        self.done(format!("switch {name}"))
    }

    fn history(&mut self, _: Option<u32>) -> Done {
        self.done("history".into())
    }

    fn goto(&mut self, position: &str, _: &mut dyn Console) -> Done {
        self.done(format!("goto {position}"))
    }

    fn when(&mut self) -> Done {
        self.done("when".into())
    }

    fn evaluate(&mut self, expression: &str) -> Result<(bool, String), Failure> {
        self.log.push(format!("evaluate {expression}"));
        Ok(self.values.pop().unwrap_or((false, "NameError".into())))
    }

    fn names(&self) -> (Vec<String>, Vec<String>) {
        (vec!["1".into(), "2".into(), "a1".into()], vec!["main".into(), "fix".into()])
    }
}
