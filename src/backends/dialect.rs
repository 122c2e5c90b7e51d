//! What fred must know of a debugger, as data and pure parsers.

use crate::history::entry::{Effect, Stop};

/// Where the program that is being debugged lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosting {
    /// In the debugger's own process (pdb).
    InDebugger,
    /// In a process of its own, which the checkpointer serves to the debugger (gdb, lldb).
    Served,
}

/// How a served debugger comes to its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It connects to a socket, once (gdb).
    Connects,
    /// It starts a server for every program (lldb).
    Executes,
}

/// Where a debugger is served its program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// Path of the Unix socket at which the program is served, or of the server to be started.
    pub server: std::path::PathBuf,
    /// Name of the terminal for the debugger's second interface.
    pub channel: std::path::PathBuf,
    /// Name of the program's terminal.
    pub terminal: std::path::PathBuf,
    /// Path of the file with [`Dialect::helper`].
    pub helper: Option<std::path::PathBuf>,
    /// Columns of the user's terminal.
    pub columns: u16,
    /// Nobody is there to answer questions.
    pub unattended: bool,
}

/// What the debugger is asking for when it waits at a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptKind {
    /// Its command prompt: any command can be typed.
    Command,
    /// More lines of the same command (`commands`, a multi-line statement).
    Continuation,
    /// A nested interpreter of the program's language (`interact`): lines are statements.
    Interpreter,
}

/// A prompt found at the end of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Byte offset in the output at which the prompt begins.
    pub start: usize,
    /// Its text, without terminal control sequences.
    pub text: String,
    /// What may be typed at it.
    pub kind: PromptKind,
}

/// What a typed line is going to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The strongest effect of the line.
    pub effect: Effect,
    /// Whether the line ends the debugger (`quit`), so that its exit is what was asked for.
    pub quits: bool,
    /// The line to send instead of the typed one (Enter stands for the last command).
    pub send: String,
    /// It lets the program run and asks something besides, so that answers come among what the program prints.
    pub asks: bool,
}

/// How what a debugger prints is told from what the program in its process prints, as regular expressions over bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// With this it begins to show a stop; what follows is its own, until it reads the terminal.
    pub stop: &'static str,
    /// Lines right before a stop that belong to it, as the end of a text. A match may begin with the end of the line before.
    pub before: &'static str,
    /// A prompt at the end of a text.
    pub prompt: &'static str,
}

/// How far a prompt is to be believed that came in answer to a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Belief {
    /// It is the debugger's.
    Sure,
    /// It is the debugger's if line `line` of `file` reads `text`, but for the space around it: the stop shown before it is then
    /// a true one.
    IfSource {
        /// Path of the source file.
        file: String,
        /// From 1.
        line: u32,
        /// As the debugger shows it.
        text: String,
    },
    /// The program may have printed it.
    Doubtful,
    /// The debugger does not prompt like that after such a line: the program has printed it.
    Never,
}

/// One debugger. State that depends on what was typed (aliases, the last command) lives in the implementation and is
/// copied with [`Dialect::fork`] when the session goes back.
pub trait Dialect: Send {
    /// The name used in the event stream.
    fn name(&self) -> &'static str;

    /// Where the program lives.
    fn hosting(&self) -> Hosting;

    /// The prompt that `output` ends with, if it ends with one.
    fn prompt_at_end(&self, output: &str) -> Option<Prompt>;

    /// Reads a typed line at a prompt of the given kind, and remembers what must be remembered of it.
    fn read_line(&mut self, line: &str, at: PromptKind) -> Reading;

    /// The last stop that `output` shows, if any. `output` ends before the prompt; `sent` is the line that it answers,
    /// because some debuggers do not say why they stopped.
    fn parse_stop(&self, sent: &str, output: &str) -> Option<Stop>;

    /// The last stop as the debugger showed it, with what it displays there; empty if `output` shows none.
    fn stop_text(&self, output: &str) -> String;

    /// Whether `word` is a command of this debugger, so that a fred alias of that name must give way.
    fn is_command(&self, word: &str) -> bool;

    /// Whether a line lets the program run so that, after Ctrl-C, the same line goes on to where it would have gone by itself.
    fn runs_on(&self, sent: &str) -> bool;

    /// Whether a line lets the program go on with a signal that the user gives it. Where signals are recorded that is a move.
    fn gives_signal(&self, _sent: &str) -> bool {
        false
    }

    /// Whether a stop is in the debugger's own code, as stepping beyond the end of a program can be.
    fn is_own_code(&self, stop: &Stop) -> bool;

    /// Whether the prompt that `output` ends with (it ends before it) can be a text of the program's; `sent` is the line that it
    /// answers, empty for the first prompt.
    fn belief(&self, sent: &str, output: &str, prompt: &Prompt) -> Belief;

    /// Takes control sequences that the debugger's line editor adds (bracketed paste) out of the output.
    fn clean(&self, output: &str) -> String;

    /// How to tell what it prints from what the program prints, where both write to the same terminal.
    fn own(&self) -> Option<Own> {
        None
    }

    /// How facts are asked of a served debugger.
    fn aide(&self) -> Option<Box<dyn super::aide::Aide>> {
        None
    }

    /// Whether the interface of [`Dialect::aide`] is there from the beginning.
    fn opens_at_once(&self) -> bool {
        true
    }

    /// How it comes to its server, if it is served.
    fn reach(&self) -> Reach {
        Reach::Connects
    }

    /// Whether its line editor draws even on a terminal that does not echo. Such a debugger is given a terminal without a width,
    /// on which it reads plain lines.
    fn draws(&self) -> bool {
        false
    }

    /// The source of what is loaded into it, from a file that is gone with the session.
    fn helper(&self) -> Option<&'static str> {
        None
    }

    /// What to type first to have the program at its beginning.
    fn begins_with(&self) -> &'static [&'static str] {
        &[]
    }

    /// Why a line is not given to the debugger at all: it cannot work here.
    fn refuses(&self, line: &str) -> Option<String> {
        let _ = line;
        None
    }

    /// The arguments that a line gives to the program, as they are typed; `None` if it gives none, or debugger and server
    /// do not lose how they were typed.
    fn arguments_in(&self, line: &str) -> Option<String> {
        let _ = line;
        None
    }

    /// The same for the command line.
    fn first_arguments(&self, argv: &[std::ffi::OsString]) -> Option<String> {
        let _ = argv;
        None
    }

    /// What to try for a history that begins earlier, where a command line lets the debugger begin in the midst of the program.
    fn begins_late(&self, argv: &[std::ffi::OsString]) -> Option<&'static str> {
        let _ = argv;
        None
    }

    /// A copy with the same state.
    fn fork(&self) -> Box<dyn Dialect>;
}
