//! pdb, Python's debugger: CPython 3.6 to 3.13, and ipdb's plain prompt.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::pdb_own::OWN;
use crate::backends::dialect::{Belief, Dialect, Hosting, Own, Prompt, PromptKind, Reading};
use crate::history::entry::{Effect, Reason, Stop};

/// Every command of pdb.py (and ipdb), with what it does when it has an argument and when it has none.
#[rustfmt::skip]
const COMMANDS: &[(&[&str], Effect, Effect)] = {
    use Effect::{Configures, Moves, Mutates, Queries};
    &[
        (&["s", "step", "n", "next", "r", "return", "unt", "until", "c", "cont", "continue"], Moves, Moves),
        (&["j", "jump", "run", "restart", "debug"], Moves, Moves),
        (&["q", "quit", "exit", "EOF"], Moves, Moves),
        (&["b", "break", "alias"], Configures, Queries),
        (&["tbreak", "cl", "clear", "disable", "enable", "ignore", "condition", "commands"], Configures, Configures),
        (&["undisplay", "unalias"], Configures, Configures),
        (&["display"], Configures, Queries),
        (&["interact"], Mutates, Mutates),
        (&["w", "where", "bt", "u", "up", "d", "down", "l", "list", "ll", "longlist", "a", "args"], Queries, Queries),
        (&["p", "pp", "whatis", "source", "retval", "rv", "exceptions", "h", "help"], Queries, Queries),
        (&["pinfo", "pinfo2", "pdef", "pdoc", "pfile", "psource"], Queries, Queries),
        (&["context", "skip_hidden", "skip_predicates"], Configures, Configures),
    ]
};

/// Commands that end the debugger.
const QUITS: &[&str] = &["q", "quit", "exit", "EOF"];

/// Prompts that can follow unfinished output on the same line, and what they are for.
const PROMPTS: &[(&str, PromptKind)] =
    &[("(Pdb) ", PromptKind::Command), ("(com) ", PromptKind::Continuation), ("ipdb> ", PromptKind::Command)];

/// Prompts that are too common a text to be believed anywhere but at the start of a line.
const LINE_PROMPTS: &[(&str, PromptKind)] = &[
    (">>> ", PromptKind::Interpreter),
    ("...   ", PromptKind::Continuation),
    ("... ", PromptKind::Continuation),
    ("Clear all breaks? ", PromptKind::Continuation),
];

/// How far from its end output is searched for a stop. A header has a path, a name and one line of source.
const TAIL: usize = 64 * 1024;

/// A header of a stop from its `> ` on; the rest of the line is a return value.
static HEADER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^> (<[^<>]*>|/.*?)\((\d+|None)\)([^\s()]+)\(\)(?:->.*)?$").expect("a constant pattern")
});

/// The line that pdb prints before the header of a stop at an exception.
static EXCEPTION: LazyLock<Regex> = LazyLock::new(|| {
    let name = r"[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Iteration|Warning|Group|Quit|Fault|Failure)";
    Regex::new(&format!("^(?:Internal .*|{name}(?:: .*)?)$")).expect("a constant pattern")
});

/// Whether a program of that name, with these arguments, ends up at a pdb prompt: `pdb FILE`, `python -m pdb ...`, and any
/// other Python program, which may call `breakpoint()`.
pub fn serves(program: &str, arguments: &[std::ffi::OsString]) -> bool {
    let versioned = |prefix: &str| {
        program.strip_prefix(prefix).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
    };
    versioned("pdb") || versioned("ipdb") || ((versioned("python") || versioned("pypy")) && !arguments.is_empty())
}

/// The state of a pdb session that its command line depends on.
#[derive(Debug, Clone, Default)]
pub struct Pdb {
    /// What `alias` defined.
    aliases: BTreeMap<String, String>,
    /// What Enter repeats (`lastcmd` of Python's cmd.py).
    last: String,
    /// What lines at a continuation prompt do.
    continued: Option<Effect>,
}

impl Pdb {
    /// A session of which nothing has been typed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Learns the aliases that pdb reads from its start-up files, which nobody types.
    pub fn set_aliases(&mut self, aliases: BTreeMap<String, String>) {
        self.aliases = aliases;
    }

    /// The commands that a line stands for: aliases replaced, `;;` divided as Pdb.precmd does, quotes or not.
    fn commands_of(&self, line: &str) -> Vec<String> {
        let mut commands = Vec::new();
        let mut aliases = self.aliases.clone();
        let mut rest = Some(line.to_owned());
        while let Some(line) = rest.take() {
            let mut line = expand(&aliases, line.trim());
            let divided = line.split_whitespace().next() != Some("alias");
            if let Some(at) = line.find(";;").filter(|_| divided) {
                rest = Some(line[at + 2..].trim_start().to_owned());
                line.truncate(at);
            }
            let line = line.trim().to_owned();
            define(&mut aliases, &line);
            commands.push(line);
        }
        commands
    }

