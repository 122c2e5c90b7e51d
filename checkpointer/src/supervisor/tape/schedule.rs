//! Whose turn it is. Of the threads of a recorded process one runs at a time, and which one is noted. Pure.
//!
//! Time is counted in *ticks*: the calls that threads make which are noted or at which they take turns, and their ends. In an
//! execution that is the same as another one all threads make the same ticks in the same order. A turn is noted with the
//! tick at which the thread stands that is left; a call at which a thread is left is finished when it is that thread's turn again.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use crate::wire::CopyId;

/// What a thread does while it is not its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::supervisor) enum Stand {
    /// It can go on.
    #[default]
    Ready,
    /// It stands right before a call that has been counted.
    Held,
    /// It has been let into a call that has been counted, and has not come back.
    Called,
    /// It waits for a futex: it stands before the call, and will find it made.
    Waits,
    /// It has ended, and the process has not.
    Gone,
}

/// A moment of a clock of the kernel's, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) struct Moment {
    pub clock: i32,
    pub nanoseconds: i128,
}

/// A thread that waits for a futex (futex(2)). The kernel never hears of it: who is woken, and in which order, is then the same
/// each time, and a copy has it.
#[derive(Debug, Clone)]
pub(in crate::supervisor) struct Wait {
    pub thread: i32,
    pub address: u64,
    /// What it found there.
    pub value: u32,
    pub bits: u32,
    pub until: Option<Moment>,
}

/// Why it is another thread's turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::supervisor) enum Cause {
    /// The thread whose turn it was waits in its call, or has ended.
    Call,
    /// It stands before its call: it has had its turn for long enough.
    Slice,
    /// All wait, and a signal has come, which interrupts the one whose turn it is now. Another one may get it first.
    Interrupted,
    /// The thread whose turn it was goes round a loop that changes nothing, and is left there.
    Spinning(Box<Spin>),
    /// The thread whose turn it was makes no call for long, and is left in a certain state.
    Computing(Left),
    /// The user has chosen, by what is let go.
    ByHand,
}

/// Where a thread is left that computes: in the state of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::supervisor) struct Left {
    pub pc: u64,
    pub copy: CopyId,
    /// Keeps the copy.
    pub kept: Rc<()>,
}

/// Where a thread that spins is left: its registers, which are those of each time round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::supervisor) struct Spin {
    pub pc: u64,
    pub state: [u64; 20],
}

/// A change of turns.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::supervisor) struct Turn {
    /// The tick at which it came.
    pub tick: u64,
    pub to: i32,
    pub cause: Cause,
    /// What that thread waited for has not come in time.
    pub late: bool,
}

/// The state of the schedule. Threads by the ids that the program knows.
#[derive(Debug, Clone, Default)]
pub(in crate::supervisor) struct Schedule {
    /// How many ticks there have been.
    pub tick: u64,
    /// Whose turn it is; nobody's while all wait.
    pub current: Option<i32>,
    /// Whose turn it was last.
    pub last: i32,
    /// The process is being taken down.
    pub ending: bool,
    /// When the turn began, or was taken up again.
    pub since: Option<Instant>,
    stands: BTreeMap<i32, Stand>,
    waits: Vec<Wait>,
    /// Where threads that have ended had their restartable sequences (rseq(2)), and how many bytes: what the kernel has left there
    /// tells of processors.
    pub left: Vec<(u64, u64)>,
    /// What calls have written of threads whose turn it has not been since.
    landed: BTreeMap<i32, Vec<(u64, u64)>>,
}

impl Schedule {
    /// One thread, whose turn it is.
    pub fn of(thread: i32) -> Schedule {
        Schedule { current: Some(thread), last: thread, ..Schedule::default() }
    }

    /// The same, so many ticks after the beginning.
    pub fn at_tick(self, tick: u64) -> Schedule {
        Schedule { tick, ..self }
    }

    /// What a thread does.
    pub fn stand(&self, thread: i32) -> Stand {
        self.stands.get(&thread).copied().unwrap_or_default()
    }

    /// Notes what a thread does.
    pub fn set(&mut self, thread: i32, stand: Stand) {
        self.stands.insert(thread, stand);
    }

    /// As it is for a process that has been made of a copy: no thread is inside a call.
    pub fn of_copy(mut self) -> Schedule {
        for stand in self.stands.values_mut().filter(|stand| **stand == Stand::Called) {
            *stand = Stand::Held;
        }
        self.since = None;
        self
    }

