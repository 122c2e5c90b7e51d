//! The prompt: with a line editor on a terminal, line by line from a pipe.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::history::{FileHistory, History};
use rustyline::{
    Cmd, ConditionalEventHandler, Config, Context, Editor, Event, EventContext, EventHandler, Helper, Highlighter,
    Hinter, KeyEvent, RepeatCount, Validator,
};

use crate::backends::dialect::PromptKind;
use crate::completion;
use crate::engine::{Input, Session, State};
use crate::script::{Runner, is_over};

/// A nested interpreter may take an end of input for itself; a debugger that takes this many does not end.
const ENDS_OF_INPUT: usize = 16;

/// How the prompt ended without the debugger ending.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It goes on prompting.
    #[error("the debugger does not end at the end of its input")]
    GoesOn,
    /// The line editor fails.
    #[error("cannot read from the terminal: {0}")]
    Terminal(#[from] ReadlineError),
}

/// Reads standard input line by line. The prompt is printed, as the debugger itself does when its input is a pipe.
///
/// # Errors
/// The debugger does not end.
pub fn plain(runner: &mut Runner, session: &mut dyn Session) -> Result<(), Trouble> {
    let mut ends = 0;
    let mut said = Said::default();
    while !is_over(session) {
        let prompt = said.prompt(runner, session);
        runner.screen.print(&prompt);
        match runner.screen.read_command() {
            Input::Line(line) => {
                runner.run(session, &line);
            }
            Input::Interrupt => interrupt(runner, session),
            Input::Eof if !has_ended(session) && ends == ENDS_OF_INPUT => {
                return Err(Trouble::GoesOn);
            }
            Input::Eof if has_ended(session) => break,
            Input::Eof | Input::Keys(_) => {
                ends += 1;
                runner.end_of_input(session);
            }
        }
    }
    Ok(())
}

