//! Threads of a recorded process take turns: one runs at a time, and it is left at calls only. Whose turn it is is noted, and in an
//! execution that goes along the notes it is whose turn it was ([`super::tape::schedule`]).
//!
//! For a debugger nothing changes: that a thread is let go means that it may have its turn.

use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::Supervisor;
use super::tape::schedule::{Cause, Moment, Schedule, Stand};
use super::tasks::{Task, proc_text};
use crate::ptrace::How;
use crate::raw;

/// How long a thread may go on while others could.
pub(super) const SLICE: Duration = Duration::from_millis(10);

/// How often it is looked whether a signal has come while all wait.
const SIGNAL_LOOK: Duration = Duration::from_millis(20);

/// How often a thread that was let into a call is looked at before it is another's turn.
const LOOKS: usize = 3;

impl Supervisor {
    /// Whether a thread is one of those that take turns.
    pub(super) fn takes_turns(&self, tid: Pid) -> bool {
        self.recording.on && self.tasks.get(&tid).is_some_and(|task| Some(task.pid) == self.recorded_leader())
    }

    /// Whether a thread may be let go: it is its turn, or it is in the kernel and comes to no instruction of its own.
    pub(super) fn may_go(&mut self, tid: Pid) -> bool {
        if !self.takes_turns(tid) {
            return !self.stands_for_parent(tid);
        }
        let known = self.virtual_id(tid);
        let live = self.recording.is_live();
        let schedule = self.recording.schedule();
        schedule.ending
            || schedule.current == Some(known)
            || matches!(schedule.stand(known), Stand::Gone)
            || schedule.stand(known) == Stand::Called && live
    }

    /// Threads that take turns, by real and known id.
    pub(super) fn in_turn(&self) -> Vec<(Pid, i32)> {
        let leader = self.recorded_leader();
        let threads = self.tasks.iter().filter(|(_, task)| Some(task.pid) == leader);
        threads.map(|(tid, _)| (*tid, self.virtual_id(*tid))).collect()
    }

    /// The first thread of the served program, if several take turns.
    pub(super) fn leader_in_turn(&self) -> Option<i32> {
        let program = self.program.as_ref().filter(|program| self.takes_turns(program.leader))?;
        (!self.are_alone()).then_some(program.virtual_id)
    }

    fn are_alone(&self) -> bool {
        let leader = self.recorded_leader();
        self.tasks.values().filter(|task| Some(task.pid) == leader).nth(1).is_none()
    }

    /// Whether the debugger, if there is one, has let a thread go.
    fn is_let_go(&mut self, tid: Pid) -> bool {
        !self.is_served(tid) || self.served.running && self.is_resumed(tid)
    }

    /// Threads whose turn it could be now.
    fn able(&mut self) -> Vec<i32> {
        let mut able = Vec::new();
        for (tid, known) in self.in_turn() {
            if !self.can_have_turn(tid) {
                continue;
            }
            let due = match self.recording.schedule().stand(known) {
                Stand::Ready | Stand::Held => true,
                Stand::Waits => self.is_due(known),
                Stand::Called | Stand::Gone => false,
            };
            if due {
                able.push(known);
            }
        }
        able
    }

    /// Whether a thread that rests can be given its turn.
    pub(super) fn can_have_turn(&mut self, tid: Pid) -> bool {
        let rests = |task: &Task| task.is_stopped() && task.parked.is_none() && !task.group_stopped;
        self.tasks.get(&tid).is_some_and(rests) && self.is_let_go(tid)
    }

    /// Whether what a thread waits for is late.
    fn is_due(&mut self, thread: i32) -> bool {
        let wait = self.recording.schedule().waits().iter().find(|wait| wait.thread == thread);
        wait.and_then(|wait| wait.until).is_some_and(|until| left(until).is_zero())
    }