    /// A call of a thread has been made that wrote there. If it is not its turn, an execution along the notes has not got that yet.
    pub fn lands(&mut self, thread: i32, written: impl Iterator<Item = (u64, u64)>) {
        if self.current != Some(thread) {
            self.landed.insert(thread, written.collect());
        }
    }

    /// It is this thread's turn.
    pub fn turn_to(&mut self, thread: i32) {
        self.landed.remove(&thread);
        self.current = Some(thread);
        self.last = thread;
        self.since = Some(Instant::now());
    }

    /// Memory that equal states need not have in common.
    pub fn left_out(&self) -> Vec<(u64, u64)> {
        self.left.iter().chain(self.landed.values().flatten()).copied().collect()
    }

    /// A thread begins to wait, behind the others.
    pub fn wait(&mut self, wait: Wait) {
        self.set(wait.thread, Stand::Waits);
        self.waits.push(wait);
    }

    /// A thread does not wait any more.
    pub fn unwait(&mut self, thread: i32) {
        self.waits.retain(|wait| wait.thread != thread);
        if self.stand(thread) == Stand::Waits {
            self.set(thread, Stand::Ready);
        }
    }

    /// Who waits.
    pub fn waits(&self) -> &[Wait] {
        &self.waits
    }

    /// Wakes those who have waited longest: gives back whom.
    pub fn wake(&mut self, address: u64, most: usize, bits: u32) -> Vec<i32> {
        let found = self.waits.iter().filter(|wait| wait.address == address && wait.bits & bits != 0);
        let woken: Vec<i32> = found.take(most).map(|wait| wait.thread).collect();
        for thread in &woken {
            self.unwait(*thread);
        }
        woken
    }

    /// Lets some of those who wait at an address wait at another one, behind those who do: gives back how many.
    pub fn requeue(&mut self, from: u64, to: u64, most: usize) -> usize {
        let (mut moved, mut rest) = (Vec::new(), Vec::new());
        for wait in std::mem::take(&mut self.waits) {
            if wait.address == from && moved.len() < most {
                moved.push(Wait { address: to, ..wait });
            } else {
                rest.push(wait);
            }
        }
        let number = moved.len();
        self.waits = rest;
        self.waits.append(&mut moved);
        number
    }

    /// A thread has ended.
    pub fn forget(&mut self, thread: i32) {
        self.unwait(thread);
        self.stands.remove(&thread);
        if self.current == Some(thread) {
            self.current = None;
        }
    }

    /// Whose turn is next: in the order of their ids, beginning behind the one whose turn it was.
    pub fn choose(&self, able: &[i32]) -> Option<i32> {
        let behind = able.iter().filter(|thread| **thread > self.last).min();
        behind.or_else(|| able.iter().min()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(thread: i32, address: u64, bits: u32) -> Wait {
        Wait { thread, address, value: 0, bits, until: None }
    }

    #[test]
    fn who_has_waited_longest_is_woken_first() {
        let mut schedule = Schedule::of(1);
        for (thread, address, bits) in [(5, 8, 1), (3, 8, 2), (4, 16, 1), (2, 8, 1)] {
            schedule.wait(wait(thread, address, bits));
        }
        assert_eq!(schedule.wake(8, 1, u32::MAX), [5]);
        assert_eq!(schedule.stand(5), Stand::Ready);
        assert_eq!(schedule.wake(8, 9, 1), [2]);
        assert_eq!(schedule.stand(3), Stand::Waits);
        assert_eq!(schedule.requeue(8, 16, 9), 1);
        assert_eq!(schedule.wake(16, 9, u32::MAX), [4, 3]);
        assert!(schedule.waits().is_empty());
    }

    #[test]
    fn turns_go_round() {
        let mut schedule = Schedule::of(3);
        assert_eq!(schedule.choose(&[1, 3, 5]), Some(5));
        schedule.last = 5;
        assert_eq!(schedule.choose(&[1, 3, 5]), Some(1));
        assert_eq!(schedule.choose(&[]), None);
    }

    #[test]
    fn nobody_is_inside_a_call_in_a_copy() {
        let mut schedule = Schedule::of(3);
        schedule.set(3, Stand::Called);
        schedule.wait(wait(4, 8, 1));
        let copy = schedule.of_copy();
        assert_eq!((copy.stand(3), copy.stand(4)), (Stand::Held, Stand::Waits));
    }
}