    /// Why a line made the program stop, where pdb does not say: `continue` stops at breakpoints only.
    fn reason_of(&self, line: &str) -> Reason {
        let commands = self.commands_of(line);
        match commands.iter().rev().find(|c| effect_of(c) == Effect::Moves).map(|c| word_of(c)) {
            Some("c" | "cont" | "continue") => Reason::Breakpoint,
            Some("run" | "restart") => Reason::Entry,
            _ => Reason::Step,
        }
    }

    fn read_command(&mut self, line: &str) -> Reading {
        let send = if line.trim().is_empty() { self.last.clone() } else { line.to_owned() };
        self.continued = None;
        let mut reading = Reading { effect: Effect::Queries, quits: false, send, asks: false };
        if reading.send.is_empty() {
            return reading;
        }
        for command in self.commands_of(&reading.send) {
            let effect = effect_of(&command);
            reading.effect = reading.effect.max(effect);
            let word = word_of(&command);
            reading.quits |= QUITS.contains(&word);
            if matches!(word, "commands" | "cl" | "clear") {
                self.continued = Some(Effect::Configures);
            }
            reading.asks |= effect != Effect::Moves;
            define(&mut self.aliases, &command);
            match word {
                "" if command.is_empty() || command.starts_with('!') => {}
                "EOF" => self.last.clear(),
                "l" | "list" => self.last = "list".to_owned(),
                _ => self.last = command,
            }
        }
        reading.asks &= reading.effect == Effect::Moves;
        reading
    }
}