    /// A thread stands before a call that counts. Whether it makes it now; otherwise it stands before it until it is its turn. One
    /// that is `ours`, and not made by the kernel, is one in which the thread waits each time.
    pub(super) fn comes_to_call(&mut self, tid: Pid, ours: bool) -> bool {
        let known = self.virtual_id(tid);
        let schedule = self.recording.schedule();
        match schedule.stand(known) {
            // It was interrupted.
            Stand::Called => return true,
            Stand::Held => {}
            _ => {
                if self.signal_before(tid, known) {
                    return false;
                }
                self.recording.schedule().tick += 1;
                self.recording.patience.comes_to_call(known);
                self.has_missed_place();
            }
        }
        self.expect_spin();
        tracing::trace!(
            "tick {} of {known}: {}",
            self.recording.schedule().tick,
            raw::registers(tid).map_or("?", |registers| crate::syscalls::name(registers.orig_rax))
        );
        if let Some(cause) = self.gives_way(tid, known, ours) {
            if self.back_out(tid) {
                self.recording.schedule().set(known, Stand::Held);
                self.next_turn(cause);
            }
            return false;
        }
        self.recording.schedule().set(known, Stand::Called);
        true
    }

    /// A thread has come to a call. If it was to be left before that where it computes, this is another execution.
    fn has_missed_place(&mut self) {
        if self.is_aside() || self.recording.is_live() {
            return;
        }
        let tick = self.recording.schedule().tick;
        let missed = |cause: &Cause| matches!(cause, Cause::Spinning(_) | Cause::Computing(_));
        if self.recording.next_turn().is_some_and(|turn| turn.tick < tick && missed(&turn.cause)) {
            self.part("a thread that is left while it computes", "its next call");
        }
    }

    /// Why it is another's turn before a thread makes its call, if it is.
    fn gives_way(&mut self, tid: Pid, known: i32, ours: bool) -> Option<Cause> {
        let tick = self.recording.schedule().tick;
        if let Some(turn) = self.recording.next_turn() {
            let waits = matches!(turn.cause, Cause::Call | Cause::Interrupted);
            let now = turn.tick == tick && (turn.cause == Cause::Slice || waits && !ours);
            return now.then(|| turn.cause.clone());
        }
        let over = |since: Option<Instant>| since.is_none_or(|since| since.elapsed() > SLICE);
        let held = self.recording.schedule().stand(known) == Stand::Held;
        let gives = !held
            && self.recording.chooses_turns()
            && over(self.recording.schedule().since)
            && !(self.is_served(tid) && self.steps(tid))
            && self.able().into_iter().any(|other| other != known);
        gives.then_some(Cause::Slice)
    }

    /// A thread has made its call.
    pub(super) fn leaves_call(&mut self, tid: Pid) {
        let known = self.virtual_id(tid);
        let schedule = self.recording.schedule();
        if schedule.stand(known) == Stand::Called {
            schedule.set(known, Stand::Ready);
        }
    }

    /// A thread has been let into a call. If that keeps it waiting it is another's turn.
    pub(super) fn has_entered(&mut self, tid: Pid) {
        if !self.takes_turns(tid) || self.are_alone() {
            return;
        }
        let known = self.virtual_id(tid);
        let begins = self.tasks.get(&tid).and_then(|task| task.pending.as_ref()).is_some_and(|call| call.short);
        for look in 0.. {
            let schedule = self.recording.schedule();
            if schedule.current != Some(known) || schedule.stand(known) != Stand::Called {
                return;
            }
            if !begins {
                if look == LOOKS {
                    break;
                }
                nix::sched::sched_yield().ok();
            }
            match raw::wait(Some(tid), begins) {
                Ok(Some((_, status))) => {
                    let what = self.record(tid, status);
                    self.react(tid, what);
                    if self.tasks.get(&tid).is_none_or(|task| task.is_stopped()) {
                        return;
                    }
                }
                Ok(None) => {}
                Err(_) => return,
            }
        }
        self.next_turn(Cause::Call);
    }

