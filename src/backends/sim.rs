//! A debugger that runs a made-up program, for tests of what is built on debuggers: no process, and every stop of the program
//! known beforehand, so that a linear scan can say what the right answer is.
//!
//! It stops as a debugger with line, call and return events does: `step` goes to the next stop whatever it is, `next`
//! to the next one with no more frames, `finish` to the next with fewer, `continue` to the next breakpoint.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::history::entry::{Effect, Reason, Stop};

/// A stop of the made-up program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Frames, the outermost being 1.
    pub depth: u32,
    /// Which function it is in.
    pub function: u32,
    /// Line; functions do not share lines.
    pub line: u32,
    /// The value of the one expression that can be evaluated, as the program sets it. `None`: it is not bound here.
    pub value: Option<i64>,
}

/// What happens next in a made-up program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A line of the current function.
    Line,
    /// A line that calls this function: a stop at the line, then one at the function's entry.
    Call(u32),
    /// A stop before the current function returns. The outermost one cannot: it is taken for a line.
    Return,
}

/// Lines that a function has: a longer one loops over them.
const LINES: u32 = 7;

/// Every stop of a run, in order.
///
/// # Panics
/// Never empty: the outermost function's entry is the first stop.
pub fn run(acts: &[Act]) -> Vec<Event> {
    let event = |depth: usize, function, line: u32| {
        let line = function * 10 + line;
        Event { depth: u32::try_from(depth).unwrap_or(u32::MAX), function, line, value: Some(0) }
    };
    let mut events = vec![event(1, 0, 0)];
    let mut frames = vec![(0u32, 0u32)];
    for &act in acts {
        let depth = frames.len();
        let Some((function, lines)) = frames.last_mut() else {
            break;
        };
        *lines += 1;
        // Line 8 is a function's return, 1 to 7 its statements, 0 its entry.
        match act {
            Act::Return if depth > 1 => {
                events.push(event(depth, *function, LINES + 1));
                frames.pop();
            }
            Act::Line | Act::Return => events.push(event(depth, *function, (*lines - 1) % LINES + 1)),
            Act::Call(callee) => {
                events.push(event(depth, *function, (*lines - 1) % LINES + 1));
                events.push(event(depth + 1, callee, 0));
                frames.push((callee, 0));
            }
        }
    }
    events
}

/// A debugger that has stopped the made-up program somewhere. Cloning it is a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sim {
    events: Arc<[Event]>,
    /// Index of the stop at which the program is.
    pub at: usize,
    /// Lines with a breakpoint.
    pub breakpoints: BTreeSet<u32>,
    /// What the user has added to the expression.
    pub bias: i64,
    reason: Reason,
}

/// Why a line was not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("*** {0}")]
pub struct Refused(String);

impl Sim {
    /// At the first stop of a program.
    pub fn new(events: impl Into<Arc<[Event]>>) -> Self {
        Sim { events: events.into(), at: 0, breakpoints: BTreeSet::new(), bias: 0, reason: Reason::Entry }
    }

    /// The program's stops.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Where the program is. Its last stop is its end, and further running commands stay there.
    pub fn event(&self) -> Event {
        self.events[self.at]
    }

    /// Whether an enabled breakpoint is here.
    pub fn at_breakpoint(&self) -> bool {
        self.breakpoints.contains(&self.event().line)
    }

    /// The value of the expression, or why there is none.
    ///
    /// # Errors
    /// It is not bound here.
    pub fn evaluate(&self) -> Result<i64, String> {
        let value =
            self.event().value.ok_or_else(|| format!("name 'x' is not defined (line {})", self.event().line))?;
        Ok(value + self.bias)
    }

    /// The place as debuggers report it.
    pub fn stop(&self) -> Stop {
        let event = self.event();
        Stop {
            reason: self.reason,
            file: Some("/p/sim.py".to_owned()),
            line: Some(event.line),
            function: Some(format!("f{}", event.function)),
            depth: Some(event.depth),
            thread: Some(1),
            exit_code: None,
            signal: None,
        }
    }

