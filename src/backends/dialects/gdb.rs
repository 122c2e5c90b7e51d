//! gdb: its command line, prompts and commands. Facts come from its machine interface ([`super::gdb_aide`]).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::gdb_aide::{GdbAide, HOOK, has_python, loading};
use crate::backends::aide::Aide;
use crate::backends::dialect::{Belief, Dialect, Hosting, Prompt, PromptKind, Reading, Serving};
use crate::history::entry::{Effect, Stop};
/// Abbreviations that gdb resolves by decree, not by being unique.
#[rustfmt::skip]
const ALIASES: &[(&str, &str)] = &[
    ("b", "break"), ("br", "break"), ("bt", "backtrace"), ("c", "continue"), ("fg", "continue"), ("d", "delete"),
    ("dis", "disable"), ("disas", "disassemble"), ("e", "edit"), ("f", "frame"), ("fin", "finish"), ("h", "help"),
    ("i", "info"), ("inf", "info"), ("j", "jump"), ("k", "kill"), ("l", "list"), ("n", "next"), ("ni", "nexti"),
    ("p", "print"), ("inspect", "print"), ("q", "quit"), ("r", "run"), ("s", "step"), ("si", "stepi"), ("sho", "show"),
    ("t", "thread"), ("tb", "tbreak"), ("tbr", "tbreak"), ("tp", "tpoint"), ("th", "tbreak"), ("u", "until"),
    ("where", "backtrace"), ("dow", "down"), ("disp", "display"), ("unset", "unset"), ("source", "source"),
    ("hb", "hbreak"), ("thb", "thbreak"), ("bre", "break"), ("brea", "break"), ("py", "python"), ("pi", "python"),
    ("python-interactive", "python"), ("stepping", "stepi"), ("a", "advance"), ("at", "attach"), ("exit", "quit"),
    ("taas", "thread"), ("tfaas", "thread"), ("faas", "frame"), ("!", "shell"), ("|", "pipe"), ("forward", "search"),
    ("fo", "search"), ("ptype", "ptype"), ("w", "watch"), ("undisp", "undisplay"), ("call", "call"), ("set", "set"),
];

/// Commands and what they do.
#[rustfmt::skip]
const COMMANDS: &[(Effect, &[&str])] = {
    use Effect::{Configures, Moves, Mutates, Queries};
    &[
        (Queries, &[
            "info", "x", "list", "backtrace", "show", "help", "apropos", "whatis", "ptype", "explore", "output", "echo",
            "printf", "disassemble", "search", "reverse-search", "macro", "pwd", "complete", "find", "explore", "maintenance",
            "generate-core-file", "gcore", "demangle", "alias-list", "print-object", "po", "edit", "dump",
            "document", "flushregs", "make", "shell",
        ]),
        (Configures, &[
            "break", "tbreak", "hbreak", "thbreak", "rbreak", "watch", "rwatch", "awatch", "catch", "tcatch", "delete",
            "clear", "disable", "enable", "condition", "ignore", "commands", "display", "undisplay", "handle", "define",
            "frame", "up", "down", "up-silently", "down-silently", "select-frame", "directory", "file", "symbol-file",
            "exec-file", "add-symbol-file", "remove-symbol-file", "sharedlibrary", "nosharedlibrary", "skip", "tty", "cd",
            "path", "unset", "alias", "dprintf", "save", "trace", "tstart", "tstop", "actions", "delete-bookmark",
            "mem", "define-prefix", "dont-repeat", "set-print", "inferior", "add-inferior", "clone-inferior",
            "remove-inferiors", "section", "core-file", "strace", "ftrace", "tpoint",
        ]),
        (Moves, &[
            "run", "start", "starti", "continue", "next", "step", "stepi", "nexti", "finish", "until", "advance", "attach",
        ]),
        (Mutates, &[
            "print", "call", "return", "jump", "signal", "queue-signal", "kill", "detach", "disconnect", "python", "guile",
            "compile", "set", "thread", "pipe", "with", "source", "quit", "restore", "load", "target", "monitor",
            "checkpoint", "restart", "record", "tui", "layout", "focus", "winheight", "refresh", "interrupt", "remote",
            "if", "while", "eval", "new-ui", "interpreter-exec", "tstatus", "frame-apply",
        ]),
    ]
};