/// Reads from the terminal with history and completion.
///
/// # Errors
/// The terminal cannot be read, or the debugger does not end.
pub fn edited(runner: &mut Runner, session: &mut dyn Session) -> Result<(), Trouble> {
    let session = RefCell::new(session);
    let mut editor: Editor<Prompt<'_, '_>, FileHistory> = Editor::with_config(
        Config::builder()
            .auto_add_history(false)
            .history_ignore_dups(true)?
            .completion_type(rustyline::CompletionType::List)
            .build(),
    )?;
    editor.set_helper(Some(Prompt { session: &session }));
    let was_empty = Arc::new(AtomicBool::new(false));
    editor.bind_sequence(KeyEvent::ctrl('c'), EventHandler::Conditional(Box::new(CtrlC(Arc::clone(&was_empty)))));
    let history = history_file();
    if let Some(file) = &history
        && file.exists()
        && let Err(error) = editor.load_history(file)
    {
        tracing::warn!(%error, file = %file.display(), "history");
    }
    let (mut ends, mut said) = (0, Said::default());
    while !is_over(&**session.borrow()) {
        let prompt = said.prompt(runner, &**session.borrow());
        runner.screen.fresh_line();
        let read = editor.readline(&prompt);
        runner.screen.line_was_entered();
        let mut session = session.borrow_mut();
        match read {
            Ok(line) => {
                ends = 0;
                // A paste may bring several lines at once.
                for (index, line) in line.trim_end_matches('\n').split('\n').enumerate() {
                    if is_over(&**session) {
                        break;
                    }
                    if index > 0 {
                        let prompt = said.prompt(runner, &**session);
                        runner.screen.print_lines(&format!("{prompt}{line}"));
                    }
                    if !line.trim().is_empty() {
                        remember(&mut editor, line, history.as_ref());
                    }
                    runner.run(&mut **session, line);
                }
            }
            Err(ReadlineError::Interrupted) => {
                if was_empty.load(Ordering::SeqCst) {
                    interrupt(runner, &mut **session);
                }
            }
            Err(ReadlineError::Eof) if has_ended(&**session) => break,
            Err(ReadlineError::Eof) if ends == ENDS_OF_INPUT => return Err(Trouble::GoesOn),
            Err(ReadlineError::Eof) => {
                ends += 1;
                runner.end_of_input(&mut **session);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn interrupt(runner: &mut Runner, session: &mut dyn Session) {
    if has_ended(session) {
        return;
    }
    runner.screen.begin();
    match session.interrupt_prompt(&mut runner.screen) {
        // The console has been given it as it came.
        Ok(_) => {}
        Err(failure) => runner.screen.say(&failure.message),
    }
    runner.screen.finish();
}

fn has_ended(session: &dyn Session) -> bool {
    matches!(session.state(), State::Ended { .. })
}

/// What has been said about the end of the debugger.
#[derive(Default)]
struct Said {
    end: bool,
}

impl Said {
    /// The text of the prompt; after a debugger that ended by itself, fred's own.
    fn prompt(&mut self, runner: &mut Runner, session: &dyn Session) -> String {
        match session.state() {
            State::Prompt(prompt) => {
                self.end = false;
                prompt.text
            }
            State::Ended { status, .. } => {
                if !self.end {
                    self.end = true;
                    runner.screen.say(&format!(
                        "the debugger has ended with status {status}; fred-undo goes back to before that, Ctrl-D leaves"
                    ));
                }
                "(fred) ".into()
            }
        }
    }
}

fn remember(editor: &mut Editor<Prompt<'_, '_>, FileHistory>, line: &str, file: Option<&PathBuf>) {
    let added = editor.add_history_entry(line).unwrap_or(false);
    let Some(file) = file.filter(|_| added) else {
        return;
    };
    let written = file.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(ReadlineError::from);
    if let Err(error) = written.and_then(|()| editor.history_mut().append(file)) {
        tracing::warn!(%error, file = %file.display(), "history");
    }
}

/// `$XDG_STATE_HOME/fred/history`, or the same in `~/.local/state`.
fn history_file() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("fred/history"))
}

/// Notes whether there was anything to clear.
struct CtrlC(Arc<AtomicBool>);

impl ConditionalEventHandler for CtrlC {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext<'_>) -> Option<Cmd> {
        self.0.store(context.line().is_empty(), Ordering::SeqCst);
        Some(Cmd::Interrupt)
    }
}

#[derive(Helper, Highlighter, Hinter, Validator)]
struct Prompt<'cell, 'session> {
    session: &'cell RefCell<&'session mut dyn Session>,
}

impl Completer for Prompt<'_, '_> {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let mut session = self.session.borrow_mut();
        // In a nested interpreter every word is the debugger's.
        let commands = !matches!(session.state(), State::Prompt(prompt) if prompt.kind == PromptKind::Interpreter);
        let line = &line[..at];
        if commands || line.starts_with("fred-") {
            return Ok(completion::complete(line, &mut **session));
        }
        Ok((at, Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::{Mock, screen};
    use crate::script::OnError;

    fn typed(stdin: &str, mock: &mut Mock) -> String {
        let (screen, out, _) = screen(stdin);
        let mut runner = Runner::new(screen, OnError::GoOn);
        plain(&mut runner, mock).unwrap();
        out.text()
    }

    #[test]
    fn piped_commands_are_not_echoed() {
        let mut mock = Mock::default().output("p 1", "1\n");
        assert_eq!(typed("p 1\n\nfred-undo", &mut mock), "(Pdb) 1\n(Pdb) (Pdb) (Pdb) ");
        assert_eq!(mock.log, ["line p 1", "line ", "undo 1", "line EOF"]);
    }

    #[test]
    fn after_a_crash_only_fred_commands_work() {
        let mut mock = Mock::default();
        mock.dies_at = Some(("crash", 139));
        let text = typed("crash\nfred-undo\nnext\n", &mut mock);
        assert!(text.starts_with("(Pdb) \nfred: the debugger has ended with status 139; fred-undo"), "{text}");
        assert!(text.contains("(fred) "));
        assert_eq!(mock.log, ["line crash", "undo 1", "line next"]);
    }

    #[test]
    fn quit_ends_the_session() {
        let mut mock = Mock::default();
        typed("quit\nnext\n", &mut mock);
        assert_eq!(mock.log, ["line quit"]);
    }
}
