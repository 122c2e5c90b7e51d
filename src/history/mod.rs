//! What happened in a session: commands, stops, points of the execution, and which checkpoints to keep.
//! Pure data and pure functions; no process, and I/O only through the `Write` or `BufRead` that [`store`] is given.

pub mod entry;
pub mod execution;
pub mod retention;
pub mod store;
pub mod timeline;

/// A stop for tests: `a.py:LINE`.
#[cfg(test)]
pub(crate) fn stop_at(line: u32) -> entry::Stop {
    entry::Stop {
        reason: entry::Reason::Step,
        file: Some("/p/a.py".into()),
        line: Some(line),
        function: Some("main".into()),
        depth: Some(1),
        thread: Some(1),
        exit_code: None,
        signal: None,
    }
}
