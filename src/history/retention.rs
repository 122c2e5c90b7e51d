//! Which automatic checkpoints to take, and which to keep.

use std::time::Duration;

use super::execution::CheckpointKey;

/// A checkpoint as the policy sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Its name.
    pub key: CheckpointKey,
    /// Where it is: the number of its entry in order of making, or any other measure that grows with the distance that a
    /// replay has to go.
    pub at: u64,
    /// Whether the user asked for it.
    pub user: bool,
    /// Whether it is on the current line of history.
    pub on_current_line: bool,
    /// Memory that only it holds, in bytes: what dropping it gives back.
    pub private_bytes: u64,
}

/// What to drop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Automatic checkpoints to drop.
    pub drop: Vec<CheckpointKey>,
    /// Bytes beyond the limit that remain when these are gone. What is left then is the user's checkpoints, the start and
    /// the newest one; only the user can drop more (`fred-delete`).
    pub over_limit: u64,
}

/// Automatic checkpoints of the current line whose distance from the head is at most this are kept, however dense.
pub const DENSE: u64 = 8;

/// Chooses the automatic checkpoints to drop; the user's are never chosen.
///
/// The rule, in the spirit of rr's: going back by d commands should replay at most about d/2 commands too many, so a
/// checkpoint may go when the gap that it leaves between its neighbours is at most half the distance from the head to that
/// gap. Seen from the head the survivors are dense at first (all of the last [`DENSE`]) and then get exponentially sparser:
/// any two gaps in a row make the distance grow by half or more, so that `2 log1.5 n` survive, and a few. As the
/// head moves on a gap only gets relatively smaller, so a checkpoint dropped today is not missed tomorrow.
///
/// Lines other than the current one are thinned by the same rule twice as hard, and have no dense part.
/// The start of the history (the lowest `at`) and the newest checkpoint are never dropped.
///
/// When `total_bytes` still exceeds `limit_bytes`, further ones go: first those of other lines, and among each kind those that
/// give back most memory for each bit of relative gap that they leave.
pub fn choose(held: &[Held], head: u64, total_bytes: u64, limit_bytes: u64) -> Plan {
    let mut current = Row::new(held, true, head);
    let mut others = Row::new(held, false, head);
    let mut plan = Plan::default();
    let mut total = total_bytes;
    for row in [&mut current, &mut others] {
        for gone in row.thin() {
            total = total.saturating_sub(gone.private_bytes);
            plan.drop.push(gone.key);
        }
    }
    for row in [&mut others, &mut current] {
        while total > limit_bytes
            && let Some(index) = row.cheapest()
        {
            let gone = row.0.remove(index).held;
            total = total.saturating_sub(gone.private_bytes);
            plan.drop.push(gone.key);
        }
    }
    plan.over_limit = total.saturating_sub(limit_bytes);
    plan
}

/// A checkpoint among its neighbours.
#[derive(Clone, Copy)]
struct Seat {
    held: Held,
    head: u64,
    /// The user's, the start and the newest.
    fixed: bool,
}

/// Checkpoints in order of `at`.
struct Row(Vec<Seat>);

impl Row {
    fn new(held: &[Held], on_current_line: bool, head: u64) -> Self {
        let first = held.iter().map(|h| h.at).min();
        let newest = held.iter().map(|h| (h.at, h.key)).max();
        let seat =
            |h: &Held| Seat { held: *h, head, fixed: h.user || Some(h.at) == first || Some((h.at, h.key)) == newest };
        let mut row: Vec<Seat> = held.iter().filter(|h| h.on_current_line == on_current_line).map(seat).collect();
        row.sort_by_key(|seat| (seat.held.at, seat.held.key));
        Row(row)
    }

    /// The gap that remains without the checkpoint at `index`, and how far it is from the head. The first of another line is
    /// measured to the start of history. Beyond the last one there is nothing to come back from: its gap has no end.
    fn gap_without(&self, index: usize) -> (u64, u64) {
        let Seat { head, .. } = self.0[index];
        let before = index.checked_sub(1).map_or(0, |i| self.0[i].held.at);
        let Some(after) = self.0.get(index + 1).map(|seat| seat.held.at) else {
            return (u64::MAX, 0);
        };
        let distance =
            if (before..=after).contains(&head) { 0 } else { head.abs_diff(before).min(head.abs_diff(after)) };
        (after - before, distance)
    }

    fn expendable(&self, index: usize) -> bool {
        let seat = self.0[index];
        let (gap, distance) = self.gap_without(index);
        if seat.held.on_current_line {
            seat.head.abs_diff(seat.held.at) > DENSE && gap <= distance / 2
        } else {
            gap <= distance
        }
    }

