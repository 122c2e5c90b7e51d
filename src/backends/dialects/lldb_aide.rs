//! Facts from lldb, over a terminal on which a helper of ours inside it reads questions (`lldb_helper.py`): JSON, a line each.

use serde::Deserialize;
use serde_json::json;

use crate::backends::aide::{Aide, Answer, BreakpointFact, FrameFact, Question};
use crate::history::entry::{Effect, Reason, Stop};

/// The helper.
pub const HELPER: &str = include_str!("lldb_helper.py");

/// lldb's side of the conversation.
#[derive(Debug, Default)]
pub struct LldbAide {
    /// Of the last question.
    id: u64,
}

/// A place, as the helper tells it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Place {
    level: u32,
    pc: u64,
    function: Option<String>,
    file: Option<String>,
    line: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Told {
    reason: Reason,
    #[serde(flatten)]
    place: Place,
    thread: Option<u32>,
    exit_code: Option<i32>,
    signal: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Break {
    number: String,
    plain: bool,
    enabled: bool,
    addresses: Vec<u64>,
    conditional: bool,
    condition: Option<String>,
    ignored: u64,
    once: bool,
    commands: Vec<String>,
    goes_on: bool,
}

/// An answer; what it has depends on the question.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    id: u64,
    ready: bool,
    moved: bool,
    stop: Option<Told>,
    shown: String,
    text: Option<String>,
    number: Option<u32>,
    names: Option<Vec<String>>,
    frames: Option<Vec<Place>>,
    breakpoints: Option<Vec<Break>>,
    executable: Option<String>,
    process: Option<i32>,
    refused: Option<String>,
}

fn lines(text: &str) -> impl Iterator<Item = Line> + '_ {
    text.lines().filter_map(|line| serde_json::from_str(line).ok())
}

impl From<Told> for Stop {
    fn from(told: Told) -> Stop {
        Stop {
            reason: told.reason,
            file: told.place.file,
            line: told.place.line,
            function: told.place.function,
            depth: None,
            thread: told.thread,
            exit_code: told.exit_code,
            signal: told.signal,
        }
    }
}

impl From<Place> for FrameFact {
    fn from(place: Place) -> FrameFact {
        FrameFact { level: place.level, pc: place.pc, function: place.function, file: place.file, line: place.line }
    }
}

impl From<Break> for BreakpointFact {
    fn from(one: Break) -> BreakpointFact {
        BreakpointFact {
            number: one.number,
            plain: one.plain,
            watches: !one.plain,
            enabled: one.enabled,
            addresses: one.addresses,
            conditional: one.conditional,
            condition: one.condition,
            ignored: one.ignored,
            once: one.once,
            goes_on: one.goes_on
                || one.commands.last().is_some_and(|line| super::lldb::effect_of(line) == Effect::Moves),
            commands: one.commands,
        }
    }
}

/// Number and id of the thread that a line tells of: `* thread #2: tid = 19, 0x000055555555519d`, or `tid = 0x13`.
fn thread_of(line: &str) -> Option<(u32, i32)> {
    let (number, rest) = line.split_once("thread #")?.1.split_once(": tid = ")?;
    let id = rest.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    let id = match id.strip_prefix("0x") {
        Some(hexadecimal) => i32::from_str_radix(hexadecimal, 16).ok()?,
        None => id.parse().ok()?,
    };
    Some((number.parse().ok()?, id))
}

