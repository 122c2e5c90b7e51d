//! Copies that are taken while a long command runs (`--checkpoint-every`): each begins a stretch from which a later search can
//! go on, instead of from where the command was typed.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fred_checkpointer::client::memory_of;
use fred_checkpointer::wire::CopyId;

use super::core::{Accept, Engine, Feed, Outcome};
use super::{Console, Failure, State};

/// At most this many are kept of one command; when there are more, every second of the older half goes.
const MOST: usize = 16;

/// How long a copy may take to notice that it is to stop, after which it is believed not to (the program has a handler of its
/// own for Ctrl-C, or is in the middle of something long).
const PATIENCE: Duration = Duration::from_secs(2);

/// A copy of the running debugger, somewhere on the way of a command.
#[derive(Debug, Clone)]
pub(super) struct Stride {
    pub(super) copy: CopyId,
    pid: i32,
    /// Which program it is of, where programs are served.
    pub(super) program: u32,
    /// The command, as it was sent. Another one from the same point goes another way.
    pub(super) line: Rc<str>,
    /// Time since the command began, or since it started this program.
    pub(super) at: Duration,
    /// How much input the command had read by then.
    pub(super) read: usize,
}

impl Engine {
    /// Takes one of the command that runs now.
    pub(super) fn stride(&mut self, read: usize) {
        if !self.striding {
            return;
        }
        let at = self.ran_from.elapsed();
        let program = match &self.served {
            // What is before its beginning, in the dynamic linker, is no part of its history.
            Some(served) if !served.alive || !served.origins.contains_key(&served.program) => return,
            Some(served) => served.program,
            None => 0,
        };
        let kept = if self.served.is_some() { self.live.checkpoint_program() } else { self.live.checkpoint() };
        match kept {
            Ok(stopped) => {
                let line = Rc::clone(&self.running_line);
                self.strides_now.push(Stride { copy: stopped.id, pid: stopped.pid, program, line, at, read });
            }
            Err(error) => return tracing::info!("no checkpoint on the way: {error}"),
        }
        self.cost.checkpoints += 1;
        if self.strides_now.len() > MOST {
            let old = self.strides_now.len() / 2;
            let mut index = 0;
            let (kept, gone) = std::mem::take(&mut self.strides_now).into_iter().partition(|_| {
                index += 1;
                index > old || index % 2 == 0
            });
            self.strides_now = kept;
            self.drop_strides(gone);
        }
        // They are a convenience: half of what checkpoints may take is enough for them.
        let limit = self.options.memory_limit.unwrap_or(u64::MAX) / 2;
        let size = |stride: &Stride| memory_of(stride.pid).map_or(0, |memory| memory.proportional);
        let mut total: u64 = self.strides_now.iter().map(size).sum();
        while total > limit && !self.strides_now.is_empty() {
            let oldest = self.strides_now.remove(0);
            total = total.saturating_sub(size(&oldest));
            self.drop_strides(vec![oldest]);
        }
    }

    /// Drops copies that are not wanted any more.
    pub(super) fn drop_strides(&mut self, gone: Vec<Stride>) {
        for stride in gone {
            self.live.drop_copy(stride.copy).ok();
        }
    }

    /// Drops all of them: memory is short.
    pub(super) fn drop_all_strides(&mut self) {
        let gone: Vec<Stride> = self.strides.drain().flat_map(|(_, strides)| strides).collect();
        self.drop_strides(gone);
    }

    /// Runs a copy of a stride and interrupts it at once, as Ctrl-C would have; what came of it, if it came to a prompt.
    pub(super) fn interrupt_stride(
        &mut self,
        stride: &Stride,
        console: &mut dyn Console,
    ) -> Result<Option<Outcome>, Failure> {
        let started = self.live.start_copy(stride.copy);
        self.lost = started.map_err(|error| Failure { message: error.to_string(), cost: self.spent() })?;
        self.cost.restores += 1;
        self.live.signal(nix::libc::SIGINT).map_err(|error| self.failed("stopping a copy", &error))?;
        self.patience = Some(PATIENCE);
        let mut feed = Feed::Log { inputs: VecDeque::new(), console };
        let outcome = self.settle(&mut feed, Accept::Any);
        self.patience = None;
        // It did not stop, or asked for input first: the search does without it.
        let Ok(outcome) = outcome else { return Ok(None) };
        let Some(prompt) = outcome.prompt.clone() else { return Ok(None) };
        self.state = State::Prompt(prompt);
        Ok(Some(outcome))
    }

    /// When the next stride is due.
    pub(super) fn next_stride(&self) -> Option<Instant> {
        let every = self.options.checkpoint_every.filter(|_| self.striding)?;
        Some(Instant::now() + every)
    }
}
