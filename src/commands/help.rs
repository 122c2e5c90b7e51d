//! `fred-help` and `docs/commands.md`, both from the table.

use std::fmt::Write;

use super::table::COMMANDS;
use super::{Command, Group, find};

const GROUPS: &[(Group, &str)] = &[
    (Group::Travel, "Back and forth"),
    (Group::Search, "Finding a change"),
    (Group::Checkpoints, "Checkpoints and branches"),
    (Group::History, "History"),
    (Group::Session, "The session"),
];

/// The text of `fred-help`.
pub fn overview() -> String {
    let mut text =
        String::from("Everything that does not begin with fred- goes to the debugger. [n] is 1 if left out.\n");
    for (group, title) in GROUPS {
        let _ = writeln!(text, "\n{title}:");
        for command in COMMANDS.iter().filter(|command| command.group == *group) {
            let _ = writeln!(text, "  {:<27} {}", usage(command), command.summary);
        }
    }
    text.push_str(
        "\nfred-help COMMAND says more. An unambiguous beginning of a name will do (fred-un for fred-undo).\n",
    );
    text
}

/// The text of `fred-help NAME`, where NAME may come with or without `fred-`, or be an alias.
///
/// # Errors
/// There is no such command: what to say.
pub fn page(name: &str) -> Result<String, String> {
    let command = match COMMANDS.iter().find(|command| command.aliases.contains(&name)) {
        Some(command) => command,
        None => find(name.strip_prefix("fred-").unwrap_or(name))?,
    };
    let mut text = format!("{}\n    {}.\n", usage(command), command.summary);
    if !command.details.is_empty() {
        let _ = writeln!(text, "    {}", command.details);
    }
    if let Some(short) = command.short {
        let _ = writeln!(text, "    Short: fred-{short}");
    }
    if !command.aliases.is_empty() {
        let _ = writeln!(text, "    Also, where the debugger has nothing of that name: {}", command.aliases.join(", "));
    }
    Ok(text)
}

/// The text of `docs/commands.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "# fred commands\n\n\
         <!-- Generated from src/commands/table.rs: FRED_UPDATE_DOCS=1 cargo test docs_are_fresh -->\n\n\
         Everything that does not begin with `fred-` goes to the debugger as typed. `[n]` is 1 if left out. An unambiguous\n\
         beginning of a name will do. The names in the last column work only where the debugger has no command of that\n\
         name (and, in pdb, no variable).\n",
    );
    for (group, title) in GROUPS {
        let _ = write!(text, "\n## {title}\n\n| command | short | meaning | also |\n| --- | --- | --- | --- |\n");
        for command in COMMANDS.iter().filter(|command| command.group == *group) {
            let short = command.short.map(|short| format!("`fred-{short}`")).unwrap_or_default();
            let also: Vec<_> = command.aliases.iter().map(|alias| format!("`{alias}`")).collect();
            let details = if command.details.is_empty() { String::new() } else { format!(" {}", command.details) };
            let _ = writeln!(
                text,
                "| `{}` | {short} | {}.{details} | {} |",
                usage(command),
                command.summary,
                also.join(", ")
            );
        }
    }
    text
}

fn usage(command: &Command) -> String {
    format!("fred-{} {}", command.name, command.syntax).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_the_overview() {
        let text = overview();
        for command in COMMANDS {
            assert!(text.contains(&format!("fred-{}", command.name)));
        }
        assert!(text.lines().all(|line| line.len() <= 120), "{text}");
    }

    #[test]
    fn a_page_by_any_name() {
        let page_of_watch = page("reverse-watch").unwrap();
        assert_eq!(page("fred-rw").unwrap(), page_of_watch);
        assert_eq!(page("last").unwrap(), page_of_watch);
        assert!(page("fred-nothing-like-it").unwrap_err().starts_with("there is no command fred-nothing-like-it"));
    }

    #[test]
    fn docs_are_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md");
        if std::env::var_os("FRED_UPDATE_DOCS").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == markdown(), "docs/commands.md is stale: run with FRED_UPDATE_DOCS=1");
    }
}
