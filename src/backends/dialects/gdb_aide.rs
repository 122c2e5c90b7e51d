//! Facts from gdb, over a second interface in its machine format (`new-ui mi2`). Until more is asked than where it has stopped, a
//! few lines of Python in gdb stand in for it (`gdb_hook.py`).

use std::path::Path;

use object::read::elf::Dyn as _;

use crate::backends::aide::{Aide, Answer, BreakpointFact, FrameFact, Question};
use crate::backends::mi::{self, Record, Tuple, Value};
use crate::history::entry::{Reason, Stop};

/// What stands in for the machine interface.
pub const HOOK: &str = include_str!("gdb_hook.py");

/// The command that loads what tells of stops. It leaves no names behind.
pub fn loading(helper: &Path, channel: &Path) -> String {
    let (helper, channel) = (helper.display(), channel.display());
    format!("python exec(compile(open(\"{helper}\").read(), \"fred\", \"exec\"), {{\"CHANNEL\": \"{channel}\"}})")
}

/// Whether a gdb has Python: whether its file needs Python's library.
pub fn has_python(program: &Path) -> bool {
    let Ok(file) = std::fs::File::open(program) else { return false };
    let cache = object::ReadCache::new(file);
    let needed = || -> Option<bool> {
        let file = object::read::elf::ElfFile64::<object::LittleEndian, _>::parse(&cache).ok()?;
        let (endian, sections) = (file.endian(), file.elf_section_table());
        let (entries, link) = sections.dynamic(endian, &cache).ok()??;
        let strings = sections.strings(endian, &cache, link).ok()?;
        let names = entries.iter().filter(|entry| entry.tag32(endian) == Some(object::elf::DT_NEEDED));
        let mut names = names.filter_map(|entry| strings.get(u32::try_from(entry.d_val.get(endian)).ok()?).ok());
        Some(names.any(|name| name.starts_with(b"libpython3")))
    };
    needed().unwrap_or(false)
}

/// gdb's machine interface.
#[derive(Debug, Default)]
pub struct GdbAide {
    /// Of the last question.
    token: u64,
    /// Whether something stands in for it at first.
    hooked: bool,
}

fn text<'t>(tuple: &'t Tuple, name: &str) -> Option<&'t str> {
    tuple.get(name).and_then(Value::text)
}

fn number<T: std::str::FromStr>(tuple: &Tuple, name: &str) -> Option<T> {
    text(tuple, name).and_then(|text| text.parse().ok())
}