impl Dialect for Pdb {
    fn name(&self) -> &'static str {
        "pdb"
    }

    fn hosting(&self) -> Hosting {
        Hosting::InDebugger
    }

    fn begins_late(&self, argv: &[std::ffi::OsString]) -> Option<&'static str> {
        let is_debugger = |word: &std::ffi::OsString| {
            std::path::Path::new(word).file_stem().is_some_and(|name| name.to_string_lossy().contains("pdb"))
        };
        let late = !argv.iter().any(|word| is_debugger(word) || word == "--trace");
        late.then_some(
            "it begins at the first prompt; `python -m pdb SCRIPT` and `pytest --trace` begin it with the program",
        )
    }

    fn prompt_at_end(&self, output: &str) -> Option<Prompt> {
        let line_start = output.rfind('\n').map_or(0, |at| at + 1);
        let line = &output[line_start..];
        if let Some((text, kind)) = command_prompt(line) {
            return Some(Prompt { start: output.len() - text.len(), text: text.to_owned(), kind });
        }
        let shown = self.clean(line);
        let (text, kind) = LINE_PROMPTS.iter().find(|(text, _)| shown.trim_start_matches('\r') == *text)?;
        Some(Prompt { start: output.len() - text.len(), text: (*text).to_owned(), kind: *kind })
    }

    fn read_line(&mut self, line: &str, at: PromptKind) -> Reading {
        match at {
            PromptKind::Command => self.read_command(line),
            PromptKind::Continuation => {
                let effect = self.continued.unwrap_or(Effect::Mutates);
                Reading { effect, quits: false, send: line.to_owned(), asks: false }
            }
            PromptKind::Interpreter => {
                Reading { effect: Effect::Mutates, quits: false, send: line.to_owned(), asks: false }
            }
        }
    }

    fn parse_stop(&self, sent: &str, output: &str) -> Option<Stop> {
        let output = uncoloured(&self.clean(tail(output)));
        let lines: Vec<&str> = output.lines().collect();
        let headers = || (0..lines.len()).rev().filter_map(|at| header(lines[at]).map(|stop| (at, stop)));
        // What the program or `display` prints can look like a header; the debugger's own has its source below it,
        // unless the source is not known.
        let (at, (prefix, mut stop)) = headers()
            .find(|(at, _)| lines.get(at + 1).is_some_and(|next| next.starts_with("-> ")))
            .or_else(|| headers().next())?;
        let before: Vec<&str> = lines[..at].iter().rev().take(3).copied().collect();
        let told = if prefix.is_empty() { reason(&before) } else { None };
        stop.reason = told.unwrap_or_else(|| self.reason_of(sent));
        Some(stop)
    }

    fn stop_text(&self, output: &str) -> String {
        let output = uncoloured(&self.clean(tail(output)));
        let lines: Vec<&str> = output.lines().collect();
        let sourced = |at: &usize| lines.get(at + 1).is_some_and(|next| next.starts_with("-> "));
        let headers: Vec<usize> = (0..lines.len()).filter(|at| header(lines[*at]).is_some()).collect();
        let Some(at) = headers.iter().rev().copied().find(sourced).or_else(|| headers.last().copied()) else {
            return String::new();
        };
        // What the program printed last, without a newline, is not part of the place.
        let begin = header(lines[at]).map_or(0, |(prefix, _)| prefix.len());
        let marked = at > 0 && begin == 0 && ["--Call--", "--Return--"].contains(&lines[at - 1]);
        let mut text = String::new();
        if marked {
            text.push_str(lines[at - 1]);
            text.push('\n');
        }
        text.push_str(&lines[at][begin..]);
        for line in &lines[at + 1..] {
            text.push('\n');
            text.push_str(line);
        }
        text.push('\n');
        text
    }

    fn own(&self) -> Option<Own> {
        Some(OWN)
    }

    fn runs_on(&self, sent: &str) -> bool {
        matches!(sent.trim(), "c" | "cont" | "continue")
    }

    fn is_own_code(&self, stop: &Stop) -> bool {
        let file = stop.file.as_deref().unwrap_or("");
        let name = std::path::Path::new(file).file_name().and_then(|name| name.to_str());
        matches!(name, Some("bdb.py" | "pdb.py" | "cmd.py" | "runpy.py" | "<string>"))
    }

    fn belief(&self, sent: &str, output: &str, prompt: &Prompt) -> Belief {
        let commands = self.commands_of(sent);
        let effect = commands.iter().map(|command| effect_of(command)).max().filter(|_| !sent.is_empty());
        let opens = |command: &String| ["interact", "commands", "cl", "clear"].contains(&word_of(command));
        match effect.unwrap_or(Effect::Moves) {
            // Only what calls something can read the terminal.
            Effect::Mutates if sent.contains('(') && prompt.kind == PromptKind::Command => Belief::Doubtful,
            Effect::Moves if prompt.kind == PromptKind::Command => shown_last(&uncoloured(&self.clean(tail(output)))),
            Effect::Moves if !commands.iter().any(opens) => Belief::Never,
            _ => Belief::Sure,
        }
    }

    fn is_command(&self, word: &str) -> bool {
        row(word).is_some() || self.aliases.contains_key(word)
    }

    fn clean(&self, output: &str) -> String {
        // Python 3.6 and 3.7 let readline end the line that was typed, which the user's own terminal has done.
        let mut text = output.replace("\x1b[?2004l\r\n", "");
        text = text.replace("\x1b[?2004l\r", "").replace("\x1b[?2004l", "");
        for sequence in ["\x1b[?2004h", "\x1b[?1034h"] {
            text = text.replace(sequence, "");
        }
        text.replace("\r\n", "\n")
    }

    fn fork(&self) -> Box<dyn Dialect> {
        Box::new(self.clone())
    }
}

/// The row of a command in the table.
fn row(word: &str) -> Option<&'static (&'static [&'static str], Effect, Effect)> {
    COMMANDS.iter().find(|(names, _, _)| names.contains(&word))
}

/// The command word as cmd.py finds it up to 3.12: `c.a` is `continue` there.
fn word_of(command: &str) -> &str {
    if command.starts_with('?') {
        return "help";
    }
    let end = command.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(command.len());
    &command[..end]
}

/// The command word as 3.13 finds it, where `c.a`, `c[0]` and `c=1` are expressions.
fn strict_word_of(command: &str) -> &str {
    if command.starts_with('?') {
        return "help";
    }
    let part = |c: char| c.is_ascii_alphanumeric() || "_=.[](),\"'+-*/%@&|<>~^".contains(c);
    let end = command.find(|c: char| !part(c)).unwrap_or(command.len());
    &command[..end]
}

/// What one command does: the stronger of the two readings where Python versions differ.
fn effect_of(command: &str) -> Effect {
    let reading = |word: &str| match row(word) {
        Some((_, with, without)) => {
            if command.len() > word.len() && command != "?" {
                *with
            } else {
                *without
            }
        }
        None => Effect::Mutates,
    };
    if command.is_empty() {
        return Effect::Queries;
    }
    // An alias without a command is shown, not defined.
    if word_of(command) == "alias" && command.split_whitespace().count() == 2 {
        return Effect::Queries;
    }
    reading(word_of(command)).max(reading(strict_word_of(command)))
}

