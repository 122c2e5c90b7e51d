//! Record a run, replay it from the start, and compare.

use std::time::Instant;

use serde::Serialize;

use super::{Diverged, Trouble, Waiting, epoch, log, recorder, replayer};

/// How a check came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The replay was the same execution.
    Same,
    /// It was another one.
    Diverged,
}

/// What a check found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// How it came out.
    pub verdict: Verdict,
    /// Where the replay differs.
    pub diverged: Option<Diverged>,
    /// The exit status of the program when it was recorded, if it exited.
    pub status: Option<i32>,
    /// The signal that ended it otherwise.
    pub signal: Option<i32>,
    /// Who waits where, if the program came to a deadlock, by which the recording has ended.
    pub deadlock: Vec<Waiting>,
    /// Events in the log.
    pub events: u64,
    /// Bytes of the log.
    pub bytes: u64,
    /// How long the recorded run took, in milliseconds.
    pub recorded_ms: f64,
    /// How long the replay took, in milliseconds.
    pub replayed_ms: f64,
}

/// Runs a program twice: recorded, with the caller's standard descriptors, and replayed, in silence. With `chaos` the recorded
/// run has a schedule that is different each time.
///
/// # Errors
/// [`Trouble`] if the program could not be started, or did something that cannot be recorded.
pub fn check(argv: &[Vec<u8>], chaos: bool) -> Result<Report, Trouble> {
    let _quiet = Held::new();
    let begin = Instant::now();
    let recording = recorder::record(argv, log::DEFAULT_LIMIT, chaos)?;
    let recorded = begin.elapsed();
    let begin = Instant::now();
    let outcome = replayer::replay(argv, &recording);
    recording.copies.iter().copied().for_each(epoch::forget);
    let diverged = match outcome {
        Ok(()) => None,
        Err(Trouble::Diverged(diverged)) => Some(diverged),
        Err(other) => return Err(other),
    };
    let replayed = begin.elapsed();
    let status = recording.status;
    let ended = recording.deadlock.is_empty();
    Ok(Report {
        verdict: if diverged.is_none() { Verdict::Same } else { Verdict::Diverged },
        diverged,
        status: (ended && libc::WIFEXITED(status)).then(|| libc::WEXITSTATUS(status)),
        signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
        deadlock: recording.deadlock,
        events: recording.log.events(),
        bytes: recording.log.bytes(),
        recorded_ms: recorded.as_secs_f64() * 1000.0,
        replayed_ms: replayed.as_secs_f64() * 1000.0,
    })
}

/// The recorder's own dispositions while it works: news of children is waited for, and what the terminal sends to all is for
/// the program.
struct Held {
    mask: nix::sys::signal::SigSet,
    interrupt: Option<nix::sys::signal::SigHandler>,
    quit: Option<nix::sys::signal::SigHandler>,
}

impl Held {
    fn new() -> Held {
        use nix::sys::signal::{SigSet, Signal};
        let mut news = SigSet::empty();
        news.add(Signal::SIGCHLD);
        let mask = SigSet::thread_get_mask().unwrap_or(SigSet::empty());
        news.thread_block().ok();
        Held { mask, interrupt: crate::raw::ignore(Signal::SIGINT), quit: crate::raw::ignore(Signal::SIGQUIT) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        use nix::sys::signal::Signal;
        self.mask.thread_set_mask().ok();
        for (signal, before) in [(Signal::SIGINT, self.interrupt), (Signal::SIGQUIT, self.quit)] {
            if let Some(before) = before {
                crate::raw::restore(signal, before);
            }
        }
    }
}
