//! The protocol of `pdb_agent.py`, the helper that runs inside copies of a process that waits at a pdb prompt.
//!
//! The request is written as JSON where the copy can read it (`ask`), one constant line is typed at the prompt
//! ([`bootstrap`]), and when the copy waits at a prompt again the reply is where it was asked for (`answer`). Requests
//! that let the program run discard nothing: what the copy prints meanwhile is the program's and pdb's own output.
//!
//! The clock: stop `k` after a prompt is the `k`-th stop that typing `step` at every prompt would make.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::backends::dialect::PromptKind;

/// The helper's source, for [`compile_line`]. It runs unchanged on CPython 3.6 to 3.13.
pub const SOURCE: &str =
    concat!(include_str!("pdb_agent.py"), include_str!("pdb_others.py"), include_str!("pdb_answers.py"));

/// The line that compiles the helper's `source` file and leaves the code at `code`, once for each interpreter.
pub fn compile_line(kind: PromptKind, source: &Path, code: &Path) -> String {
    let (source, code) = (literal(source), literal(code));
    let script = format!(
        "o=__import__('io').open\nf=o({source},encoding='utf-8')\ng=o({code},'wb')\n\
         g.write(__import__('marshal').dumps(compile(f.read(),'<fred>','exec')))\nf.close()\ng.close()"
    );
    run(kind, &script)
}

/// The line that runs the helper from `code`: it reads the request at `ask` and writes the reply to `answer`.
///
/// It names nothing that the program could have redefined, and leaves no name behind: the file is closed, since the
/// warning about one that is not would be noted in the program's globals.
pub fn bootstrap(kind: PromptKind, code: &Path, ask: &Path, answer: &Path) -> String {
    let (code, ask, answer) = (literal(code), literal(ask), literal(answer));
    let script = format!(
        "with __import__('io').open({code},'rb') as f:c=f.read()\n\
         exec(__import__('marshal').loads(c),{{'ask':{ask},'answer':{answer}}})"
    );
    run(kind, &script)
}

/// An expression for the builtins module that needs no names: namedtuple's constructors, among others, are compiled for a
/// namespace whose builtins are empty.
const BUILTINS: &str = "[c for c in().__class__.__base__.__subclasses__()if c.__name__=='BuiltinImporter'][0]\
                        .find_spec.__func__.__globals__['sys'].modules['builtins']";

/// The line that runs a script.
fn run(kind: PromptKind, script: &str) -> String {
    format!("{}{BUILTINS}.exec({},{{'__builtins__':{BUILTINS}}})", bang(kind), quoted(script))
}

/// At pdb's own prompt a statement is marked, so that no alias or command can take it.
fn bang(kind: PromptKind) -> &'static str {
    match kind {
        PromptKind::Command => "!",
        PromptKind::Continuation | PromptKind::Interpreter => "",
    }
}

