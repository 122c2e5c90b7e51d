//! A timeline as JSON lines: an object a line, so that a log can be followed while it grows and a torn last line costs one
//! entry, not the file.

use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use super::timeline::{Entry, Line, Timeline};

/// One line of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Record {
    /// An entry; they come in the order in which they were made.
    Entry(Entry),
    /// The lines of history, and which one is current. The last such record counts.
    Lines { lines: Vec<Line>, current: usize },
}

/// Why a timeline cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("line {line} of the history: {source}")]
    Io {
        /// Line number, from 1.
        line: usize,
        /// What the system says.
        source: io::Error,
    },
    /// A line is not a record.
    #[error("line {line} of the history is not a record of it: {source}")]
    Syntax {
        /// Line number, from 1.
        line: usize,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The records do not fit together.
    #[error("line {line} of the history {what}")]
    Invalid {
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Writes an entry, as a line.
///
/// # Errors
/// `out` cannot be written.
pub fn write_entry(out: &mut impl Write, entry: &Entry) -> io::Result<()> {
    write_record(out, &Record::Entry(entry.clone()))
}

fn write_record(out: &mut impl Write, record: &Record) -> io::Result<()> {
    let mut text = serde_json::to_string(record)?;
    text.push('\n');
    // One write, so that a crash leaves at most one torn line.
    out.write_all(text.as_bytes())
}

/// Writes where the lines of history stand: after the entries, or whenever the head has moved.
///
/// # Errors
/// `out` cannot be written.
pub fn write_lines(out: &mut impl Write, timeline: &Timeline) -> io::Result<()> {
    write_record(out, &Record::Lines { lines: timeline.lines.clone(), current: timeline.current })
}

/// Writes a whole timeline.
///
/// # Errors
/// `out` cannot be written.
pub fn write_timeline(out: &mut impl Write, timeline: &Timeline) -> io::Result<()> {
    timeline.entries().iter().try_for_each(|entry| write_entry(out, entry))?;
    write_lines(out, timeline)
}

/// Reads a timeline. A last line without its newline was torn by a crash and is left out. Entries that come after the last
/// note of where the lines stand are taken to continue the current line.
///
/// # Errors
/// The input cannot be read, a line is no record, or the records contradict each other.
pub fn read_timeline(input: &mut impl BufRead) -> Result<Timeline, ReadError> {
    let mut timeline: Option<Timeline> = None;
    let mut text = String::new();
    for line in 1.. {
        text.clear();
        let length = input.read_line(&mut text).map_err(|source| ReadError::Io { line, source })?;
        if length == 0 || !text.ends_with('\n') {
            break;
        }
        let invalid = |what| ReadError::Invalid { line, what };
        let record = serde_json::from_str(&text).map_err(|source| ReadError::Syntax { line, source })?;
        timeline = Some(match (record, timeline) {
            (Record::Entry(entry), timeline) => add(timeline, entry).map_err(invalid)?,
            (Record::Lines { .. }, None) => return Err(invalid("comes before the start")),
            (Record::Lines { lines, current }, Some(timeline)) => arrange(timeline, lines, current).map_err(invalid)?,
        });
    }
    timeline.ok_or(ReadError::Invalid { line: 1, what: "is missing: there is no start" })
}

fn add(timeline: Option<Timeline>, entry: Entry) -> Result<Timeline, &'static str> {
    let Some(mut timeline) = timeline else {
        let mut timeline = Timeline::new(entry.point, entry.stop.clone());
        if entry.parent.is_some() || entry.number != 0 || entry.id != timeline.head() {
            return Err("is not a start");
        }
        timeline.entries[0] = entry;
        return Ok(timeline);
    };
    let parent = entry.parent.ok_or("is a second start")?;
    if !timeline.contains(parent) {
        return Err("comes before its parent");
    }
    // `append` gives the name and the number that the entry must have had.
    if parent != timeline.head() {
        timeline.go(parent);
    }
    let id = timeline.append(&entry.line, entry.effect, entry.origin, entry.point, entry.stop.clone());
    if *timeline.entry(id) != entry {
        return Err("has the wrong name or number");
    }
    Ok(timeline)
}

fn arrange(mut timeline: Timeline, lines: Vec<Line>, current: usize) -> Result<Timeline, &'static str> {
    let sound = |line: &Line| timeline.contains(line.tip) && timeline.path(line.tip).contains(&line.head);
    if current >= lines.len() || !lines.iter().all(sound) {
        return Err("names entries that are not there");
    }
    (timeline.lines, timeline.current) = (lines, current);
    Ok(timeline)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::entry::Effect;
    use crate::history::execution::Execution;
    use crate::history::stop_at;
    use crate::history::timeline::Origin;

    fn sample() -> Timeline {
        let execution = Execution::new(stop_at(1), vec![]);
        let point = execution.start();
        let mut t = Timeline::new(point, Some(stop_at(1)));
        t.append("break 9", Effect::Configures, Origin::Script, point, None);
        t.append("continue", Effect::Moves, Origin::User, point, Some(stop_at(9)));
        t.undo(1);
        t.append("next", Effect::Moves, Origin::User, point, Some(stop_at(2)));
        t.name("fix").unwrap();
        t.undo(2);
        t
    }

    fn written(t: &Timeline) -> String {
        let mut out = Vec::new();
        write_timeline(&mut out, t).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let t = sample();
        assert_eq!(read_timeline(&mut written(&t).as_bytes()).unwrap(), t);
    }

    #[test]
    fn a_torn_last_line_is_left_out() {
        let text = written(&sample());
        let read = read_timeline(&mut &text.as_bytes()[..text.len() - 1]).unwrap();
        assert_eq!(read.entries(), sample().entries());
    }

    #[test]
    fn a_log_that_only_has_entries_is_enough() {
        let mut t = sample();
        let mut out = Vec::new();
        t.entries().iter().for_each(|e| write_entry(&mut out, e).unwrap());
        let read = read_timeline(&mut out.as_slice()).unwrap();
        t.redo(9);
        assert_eq!((read.entries(), read.head()), (t.entries(), t.head()));
    }

    #[test]
    fn damage_is_named_by_its_line() {
        let text = written(&sample());
        let without = |n: usize| {
            let kept: Vec<&str> = text.lines().enumerate().filter(|(i, _)| *i != n).map(|(_, l)| l).collect();
            read_timeline(&mut (kept.join("\n") + "\n").as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(without(0), "line 1 of the history is not a start");
        assert_eq!(without(1), "line 2 of the history comes before its parent");
        assert!(without(2).starts_with("line 3 of the history"), "{}", without(2));
        let error = read_timeline(&mut "{}\n".as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("line 1 of the history is not a record of it"), "{error}");
        let error = read_timeline(&mut "".as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "line 1 of the history is missing: there is no start");
    }
}
