//! The reverse watchpoint of a served session.

use regex::Regex;
use serde_json::json;

use super::machine::{Native, Watched};
use super::moves::{Field, Found};
use crate::backends::aide::{Answer, Question};
use crate::engine::core::Engine;
use crate::engine::{Console, Failure, Report};
use crate::search::native::{self, Machine, Until};
use crate::search::probe::Value;

impl Engine {
    /// `fred-reverse-watch EXPR`
    pub(in crate::engine) fn native_watch(
        &mut self,
        expression: &str,
        console: &mut dyn Console,
    ) -> Result<Report, Failure> {
        let line = format!("fred-reverse-watch {expression}");
        let prepare = |search: &mut Native<'_>| search.scope_of(expression);
        self.native_search(&line, console, prepare, |search, scope, field| search.watch_back(field, expression, scope))
    }
}

impl Native<'_> {
    /// The function in whose frame, which the user has selected, an expression means something.
    fn scope_of(&mut self, expression: &str) -> Result<Option<String>, Failure> {
        if !self.engine.served.as_ref().is_some_and(|served| served.alive) {
            return Ok(None);
        }
        let (frame, function) = self.selected()?;
        Ok(if self.is_local(expression, frame)? { function } else { None })
    }

    fn watch_back(&mut self, field: &Field, expression: &str, scope: Option<String>) -> Result<Found, Failure> {
        let thread = match scope {
            Some(_) => self.engine.selected_thread(&mut *self.console)?,
            None => None,
        };
        self.watched = Some(Watched { expression: expression.to_owned(), scope, thread });
        self.be_quiet()?;
        let ground = field.ground();
        let now = match &ground.present {
            Until::State(present) => {
                self.stand(present)?;
                self.value()?
            }
            // Nothing can be asked of a program that has ended: right before.
            Until::End => {
                return Err(self.engine.failure(format!(
                    "cannot evaluate {expression}: the program has ended; fred-reverse-step goes to its last statement first"
                )));
            }
        };
        if let Value::Unknown(why) = &now {
            return Err(self.engine.failure(format!("cannot evaluate {expression} here: {why}")));
        }
        let change = match native::watch(self, &ground, &now)? {
            native::Watched::Found(change) => change,
            native::Watched::NeverDiffers(value) => {
                return Err(self.engine.failure(format!(
                    "{expression} has been {} since the start of the history, at every place that was looked at: there is no statement to \
                     go back to (a value that went away and came back is found from where it differed)",
                    text_of(&value)
                )));
            }
        };
        let (before, after) = (text_of(&change.before), text_of(&change.after));
        let mut changed_by = serde_json::Value::Null;
        let mut command = serde_json::Value::Null;
        let by = if change.by_command {
            let line = field.command_after(self.engine, change.landing.anchor);
            command = json!(line);
            format!("by the command `{line}`")
        } else {
            self.stand(&change.landing.state)?;
            match self.ask(&Question::Frames { most: 1 })?.0 {
                Answer::Frames(frames) if frames.first().is_some_and(|frame| frame.line.is_some()) => {
                    let frame = &frames[0];
                    let (file, line) = (frame.file.clone().unwrap_or_default(), frame.line.unwrap_or(0));
                    let function = frame.function.clone().unwrap_or_default();
                    changed_by = json!({"file": file, "line": line, "function": function});
                    let name = std::path::Path::new(&file).file_name().map(|name| name.to_string_lossy().into_owned());
                    format!("by executing {}:{line} in {function}", name.unwrap_or(file))
                }
                _ => "by code without line information".to_owned(),
            }
        };
        let note = format!("{expression} was {before}, becomes {after} {by}");
        let result = json!({
            "expression": expression, "before": before, "after": after, "changed_by": changed_by, "command": command,
        });
        let destination = self.destination(field, &change.landing);
        Ok(Found { notes: vec![note], result: Some(result), ..Found::at(destination) })
    }

    /// The frame that the user has selected: its level and its function.
    fn selected(&mut self) -> Result<(u32, Option<String>), Failure> {
        match self.ask(&Question::Selected)?.0 {
            Answer::Frames(frames) => {
                Ok(frames.first().map_or((0, None), |frame| (frame.level, frame.function.clone())))
            }
            Answer::Refused(why) => Err(self.engine.failure(why)),
            _ => Ok((0, None)),
        }
    }

    /// Whether an expression names a variable of the function in whose frame it was asked, so that it means nothing elsewhere.
    fn is_local(&mut self, expression: &str, frame: u32) -> Result<bool, Failure> {
        let names = match self.ask(&Question::Names { frame })?.0 {
            Answer::Names(names) => names,
            _ => return Ok(true),
        };
        let words = words_of(expression);
        if words.iter().any(|word| names.contains(word)) {
            return Ok(true);
        }
        if !names.iter().any(|name| name == "this") {
            return Ok(false);
        }
        // Members can be named without `this`.
        for word in words {
            let member = Question::Evaluate { expression: format!("this->{word}"), frame };
            if matches!(self.ask(&member)?.0, Answer::Text(_)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Names in an expression that are not members of something.
fn words_of(expression: &str) -> Vec<String> {
    let Ok(pattern) = Regex::new(r#""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|(?:\.|->|::)?\s*\$?[A-Za-z_]\w*|\d\w*"#) else {
        return Vec::new();
    };
    let words = pattern.find_iter(expression).map(|found| found.as_str().trim_start());
    words
        .filter(|word| word.starts_with(|first: char| first.is_alphabetic() || first == '_'))
        .map(str::to_owned)
        .collect()
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Known { text, .. } => text.clone(),
        Value::Unknown(why) => format!("not to be evaluated ({why})"),
    }
}

#[cfg(test)]
mod tests {
    use super::words_of;

    #[test]
    fn members_strings_and_numbers_are_no_names() {
        assert_eq!(words_of("list_len(head) < 10"), ["list_len", "head"]);
        assert_eq!(words_of("a->next.b + 'c' + \"d e\" + 0x1f + $rax + std::max(f, g)"), ["a", "std", "f", "g"]);
    }
}
