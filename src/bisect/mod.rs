//! `fred bisect`: runs to a bad point and looks back from there, unattended.

pub mod report;

use std::io::{self, Write};
use std::path::Path;

use serde_json::Value;

use crate::args::BisectArgs;
use crate::commands::find;
use crate::console::Screen;
use crate::engine::{Session, State};
use crate::events::Origin;
use crate::history::entry::{Effect, Reason, Stop};
use crate::keyboard::Keyboard;
use crate::launch::{self, Trouble};
use crate::script::{OnError, Runner, is_over};
use crate::status;
use report::{Case, Cause};

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The expression.
    pub expression: String,
    /// Whether it must be false at the bad point.
    pub must_be_false: bool,
    /// Lines before the bad point is looked for.
    pub start: Vec<String>,
    /// Lines to the bad point; empty: until the program stops by itself.
    pub until: Vec<String>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The statement.
    Found(Box<Case>),
    /// The value at the start is that at the bad point.
    Unchanged(String),
    /// There is no bad point.
    NotReached(String),
    /// The search failed.
    Undecided(String),
}

impl Verdict {
    /// The exit status.
    pub fn status(&self) -> u8 {
        match self {
            Self::Found(_) => status::DONE,
            Self::Unchanged(_) => status::REFUSED,
            Self::NotReached(_) => status::NOT_STARTED,
            Self::Undecided(_) => status::UNDECIDED,
        }
    }
}

/// Runs `fred bisect`; the exit status.
///
/// # Errors
/// It could not begin.
pub fn run(args: &BisectArgs) -> Result<u8, Trouble> {
    let events = launch::open_events(&args.shared)?;
    // What the debugger and the program say on the way is of no interest; the event stream has it.
    let mut screen = Screen::new(None, events, Keyboard::stdin(), Some(launch::signals()?));
    let mut engine = launch::start(&mut screen, &args.shared, &args.debugger, true)?;
    let mut runner = Runner::new(screen, OnError::GoOn);
    let plan = Plan {
        expression: args.watch.clone().or_else(|| args.good.clone()).unwrap_or_default(),
        must_be_false: args.good.is_some(),
        start: args.start.clone(),
        until: args.until.clone(),
    };
    let verdict = bisect(&mut runner, &mut engine, &plan);
    drop(engine);
    let argv: Vec<_> = args.debugger.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut status = verdict.status();
    let mut outcome = Ok(());
    if let (Verdict::Found(case), Some(path)) = (&verdict, &args.report)
        && let Err(error) = std::fs::write(path, report::markdown(case, &argv))
    {
        let trouble = Trouble::Usage(format!("cannot write the report to {}: {error}", path.display()));
        status = trouble.status();
        outcome = Err(trouble);
    }
    runner.screen.events.end(status);
    let text = report::summary(&verdict, &argv);
    if args.shared.json.as_deref() == Some(Path::new("-")) {
        eprint!("{text}");
    } else {
        // A reader that has gone away still gets the status.
        let _ = io::stdout().write_all(text.as_bytes());
    }
    outcome.map(|()| status)
}

/// Looks for the statement.
pub fn bisect(runner: &mut Runner, session: &mut dyn Session, plan: &Plan) -> Verdict {
    let plan =
        &Plan { start: if plan.start.is_empty() { session.begins_with() } else { plan.start.clone() }, ..plan.clone() };
    for line in &plan.start {
        if !runner.run(session, line) || is_over(session) {
            return Verdict::NotReached(format!("cannot start: `{line}` did not work"));
        }
    }
    let at_start = session.evaluate(&plan.expression).ok();
    let last = match reach(runner, session, plan) {
        Ok(commands) => commands,
        Err(why) => return Verdict::NotReached(why),
    };
    let at_bad = session.evaluate(&plan.expression).ok();
    if plan.must_be_false
        && let Some((known, value)) = &at_bad
        && !(*known && is_false(value))
    {
        let is = if *known { format!("is {value}") } else { format!("cannot be evaluated ({})", value.trim()) };
        return Verdict::NotReached(format!("{} {is} there, and not false", plan.expression));
    }
    let bad_backtrace = backtrace(runner, session);
    let Ok(command) = find("reverse-watch") else {
        return Verdict::Undecided("no reverse-watch".into());
    };
    let watched = runner.watch(session, command, &plan.expression);
    match watched {
        Ok(report) => {
            let commands = last.into_iter().chain([format!("fred-reverse-watch {}", plan.expression)]);
            let result = report.result.unwrap_or_default();
            let cause = cause(&result, report.stop.as_ref());
            let backtrace = backtrace(runner, session);
            Verdict::Found(Box::new(Case {
                expression: plan.expression.clone(),
                before: text(&result["before"]),
                after: text(&result["after"]),
                cause,
                place: report.place,
                backtrace,
                bad_backtrace,
                commands: plan.start.iter().cloned().chain(commands).collect(),
            }))
        }
        Err(failure) if runner.screen.has_diverged() => Verdict::Undecided(failure.message),
        Err(failure) => match (at_start, at_bad) {
            (Some((true, start)), Some((true, bad))) if start == bad => Verdict::Unchanged(format!(
                "{} is {bad} at the bad point, as it was at the start ({})",
                plan.expression, failure.message
            )),
            _ => Verdict::Undecided(failure.message),
        },
    }
}

