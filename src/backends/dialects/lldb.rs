//! lldb: its command line, prompts and commands. Facts come from a helper inside it ([`super::lldb_aide`]).

use std::ffi::OsString;

use super::lldb_aide::{HELPER, LldbAide};
use crate::backends::aide::Aide;
use crate::backends::dialect::{Belief, Dialect, Hosting, Prompt, PromptKind, Reach, Reading, Serving};
use crate::history::entry::{Effect, Stop};

/// A command by its first word, what it does, and the subcommands that do something else.
type Command = (&'static str, Effect, &'static [(&'static str, Effect)]);

/// lldb's commands. One that is not listed here changes something.
#[rustfmt::skip]
const COMMANDS: &[Command] = {
    use Effect::{Configures, Moves, Mutates, Queries};
    &[
        ("apropos", Queries, &[]),
        ("breakpoint", Configures, &[("list", Queries)]),
        ("command", Configures, &[("source", Mutates), ("history", Queries)]),
        ("disassemble", Queries, &[]),
        ("dwim-print", Mutates, &[]),
        ("expression", Mutates, &[]),
        ("frame", Queries, &[("select", Configures), ("recognizer", Configures)]),
        ("gdb-remote", Mutates, &[]),
        ("gui", Mutates, &[]),
        ("help", Queries, &[]),
        ("kdp-remote", Mutates, &[]),
        ("language", Queries, &[]),
        ("log", Configures, &[]),
        ("memory", Queries, &[("write", Mutates), ("tag", Mutates)]),
        ("platform", Mutates, &[("list", Queries), ("status", Queries)]),
        ("plugin", Configures, &[]),
        ("process", Mutates, &[
            ("attach", Moves), ("connect", Moves), ("continue", Moves), ("launch", Moves), ("handle", Configures),
            ("status", Queries), ("save-core", Queries),
        ]),
        ("quit", Mutates, &[]),
        ("register", Queries, &[("write", Mutates)]),
        ("script", Mutates, &[]),
        ("scripting", Mutates, &[]),
        ("session", Queries, &[]),
        ("settings", Configures, &[("show", Queries), ("list", Queries)]),
        ("source", Queries, &[]),
        ("statistics", Queries, &[("enable", Configures), ("disable", Configures)]),
        ("target", Configures, &[
            ("delete", Mutates), ("create", Configures), ("list", Queries), ("variable", Queries), ("modules", Queries),
            ("show-launch-environment", Queries),
        ]),
        ("thread", Queries, &[
            ("continue", Moves), ("step-in", Moves), ("step-inst", Moves), ("step-inst-over", Moves), ("step-out", Moves),
            ("step-over", Moves), ("step-scripted", Moves), ("until", Moves), ("jump", Mutates), ("return", Mutates),
            ("select", Configures), ("plan", Configures), ("trace", Mutates),
        ]),
        ("trace", Mutates, &[]),
        ("type", Configures, &[("lookup", Queries)]),
        ("version", Queries, &[]),
        ("watchpoint", Configures, &[("list", Queries)]),
    ]
};

/// Aliases that lldb comes with, and what they stand for.
#[rustfmt::skip]
const ALIASES: &[(&str, &str)] = &[
    ("add-dsym", "target symbols add"), ("attach", "process attach"), ("b", "breakpoint set"), ("bt", "thread backtrace"),
    ("c", "process continue"), ("call", "expression --"), ("continue", "process continue"), ("detach", "process detach"),
    ("di", "disassemble"), ("dis", "disassemble"), ("display", "target stop-hook add"), ("down", "frame select -r -1"),
    ("env", "settings show target.env-vars"), ("exit", "quit"), ("f", "frame select"), ("file", "target create"),
    ("finish", "thread step-out"), ("h", "help"), ("history", "session history"), ("image", "target modules"),
    ("j", "thread jump"), ("jump", "thread jump"), ("kill", "process kill"), ("l", "source list"), ("list", "source list"),
    ("n", "thread step-over"), ("next", "thread step-over"), ("nexti", "thread step-inst-over"),
    ("ni", "thread step-inst-over"), ("p", "expression --"), ("parray", "expression --"), ("po", "expression -O --"),
    ("poarray", "expression --"), ("print", "expression --"), ("q", "quit"), ("r", "process launch"),
    ("rbreak", "breakpoint set"), ("re", "register"), ("repl", "expression -r --"), ("run", "process launch"),
    ("s", "thread step-in"), ("shell", "platform shell"), ("si", "thread step-inst"), ("sif", "thread step-in"),
    ("step", "thread step-in"), ("stepi", "thread step-inst"), ("t", "thread select"), ("tbreak", "breakpoint set"),
    ("undisplay", "target stop-hook delete"), ("up", "frame select -r 1"), ("v", "frame variable"), ("var", "frame variable"),
    ("vo", "frame variable"), ("x", "memory read"), ("thread", "thread"),
];

/// Words that fred has for its own.
const OURS: &[&str] = &["rs", "rn", "rf", "rc", "rw", "last"];

/// Whether a program of that name is lldb.
pub fn serves(program: &str) -> bool {
    let rest = program.strip_prefix("rust-").unwrap_or(program);
    let Some(rest) = rest.strip_prefix("lldb") else { return false };
    rest.is_empty() || rest.strip_prefix('-').unwrap_or(rest).chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// The command line to execute, its program served and the helper in it.
pub fn to_execute(argv: &[OsString], serving: &Serving) -> Vec<OsString> {
    let mut server = OsString::from("LLDB_DEBUGSERVER_PATH=");
    server.push(&serving.server);
    let mut words = vec!["env".into(), server, argv[0].clone()];
    if let Some(helper) = &serving.helper {
        let session = serde_json::json!({
            "channel": serving.channel,
            "terminal": serving.terminal,
            "columns": serving.columns,
            "unattended": i32::from(serving.unattended),
        });
        let helper = helper.display();
        let line = format!("{LOADING}\"{helper}\").read(), \"fred\", \"exec\"), {{\"SESSION\": {session}}})");
        words.extend(["-O".into(), line.into()]);
    }
    words.extend_from_slice(&argv[1..]);
    words
}

/// How the line begins that loads the helper.
const LOADING: &str = "script exec(compile(open(";

/// lldb, as far as its command line has a state.
#[derive(Debug, Clone)]
pub struct Lldb {
    prompt: String,
    /// What Enter repeats.
    last: String,
    /// What lines at a continuation prompt belong to.
    continued: Effect,
    /// The last command was `quit`, which may ask whether that is meant.
    quitting: bool,
}

impl Default for Lldb {
    fn default() -> Self {
        Lldb { prompt: "(lldb) ".to_owned(), last: String::new(), continued: Effect::Mutates, quitting: false }
    }
}

/// The first word of a text, and the rest.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| c.is_whitespace() || c == '/').unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// The one among `names` that `word` is or abbreviates.
fn abbreviated<'n>(word: &str, names: impl Iterator<Item = &'n str> + Clone) -> Option<&'n str> {
    if let Some(exact) = names.clone().find(|name| *name == word) {
        return Some(exact);
    }
    let mut longer = names.filter(|name| !word.is_empty() && name.starts_with(word));
    let first = longer.next()?;
    longer.next().is_none().then_some(first)
}

/// A line with its first word as a whole command: aliases and abbreviations are put in full. `None` if lldb would not know it.
fn in_full(line: &str) -> Option<String> {
    let (word, rest) = split(line);
    let names = COMMANDS.iter().map(|(name, ..)| *name).chain(
        ALIASES.iter().map(|(name, _)| *name).filter(|name| !COMMANDS.iter().any(|(command, ..)| command == name)),
    );
    let name = abbreviated(word, names)?;
    let whole = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, whole)| *whole);
    Some(format!("{whole} {rest}"))
}

