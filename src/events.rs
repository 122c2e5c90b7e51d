//! The event stream of `--json`: one object a line, flushed at once.

use std::io::Write;

use serde::Serialize;
use serde_json::Value;

use crate::engine::{CheckpointTaken, Cost, LineReport, Waiting};
use crate::history::entry::{Effect, Stop};

/// Name and number of the schema. Fields may be added within a number; none is renamed or removed.
pub const SCHEMA: &str = "fred/1";

/// An object of the stream.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event<'a> {
    /// The first one.
    Session {
        /// [`SCHEMA`].
        schema: &'static str,
        /// Of fred.
        version: &'static str,
        /// Name of the debugger's dialect.
        dialect: &'a str,
        /// The debugger's command line.
        argv: &'a [String],
        /// What the debugger printed before its first prompt.
        output: &'a str,
        /// The first stop, if the debugger starts at one.
        stop: Option<&'a Stop>,
    },
    /// A line for the debugger.
    Command {
        /// History number.
        index: u32,
        /// As typed.
        line: &'a str,
        /// What it did.
        effect: Effect,
        /// Who wanted it.
        origin: Origin,
        /// What was printed.
        output: &'a str,
        /// Where it stopped, if it moved.
        stop: Option<&'a Stop>,
        /// Wall time in milliseconds.
        elapsed_ms: f64,
    },
    /// A fred command.
    Fred {
        /// Name without `fred-`.
        command: &'a str,
        /// As typed; null if there was none.
        argument: Option<&'a str>,
        /// Whether it did all that it was asked.
        ok: bool,
        /// Why not.
        error: Option<&'a str>,
        /// Where it went, if it moved.
        stop: Option<&'a Stop>,
        /// The command's own result.
        result: Option<&'a Value>,
        /// What it took.
        cost: Cost,
    },
    /// A checkpoint was taken.
    Checkpoint(&'a CheckpointTaken),
    /// A replay did not go as it was recorded.
    Diverged {
        /// Number of the recorded event.
        at: u64,
        /// What was recorded.
        expected: &'a str,
        /// What came instead.
        got: &'a str,
    },
    /// All threads of the program wait for each other.
    Deadlock {
        /// Which thread waits where.
        threads: &'a [Waiting],
    },
    /// What the program does is recorded no more.
    Unrecorded {
        /// History number behind which that is.
        index: u32,
        /// What cannot be recorded.
        reason: &'a str,
    },
    /// The last one.
    End {
        /// fred's exit status.
        status: u8,
    },
}

/// Who wanted a line to be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The user: typed, or in a script.
    User,
    /// fred itself, for a command that needs it.
    Fred,
}

/// The stream. Objects that come before the session object wait for it; the end object comes last, whatever happens.
#[derive(Default)]
pub struct Events {
    sink: Option<Box<dyn Write>>,
    waiting: Vec<String>,
    begun: bool,
}

impl Events {
    /// A stream that writes there.
    pub fn to(sink: Box<dyn Write>) -> Self {
        Self { sink: Some(sink), waiting: Vec::new(), begun: false }
    }

    /// No stream.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether there is one.
    pub fn wanted(&self) -> bool {
        self.sink.is_some()
    }

    /// The session object; `report` is what the debugger showed before its first prompt.
    pub fn session(&mut self, dialect: &str, argv: &[String], report: &LineReport) {
        self.begun = true;
        let waiting = std::mem::take(&mut self.waiting);
        self.send(&Event::Session {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            dialect,
            argv,
            output: &report.output,
            stop: report.stop.as_ref(),
        });
        for line in waiting {
            self.write(&line);
        }
    }

    /// Any other object but the end.
    pub fn send(&mut self, event: &Event<'_>) {
        if self.sink.is_none() {
            return;
        }
        match serde_json::to_string(event) {
            Ok(line) if self.begun => self.write(&line),
            Ok(line) => self.waiting.push(line),
            Err(error) => tracing::error!(%error, "event"),
        }
    }

    /// The end object; nothing is written after it. Without a session object there is no end either.
    pub fn end(&mut self, status: u8) {
        if self.begun {
            self.send(&Event::End { status });
        }
        self.sink = None;
        self.begun = false;
    }