    /// Runs the program over `ticks` stops, or to its end.
    pub fn advance(&mut self, ticks: u64) {
        let last = self.events.len() - 1;
        self.at = self.at.saturating_add(usize::try_from(ticks).unwrap_or(usize::MAX)).min(last);
        self.reason = Reason::Step;
    }

    /// Runs a line: `step`, `next`, `finish`, `continue`, `break LINE`, `clear LINE`, `add N` (to the expression), `print`.
    ///
    /// # Errors
    /// It is none of these.
    pub fn run_line(&mut self, line: &str) -> Result<Effect, Refused> {
        self.run_line_for(line, u64::MAX)
    }

    /// The same with Ctrl-C after `ticks` stops, if it has not stopped by then.
    ///
    /// # Errors
    /// It is none of them.
    pub fn run_line_for(&mut self, line: &str, ticks: u64) -> Result<Effect, Refused> {
        let (word, argument) = line.split_once(' ').unwrap_or((line, ""));
        let depth = self.event().depth;
        let refused = || Refused(format!("cannot run `{line}`"));
        match word {
            "step" => self.run_until(ticks, |_| true),
            "next" => self.run_until(ticks, |event| event.depth <= depth),
            "finish" => self.run_until(ticks, |event| event.depth < depth),
            "continue" => self.run_until(ticks, |_| false),
            "break" => {
                self.breakpoints.insert(argument.parse().map_err(|_| refused())?);
                return Ok(Effect::Configures);
            }
            "clear" => {
                self.breakpoints.remove(&argument.parse().map_err(|_| refused())?);
                return Ok(Effect::Configures);
            }
            "add" => {
                self.bias += argument.parse::<i64>().map_err(|_| refused())?;
                return Ok(Effect::Mutates);
            }
            "print" => return Ok(Effect::Queries),
            _ => return Err(refused()),
        }
        Ok(Effect::Moves)
    }

    /// A breakpoint ends every running command.
    fn run_until(&mut self, ticks: u64, wanted: impl Fn(&Event) -> bool) {
        for _ in 0..ticks {
            if self.at + 1 == self.events.len() {
                self.reason = Reason::Exited;
                return;
            }
            self.at += 1;
            if self.at_breakpoint() {
                self.reason = Reason::Breakpoint;
                return;
            }
            if wanted(&self.event()) {
                self.reason = Reason::Step;
                return;
            }
        }
        self.reason = Reason::Interrupt;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sim() -> Sim {
        Sim::new(run(&[Act::Line, Act::Call(1), Act::Line, Act::Return, Act::Line]))
    }

    fn lines_of(mut sim: Sim, command: &str) -> Vec<u32> {
        let mut lines = Vec::new();
        while sim.at + 1 < sim.events().len() {
            assert_eq!(sim.run_line(command), Ok(Effect::Moves));
            lines.push(sim.event().line);
        }
        lines
    }

    #[test]
    fn running_commands_stop_where_debuggers_do() {
        assert_eq!(lines_of(sim(), "step"), [1, 2, 10, 11, 18, 3]);
        assert_eq!(lines_of(sim(), "next"), [1, 2, 3]);
        let mut s = sim();
        s.run_line("break 11").unwrap();
        assert_eq!(lines_of(s.clone(), "continue"), [11, 3]);
        s.run_line("continue").unwrap();
        s.run_line("finish").unwrap();
        assert_eq!((s.event().line, s.stop().reason), (3, Reason::Step));
    }

    #[test]
    fn settings_and_mutations_do_not_move() {
        let mut s = sim();
        assert_eq!(s.run_line("add 4"), Ok(Effect::Mutates));
        assert_eq!((s.at, s.evaluate()), (0, Ok(4)));
        assert_eq!(s.run_line("jump 3").unwrap_err().to_string(), "*** cannot run `jump 3`");
        s.run_line_for("continue", 2).unwrap();
        assert_eq!((s.at, s.stop().reason), (2, Reason::Interrupt));
    }
}
