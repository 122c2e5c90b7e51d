//! What `fred bisect` has found, for people. Reads the source file for the lines around the statement.

use std::fmt::Write;

use super::Verdict;

/// Lines of source on each side of the statement.
const AROUND: u32 = 5;

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Its file.
    pub file: String,
    /// Its line, from 1.
    pub line: u32,
    /// Its function.
    pub function: Option<String>,
}

/// All that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What was watched.
    pub expression: String,
    /// Its value before the statement.
    pub before: String,
    /// Its value after it.
    pub after: String,
    /// The statement, if the engine names one.
    pub cause: Option<Cause>,
    /// The place as the debugger shows a stop.
    pub place: String,
    /// Frames at the statement.
    pub backtrace: String,
    /// Frames at the bad point.
    pub bad_backtrace: String,
    /// What a person types to get there.
    pub commands: Vec<String>,
}

impl Case {
    fn finding(&self) -> String {
        let by = match &self.cause {
            Some(cause) => {
                let file = cause.file.rsplit('/').next().unwrap_or(&cause.file);
                let function = cause.function.as_ref().map(|name| format!(" in {name}")).unwrap_or_default();
                format!(" by executing {file}:{}{function}", cause.line)
            }
            None => String::new(),
        };
        format!("{} was {}, becomes {}{by}", self.expression, self.before, self.after)
    }
}

/// The text on the terminal.
pub fn summary(verdict: &Verdict, argv: &[String]) -> String {
    match verdict {
        Verdict::Found(case) => {
            let mut text = format!("fred: {}\n", case.finding());
            if let Some(cause) = &case.cause {
                text.push_str(&source(cause));
            }
            let _ = writeln!(text, "fred: to go there: {}", invocation(case, argv));
            text
        }
        Verdict::Unchanged(why) => format!("fred: nothing to find: {why}\n"),
        Verdict::NotReached(why) => format!("fred: the bad point was not reached: {why}\n"),
        Verdict::Undecided(why) => format!("fred: could not be decided: {why}\n"),
    }
}

/// The text of a `.md` report.
pub fn markdown(case: &Case, argv: &[String]) -> String {
    let mut text = format!("# {}\n", code(&case.expression));
    let _ = writeln!(text, "\n{}", case.finding());
    let _ = writeln!(text, "\n| before | after |\n| --- | --- |\n| {} | {} |", cell(&case.before), cell(&case.after));
    if let Some(cause) = &case.cause {
        let _ = writeln!(text, "\n## The statement\n\n{}:{}", code(&cause.file), cause.line);
        let source = source(cause);
        if !source.is_empty() {
            let _ = writeln!(text, "\n{}", block(&source));
        }
    }
    for (title, frames) in
        [("Backtrace at the statement", &case.backtrace), ("Backtrace at the bad point", &case.bad_backtrace)]
    {
        if !frames.trim().is_empty() {
            let _ = writeln!(text, "\n## {title}\n\n{}", block(frames));
        }
    }
    let _ = writeln!(text, "\n## To go there\n\n{}", block(&invocation(case, argv)));
    let _ =
        writeln!(text, "\nor, at the prompt of `fred -- {}`:\n\n{}", argv.join(" "), block(&case.commands.join("\n")));
    text
}

fn invocation(case: &Case, argv: &[String]) -> String {
    let mut words = vec!["fred".to_owned()];
    for command in &case.commands {
        words.extend(["-e".into(), quote(command)]);
    }
    words.push("--".into());
    words.extend(argv.iter().map(|word| quote(word)));
    words.join(" ")
}

/// As a shell wants it.
fn quote(word: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_./=:@%+,".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// The lines around the statement, which is marked; nothing if the file cannot be read.
fn source(cause: &Cause) -> String {
    let Ok(bytes) = std::fs::read(&cause.file) else {
        return String::new();
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut out = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        if number + AROUND >= cause.line && number <= cause.line.saturating_add(AROUND) {
            let mark = if number == cause.line { "->" } else { "  " };
            let _ = writeln!(out, "{}", format!("{mark} {number:>5}  {line}").trim_end());
        }
    }
    out
}

/// A fence longer than any inside.
fn block(text: &str) -> String {
    let mut fence = "```".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    format!("{fence}\n{}\n{fence}", text.trim_end())
}

fn code(text: &str) -> String {
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}

fn cell(text: &str) -> String {
    code(&text.replace('|', "\\|").replace('\n', " "))
}
