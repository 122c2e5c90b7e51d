//! The fred commands. One table ([`table::COMMANDS`]) is the source of the parser, of completion, of `fred-help` and of
//! `docs/commands.md`.

pub mod help;
pub mod table;

use crate::engine::{Console, Failure, Report, Session};
use table::COMMANDS;

/// What a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// Nothing.
    None,
    /// How many times; 1 if left out.
    Count,
    /// How many rows; all if left out.
    Rows,
    /// An expression of the program's language, to the end of the line.
    Expression,
    /// Free text, or nothing.
    Note,
    /// A checkpoint id, or nothing.
    MaybeCheckpoint,
    /// A checkpoint id.
    Checkpoint,
    /// A name for a new branch.
    NewBranch,
    /// A branch.
    Branch,
    /// A history number, `@ID` or `N%`.
    Position,
    /// A directory.
    Directory,
    /// A file with commands.
    File,
    /// A fred command, or nothing.
    Command,
}

/// An argument after the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given<'a> {
    /// None was given.
    Nothing,
    /// A number.
    Number(u32),
    /// Anything else.
    Text(&'a str),
}

impl<'a> Given<'a> {
    /// The number, 1 if none was given.
    pub fn count(self) -> u32 {
        self.number().unwrap_or(1)
    }

    /// The number, if one was given.
    pub fn number(self) -> Option<u32> {
        match self {
            Given::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The text, if one was given.
    pub fn text(self) -> Option<&'a str> {
        match self {
            Given::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The chapters of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Back and forth.
    Travel,
    /// Looking for a change.
    Search,
    /// Checkpoints and branches.
    Checkpoints,
    /// The history of commands.
    History,
    /// The rest.
    Session,
}

/// What a command calls on the session.
pub type Act = fn(&mut dyn Session, Given<'_>, &mut dyn Console) -> Result<Report, Failure>;

/// Who carries a command out.
#[derive(Clone, Copy)]
pub enum Run {
    /// The session.
    Session(Act),
    /// The prompt itself: shows the help.
    Help,
    /// The prompt itself: runs a file.
    Source,
}

/// A row of the table.
pub struct Command {
    /// Name without `fred-`.
    pub name: &'static str,
    /// Short name without `fred-`.
    pub short: Option<&'static str>,
    /// Names that work where the debugger has none of that name.
    pub aliases: &'static [&'static str],
    /// What it takes.
    pub argument: Argument,
    /// The argument in the help.
    pub syntax: &'static str,
    /// One line of help.
    pub summary: &'static str,
    /// The rest of the help; may be empty.
    pub details: &'static str,
    /// Chapter.
    pub group: Group,
    /// What it does.
    pub run: Run,
}

/// Whose line it is.
pub enum Reading<'a> {
    /// A fred command and its argument.
    Fred(&'static Command, &'a str),
    /// It begins with `fred-` but there is no such command: its name, and what to say.
    Unknown(&'a str, String),
    /// The debugger's.
    Debugger,
}

/// Reads a typed line. `owned` says whether the debugger has a command (or variable) of that name; it is only asked for
/// words that are fred's aliases.
pub fn read<'a>(line: &'a str, owned: impl FnOnce(&str) -> bool) -> Reading<'a> {
    let line = line.trim();
    let (word, argument) = match line.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (line, ""),
    };
    if let Some(name) = word.strip_prefix("fred-") {
        return match find(name) {
            Ok(command) => Reading::Fred(command, argument),
            Err(message) => Reading::Unknown(name, message),
        };
    }
    // `last = items[-1]` makes a variable.
    let assigns = argument.starts_with('=') && !argument.starts_with("==");
    match COMMANDS.iter().find(|command| command.aliases.contains(&word)) {
        Some(command) if !assigns && !owned(word) => Reading::Fred(command, argument),
        _ => Reading::Debugger,
    }
}

