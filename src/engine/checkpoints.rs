//! Checkpoints: taking them, by request and by themselves, listing, thinning and dropping them.

use std::time::{Duration, Instant};

use fred_checkpointer::client::{Stopped, memory_of};
use fred_checkpointer::wire::CopyId;
use serde_json::json;

use super::core::Engine;
use super::{CheckpointTaken, Console, Failure, Report};
use crate::backends::dialect::{Dialect, Prompt};
use crate::history::execution::{CheckpointKey, PointId};
use crate::history::retention::{self, Held, SinceLast};
use crate::history::timeline::EntryId;

/// A stopped copy of the debugger at a prompt.
pub struct Checkpoint {
    pub(super) copy: CopyId,
    pub(super) pid: i32,
    /// `1`, `2`, ... or `a1`, `a2`, ...
    pub(super) id: String,
    pub(super) user: bool,
    /// The point cannot be reached again without it (an interrupt is not replayed).
    pub(super) pinned: bool,
    pub(super) note: Option<String>,
    pub(super) point: PointId,
    pub(super) entry: EntryId,
    pub(super) number: u32,
    pub(super) dialect: Box<dyn Dialect>,
    pub(super) prompt: Prompt,
    pub(super) taken: Instant,
    /// Bytes that only it holds, as last measured.
    pub(super) private: u64,
}

/// Memory of checkpoints as it was last measured, and what can have come since. To measure, the kernel walks the page tables
/// of each checkpoint, which takes about as long as making one; what the program has touched since is an upper bound of what
/// checkpoints have come to hold alone, and costs nothing to know.
#[derive(Debug, Default)]
pub(super) struct Growth {
    /// Bytes touched by the running process until the last look, and which process that was.
    seen: Option<(i32, u64)>,
    /// Bytes touched since the last measurement.
    unmeasured: u64,
    /// What all checkpoints together held then. Dropping some of them need not have freed their share: others may share it.
    total: u64,
    /// The running process's share of what it maps, as last measured.
    program: u64,
}

impl Growth {
    /// Takes in what the running process has touched until now; returns the bytes touched since the last look.
    fn look(&mut self, touched: Option<(i32, u64)>) -> u64 {
        let before = match (self.seen, touched) {
            (Some((pid, bytes)), Some((now, _))) if pid == now => bytes,
            _ => 0,
        };
        let fresh = touched.map_or(0, |(_, bytes)| bytes.saturating_sub(before));
        self.unmeasured = self.unmeasured.saturating_add(fresh);
        self.seen = touched;
        fresh
    }
}

/// When the limit is exceeded, so much of it is freed at once that not every further checkpoint has to be measured: one part
/// in this many.
const SLACK: u64 = 4;

impl Engine {
    /// The history number of the head.
    pub(super) fn number(&self) -> u32 {
        self.timeline.entry(self.timeline.head()).number
    }

    fn keep(
        &mut self,
        stopped: Stopped,
        user: bool,
        pinned: bool,
        note: Option<String>,
        prompt: Prompt,
    ) -> CheckpointTaken {
        let counter = if user { &mut self.next_user } else { &mut self.next_auto };
        *counter += 1;
        let id = if user { counter.to_string() } else { format!("a{counter}") };
        let point = self.timeline.point();
        let key = CheckpointKey(stopped.id.0);
        let checkpoint = Checkpoint {
            copy: stopped.id,
            pid: stopped.pid,
            id: id.clone(),
            user,
            pinned,
            note: note.clone(),
            point,
            entry: self.timeline.head(),
            number: self.number(),
            dialect: self.dialect.fork(),
            prompt,
            taken: Instant::now(),
            private: 0,
        };
        self.held.insert(key, checkpoint);
        if user || self.execution.point(point).checkpoint.is_none() {
            self.execution.set_checkpoint(point, Some(key));
        }
        self.cost.checkpoints += 1;
        CheckpointTaken { id, origin: if user { "user" } else { "auto" }, index: self.number(), note, elapsed_ms: 0.0 }
    }

