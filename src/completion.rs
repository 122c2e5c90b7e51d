//! Tab: fred commands and their arguments; anything else is the debugger's to complete.

use std::path::Path;

use crate::commands::table::COMMANDS;
use crate::commands::{Argument, Reading, read};
use crate::engine::Session;
use crate::script::expand_home;

/// Where the replacement begins (byte offset in `line`), and the replacements.
pub fn complete(line: &str, session: &mut dyn Session) -> (usize, Vec<String>) {
    let typed = line.trim_start();
    let indent = line.len() - typed.len();
    if !typed.contains(char::is_whitespace) {
        if typed.starts_with("fred-") || (typed.len() >= 2 && "fred-".starts_with(typed)) {
            let mut names: Vec<_> = COMMANDS.iter().map(|command| format!("fred-{}", command.name)).collect();
            names.retain(|name| name.starts_with(typed));
            if names.is_empty() {
                names = COMMANDS.iter().filter_map(|c| c.short).map(|short| format!("fred-{short}")).collect();
                names.retain(|name| name.starts_with(typed));
            }
            if !names.is_empty() {
                return (indent, names);
            }
        }
        return by_debugger(line, session);
    }
    let (command, argument) = match read(typed, |word| session.owns_word(word)) {
        Reading::Fred(command, argument) => (command, argument),
        Reading::Unknown(..) => return (line.len(), Vec::new()),
        Reading::Debugger => return by_debugger(line, session),
    };
    // `read` trims the end: what follows a space is a new word.
    let argument = if line.ends_with(char::is_whitespace) && !argument.is_empty() {
        return (line.len(), vec![]);
    } else {
        argument
    };
    let start = line.len() - argument.len();
    let (checkpoints, branches) = session.names();
    let mut names = match command.argument {
        Argument::MaybeCheckpoint | Argument::Checkpoint => checkpoints,
        Argument::Branch => branches,
        Argument::Position => positions(checkpoints, session),
        Argument::File => files(argument, Kind::Any),
        Argument::Directory => files(argument, Kind::Directory),
        Argument::Command => COMMANDS.iter().map(|command| command.name.to_owned()).collect(),
        Argument::Expression => return expression(line, start, session),
        Argument::None | Argument::Count | Argument::Rows | Argument::Note | Argument::NewBranch => Vec::new(),
    };
    names.retain(|name| name.starts_with(argument));
    (start, names)
}

/// Checkpoints as `@ID`, and the numbers of the history.
fn positions(checkpoints: Vec<String>, session: &mut dyn Session) -> Vec<String> {
    let mut names: Vec<_> = checkpoints.into_iter().map(|id| format!("@{id}")).collect();
    if let Ok(report) = session.history(None)
        && let Some(result) = report.result
    {
        let rows = result.as_array().or_else(|| result["rows"].as_array());
        names.extend(rows.into_iter().flatten().filter_map(|row| row["number"].as_u64()).map(|n| n.to_string()));
    }
    names
}

fn by_debugger(line: &str, session: &mut dyn Session) -> (usize, Vec<String>) {
    let candidates = session.complete(line);
    (overlap(line, &candidates), candidates)
}

/// An expression is completed as the debugger completes the argument of `p`.
fn expression(line: &str, start: usize, session: &mut dyn Session) -> (usize, Vec<String>) {
    let candidates = session.complete(&format!("p {}", &line[start..]));
    (overlap(&line[start..], &candidates) + start, candidates)
}

/// Where the last word of `line` begins, for that idea of a word which the candidates show: the longest end of the line
/// with which all of them begin.
fn overlap(line: &str, candidates: &[String]) -> usize {
    line.char_indices()
        .map(|(at, _)| at)
        .find(|&at| candidates.iter().all(|candidate| candidate.starts_with(&line[at..])))
        .unwrap_or(line.len())
}

#[derive(PartialEq, Eq)]
enum Kind {
    Any,
    Directory,
}

fn files(typed: &str, kind: Kind) -> Vec<String> {
    let (directory, _) =
        typed.rsplit_once('/').map_or(("", typed), |(directory, name)| (&typed[..=directory.len()], name));
    let place = if directory.is_empty() { Path::new(".").to_owned() } else { expand_home(directory) };
    let Ok(entries) = std::fs::read_dir(place) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let is_directory = entry.path().is_dir();
            let name = entry.file_name().into_string().ok()?;
            (is_directory || kind == Kind::Any)
                .then(|| format!("{directory}{name}{}", if is_directory { "/" } else { "" }))
        })
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Report;
    use crate::mock::Mock;

    fn of(line: &str, mock: Mock) -> (usize, String) {
        let mut mock = mock;
        let (start, names) = complete(line, &mut mock);
        (start, names.join(" "))
    }

    #[test]
    fn commands_and_their_arguments() {
        let history = Report { result: Some(serde_json::json!([{"number": 1}, {"number": 12}])), ..Report::default() };
        assert_eq!(of("fred-un", Mock::default()), (0, "fred-undo".into()));
        assert_eq!(of("fred-reverse-", Mock::default()).1.split(' ').count(), 6);
        assert_eq!(of("fr", Mock::default()).1.split(' ').count(), COMMANDS.len());
        assert_eq!(of("fred-restart a", Mock::default()), (13, "a1".into()));
        assert_eq!(of("fred-restart ", Mock::default()), (13, "1 2 a1".into()));
        assert_eq!(of("fred-switch f", Mock::default()), (12, "fix".into()));
        assert_eq!(of("fred-goto 1", Mock::default().reply("history", Ok(history))), (10, "1 12".into()));
        assert_eq!(of("fred-goto @", Mock::default()), (10, "@1 @2 @a1".into()));
        assert_eq!(of("fred-help rest", Mock::default()), (10, "restart".into()));
        assert_eq!(of("fred-undo ", Mock::default()), (10, String::new()));
    }

    #[test]
    fn the_debugger_completes_the_rest() {
        assert_eq!(
            of("p foo.ba", Mock::default().output("p foo.ba", "foo.bar foo.baz")),
            (2, "foo.bar foo.baz".into())
        );
        assert_eq!(of("fred-rw 1+nu", Mock::default().output("p 1+nu", "num numbers")), (10, "num numbers".into()));
        assert_eq!(of("ne", Mock::default().output("ne", "next")), (0, "next".into()));
    }

    #[test]
    fn file_names() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("script.txt"), "").unwrap();
        let typed = format!("fred-source {}/sc", dir.path().display());
        assert_eq!(of(&typed, Mock::default()).1, format!("{}/script.txt", dir.path().display()));
        let typed = format!("fred-save {}/sc", dir.path().display());
        assert_eq!(of(&typed, Mock::default()).1, "");
    }
}