    /// Nobody's turn any more: finds out whose it is. Nothing is done while all wait.
    pub(super) fn next_turn(&mut self, cause: Cause) {
        self.sync_clocks();
        self.recording.schedule().current = None;
        if self.is_aside() {
            return self.choose_turn(cause);
        }
        let (tick, last) = (self.recording.schedule().tick, self.recording.schedule().last);
        match self.recording.next_turn() {
            Some(turn) if turn.tick == tick && !matches!(turn.cause, Cause::Spinning(_) | Cause::Computing(_)) => {
                let real = self.real_id(turn.to);
                let able = self.takes_turns(real) && self.is_let_go(real);
                let waits = self.recording.schedule().stand(turn.to) == Stand::Waits && !turn.late;
                let wrong = waits && turn.cause != Cause::Interrupted;
                if able && waits && self.signal_while_waiting(real, turn.to) {
                    return;
                }
                if able && !wrong {
                    if turn.late && self.fence_while_all_wait() {
                        return;
                    }
                    self.recording.take_turn();
                    if waits {
                        // Another one has got the signal, and it makes its call again.
                        self.recording.schedule().unwait(turn.to);
                    }
                    return self.give_turn(real, turn.to, turn.late);
                }
                let got = if wrong { "one that waits" } else { "one that is not let go" };
                let expected = format!("the turn of thread {}", turn.to);
                if !self.part_turns(&expected, got) {
                    self.part(&expected, got);
                }
            }
            _ if self.recording.chooses_turns() => {}
            // It was alone, and went on.
            _ if matches!(self.recording.schedule().stand(last), Stand::Ready | Stand::Held)
                && self.can_have_turn(self.real_id(last)) =>
            {
                let real = self.real_id(last);
                return self.give_turn(real, last, false);
            }
            _ if self.recording.is_at_end() => self.go_live(),
            _ if self.part_turns("no change of turns", "one") => {}
            _ => self.part("no change of turns", "one"),
        }
        if !self.recording.is_lost() {
            self.choose_turn(cause);
        }
    }

    /// Nobody goes on: whether that is the state of the fence. The user has interrupted the program while it was.
    fn fence_while_all_wait(&mut self) -> bool {
        let Some(thread) = self.fence_thread().filter(|_| self.served.running && !self.is_aside()) else {
            return false;
        };
        let real = self.real_id(thread);
        if !self.takes_turns(real) || !self.can_have_turn(real) || !self.fence_met(real) {
            return false;
        }
        self.at_fence(real);
        true
    }

    /// Whose turn it could be besides.
    /// And whether what it waits for is late.
    pub(super) fn choose_other(&mut self, known: i32) -> Option<(i32, bool)> {
        let mut able = self.able();
        able.retain(|thread| *thread != known);
        let next = self.recording.schedule().choose(&able)?;
        Some((next, self.recording.schedule().stand(next) == Stand::Waits))
    }

    /// Whether somebody else could go on.
    pub(super) fn others_can_go_on(&mut self, known: i32) -> bool {
        !self.are_alone() && self.able().into_iter().any(|thread| thread != known)
    }

    /// For the first time: whose turn it is.
    fn choose_turn(&mut self, cause: Cause) {
        let able = self.able();
        let Some(next) = self.recording.schedule().choose(&able) else { return };
        let late = self.recording.schedule().stand(next) == Stand::Waits;
        if !self.is_aside() && (late || next != self.recording.schedule().last) {
            self.recording.note_turn(next, cause, late);
        }
        let real = self.real_id(next);
        self.give_turn(real, next, late);
    }