    /// Takes an automatic checkpoint of this prompt if the policy finds it worth its cost. `must` overrules the policy.
    pub(super) fn checkpoint_prompt(&mut self, must: bool, pinned: bool, console: &mut dyn Console) {
        let Some(prompt) = self.prompt().cloned() else { return };
        // Questions leave something in a served debugger, too (gdb's value history): where one has to be gone back to, it is as it
        // stands now.
        let former = self.execution.point(self.timeline.point()).checkpoint;
        let stale =
            |key| must && !pinned && self.served.is_some() && self.held.get(key).is_some_and(|former| !former.user);
        if former.as_ref().is_some_and(|key| !stale(key)) {
            return;
        }
        let pinned = pinned || former.and_then(|key| self.held.get(&key)).is_some_and(|former| former.pinned);
        let budget = if self.served.is_some() { retention::SERVED } else { retention::ALONE };
        self.since.passed = self.last_taken.elapsed();
        if !must && !pinned && !retention::worth_taking(self.last_cost, self.since, budget) {
            return;
        }
        let begin = Instant::now();
        match self.live.checkpoint() {
            Ok(stopped) => {
                let cost = begin.elapsed();
                self.last_cost = Some(cost);
                self.since = SinceLast::default();
                self.last_taken = Instant::now();
                let mut taken = self.keep(stopped, false, pinned, None, prompt);
                taken.elapsed_ms = cost.as_secs_f64() * 1000.0;
                if let Some(former) = former {
                    self.forget(former);
                }
                console.checkpointed(&taken);
                self.thin();
            }
            // The next prompt will be another chance; going back replays from the last one.
            Err(error) => tracing::info!("no automatic checkpoint: {error}"),
        }
    }

    /// Keeps a copy that a search has left on the way of a command, because the history is about to be built on it.
    pub(super) fn keep_hop(&mut self, copy: CopyId, pid: i32, point: PointId, prompt: Prompt) {
        self.next_auto += 1;
        let checkpoint = Checkpoint {
            copy,
            pid,
            id: format!("a{}", self.next_auto),
            user: false,
            pinned: true,
            note: None,
            point,
            entry: self.timeline.head(),
            number: self.number(),
            dialect: self.dialect.fork(),
            prompt,
            taken: Instant::now(),
            private: 0,
        };
        let key = CheckpointKey(copy.0);
        self.held.insert(key, checkpoint);
        self.execution.set_checkpoint(point, Some(key));
    }

    /// Drops automatic checkpoints that the policy gives up.
    pub(super) fn thin(&mut self) {
        let limit = self.options.memory_limit.unwrap_or(u64::MAX);
        let touched = self.live.touched();
        let stretch = self.growth.look(touched);
        // Until the next checkpoint the program is likely to touch about as much again, unseen.
        let expected = self.growth.total.saturating_add(self.growth.unmeasured).saturating_add(self.growth.program);
        let measured = expected.saturating_add(stretch) > limit;
        if measured {
            for checkpoint in self.held.values_mut() {
                checkpoint.private = memory_of(checkpoint.pid).map_or(0, |memory| memory.proportional);
            }
            let program = touched.and_then(|(pid, _)| memory_of(pid).ok());
            self.growth.program = program.map_or(0, |memory| memory.proportional);
            self.growth.unmeasured = 0;
            self.growth.total = self.held.values().map(|checkpoint| checkpoint.private).sum();
        }
        let total: u64 = self.held.values().map(|checkpoint| checkpoint.private).sum();
        // The program's own memory counts, but a big program does not take all room from its checkpoints.
        let room = limit.saturating_sub(self.growth.program.saturating_add(stretch)).max(limit / 2);
        let wanted = if measured && total > room { room - room / SLACK } else { limit };
        let rows: Vec<Held> = self
            .held
            .iter()
            .map(|(key, checkpoint)| Held {
                key: *key,
                at: u64::from(checkpoint.number),
                user: checkpoint.user || checkpoint.pinned,
                on_current_line: self.timeline.on_current_line(checkpoint.entry),
                private_bytes: checkpoint.private,
            })
            .collect();
        if wanted < limit {
            self.drop_all_strides();
        }
        let plan = retention::choose(&rows, u64::from(self.number()), total, wanted);
        for key in plan.drop {
            self.forget(key);
        }
        if wanted < limit {
            // Pages of those that were dropped may belong to others now: look again next time.
            self.growth.unmeasured = limit;
        }
        let over = plan.over_limit.saturating_sub(limit - wanted);
        if over > 0 {
            tracing::warn!("checkpoints that must be kept exceed --memory-limit by {over} bytes");
        }
    }