/// Settings of the debugger among what `set` sets; everything else may be an assignment to a variable of the program.
#[rustfmt::skip]
const SETTINGS: &[&str] = &[
    "ada", "agent", "always-read-ctf", "annotate", "architecture", "args", "ascii", "auto-connect-native-target", "auto-load",
    "auto-solib-add", "backtrace", "basenames-may-differ", "breakpoint", "can-use-hw-watchpoints", "case-sensitive", "charset",
    "check", "circular-trace-buffer", "code-cache", "coerce-float-to-double", "compile-args", "complaints", "confirm",
    "convenience", "cp-abi", "cwd", "data-directory", "dcache", "debug", "debug-file-directory", "debuginfod",
    "default-collect", "demangle-style", "detach-on-fork", "directories", "disable-randomization", "disassemble-next-line",
    "disassembler-options", "disassembly-flavor", "disconnected-dprintf", "displaced-stepping", "dprintf-channel",
    "dprintf-function", "dprintf-style", "dump-excluded-mappings", "editing", "endian", "environment", "exec-direction",
    "exec-done-display", "exec-file-mismatch", "exec-wrapper", "extended-prompt", "extension-language", "filename-display",
    "follow-exec-mode", "follow-fork-mode", "frame-filter", "frame-info", "gnutarget", "height", "history",
    "host-charset", "index-cache", "inferior-tty", "input-radix", "interactive-mode", "language", "libthread-db-search-path",
    "listsize", "logging", "max-completions", "max-user-call-depth", "max-value-size", "mi-async", "multiple-symbols",
    "non-stop", "observer", "opaque-type-resolution", "osabi", "output-radix", "overload-resolution", "pagination",
    "print", "p", "pr", "print-symbol-loading", "process-group", "prompt", "python", "radix", "range-stepping", "record", "remote",
    "remotetimeout", "schedule-multiple", "scheduler-locking", "script-extension", "solib-search-path", "source",
    "stack-cache", "startup-quietly", "startup-with-shell", "step-mode", "stop-on-solib-events", "struct-convention",
    "style", "substitute-path", "suppress-cli-notifications", "sysroot", "target-charset", "target-file-system-kind", "tcp",
    "trace-commands", "trust-readonly-sections", "tui", "unwind-on-terminating-exception", "unwindonsignal", "use-coredump-filter",
    "verbose", "watchdog", "width", "write",
];

/// A terminal that is read by lines has room for no longer ones (N_TTY_BUF_SIZE, drivers/tty/n_tty.c).
const LONGEST: usize = 4094;

/// Words that fred has for its own, and gdb too: there fred's are meant.
const OURS: &[&str] = &[
    "reverse-step",
    "reverse-next",
    "reverse-finish",
    "reverse-continue",
    "reverse-stepi",
    "reverse-nexti",
    "rs",
    "rn",
    "rc",
    "rsi",
    "rni",
];

/// Commands that Enter does not repeat.
const NOT_REPEATED: &[&str] = &[
    "run",
    "start",
    "starti",
    "attach",
    "kill",
    "quit",
    "break",
    "tbreak",
    "hbreak",
    "thbreak",
    "watch",
    "rwatch",
    "awatch",
    "catch",
    "delete",
    "clear",
    "disable",
    "enable",
    "condition",
    "ignore",
    "commands",
    "define",
    "set",
    "file",
    "shell",
    "detach",
    "jump",
    "call",
    "return",
    "signal",
];

/// Whether the commands of a breakpoint that end in this line leave the place where it has stopped.
pub(super) fn goes_on(line: &str) -> bool {
    effect_of(line) == Effect::Moves || matches!(whole_name(split(line).0), Some("signal" | "jump"))
}

/// Whether a program of that name is gdb.
pub fn serves(program: &str) -> bool {
    let rest = program.strip_prefix("rust-").unwrap_or(program);
    let Some(rest) = rest.strip_prefix("gdb") else { return false };
    rest.is_empty()
        || rest == "-multiarch"
        || rest.strip_prefix('-').unwrap_or(rest).chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// What a command line of gdb asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct CommandLine {
    /// The arguments, with what would have gdb take hold of a process itself left out.
    arguments: Vec<OsString>,
    program: Option<PathBuf>,
    attach: Option<OsString>,
}