/// The command of that name (without `fred-`), short name or unambiguous beginning of one.
///
/// # Errors
/// There is none, or there are several: what to say.
pub fn find(name: &str) -> Result<&'static Command, String> {
    let names = |command: &Command| std::iter::once(command.name).chain(command.short).collect::<Vec<_>>();
    if let Some(command) = COMMANDS.iter().find(|command| names(command).contains(&name)) {
        return Ok(command);
    }
    let starting: Vec<_> = COMMANDS
        .iter()
        .filter(|command| !name.is_empty() && names(command).iter().any(|known| known.starts_with(name)))
        .collect();
    match starting[..] {
        [command] => Ok(command),
        [] => Err(match nearest(name) {
            Some(near) => format!("there is no command fred-{name}; did you mean fred-{near}?"),
            None => format!("there is no command fred-{name}; fred-help lists them all"),
        }),
        _ => {
            let several: Vec<_> = starting.iter().map(|command| format!("fred-{}", command.name)).collect();
            Err(format!("fred-{name} is ambiguous: {}", several.join(", ")))
        }
    }
}

fn nearest(name: &str) -> Option<&'static str> {
    let names = COMMANDS.iter().flat_map(|command| std::iter::once(command.name).chain(command.short));
    names
        .map(|known| (strsim::normalized_damerau_levenshtein(name, known), known))
        .filter(|(likeness, _)| *likeness > 0.4)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, known)| known)
}

impl Command {
    /// Checks an argument as typed.
    ///
    /// # Errors
    /// What is wrong with it and how it should be.
    pub fn check<'a>(&self, argument: &'a str) -> Result<Given<'a>, String> {
        let argument = argument.trim();
        let usage = format!("fred-{} {}", self.name, self.syntax);
        let usage = usage.trim_end();
        let missing = |what: &str| Err(format!("fred-{} needs {what}: {usage}", self.name));
        match (self.argument, argument) {
            (Argument::Count | Argument::Rows | Argument::Note | Argument::MaybeCheckpoint | Argument::Command, "")
            | (Argument::None, "") => Ok(Given::Nothing),
            (Argument::None, _) => Err(format!("fred-{} takes no argument, but {argument:?} was given", self.name)),
            (Argument::Count | Argument::Rows, text) => match text.parse() {
                Ok(number) if number > 0 => Ok(Given::Number(number)),
                _ => Err(format!("fred-{}: {text:?} is not a number from 1: {usage}", self.name)),
            },
            (Argument::Expression, "") => missing("an expression"),
            (Argument::Checkpoint, "") => missing("a checkpoint id (fred-list shows them)"),
            (Argument::NewBranch | Argument::Branch, "") => missing("a name"),
            (Argument::Position, "") => missing("a position (a history number, @ID of a checkpoint, or 50%)"),
            (Argument::Directory, "") => missing("a directory"),
            (Argument::File, "") => missing("a file"),
            (Argument::MaybeCheckpoint | Argument::Checkpoint, text) => {
                // `@3` is how fred-goto names checkpoint 3.
                let id = text.strip_prefix('@').unwrap_or(text);
                one_word(id).ok_or_else(|| format!("fred-{}: {text:?} is not one checkpoint id: {usage}", self.name))
            }
            (Argument::NewBranch | Argument::Branch, text) => {
                one_word(text).ok_or_else(|| format!("fred-{}: a name is one word: {usage}", self.name))
            }
            (Argument::Position, text) => position(text).ok_or_else(|| {
                format!("fred-{}: {text:?} is not a history number, @ID of a checkpoint, or 0% to 100%", self.name)
            }),
            (
                Argument::Expression | Argument::Note | Argument::Directory | Argument::File | Argument::Command,
                text,
            ) => Ok(Given::Text(text)),
        }
    }

    /// All the names it answers to, as typed.
    pub fn names(&self) -> Vec<String> {
        std::iter::once(self.name).chain(self.short).map(|name| format!("fred-{name}")).collect()
    }
}

fn one_word(text: &str) -> Option<Given<'_>> {
    (!text.is_empty() && !text.contains(char::is_whitespace)).then_some(Given::Text(text))
}