    /// Takes out what the rule gives up, from the newest to the oldest: a checkpoint is judged against the neighbours
    /// that survive.
    fn thin(&mut self) -> Vec<Held> {
        let mut gone = Vec::new();
        for index in (0..self.0.len()).rev() {
            if !self.0[index].fixed && self.expendable(index) {
                gone.push(self.0.remove(index).held);
            }
        }
        gone
    }

    /// The checkpoint whose loss costs least for the memory that it gives back.
    fn cheapest(&self) -> Option<usize> {
        let cost = |&index: &usize| {
            let (gap, distance) = self.gap_without(index);
            // One that gives nothing back now goes late; its pages may become its own once its neighbours are gone.
            let bytes = self.0[index].held.private_bytes.max(1);
            (gap as f64) / (distance as f64 + 1.0) / (bytes as f64)
        };
        let free = (0..self.0.len()).filter(|&index| !self.0[index].fixed);
        free.min_by(|a, b| cost(a).total_cmp(&cost(b)))
    }
}

/// What has happened since the last checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SinceLast {
    /// Commands that moved.
    pub moves: u32,
    /// Time that the program ran, which is what a replay would take.
    pub running: Duration,
    /// Time that has passed, the user's thinking included.
    pub passed: Duration,
}

/// What commands may cost that moved the program, and how many may be left without a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// A checkpoint this cheap is taken after every command that moved, one twice as dear after every second, and so on.
    pub cheap: Duration,
    /// At most this many commands that moved are left without a checkpoint, whatever one costs.
    pub most_moves: u32,
}

/// A debugger that is the program's own process: a forward command may cost 3 ms more than in the plain one, and half of that is for everything
/// else that fred does.
pub const ALONE: Budget = Budget { cheap: Duration::from_micros(1500), most_moves: 8 };

/// A program that is served to its debugger. A command takes less than a millisecond there and so does running it again, while a checkpoint is
/// one of two processes, whose pages are then copied as they are written to: taken after each command of a script, it doubles what that takes.
pub const SERVED: Budget = Budget { cheap: Duration::from_micros(100), most_moves: 16 };

/// At most this much running time is left without a checkpoint: longer, and going back would no longer feel immediate.
pub const MOST_RUNNING: Duration = Duration::from_millis(250);