fn literal(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// A Python string literal without `;` and `$`, which pdb would act on.
fn quoted(text: &str) -> String {
    let mut literal = String::from("'");
    for c in text.chars() {
        match c {
            '\'' | '\\' => {
                literal.push('\\');
                literal.push(c);
            }
            '\n' => literal.push_str("\\n"),
            ';' => literal.push_str("\\x3b"),
            '$' => literal.push_str("\\x24"),
            c => literal.push(c),
        }
    }
    literal.push('\'');
    literal
}

/// A request with its number, which the reply repeats.
#[derive(Debug, Clone, Serialize)]
pub struct Numbered {
    /// Distinguishes the reply from an older one.
    pub seq: u64,
    /// What to do.
    #[serde(flatten)]
    pub request: Request,
}

/// What the helper can do.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// The facts of this prompt.
    Where,
    /// Run a command of the user's to where plain pdb would stop; replies `n`, the clock there, and `where`.
    /// When the process ends instead, the reply that was left says `exited`, and `n` is one more than its last stop.
    Count {
        /// Any line that moves; absent where a [`Request::Hop`] has stopped one, which is then taken up again.
        #[serde(skip_serializing_if = "Option::is_none")]
        command: Option<String>,
    },
    /// Run a command of the user's as plain pdb does until SIGURG comes, and stop at the next stop then; replies `hopped`,
    /// which is false if the command has ended before.
    Hop {
        /// As for [`Request::Count`].
        #[serde(skip_serializing_if = "Option::is_none")]
        command: Option<String>,
    },
    /// Forget the command that a [`Request::Hop`] has stopped here: the session goes on from here.
    Settle,
    /// From where Ctrl-C has stopped pdb in itself ([`Facts::own`]) go on to the program's next stop.
    Leave,
    /// Arrive at the `n`-th stop with a stock pdb, as if `step` had been typed `n` times.
    RunTo {
        /// From 1.
        n: u64,
        /// Let the breakpoints that are passed count their hits, use up ignore counts and delete themselves.
        breakpoints: bool,
        /// The command on whose way this is: some leave a trace in the program's state while it runs.
        #[serde(skip_serializing_if = "Option::is_none")]
        during: Option<String>,
        /// Threads that begin on the way can be looked at by [`Request::Others`].
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        threads: bool,
    },
    /// Step once, and look at the other threads meanwhile: which of them makes the last change of an expression; replies
    /// `culprit`, `moved` and `looked`.
    Others {
        /// As for [`Request::Eval`].
        expr: String,
        /// As for [`Request::Eval`].
        #[serde(skip_serializing_if = "Option::is_none")]
        scope: Option<Scope>,
        /// What one evaluation takes, in nanoseconds: it is evaluated for some seconds at most.
        each_ns: u64,
        /// The command on whose way this is: some leave a trace in the program's state while it runs.
        #[serde(skip_serializing_if = "Option::is_none")]
        during: Option<String>,
    },
    /// Arrive at the `n`-th stop and reply in `found` the last stop before it that fits: one at which no more than
    /// `depth` frames were there or, without `depth`, one at which `continue` would have stopped. 0 is this prompt.
    Scan {
        /// From 1.
        n: u64,
        /// Frames of the program, from 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        depth: Option<u32>,
        /// The command on whose way this is: some leave a trace in the program's state while it runs.
        #[serde(skip_serializing_if = "Option::is_none")]
        during: Option<String>,
    },
    /// Run to the moment that has `signature`; replies `n`, or `lost` after `limit` stops.
    Find {
        /// From a reply to [`Request::Signature`].
        signature: String,
        /// Where that was.
        place: Place,
        /// In stops.
        limit: u64,
        /// The command on whose way this is: some leave a trace in the program's state while it runs.
        #[serde(skip_serializing_if = "Option::is_none")]
        during: Option<String>,
    },
    /// Evaluate as `p` would; replies `repr` and `digest`, or an error.
    Eval {
        /// A Python expression.
        expr: String,
        /// The function whose innermost frame gives the names; the selected frame if absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        scope: Option<Scope>,
    },
    /// The debugger's settings.
    Settings,
    /// Make the debugger's settings equal to these.
    Apply {
        /// All of them: what is absent is deleted.
        settings: Settings,
        /// Breakpoints that are there already keep their own hits and ignore counts.
        keep_counts: bool,
    },
    /// What Tab offers for the end of `line`.
    Complete {
        /// As typed so far.
        line: String,
    },
    /// Which of `words` are names visible in the selected frame.
    Names {
        /// Identifiers.
        words: Vec<String>,
    },
    /// A text that identifies this moment of the program.
    Signature,
}

/// The function in which an expression means something.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// Absolute path.
    pub file: String,
    /// As Python names it (`<module>` at the top level).
    pub function: String,
    /// Line of its `def`.
    pub firstlineno: u32,
}

/// A line of a function.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Absolute path.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// As Python names it.
    pub function: String,
}

/// Where a copy waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Absolute path, or `<string>` and the like.
    pub file: String,
    /// From 1; absent for an instruction without one.
    pub line: Option<u32>,
    /// As Python names it.
    pub function: String,
    /// Frames of the program, the outermost being 1.
    pub depth: u32,
    /// `line`, `call`, `return`, `exception`, `opcode` or `post-mortem`.
    pub event: Option<String>,
    /// 1 is the main thread.
    pub thread: u32,
    /// Names of the other threads.
    #[serde(default)]
    pub others: Vec<String>,
    /// First line of the function.
    pub firstlineno: u32,
    /// At a `return`, the statement to which it returns.
    #[serde(default)]
    pub caller: Option<Place>,
    /// The function of the frame that the user has selected (`up`, `down`).
    #[serde(default)]
    pub selected: Option<Scope>,
    /// It has stopped in pdb's own code. It does so after Ctrl-C while it is tracing: its handler sets up a step, and the step
    /// leads into the rest of the handler. `continue` typed there stops in the handler once more.
    #[serde(default)]
    pub own: bool,
}