fn position(text: &str) -> Option<Given<'_>> {
    let valid = if let Some(id) = text.strip_prefix('@') {
        one_word(id).is_some()
    } else if let Some(share) = text.strip_suffix('%') {
        share.parse::<f64>().is_ok_and(|share| (0.0..=100.0).contains(&share))
    } else {
        text.parse::<u32>().is_ok()
    };
    valid.then_some(Given::Text(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(line: &str) -> String {
        match read(line, |_| false) {
            Reading::Fred(command, argument) => format!("{} [{argument}]", command.name),
            Reading::Unknown(_, message) => message,
            Reading::Debugger => "debugger".into(),
        }
    }

    #[test]
    fn names_short_names_and_beginnings() {
        assert_eq!(name_of("fred-undo 3"), "undo [3]");
        assert_eq!(name_of("  fred-rw  num < 5 "), "reverse-watch [num < 5]");
        assert_eq!(name_of("fred-ck"), "checkpoint []");
        assert_eq!(name_of("fred-reverse-f"), "reverse-finish []");
        assert_eq!(name_of("fred-info"), "list []");
        assert_eq!(name_of("fred-h"), "fred-h is ambiguous: fred-history, fred-help");
        assert_eq!(name_of("fred-undoo"), "there is no command fred-undoo; did you mean fred-undo?");
        assert_eq!(name_of("fred-"), "there is no command fred-; fred-help lists them all");
        assert_eq!(name_of("fred = 3"), "debugger");
        assert_eq!(name_of(""), "debugger");
    }

    #[test]
    fn aliases_give_way_to_the_debugger() {
        assert_eq!(name_of("rs 2"), "reverse-step [2]");
        assert_eq!(name_of("last num"), "reverse-watch [num]");
        assert_eq!(name_of("last = 3"), "debugger");
        assert_eq!(name_of("last == 3"), "reverse-watch [== 3]");
        assert!(matches!(read("rs", |word| word == "rs"), Reading::Debugger));
        assert!(matches!(read("fred-rs", |_| true), Reading::Fred(..)));
    }

    #[test]
    fn names_are_unique() {
        let mut seen = std::collections::HashSet::new();
        for command in COMMANDS {
            for name in command.names().into_iter().chain(command.aliases.iter().map(ToString::to_string)) {
                assert!(seen.insert(name.clone()), "{name} twice");
            }
        }
    }

    #[test]
    fn arguments_are_checked() {
        let check = |line: &'static str| match read(line, |_| false) {
            Reading::Fred(command, argument) => match command.check(argument) {
                Ok(given) => format!("{given:?}"),
                Err(message) => message,
            },
            _ => panic!("{line} is no fred command"),
        };
        assert_eq!(check("fred-undo"), "Nothing");
        assert_eq!(check("fred-undo 4"), "Number(4)");
        assert_eq!(check("fred-undo 0"), "fred-undo: \"0\" is not a number from 1: fred-undo [n]");
        assert_eq!(check("fred-undo x"), "fred-undo: \"x\" is not a number from 1: fred-undo [n]");
        assert_eq!(check("fred-rf 2"), "fred-reverse-finish takes no argument, but \"2\" was given");
        assert_eq!(check("fred-rw"), "fred-reverse-watch needs an expression: fred-reverse-watch EXPR");
        assert_eq!(check("fred-goto 50%"), "Text(\"50%\")");
        assert_eq!(check("fred-goto @a3"), "Text(\"@a3\")");
        assert_eq!(
            check("fred-goto 150%"),
            "fred-goto: \"150%\" is not a history number, @ID of a checkpoint, or 0% to 100%"
        );
        assert_eq!(check("fred-restart @2"), "Text(\"2\")");
        assert_eq!(check("fred-branch"), "fred-branch needs a name: fred-branch NAME");
        assert_eq!(check("fred-branch a b"), "fred-branch: a name is one word: fred-branch NAME");
        assert_eq!(check("fred-ckpt before the loop"), "Text(\"before the loop\")");
    }
}