/// Whether to take an automatic checkpoint now, after a command that moved. `cost` is what the last one took; `None` when
/// none has been taken yet; `budget` what one may take.
///
/// It is worth taking when it is cheap for the commands since the last one, costs at most a twentieth of the time that the program has run since,
/// or a fiftieth of the time that has passed (who types at the pace of a person does not see it), and in any case after so many commands or [`MOST_RUNNING`] of running.
pub fn worth_taking(cost: Option<Duration>, since: SinceLast, budget: Budget) -> bool {
    let Some(cost) = cost else { return true };
    cost <= budget.cheap * since.moves.max(1)
        || cost * 20 <= since.running
        || cost * 50 <= since.passed
        || since.moves >= budget.most_moves
        || since.running >= MOST_RUNNING
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn auto(at: u64) -> Held {
        Held { key: CheckpointKey(at), at, user: false, on_current_line: true, private_bytes: 100 }
    }

    fn total(held: &[Held]) -> u64 {
        held.iter().map(|h| h.private_bytes).sum()
    }

    fn apply(held: &mut Vec<Held>, plan: &Plan) {
        held.retain(|h| !plan.drop.contains(&h.key));
    }

    /// A session that takes a checkpoint at every command and thins them each time.
    fn grown(n: u64) -> Vec<Held> {
        let mut held = Vec::new();
        for at in 0..=n {
            held.push(auto(at));
            let plan = choose(&held, at, total(&held), u64::MAX);
            apply(&mut held, &plan);
        }
        held
    }

    #[test]
    fn a_long_session_keeps_few() {
        let held = grown(20_000);
        assert!(held.len() <= 60, "{} checkpoints", held.len());
        let last: Vec<u64> = held.iter().rev().take(9).map(|h| h.at).collect();
        assert_eq!(last, (19_992..=20_000).rev().collect::<Vec<_>>(), "dense near the head");
    }

    #[test]
    fn memory_goes_to_those_that_save_most() {
        // Of two that are equally useful the bigger one goes; the start and the newest stay whatever they hold.
        let mut held: Vec<Held> = (0..5).map(auto).collect();
        (held[0].private_bytes, held[2].private_bytes, held[4].private_bytes) = (900, 500, 900);
        let plan = choose(&held, 4, total(&held), total(&held) - 1);
        assert_eq!(plan, Plan { drop: vec![CheckpointKey(2)], over_limit: 0 });
        let plan = choose(&held, 4, total(&held), 0);
        assert_eq!((plan.drop.len(), plan.over_limit), (3, 1800));
    }

    #[test]
    fn the_users_are_never_dropped_and_excess_is_said() {
        let held: Vec<Held> = (0..100).map(|at| Held { user: true, ..auto(at) }).collect();
        assert_eq!(choose(&held, 99, total(&held), 4_000), Plan { drop: vec![], over_limit: 6_000 });
    }

    #[test]
    fn other_lines_go_before_the_current_one() {
        let mut held: Vec<Held> = (0..8).map(auto).collect();
        for other in &mut held[2..5] {
            other.on_current_line = false;
        }
        let plan = choose(&held, 7, total(&held), total(&held) - 250);
        let mut dropped = plan.drop.clone();
        dropped.sort();
        assert_eq!(dropped, [CheckpointKey(2), CheckpointKey(3), CheckpointKey(4)]);
    }

    #[test]
    fn a_cheap_checkpoint_is_always_taken_and_a_dear_one_in_time() {
        let ms = Duration::from_millis;
        let worth_taking = |cost, since| worth_taking(cost, since, ALONE);
        let since = |moves, running| SinceLast { moves, running: ms(running), passed: ms(running) };
        assert!(worth_taking(None, since(1, 0)));
        assert!(worth_taking(Some(ms(1)), since(1, 0)));
        assert!(!worth_taking(Some(ms(5)), since(1, 2)));
        assert!(worth_taking(Some(ms(5)), since(1, 100)), "a twentieth");
        assert!(!worth_taking(Some(ms(40)), since(7, 200)));
        assert!(worth_taking(Some(ms(40)), since(8, 200)));
        assert!(worth_taking(Some(ms(40)), since(1, 250)));
    }

    #[test]
    fn a_person_has_one_after_each_command_and_a_script_now_and_then() {
        let ms = Duration::from_millis;
        let since = |moves, passed| SinceLast { moves, running: ms(1), passed: ms(passed) };
        assert!(worth_taking(Some(ms(2)), since(1, 150), SERVED));
        assert!(!worth_taking(Some(ms(2)), since(1, 2), SERVED));
        assert!(!worth_taking(Some(ms(2)), since(15, 30), SERVED));
        assert!(worth_taking(Some(ms(2)), since(16, 30), SERVED));
    }

    proptest! {
        #[test]
        fn sparse_but_never_too_sparse(n in 1u64..1500) {
            let held = grown(n);
            prop_assert_eq!(held[0].at, 0);
            prop_assert_eq!(held.last().unwrap().at, n);
            prop_assert!(held.len() as f64 <= 12.0 + 2.0 * (n as f64).log(1.5), "{} of {}", held.len(), n);
            for pair in held.windows(2) {
                let gap = pair[1].at - pair[0].at;
                prop_assert!(gap <= 1 || 2 * gap <= n - pair[1].at, "gap {}..{} of {}", pair[0].at, pair[1].at, n);
            }
        }

        #[test]
        fn any_set_of_checkpoints(
            raw in prop::collection::vec((0u64..500, prop::bool::weighted(0.1), any::<bool>(), 0u64..1000), 1..80),
            head in 0u64..500,
            limit in 0u64..40_000,
        ) {
            let held: Vec<Held> = raw
                .iter()
                .enumerate()
                .map(|(i, &(at, user, on_current_line, private_bytes))| Held {
                    key: CheckpointKey(i as u64), at, user, on_current_line, private_bytes,
                })
                .collect();
            let plan = choose(&held, head, total(&held), limit);
            let mut left = held.clone();
            apply(&mut left, &plan);
            prop_assert_eq!(left.len() + plan.drop.len(), held.len(), "each is dropped once");
            prop_assert!(plan.drop.iter().all(|key| !held[key.0 as usize].user));
            let first = held.iter().map(|h| h.at).min();
            let newest = held.iter().map(|h| (h.at, h.key)).max();
            prop_assert_eq!(left.iter().map(|h| h.at).min(), first);
            prop_assert_eq!(left.iter().map(|h| (h.at, h.key)).max(), newest);
            prop_assert_eq!(plan.over_limit, total(&left).saturating_sub(limit));
            // What has been thinned stays so: the rule is its own fixed point.
            if plan.over_limit == 0 {
                prop_assert_eq!(choose(&left, head, total(&left), limit), Plan::default());
            }
        }
    }
}