impl Facts {
    /// The statement that is executed from here to the next stop: at a return, the rest of the caller's.
    pub fn culprit(&self) -> Place {
        self.caller.clone().unwrap_or_else(|| Place {
            file: self.file.clone(),
            line: self.line.unwrap_or(0),
            function: self.function.clone(),
        })
    }

    /// The scope of an expression that the user types here.
    pub fn scope(&self) -> Scope {
        Scope { file: self.file.clone(), function: self.function.clone(), firstlineno: self.firstlineno }
    }
}

/// What another thread was executing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// The statement.
    #[serde(flatten)]
    pub place: Place,
    /// The thread's name.
    pub thread: String,
}

/// A breakpoint of pdb.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breakpoint {
    /// As pdb numbers it.
    pub number: u32,
    /// Absolute path.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// Deleted at the first stop.
    pub temporary: bool,
    /// Whether it can stop.
    pub enabled: bool,
    /// Expression that must be true.
    pub cond: Option<String>,
    /// Crossings still to ignore.
    pub ignore: i64,
    /// Times that it was reached.
    pub hits: i64,
    /// The function, when it was set by name.
    pub funcname: Option<String>,
    /// What `commands` defined.
    pub commands: Option<Vec<String>>,
    /// Whether these say `silent`.
    pub silent: bool,
    /// Whether pdb prompts after these.
    pub prompts: bool,
}

/// Expressions displayed in a frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Display {
    /// Its function.
    pub scope: Scope,
    /// In the order given.
    pub expressions: Vec<String>,
}

/// What the user configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// By number.
    pub breakpoints: Vec<Breakpoint>,
    /// The number that the next breakpoint gets.
    pub next: u32,
    /// By frame.
    pub displays: Vec<Display>,
    /// By name.
    pub aliases: BTreeMap<String, String>,
}

/// What came back; which fields are there depends on the request.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Reply {
    /// That of the request; a reply with another number is an older one.
    pub seq: u64,
    /// Whether it was done.
    pub ok: bool,
    /// Why not.
    pub error: Option<String>,
    /// The facts of the prompt.
    #[serde(rename = "where")]
    pub facts: Option<Facts>,
    /// The clock, counted from the prompt at which the request was made.
    pub n: Option<u64>,
    /// The command ended after stop `n` and before the next one, where `step` would not have stopped: `return` and
    /// `next` in a generator can stop at the internal `StopIteration` of the loop that runs it.
    pub between: bool,
    /// The program's outermost frame has returned; if a prompt came nevertheless, a later reply has replaced this one.
    pub exited: bool,
    /// See [`Request::Scan`].
    pub found: Option<u64>,
    /// See [`Request::Find`].
    pub lost: bool,
    /// See [`Request::Hop`].
    pub hopped: bool,
    /// The debugger traced the function in which the hop ended, line by line, for a breakpoint in it or in its file.
    pub traced: bool,
    /// The value, cut at 4000 characters.
    pub repr: Option<String>,
    /// Of the whole value's repr; equal in every process for equal text.
    pub digest: Option<String>,
    /// What the evaluation took, in nanoseconds.
    pub each_ns: u64,
    /// The other thread that made the change; none if it was the one that stepped.
    pub culprit: Option<Elsewhere>,
    /// Names of threads that could not be looked at, and that have run when the change was made.
    pub moved: Vec<String>,
    /// The looks were enough.
    pub looked: bool,
    /// See [`Request::Settings`].
    pub settings: Option<Settings>,
    /// See [`Request::Complete`].
    pub matches: Vec<String>,
    /// See [`Request::Names`].
    pub names: Vec<String>,
    /// See [`Request::Signature`].
    pub signature: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bootstrap_is_short_and_quoted() {
        let path = Path::new("/proc/12345/fd/67");
        let line = bootstrap(PromptKind::Command, path, path, path);
        assert!(line.starts_with('!') && line.len() < 1000 && !line.contains(";;"), "{line}");
        assert!(!bootstrap(PromptKind::Interpreter, path, path, path).starts_with('!'));
        assert_eq!(quoted("a'b\\;$\n"), r"'a\'b\\\x3b\x24\n'");
    }

    #[test]
    fn requests_are_flat() {
        let request =
            Numbered { seq: 7, request: Request::RunTo { n: 3, breakpoints: true, during: None, threads: false } };
        let json = serde_json::to_string(&request).expect("plain data");
        assert_eq!(json, r#"{"seq":7,"do":"run_to","n":3,"breakpoints":true}"#);
    }
}