    fn forget(&mut self, key: CheckpointKey) {
        let Some(gone) = self.held.remove(&key) else { return };
        self.live.drop_copy(gone.copy).ok();
        if self.execution.point(gone.point).checkpoint == Some(key) {
            let other = self.held.iter().find(|(_, other)| other.point == gone.point).map(|(key, _)| *key);
            self.execution.set_checkpoint(gone.point, other);
        }
    }

    /// `fred-checkpoint [note]`
    pub(super) fn user_checkpoint(&mut self, note: Option<&str>, console: &mut dyn Console) -> Result<Report, Failure> {
        self.begin();
        let Some(prompt) = self.prompt().cloned() else {
            return Err(self.failure("cannot take a checkpoint: the debugger has ended; fred-undo goes back"));
        };
        let stopped =
            self.live.checkpoint().map_err(|error| Failure { message: error.to_string(), cost: self.spent() })?;
        let mut taken = self.keep(stopped, true, false, note.map(str::to_owned), prompt);
        taken.elapsed_ms = self.begun.elapsed().as_secs_f64() * 1000.0;
        console.checkpointed(&taken);
        let told = match note {
            Some(note) => format!("checkpoint {}: {note}", taken.id),
            None => format!("checkpoint {}", taken.id),
        };
        Ok(Report { notes: vec![told], result: Some(json!({"id": taken.id})), cost: self.spent(), ..Report::default() })
    }

    /// The key of a checkpoint that the user names.
    pub(super) fn find_checkpoint(&self, id: &str) -> Result<CheckpointKey, Failure> {
        let id = id.trim_start_matches('@');
        self.held
            .iter()
            .find(|(_, checkpoint)| checkpoint.id == id)
            .map(|(key, _)| *key)
            .ok_or_else(|| self.failure(format!("there is no checkpoint {id}; fred-list shows the ones there are")))
    }

    /// `fred-delete ID`
    pub(super) fn delete_checkpoint(&mut self, id: &str) -> Result<Report, Failure> {
        self.begin();
        let key = self.find_checkpoint(id)?;
        let start = self.execution.start();
        let checkpoint = &self.held[&key];
        let only = self.held.values().filter(|other| other.point == checkpoint.point).count() == 1;
        if checkpoint.point == start && only {
            return Err(self.failure(format!(
                "cannot delete checkpoint {id}: it is the only one at the start of the history, from which everything else is reached"
            )));
        }
        if checkpoint.pinned && only {
            return Err(self.failure(format!(
                "cannot delete checkpoint {id}: it is of an interrupted command, and that place cannot be reached again without it"
            )));
        }
        self.forget(key);
        Ok(Report { notes: vec![format!("checkpoint {id} deleted")], cost: self.spent(), ..Report::default() })
    }

    /// `fred-list`
    pub(super) fn list_checkpoints(&mut self) -> Report {
        self.begin();
        let here = self.timeline.point();
        let rows: Vec<_> = self
            .held
            .values()
            .map(|checkpoint| {
                let stop = &self.execution.point(checkpoint.point).stop;
                let memory = memory_of(checkpoint.pid).unwrap_or_default();
                json!({
                    "id": checkpoint.id,
                    "origin": if checkpoint.user { "user" } else { "auto" },
                    "index": checkpoint.number,
                    "where": {"file": stop.file, "line": stop.line, "function": stop.function},
                    "note": checkpoint.note,
                    "memory_kb": memory.private / 1024,
                    "age_s": round(checkpoint.taken.elapsed()),
                    "current": checkpoint.point == here,
                })
            })
            .collect();
        let branches: Vec<_> = self
            .timeline
            .branches()
            .into_iter()
            .map(|branch| {
                let stop = branch.stop.as_ref();
                json!({
                    "name": branch.name,
                    "number": branch.number,
                    "where": stop.map(|stop| json!({"file": stop.file, "line": stop.line, "function": stop.function})),
                    "current": branch.current,
                })
            })
            .collect();
        let unrecorded: Vec<_> =
            self.unrecorded.iter().map(|(index, reason)| json!({"index": index, "reason": reason})).collect();
        let result = json!({"checkpoints": rows, "branches": branches, "unrecorded": unrecorded});
        Report { result: Some(result), cost: self.spent(), ..Report::default() }
    }
}

fn round(age: Duration) -> f64 {
    (age.as_secs_f64() * 10.0).round() / 10.0
}