    fn write(&mut self, line: &str) {
        if let Some(sink) = &mut self.sink
            && let Err(error) = writeln!(sink, "{line}").and_then(|()| sink.flush())
        {
            tracing::error!(%error, "event stream");
        }
    }
}

impl Drop for Events {
    /// Reached with the stream open only when fred itself fails.
    fn drop(&mut self) {
        self.end(crate::status::FRED_FAILED);
    }
}

/// Milliseconds with three decimals.
pub fn milliseconds(elapsed: std::time::Duration) -> f64 {
    (elapsed.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::history::entry::Reason;
    use crate::mock::Shared;

    #[test]
    fn golden_stream() {
        let out = Shared::default();
        let stop = Stop {
            reason: Reason::Step,
            file: Some("/p/a.py".into()),
            line: Some(12),
            function: Some("main".into()),
            depth: Some(2),
            thread: Some(1),
            exit_code: None,
            signal: None,
        };
        let mut events = Events::to(Box::new(out.clone()));
        let taken = CheckpointTaken { id: "a1".into(), origin: "auto", index: 0, note: None, elapsed_ms: 0.6 };
        events.send(&Event::Checkpoint(&taken));
        let report = LineReport {
            index: 0,
            effect: Effect::Moves,
            output: "> /p/a.py(1)<module>()\n".into(),
            stop: None,
            elapsed: Duration::ZERO,
        };
        events.session("pdb", &["python3".into(), "-m".into(), "pdb".into()], &report);
        events.send(&Event::Command {
            index: 1,
            line: "next",
            effect: Effect::Moves,
            origin: Origin::User,
            output: "…\n",
            stop: Some(&stop),
            elapsed_ms: milliseconds(Duration::from_micros(1900)),
        });
        events.send(&Event::Fred {
            command: "undo",
            argument: None,
            ok: false,
            error: Some("no earlier point"),
            stop: None,
            result: None,
            cost: Cost { checkpoints: 1, elapsed_ms: 48.1, ..Cost::default() },
        });
        events.send(&Event::Diverged { at: 811, expected: "read", got: "write" });
        events.send(&Event::Unrecorded { index: 1, reason: "shmat cannot be recorded" });
        events.end(1);
        events.end(0);
        drop(events);
        insta::assert_snapshot!(out.text(), @r#"
        {"event":"session","schema":"fred/1","version":"0.1.0","dialect":"pdb","argv":["python3","-m","pdb"],"output":"> /p/a.py(1)<module>()\n","stop":null}
        {"event":"checkpoint","id":"a1","origin":"auto","index":0,"note":null,"elapsed_ms":0.6}
        {"event":"command","index":1,"line":"next","effect":"moves","origin":"user","output":"…\n","stop":{"reason":"step","file":"/p/a.py","line":12,"function":"main","depth":2,"thread":1,"exit_code":null,"signal":null},"elapsed_ms":1.9}
        {"event":"fred","command":"undo","argument":null,"ok":false,"error":"no earlier point","stop":null,"result":null,"cost":{"checkpoints":1,"restores":0,"evaluations":0,"replayed":0,"elapsed_ms":48.1}}
        {"event":"diverged","at":811,"expected":"read","got":"write"}
        {"event":"unrecorded","index":1,"reason":"shmat cannot be recorded"}
        {"event":"end","status":1}
        "#);
    }

    #[test]
    fn the_end_comes_even_if_fred_fails() {
        let out = Shared::default();
        let mut events = Events::to(Box::new(out.clone()));
        let report =
            LineReport { index: 0, effect: Effect::Moves, output: String::new(), stop: None, elapsed: Duration::ZERO };
        events.session("pdb", &[], &report);
        drop(events);
        assert!(out.text().ends_with("{\"event\":\"end\",\"status\":129}\n"));
    }

    #[test]
    fn no_session_no_events() {
        let out = Shared::default();
        let mut events = Events::to(Box::new(out.clone()));
        events.end(3);
        assert_eq!(out.text(), "");
    }
}