/// More stops than a debugger makes in its own code when it ends a program.
const MOST_OWN_STOPS: u32 = 100;

/// Goes to the bad point; the commands that a person would type for it.
fn reach(runner: &mut Runner, session: &mut dyn Session, plan: &Plan) -> Result<Vec<String>, String> {
    let by_itself = ["continue".to_owned()];
    let (lines, origin) =
        if plan.until.is_empty() { (&by_itself[..], Origin::Fred) } else { (&plan.until[..], Origin::User) };
    let mut commands = Vec::new();
    let mut stop = None;
    for line in lines {
        commands.push(line.clone());
        if line.trim_start().starts_with("fred-") {
            if !runner.run(session, line) {
                return Err(format!("`{line}` did not work"));
            }
            stop = None;
        } else {
            let report =
                runner.run_line(session, Some(line), origin).ok_or_else(|| format!("`{line}` did not work"))?;
            if report.effect == Effect::Moves {
                stop = report.stop;
            }
        }
        if is_over(session) {
            return Err(format!("`{line}` ended the debugger"));
        }
    }
    let ended = matches!(session.state(), State::Ended { .. });
    let gone = ended || matches!(stop.as_ref().map(|stop| stop.reason), Some(Reason::Entry | Reason::Exited));
    if !gone {
        return Ok(commands);
    }
    if !plan.until.is_empty() {
        return Err("the program ran to its end".into());
    }
    // It has ended (and pdb has started it again): the bad point is the last stop of the program before that; the stops in
    // between are the debugger's own.
    let step = find("reverse-step").map_err(|_| "no reverse-step".to_owned())?;
    for _ in 0..MOST_OWN_STOPS {
        commands.push("fred-reverse-step".into());
        if !runner.run_fred(session, step, "") {
            return Err("there is no point before the end of the program".into());
        }
        if !runner.last_stop().is_some_and(|stop| session.is_own_code(stop)) {
            return Ok(commands);
        }
    }
    Err("the end of the program was not found".into())
}

fn backtrace(runner: &mut Runner, session: &mut dyn Session) -> String {
    if !matches!(session.state(), State::Prompt(_)) {
        return String::new();
    }
    runner.run_line(session, Some("where"), Origin::Fred).map(|report| report.output).unwrap_or_default()
}

fn cause(result: &Value, stop: Option<&Stop>) -> Option<Cause> {
    let by = &result["changed_by"];
    let line = by["line"].as_u64().and_then(|line| u32::try_from(line).ok());
    let from_result = by["file"].as_str().zip(line).map(|(file, line)| Cause {
        file: file.into(),
        line,
        function: by["function"].as_str().map(str::to_owned),
    });
    from_result.or_else(|| {
        let stop = stop?;
        Some(Cause { file: stop.file.clone()?, line: stop.line?, function: stop.function.clone() })
    })
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Whether a printed value is false in Python, C or C++.
fn is_false(value: &str) -> bool {
    const FALSE: [&str; 17] = [
        "False",
        "false",
        "None",
        "0",
        "0.0",
        "-0.0",
        "0j",
        "0x0",
        "''",
        "\"\"",
        "b''",
        "[]",
        "()",
        "{}",
        "set()",
        "frozenset()",
        "nullptr",
    ];
    FALSE.contains(&value.trim())
}

#[cfg(test)]
mod tests;