impl Aide for LldbAide {
    fn write(&mut self, question: &Question) -> String {
        self.id += 1;
        let mut object = match question {
            Question::Evaluate { expression, frame } => {
                json!({"do": "evaluate", "expression": expression, "frame": frame})
            }
            Question::Frames { most } => json!({"do": "frames", "most": most}),
            Question::Depth => json!({"do": "depth"}),
            Question::Selected => json!({"do": "selected"}),
            Question::Names { frame } => json!({"do": "names", "frame": frame}),
            Question::Step => json!({"do": "step"}),
            Question::StepInstruction => json!({"do": "step_instruction"}),
            Question::Finish => json!({"do": "finish"}),
            Question::Continue => json!({"do": "continue"}),
            Question::Breakpoints => json!({"do": "breakpoints"}),
            Question::Program => json!({"do": "program"}),
            Question::Prompt => json!({"do": "prompt"}),
            Question::DebugFolders => json!({"do": "debug_folders"}),
            Question::Locking => json!({"do": "locking"}),
            Question::Complete(line) => json!({"do": "complete", "line": line}),
            Question::Tell(line) => json!({"do": "tell", "line": line}),
            // Of these only that they are taken away is wanted.
            Question::Commands { number, .. } => {
                json!({"do": "tell", "line": format!("breakpoint command delete {number}")})
            }
            Question::Fresh => json!({"do": "fresh"}),
        };
        object["id"] = json!(self.id);
        object.to_string()
    }

    fn answer(&self, question: &Question, text: &str) -> Option<Answer> {
        let line = lines(text).find(|line| line.id == self.id)?;
        if let Some(why) = line.refused {
            return Some(Answer::Refused(why));
        }
        let lacking = || Answer::Refused("the helper in lldb does not say".to_owned());
        let answer = match question {
            Question::Evaluate { .. }
            | Question::Prompt
            | Question::DebugFolders
            | Question::Locking
            | Question::Tell(_)
            | Question::Commands { .. } => line.text.map(Answer::Text),
            Question::Frames { .. } | Question::Selected => {
                line.frames.map(|frames| Answer::Frames(frames.into_iter().map(FrameFact::from).collect()))
            }
            Question::Depth => line.number.map(Answer::Number),
            Question::Names { .. } | Question::Complete(_) => line.names.map(Answer::Names),
            Question::Breakpoints => {
                line.breakpoints.map(|list| Answer::Breakpoints(list.into_iter().map(BreakpointFact::from).collect()))
            }
            Question::Program => Some(Answer::Program { executable: line.executable, process: line.process }),
            Question::Step | Question::StepInstruction | Question::Finish | Question::Continue | Question::Fresh => {
                Some(Answer::Went { stop: line.stop.map(Stop::from), shown: line.shown })
            }
        };
        Some(answer.unwrap_or_else(lacking))
    }

    fn stop(&self, text: &str) -> Option<Stop> {
        lines(text).filter_map(|line| line.stop).map(Stop::from).last()
    }

    fn moved(&self, text: &str) -> bool {
        lines(text).any(|line| line.moved)
    }

    fn is_there(&self, text: &str) -> bool {
        lines(text).any(|line| line.ready)
    }

    fn listens_apart(&self) -> bool {
        true
    }

    fn stops_after_return(&self) -> bool {
        true
    }

    fn after_line(&self) -> Option<Question> {
        Some(Question::Fresh)
    }

    fn quiet(&self) -> Vec<Question> {
        let lines = [
            "settings set auto-confirm true",
            "breakpoint disable",
            "watchpoint disable",
            "target stop-hook disable",
            "process handle SIGINT --stop true --notify true --pass false",
        ];
        lines.into_iter().map(|line| Question::Tell(line.to_owned())).collect()
    }

    fn judging(&self, breakpoints: &[BreakpointFact]) -> Vec<Question> {
        let mut questions = Vec::new();
        for one in breakpoints.iter().filter(|one| one.plain) {
            let number = &one.number;
            if !one.commands.is_empty() {
                questions.push(Question::Commands { number: number.clone(), lines: Vec::new() });
            }
            if one.goes_on {
                questions.push(Question::Tell(format!("breakpoint disable {number}")));
            } else if one.ignored > 0 || one.once {
                questions.push(Question::Tell(format!("breakpoint modify -i 0 -o false {number}")));
            }
        }
        questions
    }

    fn forget(&self, breakpoint: &BreakpointFact) -> Vec<Question> {
        vec![Question::Tell(format!("breakpoint disable {}", breakpoint.number))]
    }

    fn ignore(&self, number: &str, hits: u64) -> Question {
        Question::Tell(format!("breakpoint modify -i {hits} {number}"))
    }