    /// It is this thread's turn.
    pub(super) fn give_turn(&mut self, tid: Pid, known: i32, late: bool) {
        if late {
            self.end_wait(tid, known, -i64::from(libc::ETIMEDOUT));
        }
        self.sync_clocks();
        let schedule = self.recording.schedule();
        tracing::debug!("turn of {known} at tick {}{}", schedule.tick, if late { ", late" } else { "" });
        let another = schedule.last != known;
        schedule.turn_to(known);
        self.take_buffer();
        if self.is_served(tid) {
            if another {
                self.put_lifted_back();
            }
            if another && self.fence_met(tid) {
                return self.at_fence(tid);
            }
            if another && self.turn_in_run() {
                return;
            }
            self.expect_spin();
        }
        if !self.tasks.get(&tid).is_some_and(|task| task.is_stopped() && task.parked.is_none()) {
            return;
        }
        if self.is_served(tid) { self.begin_from(tid) } else { self.let_go(tid, How::Continue) }
    }

    /// A thread has been chosen by its debugger: it is its turn, whosever it was.
    pub(super) fn chosen_by_hand(&mut self, tid: Pid) {
        if !self.takes_turns(tid) {
            return;
        }
        let known = self.virtual_id(tid);
        self.recording.schedule().unwait(known);
        if self.recording.schedule().current == Some(known) {
            return;
        }
        if !self.is_aside() && self.recording.next_turn().is_none() {
            self.recording.note_turn(known, Cause::ByHand, false);
        }
        self.sync_clocks();
        self.recording.schedule().turn_to(known);
        self.take_buffer();
    }

    /// The program stops or is copied where no thread has met anything: the one whose turn it is is looked at.
    pub(super) fn note_turn_of_stop(&mut self) {
        let leader = self.program.as_ref().map(|program| program.leader);
        if leader.is_some_and(|leader| self.takes_turns(leader)) {
            let schedule = self.recording.schedule();
            self.served.current = schedule.current.unwrap_or(schedule.last);
        }
    }

    /// Looks whether it is somebody's turn: called whenever something has happened.
    pub(super) fn keep_turns(&mut self) {
        if std::mem::take(&mut self.recording.loosened) {
            self.loosen();
        }
        let Some(leader) = self.recorded_leader().filter(|leader| self.takes_turns(*leader)) else { return };
        if self.program.as_ref().is_some_and(|program| program.leader == leader) && !self.served.running {
            return;
        }
        if self.recording.schedule().ending || self.recording.is_lost() {
            return;
        }
        match self.recording.schedule().current {
            None => {
                self.next_turn(Cause::Call);
                if self.recording.schedule().current.is_none() && self.fence_while_all_wait() {
                    return;
                }
                if self.recording.schedule().current.is_none() {
                    self.release_family();
                    self.interrupt_waits(leader);
                }
                if self.recording.schedule().current.is_none() {
                    self.look_for_deadlock(leader);
                }
            }
            Some(current) => {
                let real = self.real_id(current);
                if !self.takes_turns(real) {
                    self.next_turn(Cause::Call);
                } else if !self.is_let_go(real)
                    && let Some(other) = self.able().first().copied()
                {
                    let other = self.real_id(other);
                    self.chosen_by_hand(other);
                    self.give_turn_again();
                } else {
                    self.look_for_spin();
                }
            }
        }
    }

    fn give_turn_again(&mut self) {
        let Some(current) = self.recording.schedule().current else { return };
        let real = self.real_id(current);
        self.give_turn(real, current, false);
    }

    /// How long nothing needs to be looked at; for ever unless all wait and one of them not for ever.
    pub(super) fn turns_patience(&mut self) -> Option<Duration> {
        if !self.recording.on {
            return None;
        }
        if self.recording.schedule().current.is_some() {
            return self.spin_patience();
        }
        let leader = self.recorded_leader()?;
        if !self.is_let_go(leader) && !self.served.running {
            return None;
        }
        let waits = self.recording.schedule().waits();
        // Of a signal to a thread that is stopped nobody is told.
        waits.iter().filter_map(|wait| wait.until).map(left).chain((!waits.is_empty()).then_some(SIGNAL_LOOK)).min()
    }