/// Whether an expression may change something: it assigns, declares, or calls a function.
fn changes(expression: &str) -> bool {
    let text = expression.replace("==", "").replace("!=", "").replace("<=", "").replace(">=", "");
    if text.contains(['=', ';', '{']) || text.contains("++") || text.contains("--") {
        return true;
    }
    let mut before = ' ';
    let mut calls = false;
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        calls |= c == '(' && (before.is_alphanumeric() || matches!(before, '_' | ')' | ']'));
        before = c;
    }
    calls && !text.trim_start().starts_with("sizeof")
}

pub(super) fn effect_of(line: &str) -> Effect {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Effect::Queries;
    }
    let Some(whole) = in_full(line) else { return Effect::Mutates };
    let (name, rest) = split(&whole);
    let Some((_, effect, below)) = COMMANDS.iter().find(|(known, ..)| *known == name) else { return Effect::Mutates };
    let (second, behind) = split(rest);
    if matches!(name, "expression" | "dwim-print") {
        // Options end with two hyphens.
        let expression = match rest.split_once("-- ") {
            Some((options, expression)) if options.is_empty() || options.starts_with('-') => expression,
            _ => rest,
        };
        let pure = !expression.trim().is_empty() && !changes(expression) && !rest.starts_with("-O");
        return if pure { Effect::Queries } else { Effect::Mutates };
    }
    let all = below.iter().map(|(name, _)| *name);
    let found = abbreviated(second, all).and_then(|name| below.iter().find(|(known, _)| *known == name));
    match found {
        Some(_) if name == "frame" && second.starts_with("sel") && behind.is_empty() => Effect::Queries,
        Some((_, effect)) => *effect,
        None => *effect,
    }
}