/// Options whose value is the next word when it is not behind an equals sign.
#[rustfmt::skip]
const WITH_VALUE: &[&str] = &[
    "x", "command", "ix", "init-command", "ex", "eval-command", "iex", "init-eval-command", "cd", "d", "directory", "D",
    "data-directory", "b", "l", "tty", "interpreter", "i", "core", "c", "exec", "e", "symbols", "s", "se", "pid", "p", "eix",
    "early-init-command", "eiex", "early-init-eval-command",
];

fn read_command_line(arguments: &[OsString]) -> CommandLine {
    let mut found = CommandLine::default();
    let mut directory: Option<PathBuf> = None;
    let mut rest = arguments.iter();
    let mut files = 0;
    while let Some(word) = rest.next() {
        let bytes = word.as_bytes();
        let Some(option) = bytes.strip_prefix(b"--").or(bytes.strip_prefix(b"-")).filter(|name| !name.is_empty())
        else {
            files += 1;
            let numeric = bytes.iter().all(u8::is_ascii_digit);
            if files == 2 && numeric && !Path::new(word).exists() {
                found.attach = Some(word.clone());
                continue;
            }
            if files == 1 {
                found.program = Some(PathBuf::from(word));
            }
            found.arguments.push(word.clone());
            continue;
        };
        let (name, value) = match option.iter().position(|byte| *byte == b'=') {
            Some(at) => (&option[..at], Some(OsStr::from_bytes(&option[at + 1..]).to_owned())),
            None => (option, None),
        };
        let name = String::from_utf8_lossy(name).into_owned();
        if name == "args" {
            found.arguments.push(word.clone());
            found.program = rest.clone().next().map(PathBuf::from);
            found.arguments.extend(rest.cloned());
            break;
        }
        let takes = WITH_VALUE.contains(&name.as_str());
        let value = if takes { value.or_else(|| rest.next().cloned()) } else { value };
        match name.as_str() {
            "p" | "pid" => found.attach = value,
            _ => {
                if let (Some(value), true) = (&value, matches!(name.as_str(), "cd")) {
                    directory = Some(PathBuf::from(value));
                }
                if let (Some(value), true) = (&value, matches!(name.as_str(), "se" | "exec" | "e")) {
                    found.program = Some(PathBuf::from(value));
                }
                match value {
                    Some(value) if takes => {
                        found.arguments.push(format!("-{name}").into());
                        found.arguments.push(value);
                    }
                    _ => found.arguments.push(word.clone()),
                }
            }
        }
    }
    found.program = found.program.map(|program| absolute(&program, directory.as_deref()));
    found
}