/// Replaces the first word while it is an alias, as Pdb.precmd does.
fn expand(aliases: &BTreeMap<String, String>, line: &str) -> String {
    let mut line = line.to_owned();
    // pdb itself hangs at an alias that stands for itself; no more rounds than aliases are needed.
    for _ in 0..=aliases.len() {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let Some(body) = words.first().and_then(|word| aliases.get(word)) else {
            break;
        };
        let mut body = body.clone();
        for (index, word) in words.iter().enumerate().skip(1) {
            body = body.replace(&format!("%{index}"), word);
        }
        line = body.replace("%*", &words[1..].join(" "));
    }
    line
}

/// Notes what `alias` and `unalias` do.
fn define(aliases: &mut BTreeMap<String, String>, command: &str) {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words.as_slice() {
        ["alias", name, body @ ..] if !body.is_empty() => {
            aliases.insert((*name).to_owned(), body.join(" "));
        }
        ["unalias", name, ..] => {
            aliases.remove(*name);
        }
        _ => {}
    }
}

/// The prompt that `line` ends with: `debug` puts parentheses round the prompt of the debugger that it nests.
fn command_prompt(line: &str) -> Option<(&str, PromptKind)> {
    if let Some((text, kind)) = PROMPTS.iter().find(|(text, _)| line.ends_with(text)) {
        return Some((&line[line.len() - text.len()..], *kind));
    }
    let closed = line.strip_suffix(' ')?;
    let inner = closed.trim_end_matches(')');
    let level = closed.len() - inner.len();
    let before = inner.strip_suffix("Pdb")?;
    let open = before.len() - before.trim_end_matches('(').len();
    (level > 1 && open >= level).then(|| (&line[before.len() - level..], PromptKind::Command))
}

/// The end of a long output, from a character boundary on.
fn tail(output: &str) -> &str {
    let mut start = output.len().saturating_sub(TAIL);
    while !output.is_char_boundary(start) {
        start += 1;
    }
    &output[start..]
}

/// Without the colours in which ipdb shows its stops.
fn uncoloured(output: &str) -> String {
    static COLOUR: LazyLock<Regex> = LazyLock::new(|| Regex::new("\u{1b}\\[[0-9;]*m").expect("a constant pattern"));
    COLOUR.replace_all(output, "").into_owned()
}

/// A header at the end of a line, with what stands before it: a program need not end its line before pdb prints.
fn header(line: &str) -> Option<(&str, Stop)> {
    let starts = line.rmatch_indices("> ").map(|(at, _)| at);
    // The last one that fits is the debugger's; few lines have more than one.
    let at = starts.take(16).find(|at| HEADER.is_match(&line[*at..]))?;
    let found = HEADER.captures(&line[at..])?;
    let stop = Stop {
        file: Some(found[1].to_owned()),
        line: found[2].parse().ok(),
        function: Some(found[3].to_owned()),
        ..Stop::nowhere(Reason::Step)
    };
    Some((&line[..at], stop))
}

/// The belief in a prompt after `output`, which must end with a stop and nothing else but what `display` shows.
fn shown_last(output: &str) -> Belief {
    let lines: Vec<&str> = output.lines().collect();
    let stop = (0..lines.len()).rev().find_map(|at| {
        let source = lines.get(at + 1)?.strip_prefix("-> ")?;
        Some((at, header(lines[at])?.1, source))
    });
    let Some((at, stop, source)) = stop else { return Belief::Doubtful };
    let shown = lines[at + 2..].iter().all(|line| line.starts_with("display "));
    match (stop.file, stop.line) {
        (Some(file), Some(line)) if shown && output.ends_with('\n') => {
            Belief::IfSource { file, line, text: source.to_owned() }
        }
        _ => Belief::Doubtful,
    }
}

/// What pdb printed of the reason; `before` are the lines above the header, the nearest first.
fn reason(before: &[&str]) -> Option<Reason> {
    let nearest = before.first()?;
    let called = matches!(*nearest, "--Call--" | "--Return--");
    let above = if called { before.get(1)? } else { nearest };
    if above.starts_with("Program interrupted. (Use 'cont' to resume)") {
        return Some(Reason::Interrupt);
    }
    if called {
        return Some(Reason::Step);
    }
    let ended = nearest.starts_with("The program finished and will be restarted")
        || nearest.starts_with("The program exited via sys.exit().")
        || nearest.starts_with("Post mortem debugger finished. The ")
        || before.get(1).is_some_and(|line| line.starts_with("The program exited via sys.exit()."))
        || before.get(1).is_some_and(|line| line.starts_with("Restarting ") && line.ends_with(" with arguments:"));
    if ended {
        return Some(Reason::Entry);
    }
    let dead = nearest.starts_with("Running 'cont' or 'step' will restart the program");
    (dead || EXCEPTION.is_match(nearest)).then_some(Reason::Exception)
}

#[cfg(test)]
mod tests;