impl Dialect for Lldb {
    fn name(&self) -> &'static str {
        "lldb"
    }

    fn hosting(&self) -> Hosting {
        Hosting::Served
    }

    fn reach(&self) -> Reach {
        Reach::Executes
    }

    fn draws(&self) -> bool {
        true
    }

    fn helper(&self) -> Option<&'static str> {
        Some(HELPER)
    }

    fn prompt_at_end(&self, output: &str) -> Option<Prompt> {
        let line = output.rfind('\n').map_or(0, |at| at + 1);
        let text = &output[line..];
        // What a command has changed is shown by another thread of lldb's, behind the prompt maybe.
        if text.is_empty() && output.lines().any(|line| line.starts_with(&self.prompt)) {
            return Some(Prompt { start: output.len(), text: self.prompt.clone(), kind: PromptKind::Command });
        }
        let (kind, start) = if text.ends_with(&self.prompt) {
            (PromptKind::Command, output.len() - self.prompt.len())
        } else if text.ends_with(">>> ") || text.ends_with("... ") {
            (PromptKind::Interpreter, line)
        } else {
            (PromptKind::Continuation, line)
        };
        Some(Prompt { start, text: output[start..].to_owned(), kind })
    }

    fn read_line(&mut self, line: &str, at: PromptKind) -> Reading {
        if at != PromptKind::Command {
            let agreed = line.trim().is_empty() || line.trim_start().starts_with(['y', 'Y']);
            return Reading {
                effect: self.continued,
                quits: self.quitting && agreed,
                send: line.to_owned(),
                asks: false,
            };
        }
        let repeats = line.trim().is_empty();
        let meant = if repeats { self.last.clone() } else { line.to_owned() };
        let whole = in_full(&meant).unwrap_or_default();
        let effect = effect_of(&meant);
        self.continued = if effect == Effect::Queries { Effect::Configures } else { effect };
        if !repeats {
            let once = ["process launch", "process attach", "process kill", "quit"];
            let once = once.iter().any(|command| whole.starts_with(command));
            self.last = if once { String::new() } else { line.to_owned() };
        }
        if let Some(prompt) = whole.strip_prefix("settings set prompt ") {
            self.prompt = prompt.trim().trim_matches('"').to_owned();
        }
        // A movement is typed again, so that a replay needs no memory.
        let send = if repeats && effect == Effect::Moves { meant } else { line.to_owned() };
        self.quitting = split(&whole).0 == "quit";
        Reading { effect, quits: self.quitting, send, asks: false }
    }

    fn parse_stop(&self, _: &str, _: &str) -> Option<Stop> {
        None
    }

    fn stop_text(&self, output: &str) -> String {
        let lines: Vec<&str> = output.lines().collect();
        let is_stop = |line: &&str| {
            line.starts_with("Process ") && line.trim_end().ends_with(" stopped") || line.starts_with("* thread #")
        };
        let Some(first) = lines.iter().position(is_stop) else { return String::new() };
        let rest = lines[first..].iter().filter(|line| !line.starts_with("Process ") || is_stop(line));
        rest.map(|line| format!("{line}\n")).collect()
    }

    fn is_command(&self, word: &str) -> bool {
        !OURS.contains(&word) && in_full(word).is_some()
    }

    fn runs_on(&self, sent: &str) -> bool {
        effect_of(sent) == Effect::Moves
    }

    fn is_own_code(&self, stop: &Stop) -> bool {
        // What runs behind main, where a machine has debugging information for it.
        matches!(stop.function.as_deref(), Some("__libc_start_call_main" | "__libc_start_main_impl" | "_start"))
    }

    fn belief(&self, _: &str, _: &str, _: &Prompt) -> Belief {
        Belief::Sure
    }

    fn clean(&self, output: &str) -> String {
        let text = output.replace('\r', "");
        text.split_inclusive('\n').filter(|line| !line.trim_start_matches("(lldb) ").starts_with(LOADING)).collect()
    }

    fn aide(&self) -> Option<Box<dyn Aide>> {
        Some(Box::<LldbAide>::default())
    }

    fn begins_with(&self) -> &'static [&'static str] {
        &["breakpoint set --name main", "run"]
    }

    fn refuses(&self, line: &str) -> Option<String> {
        let whole = in_full(line)?;
        let (name, rest) = split(&whole);
        let line = line.trim();
        match name {
            "gui" => Some(format!(
                "cannot run `{line}`: lldb's full-screen view does not work below fred's prompt; fred --tui has one"
            )),
            "gdb-remote" | "kdp-remote" => Some(format!(
                "cannot run `{line}`: fred can go back only in a program that it serves itself; use run or attach"
            )),
            "process" if rest.starts_with("connect") => Some(format!(
                "cannot run `{line}`: fred can go back only in a program that it serves itself; use run or attach"
            )),
            _ => None,
        }
    }

    fn fork(&self) -> Box<dyn Dialect> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_do_what_lldb_does_with_their_abbreviations() {
        use Effect::{Configures, Moves, Mutates, Queries};
        let effects = [
            ("n", Moves),
            ("s", Moves),
            ("si", Moves),
            ("cont", Moves),
            ("run a b", Moves),
            ("pro la -- x", Moves),
            ("process launch", Moves),
            ("thread step-in", Moves),
            ("th step-over", Moves),
            ("finish", Moves),
            ("b main", Configures),
            ("br s -n main", Configures),
            ("breakpoint list", Queries),
            ("br l", Queries),
            ("watchpoint set variable x", Configures),
            ("p x", Queries),
            ("p x == 3", Queries),
            ("p/x list[2]", Queries),
            ("p f(3)", Mutates),
            ("p x = 3", Mutates),
            ("expr -- x = 1", Mutates),
            ("expr x + 1", Queries),
            ("expr", Mutates),
            ("po x", Mutates),
            ("v x", Queries),
            ("frame variable", Queries),
            ("frame select 1", Configures),
            ("up", Configures),
            ("bt", Queries),
            ("thread backtrace all", Queries),
            ("t 2", Configures),
            ("register read", Queries),
            ("register write rax 1", Mutates),
            ("memory read $sp", Queries),
            ("memory write 0 1", Mutates),
            ("settings set auto-confirm true", Configures),
            ("settings show", Queries),
            ("process handle SIGINT", Configures),
            ("script print(1)", Mutates),
            ("mycommand", Mutates),
            ("# a remark", Queries),
        ];
        for (line, effect) in effects {
            assert_eq!(effect_of(line), effect, "{line}");
        }
    }

    #[test]
    fn only_lldb_is_lldb() {
        for name in ["lldb", "lldb-16", "lldb-19.1", "rust-lldb"] {
            assert!(serves(name), "{name}");
        }
        assert!(!serves("lldb-server") && !serves("lldb-dap-19") && !serves("lldbx"));
    }

    #[test]
    fn enter_repeats_movements_in_words() {
        let mut lldb = Lldb::default();
        lldb.read_line("next", PromptKind::Command);
        let again = lldb.read_line("", PromptKind::Command);
        assert_eq!((again.effect, again.send.as_str()), (Effect::Moves, "next"));
        lldb.read_line("run", PromptKind::Command);
        assert_eq!(lldb.read_line("", PromptKind::Command).effect, Effect::Queries);
    }

    #[test]
    fn quitting_can_take_an_answer() {
        let mut lldb = Lldb::default();
        assert!(lldb.read_line("q", PromptKind::Command).quits);
        assert!(lldb.read_line("y", PromptKind::Continuation).quits);
        assert!(!lldb.read_line("n", PromptKind::Continuation).quits);
        lldb.read_line("breakpoint command add 1", PromptKind::Command);
        assert!(!lldb.read_line("yank", PromptKind::Continuation).quits);
    }

    #[test]
    fn what_loads_the_helper_is_not_shown() {
        let lldb = Lldb::default();
        let shown =
            lldb.clean("(lldb) script exec(compile(open(\"/proc/1/fd/3\").read()...\r\n(lldb) target create x\r\n");
        assert_eq!(shown, "(lldb) target create x\n");
    }

    #[test]
    fn a_stop_is_cut_out_of_what_was_printed() {
        let lldb = Lldb::default();
        let output =
            "s=0\nProcess 5 stopped\n* thread #1, name = 'a'\n    frame #0: 0x1\nProcess 5 launched: 'a' (x86_64)\n";
        assert_eq!(lldb.stop_text(output), "Process 5 stopped\n* thread #1, name = 'a'\n    frame #0: 0x1\n");
        assert_eq!(lldb.stop_text("no\n"), "");
    }
}