/// A program as gdb finds it: here, or in PATH.
fn absolute(program: &Path, directory: Option<&Path>) -> PathBuf {
    let base = std::env::current_dir().unwrap_or_default();
    let base = directory.map_or(base.clone(), |directory| base.join(directory));
    let here = base.join(program);
    if here.is_file() || program.components().count() > 1 {
        return here.canonicalize().unwrap_or(here);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.unwrap_or(here)
}

/// The command line to execute, its program served.
pub fn to_execute(argv: &[OsString], serving: &Serving) -> Vec<OsString> {
    let line = read_command_line(&argv[1..]);
    let mut words = vec![argv[0].clone()];
    let mut first = |command: OsString| words.extend([OsString::from("-iex"), command]);
    let with = |text: &str, path: &Path| {
        let mut command = OsString::from(text);
        command.push(path);
        command
    };
    // Stops are told from inside, until more is asked.
    match &serving.helper {
        Some(helper) => first(loading(helper, &serving.channel).into()),
        None => first(with("new-ui mi2 ", &serving.channel)),
    }
    // The program's files are this system's.
    first("set sysroot /".into());
    if serving.unattended {
        first("set confirm off".into());
        first("set pagination off".into());
        first("set style enabled off".into());
    }
    // A question may be answered by a function of the program that takes long.
    first("set remotetimeout 100000".into());
    first(with("target extended-remote ", &serving.server));
    // Without such a file gdb says so itself.
    if let Some(program) = line.program.as_ref().filter(|program| program.is_file()) {
        first(with("set remote exec-file ", program));
    }
    let at = line.arguments.iter().position(|word| word == "--args" || word == "-args").unwrap_or(line.arguments.len());
    words.extend(line.arguments[..at].iter().cloned());
    if let Some(process) = &line.attach {
        words.push("-ex".into());
        words.push(with("attach ", Path::new(process)));
    }
    words.extend(line.arguments[at..].iter().cloned());
    words
}

/// gdb, as far as its command line has a state.
#[derive(Debug, Clone)]
pub struct Gdb {
    /// Something in it tells of stops: it has Python.
    hooked: bool,
    prompt: String,
    /// What Enter repeats.
    last: String,
    /// What lines at a continuation prompt belong to.
    continued: Effect,
}

impl Default for Gdb {
    fn default() -> Self {
        Gdb { hooked: false, prompt: "(gdb) ".to_owned(), last: String::new(), continued: Effect::Mutates }
    }
}

impl Gdb {
    /// The one of that name.
    pub fn named(program: &OsStr) -> Gdb {
        Gdb { hooked: has_python(&absolute(Path::new(program), None)), ..Gdb::default() }
    }
}

/// The whole name of a command; `None` if it is ambiguous or not one of gdb's.
fn whole_name(word: &str) -> Option<&'static str> {
    if let Some((_, whole)) = ALIASES.iter().find(|(alias, _)| *alias == word) {
        return Some(whole);
    }
    let mut all = COMMANDS.iter().flat_map(|(_, names)| names.iter().copied());
    if let Some(exact) = all.clone().find(|name| *name == word) {
        return Some(exact);
    }
    let mut longer = all.by_ref().filter(|name| name.starts_with(word) && !word.is_empty());
    let first = longer.next()?;
    longer.all(|other| other == first).then_some(first)
}

fn split(line: &str) -> (&str, &str) {
    let line = line.trim_start();
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).unwrap_or(line.len());
    let end = if end == 0 { line.chars().next().map_or(0, char::len_utf8) } else { end };
    (&line[..end], line[end..].trim())
}

/// Whether an expression may change something: it assigns, or calls a function.
fn changes(expression: &str) -> bool {
    let text = expression.replace("==", "").replace("!=", "").replace("<=", "").replace(">=", "");
    let assigns = text.contains('=') || text.contains("++") || text.contains("--");
    // A name, or something in brackets, right before an opening bracket.
    let mut before = ' ';
    let mut calls = false;
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        calls |= c == '(' && (before.is_alphanumeric() || matches!(before, '_' | ')' | ']'));
        before = c;
    }
    assigns || (calls && !text.trim_start().starts_with("sizeof"))
}

fn effect_of(line: &str) -> Effect {
    let (word, rest) = split(line);
    let Some(name) = whole_name(word) else {
        return if word.starts_with('#') || word.is_empty() { Effect::Queries } else { Effect::Mutates };
    };
    // `print/x`, `x/4i`
    let expression = rest.strip_prefix('/').map_or(rest, |rest| rest.split_once(' ').map_or("", |(_, rest)| rest));
    match name {
        "print" | "output" | "printf" | "x" | "display" if changes(expression) => Effect::Mutates,
        "print" => Effect::Queries,
        "set" => {
            let (setting, _) = split(rest);
            let known = setting != "var"
                && setting != "variable"
                && SETTINGS.iter().any(|name| *name == setting || (setting.len() > 2 && name.starts_with(setting)));
            // `set $convenience = 1` is the debugger's own.
            if known || rest.starts_with('$') && !is_register(rest) { Effect::Configures } else { Effect::Mutates }
        }
        "break" | "tbreak" | "display" | "frame" | "tty" if rest.is_empty() && name == "frame" => Effect::Queries,
        "display" if rest.is_empty() => Effect::Queries,
        "info" | "show" | "list" => Effect::Queries,
        // The program goes on without the signal at which it stands.
        "signal" if rest == "0" => Effect::Moves,
        "thread" => match split(rest) {
            ("apply", rest) => {
                effect_of(rest.split_once(' ').map_or("", |(_, command)| command.trim_start_matches("-q ")))
            }
            ("", _) | ("find", _) => Effect::Queries,
            _ => Effect::Configures,
        },
        "frame" if rest.starts_with("apply") => effect_of(rest.splitn(3, ' ').nth(2).unwrap_or("")),
        "with" => rest.split_once("--").map_or(Effect::Queries, |(_, command)| effect_of(command)),
        "pipe" => effect_of(rest.split('|').next().unwrap_or("")),
        "python" if rest.starts_with("print(") && !rest.contains("execute") => Effect::Queries,
        _ => COMMANDS.iter().find(|(_, names)| names.contains(&name)).map_or(Effect::Mutates, |(effect, _)| *effect),
    }
}