    fn hits_by_landing(&self) -> bool {
        false
    }

    fn delete_breakpoint(&self, number: &str) -> Question {
        Question::Tell(format!("breakpoint delete {number}"))
    }

    fn name_program(&self, _: &str) -> Option<Question> {
        None
    }

    fn find_thread(&self, _id: i32) -> Option<Question> {
        Some(Question::Tell("thread list".to_owned()))
    }

    fn found_thread(&self, id: i32, text: &str) -> Option<u32> {
        // * thread #2: tid = 19, 0x000055555555519d program`work(...
        text.lines().filter_map(thread_of).find(|(_, known)| *known == id).map(|(number, _)| number)
    }

    fn selected_thread(&self) -> Option<Question> {
        Some(Question::Tell("thread info".to_owned()))
    }

    fn thread_id(&self, text: &str) -> Option<i32> {
        text.lines().find_map(thread_of).map(|(_, id)| id)
    }

    fn select_thread(&self, number: u32) -> Question {
        Question::Tell(format!("thread select {number}"))
    }

    fn switch_breakpoints(&self, numbers: &[String], on: bool) -> Vec<Question> {
        let switch = if on { "enable" } else { "disable" };
        let (watchpoints, breakpoints): (Vec<&str>, Vec<&str>) =
            numbers.iter().map(String::as_str).partition(|number| number.starts_with('w'));
        let watchpoints: Vec<&str> = watchpoints.iter().map(|number| &number[1..]).collect();
        let lines = [("breakpoint", breakpoints), ("watchpoint", watchpoints)];
        let lines = lines.into_iter().filter(|(_, numbers)| !numbers.is_empty());
        lines.map(|(what, numbers)| Question::Tell(format!("{what} {switch} {}", numbers.join(" ")))).collect()
    }

    fn remembers(&self, held: &[String]) -> Option<&'static str> {
        held.iter().any(|number| number.starts_with('w')).then_some(
            "lldb compares a watched value with the last one that it has seen, in going back, too: from lldb 17 on it does not stop at the \
             next change if that is to the value where you came from; a watchpoint that is set anew does",
        )
    }

    fn show_place(&self) -> Question {
        Question::Tell("process status".to_owned())
    }

    fn look_again(&self) -> Vec<Question> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_listed() {
        let aide = LldbAide::default();
        let text =
            "Process 17 stopped\n  thread #1: tid = 17, 0x1 libc`x, name = 'p'\n* thread #2: tid = 0x13, 0x2 p`work\n";
        assert_eq!(
            (aide.found_thread(19, text), aide.found_thread(17, text), aide.found_thread(1, text)),
            (Some(2), Some(1), None)
        );
    }

    #[test]
    fn an_answer_belongs_to_its_question() {
        let mut aide = LldbAide::default();
        assert_eq!(aide.write(&Question::Depth), r#"{"do":"depth","id":1}"#);
        aide.write(&Question::Depth);
        let text = "{\"ready\": true}\n{\"id\": 1, \"number\": 7}\nnoise\n";
        assert_eq!(aide.answer(&Question::Depth, text), None);
        let text = format!("{text}{{\"id\": 2, \"number\": 3}}\n");
        assert_eq!(aide.answer(&Question::Depth, &text), Some(Answer::Number(3)));
        assert!(aide.is_there(&text) && !aide.moved(&text));
    }

    #[test]
    fn stops_are_read_with_their_place() {
        let text = r#"{"id": 4, "moved": true, "stop": {"reason": "breakpoint", "thread": 1, "level": 0, "pc": 4444, "function": "f", "file": "/t.c", "line": 6}}"#;
        let stop = LldbAide::default().stop(text).unwrap();
        assert_eq!((stop.reason, stop.line, stop.thread), (Reason::Breakpoint, Some(6), Some(1)));
        let stop =
            LldbAide::default().stop(r#"{"id": 4, "moved": true, "stop": {"reason": "exited", "exit_code": 3}}"#);
        assert_eq!(stop.unwrap().exit_code, Some(3));
    }
}