fn address(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// The stop that a `*stopped` record tells.
pub fn stop_of(results: &Tuple) -> Stop {
    let reason = match text(results, "reason").unwrap_or("") {
        "breakpoint-hit" | "location-reached" | "solib-event" | "fork" | "vfork" | "exec" | "syscall-entry"
        | "syscall-return" => Reason::Breakpoint,
        reason if reason.contains("watchpoint") => Reason::Watchpoint,
        "signal-received" => match text(results, "signal-name") {
            Some("SIGINT" | "0") | None => Reason::Interrupt,
            Some(_) => Reason::Signal,
        },
        "exited" | "exited-normally" | "exited-signalled" => Reason::Exited,
        _ => Reason::Step,
    };
    let nothing = Tuple::new();
    let frame = results.get("frame").and_then(Value::tuple).unwrap_or(&nothing);
    let octal = |code: &str| i32::from_str_radix(code, 8).ok();
    Stop {
        reason,
        file: text(frame, "fullname").or_else(|| text(frame, "file")).map(str::to_owned),
        line: number(frame, "line"),
        function: text(frame, "func").map(str::to_owned),
        depth: None,
        thread: number(results, "thread-id"),
        exit_code: match text(results, "reason") {
            Some("exited-normally") => Some(0),
            _ => text(results, "exit-code").and_then(octal),
        },
        signal: text(results, "signal-name").filter(|name| *name != "0").map(str::to_owned),
    }
}

fn frame_of(frame: &Tuple) -> FrameFact {
    FrameFact {
        level: number(frame, "level").unwrap_or(0),
        pc: text(frame, "addr").and_then(address).unwrap_or(0),
        function: text(frame, "func").map(str::to_owned),
        file: text(frame, "fullname").or_else(|| text(frame, "file")).map(str::to_owned),
        line: number(frame, "line"),
    }
}

/// What gdb is to do at a breakpoint. Up to gdb 13 the lines are in a tuple without names.
fn commands_of(row: &Tuple) -> Vec<String> {
    let Some(script) = row.get("script") else { return Vec::new() };
    let lines = script.tuple().map_or(Some(script), |tuple| tuple.get(""));
    let lines = match lines {
        Some(Value::Text(one)) => return vec![one.clone()],
        Some(lines) => lines.list(),
        None => &[],
    };
    lines.iter().filter_map(Value::text).map(str::to_owned).collect()
}

fn breakpoints_of(body: &[Value]) -> Vec<BreakpointFact> {
    let mut found: Vec<BreakpointFact> = Vec::new();
    for row in body.iter().filter_map(Value::tuple) {
        let named = text(row, "number").unwrap_or("");
        let enabled = text(row, "enabled") == Some("y");
        let place = text(row, "addr").and_then(address);
        // gdb 10 to 12 put the locations behind their breakpoint, later machine formats inside it.
        if let Some((parent, _)) = named.split_once('.') {
            if let Some(parent) = found.iter_mut().find(|one| one.number == parent)
                && enabled
            {
                parent.addresses.extend(place);
            }
            continue;
        }
        let commands = commands_of(row);
        let within = row.get("locations").map_or(&[][..], Value::list).iter().filter_map(Value::tuple);
        let locations = within.filter(|one| text(one, "enabled") == Some("y"));
        found.push(BreakpointFact {
            number: named.to_owned(),
            plain: matches!(text(row, "type"), Some("breakpoint" | "hw breakpoint")),
            watches: text(row, "type").is_some_and(|kind| kind.contains("watchpoint")),
            enabled,
            addresses: place.into_iter().chain(locations.filter_map(|one| address(text(one, "addr")?))).collect(),
            conditional: row.contains_key("cond") || row.contains_key("thread"),
            condition: text(row, "cond").map(str::to_owned),
            ignored: number(row, "ignore").unwrap_or(0),
            once: matches!(text(row, "disp"), Some("del" | "dis")),
            goes_on: commands.last().is_some_and(|line| super::gdb::goes_on(line)),
            commands,
        });
    }
    found
}

impl GdbAide {
    /// That of a gdb in which the interface is there from the beginning, or something that stands in for it.
    pub fn new(hooked: bool) -> Self {
        GdbAide { token: 0, hooked }
    }

    fn result(&self, text: &str) -> Option<(String, Tuple)> {
        mi::records(text).find_map(|record| match record {
            Record::Result { token, class, results } if token == Some(self.token) => Some((class, results)),
            _ => None,
        })
    }
}

fn console_text(text: &str) -> String {
    mi::records(text)
        .filter_map(|record| match record {
            Record::Console(text) => Some(text),
            _ => None,
        })
        .collect()
}

impl Aide for GdbAide {
    fn write(&mut self, question: &Question) -> String {
        self.token += 1;
        let token = self.token;
        // The frame stays selected: what needs one selects it.
        let select = |frame: u32| format!("-stack-select-frame {frame}\n");
        match question {
            Question::Evaluate { expression, frame } => {
                format!("{}{token}-data-evaluate-expression {}", select(*frame), mi::quote(expression))
            }
            Question::Frames { most } => format!("{token}-stack-list-frames 0 {}", most.saturating_sub(1)),
            Question::Depth => format!("{token}-stack-info-depth"),
            Question::Selected => format!("{token}-stack-info-frame"),
            Question::Names { frame: 0 } => format!("{token}-stack-list-variables --no-values"),
            Question::Names { frame } => format!("{}{token}-stack-list-variables --no-values", select(*frame)),
            Question::Step => format!("{token}-exec-step"),
            Question::StepInstruction => format!("{token}-interpreter-exec console \"stepi\""),
            Question::Finish => format!("{}{token}-exec-finish", select(0)),
            Question::Continue => format!("{token}-exec-continue"),
            Question::Breakpoints => format!("{token}-break-list"),
            Question::Program => format!("{token}-list-thread-groups"),
            Question::Prompt => format!("{token}-gdb-show prompt"),
            Question::DebugFolders => format!("{token}-gdb-show debug-file-directory"),
            Question::Locking => format!("{token}-gdb-show scheduler-locking"),
            Question::Complete(line) => format!("{token}-complete {}", mi::quote(line)),
            Question::Tell(line) => format!("{token}-interpreter-exec console {}", mi::quote(line)),
            Question::Commands { number, lines } => {
                let lines: String = lines.iter().map(|line| format!(" {}", mi::quote(line))).collect();
                format!("{token}-break-commands {number}{lines}")
            }
            // Stops are told as they happen.
            Question::Fresh => format!("{token}-thread-info"),
        }
    }

    fn answer(&self, question: &Question, told: &str) -> Option<Answer> {
        let (class, results) = self.result(told)?;
        if class == "error" {
            return Some(Answer::Refused(text(&results, "msg").unwrap_or("").to_owned()));
        }
        let frames = |name: &str| -> Vec<FrameFact> {
            results.get(name).map_or(&[][..], Value::list).iter().filter_map(Value::tuple).map(frame_of).collect()
        };
        Some(match question {
            Question::Evaluate { .. } | Question::Prompt | Question::DebugFolders | Question::Locking => {
                Answer::Text(text(&results, "value").unwrap_or("").to_owned())
            }
            Question::Tell(_) | Question::Commands { .. } => Answer::Text(console_text(told)),
            Question::Frames { .. } => Answer::Frames(frames("stack")),
            Question::Selected => {
                Answer::Frames(results.get("frame").and_then(Value::tuple).map(frame_of).into_iter().collect())
            }
            Question::Depth => Answer::Number(number(&results, "depth")?),
            Question::Names { .. } => {
                let names = results.get("variables").map_or(&[][..], Value::list).iter().filter_map(Value::tuple);
                Answer::Names(names.filter_map(|name| text(name, "name")).map(str::to_owned).collect())
            }
            Question::Complete(line) => {
                let kept = line.rfind(|c: char| c.is_whitespace()).map_or(0, |at| at + 1);
                let matches = results.get("matches").map_or(&[][..], Value::list).iter().filter_map(Value::text);
                Answer::Names(matches.filter_map(|whole| whole.get(kept..)).map(str::to_owned).collect())
            }
            Question::Breakpoints => {
                let table = results.get("BreakpointTable").and_then(Value::tuple);
                let body = table.and_then(|table| table.get("body")).map_or(&[][..], Value::list);
                Answer::Breakpoints(breakpoints_of(body))
            }
            Question::Program => {
                let groups = results.get("groups").map_or(&[][..], Value::list);
                let group = groups.first().and_then(Value::tuple);
                Answer::Program {
                    executable: group.and_then(|group| text(group, "executable")).map(str::to_owned),
                    process: group.and_then(|group| number(group, "pid")),
                }
            }
            Question::Fresh => Answer::Went { stop: self.stop(told), shown: String::new() },
            Question::Step | Question::StepInstruction | Question::Finish | Question::Continue => {
                let (stop, text) = (self.stop(told)?, console_text(told));
                // Which it says where it is told of no reason: the user's command has one.
                let shown = text.strip_prefix("\nProgram stopped.\n").map_or(text.clone(), str::to_owned);
                Answer::Went { stop: Some(stop), shown }
            }
        })
    }

    fn is_there(&self, text: &str) -> bool {
        !self.hooked || text.contains("=fred-ready")
    }

    fn do_without(&mut self) -> bool {
        std::mem::take(&mut self.hooked)
    }

    fn opening(&self, channel: &Path) -> String {
        if self.hooked {
            "server python __import__('fred_hook').open()".to_owned()
        } else {
            format!("server new-ui mi2 {}", channel.display())
        }
    }

    fn closing(&self) -> Option<String> {
        self.hooked.then(|| "server python __import__('fred_hook').close()".to_owned())
    }

    fn at_prompt(&mut self, question: &Question) -> Option<String> {
        if !self.hooked {
            return None;
        }
        let call = match question {
            Question::Program => format!("program({})", self.token + 1),
            Question::Tell(line) => format!("tell({}, {})", self.token + 1, mi::quote(line)),
            _ => return None,
        };
        self.token += 1;
        Some(format!("server python __import__('fred_hook').{call}"))
    }

    fn stop(&self, text: &str) -> Option<Stop> {
        mi::records(text)
            .filter_map(|record| match record {
                Record::Async { kind: '*', class, results } if class == "stopped" => Some(stop_of(&results)),
                _ => None,
            })
            .last()
    }

    fn moved(&self, text: &str) -> bool {
        mi::records(text).any(|record| matches!(record, Record::Async { kind: '*', class, .. } if class == "running"))
    }

    fn quiet(&self) -> Vec<Question> {
        let lines = [
            "set confirm off",
            "set pagination off",
            "disable",
            "delete display",
            "set print elements 2000",
            "handle SIGINT stop print nopass",
            // Nobody reads the value; gdb 13 ends by an assertion where its type is one of Rust's that it does not understand.
            "set print finish off",
            // A program in Rust has frames with lines outside of its main, to which it must be possible to step out.
            "set backtrace past-main on",
        ];
        lines.into_iter().map(|line| Question::Tell(line.to_owned())).collect()
    }

    fn judging(&self, breakpoints: &[BreakpointFact]) -> Vec<Question> {
        let mut questions = Vec::new();
        for one in breakpoints {
            let number = &one.number;
            if !one.commands.is_empty() {
                questions.push(Question::Commands { number: number.clone(), lines: Vec::new() });
            }
            if one.ignored > 0 && one.plain {
                questions.push(self.ignore(number, 0));
            }
            let replaced = one.once && !one.addresses.is_empty();
            if one.goes_on || replaced {
                questions.push(Question::Tell(format!("disable {number}")));
            }
            // What becomes of a breakpoint when it has stopped cannot be taken from it.
            for address in one.addresses.iter().filter(|_| replaced && !one.goes_on) {
                let condition = one.condition.as_ref().map(|text| format!(" if {text}")).unwrap_or_default();
                questions.push(Question::Tell(format!("break *{address:#x}{condition}")));
            }
        }
        questions
    }

    fn forget(&self, breakpoint: &BreakpointFact) -> Vec<Question> {
        breakpoint.addresses.iter().map(|address| Question::Tell(format!("clear *{address:#x}"))).collect()
    }

    fn ignore(&self, number: &str, hits: u64) -> Question {
        Question::Tell(format!("ignore {number} {hits}"))
    }

    fn name_program(&self, executable: &str) -> Option<Question> {
        Some(Question::Tell(format!("set remote exec-file {executable}")))
    }

    fn ask_arguments(&self) -> Option<Question> {
        Some(Question::Tell("show args".to_owned()))
    }

    fn arguments(&self, text: &str) -> Option<String> {
        // Argument list to give program being debugged when it is started is "...".
        let (start, end) = (text.find(" is \"")? + 5, text.rfind("\".")?);
        text.get(start..end).map(str::to_owned)
    }

    fn find_thread(&self, id: i32) -> Option<Question> {
        // Its target ids end in it: "Thread 17.19".
        Some(Question::Tell(format!("thread find [.]{id}$")))
    }

    fn found_thread(&self, _id: i32, text: &str) -> Option<u32> {
        // Thread 2 has target id 'Thread 17.19'
        let line = text.lines().find(|line| line.contains(" has target id "))?;
        line.strip_prefix("Thread ")?.split_whitespace().next()?.parse().ok()
    }

    fn selected_thread(&self) -> Option<Question> {
        Some(Question::Tell("thread".to_owned()))
    }

    fn thread_id(&self, text: &str) -> Option<i32> {
        // [Current thread is 2 (Thread 17.19)], or (Thread 17.19 "name")]
        let (_, id) = text.split_once("(Thread ")?.1.split_once('.')?;
        id.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }

    fn lock(&self, how: Option<&str>) -> Option<Question> {
        Some(Question::Tell(format!("set scheduler-locking {}", how.unwrap_or("off"))))
    }

    fn select_thread(&self, number: u32) -> Question {
        Question::Tell(format!("thread {number}"))
    }

    fn switch_breakpoints(&self, numbers: &[String], on: bool) -> Vec<Question> {
        if numbers.is_empty() {
            return Vec::new();
        }
        vec![Question::Tell(format!("{} {}", if on { "enable" } else { "disable" }, numbers.join(" ")))]
    }

    fn show_place(&self) -> Question {
        Question::Tell("backtrace 1".to_owned())
    }

    fn look_again(&self) -> Vec<Question> {
        vec![Question::Tell("sharedlibrary".to_owned())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_movement_is_answered_when_it_has_stopped() {
        let mut aide = GdbAide::default();
        assert_eq!(aide.write(&Question::Step), "1-exec-step");
        assert_eq!(aide.answer(&Question::Step, "1^running\n*running,thread-id=\"all\"\n(gdb) \n"), None);
        let text = "1^running\n~\"6\\t  x;\\n\"\n*stopped,reason=\"end-stepping-range\",frame={func=\"f\",line=\"6\",fullname=\"/t.c\"},thread-id=\"1\"\n";
        let Some(Answer::Went { stop: Some(stop), shown }) = aide.answer(&Question::Step, text) else { panic!() };
        assert_eq!((stop.line, stop.reason, shown.as_str()), (Some(6), Reason::Step, "6\t  x;\n"));
    }

    #[test]
    fn threads_have_numbers_of_their_own() {
        let aide = GdbAide::default();
        assert_eq!(aide.found_thread(19, "Thread 12 has target id 'Thread 17.19'\n"), Some(12));
        assert_eq!(aide.found_thread(19, "No threads match '[.]19$'\n"), None);
    }

    #[test]
    fn exit_codes_are_octal() {
        let aide = GdbAide::default();
        let stop = aide.stop("*stopped,reason=\"exited\",exit-code=\"017\"\n").unwrap();
        assert_eq!((stop.reason, stop.exit_code), (Reason::Exited, Some(15)));
    }

    #[test]
    fn locations_belong_to_their_breakpoint() {
        let mut aide = GdbAide::default();
        aide.write(&Question::Breakpoints);
        let text = r#"1^done,BreakpointTable={body=[bkpt={number="1",type="breakpoint",disp="keep",enabled="y",addr="<MULTIPLE>",times="1"},{number="1.1",enabled="y",addr="0x10"},{number="1.2",enabled="n",addr="0x20"},bkpt={number="2",type="hw watchpoint",disp="keep",enabled="y",what="x",cond="x > 1"}]}"#;
        let Some(Answer::Breakpoints(list)) = aide.answer(&Question::Breakpoints, text) else { panic!() };
        assert_eq!((list[0].addresses.as_slice(), list[0].plain), (&[0x10][..], true));
        assert!(!list[1].plain && list[1].conditional);
    }
}