fn is_register(text: &str) -> bool {
    let name: String = text[1..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let registers = ["pc", "sp", "fp", "ps", "eflags", "mxcsr", "orig_rax", "cs", "ss", "ds", "es", "fs", "gs"];
    registers.contains(&name.as_str())
        || ["r", "e", "x", "y", "z", "s", "k", "f"].iter().any(|first| name.starts_with(first))
            && (name.len() <= 4 || name.ends_with("_base") || name.starts_with("xmm") || name.starts_with("zmm"))
}

impl Dialect for Gdb {
    fn name(&self) -> &'static str {
        "gdb"
    }

    fn hosting(&self) -> Hosting {
        Hosting::Served
    }

    fn prompt_at_end(&self, output: &str) -> Option<Prompt> {
        let line = output.rfind('\n').map_or(0, |at| at + 1);
        let text = &output[line..];
        let kind = if text.ends_with(&self.prompt) { PromptKind::Command } else { PromptKind::Continuation };
        let start = if kind == PromptKind::Command { output.len() - self.prompt.len() } else { line };
        Some(Prompt { start, text: output[start..].to_owned(), kind })
    }

    fn read_line(&mut self, line: &str, at: PromptKind) -> Reading {
        if at != PromptKind::Command {
            return Reading { effect: self.continued, quits: false, send: line.to_owned(), asks: false };
        }
        let repeats = line.trim().is_empty();
        let meant = if repeats { self.last.clone() } else { line.to_owned() };
        let (word, rest) = split(&meant);
        let name = whole_name(word).unwrap_or("");
        let effect = if meant.trim().is_empty() { Effect::Queries } else { effect_of(&meant) };
        self.continued = if effect == Effect::Queries { Effect::Configures } else { effect };
        if !repeats {
            self.last = if NOT_REPEATED.contains(&name) { String::new() } else { line.to_owned() };
        }
        if name == "set"
            && let ("prompt", text) = split(rest)
        {
            self.prompt = rest.trim_start().strip_prefix("prompt ").unwrap_or(text).to_owned();
        }
        // `list` and `x` go on where they were; a movement is typed again, so that a replay needs no memory.
        let send = if repeats && effect == Effect::Moves { meant } else { line.to_owned() };
        Reading { effect, quits: name == "quit", send, asks: false }
    }

    fn parse_stop(&self, _: &str, _: &str) -> Option<Stop> {
        None
    }

    fn stop_text(&self, output: &str) -> String {
        // What a stop looks like: from the last line that names a place on.
        let is_place = |line: &str| {
            let plain = without_colours(line);
            let number = plain.split('\t').next().unwrap_or("");
            (!number.is_empty() && plain.contains('\t') && number.chars().all(|c| c.is_ascii_digit()))
                || plain.contains(" at ") && plain.contains("(") && plain.ends_with(|c: char| c.is_ascii_digit())
                || plain.starts_with("0x") && plain.contains(" in ")
        };
        let lines: Vec<&str> = output.lines().collect();
        let Some(first) = lines.iter().position(|line| is_place(line)) else { return String::new() };
        let mut text = lines[first..].join("\n");
        text.push('\n');
        text
    }

    fn is_command(&self, word: &str) -> bool {
        !OURS.contains(&word) && word != "last" && whole_name(word).is_some()
    }

    fn gives_signal(&self, sent: &str) -> bool {
        whole_name(split(sent).0) == Some("signal")
    }

    fn runs_on(&self, sent: &str) -> bool {
        let (word, _) = split(sent);
        matches!(
            whole_name(word),
            Some("continue" | "run" | "start" | "next" | "step" | "until" | "advance" | "finish" | "nexti" | "stepi")
        )
    }

    fn is_own_code(&self, stop: &Stop) -> bool {
        // What runs behind main, where a machine has debugging information for it.
        matches!(stop.function.as_deref(), Some("__libc_start_call_main" | "__libc_start_main_impl" | "_start"))
    }

    fn belief(&self, _: &str, _: &str, _: &Prompt) -> Belief {
        Belief::Sure
    }

    fn clean(&self, output: &str) -> String {
        // The end of the line that was typed, which the user's own terminal has ended.
        let mut text = output.replace("\x1b[?2004l\r\n", "").replace("\r\n", "\n");
        for sequence in ["\x1b[?2004l\r", "\x1b[?2004l", "\x1b[?2004h", "\x1b[?1034h", "\r"] {
            text = text.replace(sequence, "");
        }
        // What connecting to us prints.
        let ours = |line: &&str| {
            *line != "New UI allocated\n"
                && !(line.starts_with("Remote debugging using ")
                    && line.ends_with("/program\n")
                    && line.contains("/fred-"))
        };
        text.split_inclusive('\n').filter(ours).collect()
    }

    fn aide(&self) -> Option<Box<dyn Aide>> {
        Some(Box::new(GdbAide::new(self.hooked)))
    }

    fn opens_at_once(&self) -> bool {
        !self.hooked
    }

    fn helper(&self) -> Option<&'static str> {
        self.hooked.then_some(HOOK)
    }

    fn begins_with(&self) -> &'static [&'static str] {
        &["break main", "run"]
    }

    fn refuses(&self, line: &str) -> Option<String> {
        if line.len() > LONGEST {
            return Some(format!(
                "cannot type more than {LONGEST} bytes at once to gdb; `source` reads them from a file"
            ));
        }
        let (word, rest) = split(line);
        let name = whole_name(word)?;
        match name {
            "record" | "target" if name == "record" || rest.starts_with("record") => {
                Some("fred records the session already: fred-reverse-step and the other fred commands go back".into())
            }
            "tui" | "layout" | "focus" | "winheight" => Some(format!(
                "cannot run `{}`: gdb's full-screen view does not work below fred's prompt; fred --tui has one",
                line.trim()
            )),
            "checkpoint" | "restart" if rest.is_empty() || name == "restart" => Some(format!(
                "cannot run `{}`: gdb's own checkpoints need a native process; fred-checkpoint and fred-restart do this",
                line.trim()
            )),
            _ => None,
        }
    }

    fn arguments_in(&self, line: &str) -> Option<String> {
        let (word, rest) = split(line);
        let given = match whole_name(word)? {
            "run" | "start" | "starti" => rest,
            "set" => rest.strip_prefix("args")?.trim(),
            _ => return None,
        };
        (!given.is_empty()).then(|| given.to_owned())
    }

    fn first_arguments(&self, argv: &[OsString]) -> Option<String> {
        let at = argv.iter().position(|word| word == "--args" || word == "-args")?;
        let words = argv.get(at + 2..)?.iter().map(|word| escaped(&word.to_string_lossy()));
        Some(words.collect::<Vec<_>>().join(" "))
    }

    fn fork(&self) -> Box<dyn Dialect> {
        Box::new(self.clone())
    }
}

/// A word of the command line as gdb writes it for the shell (`construct_inferior_arguments` in its source).
fn escaped(word: &str) -> String {
    let mut text = String::new();
    for c in word.chars() {
        match c {
            '\n' => text.push_str("'\n'"),
            _ => {
                if "\"!#$&*()\\|[]{}<>?'`~^; \t".contains(c) {
                    text.push('\\');
                }
                text.push(c);
            }
        }
    }
    if text.is_empty() { "''".to_owned() } else { text }
}

fn without_colours(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        if c == '\x1b' {
            for c in rest.by_ref() {
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests;