    /// Whether the recorded process ends with a thread of it that is about to.
    pub(super) fn ends_with(&mut self, tid: Pid) -> bool {
        let threads = self.in_turn();
        let is_left = |(real, known): (Pid, i32)| real != tid && self.recording.schedule().stand(known) != Stand::Gone;
        !ends_alone(tid) || !threads.into_iter().any(is_left)
    }

    /// A thread is about to end.
    pub(super) fn turn_ends(&mut self, tid: Pid) {
        if !self.takes_turns(tid) {
            return;
        }
        let known = self.virtual_id(tid);
        let alone = ends_alone(tid);
        let leads = self.recorded_leader() == Some(tid);
        let left = raw::rseq_configuration(tid).ok().map(|(area, length, _)| (area, u64::from(length)));
        let schedule = self.recording.schedule();
        if let Some(left) = left.filter(|left| left.0 != 0 && !schedule.left.contains(left)) {
            schedule.left.push(left);
        }
        if !alone {
            schedule.ending = true;
            self.free_family();
        } else if schedule.current == Some(known) {
            schedule.tick += 1;
            if leads {
                schedule.set(known, Stand::Gone);
            }
        }
    }

    /// A process has loaded a program: it has one thread again (execve(2)).
    pub(super) fn turns_begin_again(&mut self, tid: Pid) {
        if self.takes_turns(tid) {
            let known = self.virtual_id(tid);
            let tick = self.recording.schedule().tick;
            *self.recording.schedule() = Schedule::of(known).at_tick(tick);
        }
    }

    /// A thread that was about to end has been let go. The end of a process's first thread is reported after the others'.
    pub(super) fn turn_has_ended(&mut self, tid: Pid) {
        let known = self.virtual_id(tid);
        if !self.takes_turns(tid) || self.recording.schedule().stand(known) != Stand::Gone || self.are_alone() {
            return;
        }
        let is_gone = || {
            let text = proc_text(&format!("/proc/{tid}/stat")).unwrap_or_default();
            text.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']))
        };
        while !is_gone() {
            nix::sched::sched_yield().ok();
        }
        self.wake_for_end();
        self.next_turn(Cause::Call);
    }

    /// A thread of the recorded process has ended, and is known no more.
    pub(super) fn turn_is_over(&mut self, pid: Pid, known: i32) {
        if !self.recording.on || self.recorded_leader() != Some(pid) || !self.tasks.contains_key(&pid) {
            return;
        }
        let had = self.recording.schedule().current == Some(known);
        self.recording.schedule().forget(known);
        if self.recording.schedule().ending {
            return;
        }
        self.wake_for_end();
        if had && self.is_let_go(pid) {
            self.next_turn(Cause::Call);
        }
    }

    /// Lets threads go for which nobody keeps turns any more. Those that wait make their calls again.
    fn loosen(&mut self) {
        let leader = self.recorded_leader();
        let threads: Vec<Pid> =
            self.tasks.iter().filter(|(_, task)| Some(task.pid) == leader).map(|(tid, _)| *tid).collect();
        for tid in threads {
            if self.can_have_turn(tid) {
                if self.is_served(tid) { self.begin_from(tid) } else { self.let_go(tid, How::Continue) }
            }
        }
    }
}

/// Whether a thread that is about to end ends by itself: exit(2) ends no other one.
fn ends_alone(tid: Pid) -> bool {
    const EXIT: u64 = 60;
    raw::registers(tid).is_ok_and(|registers| registers.orig_rax == EXIT)
}

/// How long it is until then.
fn left(until: Moment) -> Duration {
    let (seconds, nanoseconds) = raw::clock_now(until.clock).unwrap_or_default();
    let now = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    let left = u64::try_from(until.nanoseconds.saturating_sub(now).max(0)).unwrap_or(u64::MAX);
    Duration::from_nanos(left)
}
