//! What happened on one line of history: for each thread the calls that it made, in order. Lines that part from each other share
//! the entries before that, so a place in one is a place in the other. Pure.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use super::held::Held;
use super::schedule::Turn;
use crate::syscalls;

/// A descriptor that a call made, with what it stands for.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub number: i32,
    pub close_on_exec: bool,
    pub held: Held,
    pub regular: bool,
    pub name: Rc<str>,
}

/// What a call is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub number: u32,
    pub arguments: [u64; 6],
    /// Checksum of what goes out.
    pub given: u64,
    /// It only asks about files. A debugger in the program's own process does that, too, and not always in the same way: such
    /// a call may be missing, and one that is not in the log is made.
    pub query: bool,
}

impl Asked {
    /// In words.
    pub fn words(&self) -> String {
        let [a, b, c, ..] = self.arguments;
        format!("{}({a:#x}, {b:#x}, {c:#x}, ...)", syscalls::name(self.number.into()))
    }
}

/// How exactly a call must be the one of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// The program is alone in its process: the same call with the same arguments, in the same order.
    Exact,
    /// A debugger lives in the process: its own memory may lie elsewhere, and it asks about files.
    Shared,
}

/// One finished call.
#[derive(Debug)]
pub(super) struct Entry {
    pub asked: Asked,
    pub result: i64,
    /// What it wrote where.
    pub outputs: Vec<(u64, Vec<u8>)>,
    pub made: Vec<Made>,
    /// Where a regular file stands after it.
    pub offset: Option<(Held, i64)>,
    /// It opened a file that does not change, and is made again each time.
    pub still: bool,
    /// What it did outside, if it did: the name of what it acted on.
    pub effect: Option<Rc<str>>,
    /// Bytes of all entries.
    weight: Rc<Cell<u64>>,
    own: u64,
}

impl Entry {
    /// An entry that counts into `weight` while it lives.
    pub fn new(asked: Asked, result: i64, outputs: Vec<(u64, Vec<u8>)>, weight: &Rc<Cell<u64>>) -> Entry {
        let own = 200 + outputs.iter().map(|(_, bytes)| bytes.len() as u64 + 40).sum::<u64>();
        weight.set(weight.get() + own);
        Entry {
            asked,
            result,
            outputs,
            made: Vec::new(),
            offset: None,
            still: false,
            effect: None,
            weight: Rc::clone(weight),
            own,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.weight.set(self.weight.get().saturating_sub(self.own));
    }
}

/// The calls of one thread, or the turns of all.
#[derive(Debug)]
struct Queue<T> {
    /// How many have been forgotten.
    base: usize,
    entries: VecDeque<Rc<T>>,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue { base: 0, entries: VecDeque::new() }
    }
}

impl<T> Queue<T> {
    fn get(&self, at: usize) -> Option<&Rc<T>> {
        self.entries.get(at.checked_sub(self.base)?)
    }

    fn end(&self) -> usize {
        self.base + self.entries.len()
    }

    /// The same up to a place.
    fn up_to(&self, place: usize) -> Queue<T> {
        let kept = place.saturating_sub(self.base).min(self.entries.len());
        Queue { base: self.base, entries: self.entries.iter().take(kept).cloned().collect() }
    }

    /// Whether the last entry before a place is the same one as in another queue.
    fn shares(&self, other: &Queue<T>, at: usize) -> bool {
        let last = |queue: &Queue<T>| queue.get(at.checked_sub(1)?).map(Rc::as_ptr);
        last(self) == last(other)
    }

    /// The oldest entry, taken out if it is before this place.
    fn forget(&mut self, keep_from: usize) -> Option<Rc<T>> {
        if self.base >= keep_from {
            return None;
        }
        let entry = self.entries.pop_front()?;
        self.base += 1;
        Some(entry)
    }
}

/// Where each thread is, by the id that the program knows.
pub(super) type Places = BTreeMap<i32, usize>;

/// Where the schedule is, among the places of threads.
pub(super) const SCHEDULE: i32 = 0;

/// The place of a thread.
pub(super) fn place(places: &Places, thread: i32) -> usize {
    places.get(&thread).copied().unwrap_or(0)
}

/// What the log has for a call.
#[derive(Debug)]
pub(super) enum Found {
    /// This, at this index.
    Same(usize, Rc<Entry>),
    /// Nothing more: it is the newest, and so is all that comes.
    End,
    /// Nothing, and it does not matter: it is made, and not noted.
    Unmatched,
    /// Something else.
    Other(Rc<Entry>),
}

/// One line.
#[derive(Debug, Default)]
pub(super) struct Line {
    queues: BTreeMap<i32, Queue<Entry>>,
    turns: Queue<Turn>,
    /// Where regular files stood before the first entry that is kept.
    before: Vec<(Held, i64)>,
    /// Why nothing is noted behind its end.
    pub ended: Option<String>,
}

fn set(offsets: &mut Vec<(Held, i64)>, file: &Held, at: i64) {
    match offsets.iter_mut().find(|(known, _)| Rc::ptr_eq(known, file)) {
        Some(known) => known.1 = at,
        None => offsets.push((Rc::clone(file), at)),
    }
}

impl Line {
    /// Adds an entry at the end.
    pub fn push(&mut self, thread: i32, entry: Entry) {
        self.queues.entry(thread).or_default().entries.push_back(Rc::new(entry));
    }

    /// Adds a turn at the end.
    pub fn push_turn(&mut self, turn: Turn) {
        self.turns.entries.push_back(Rc::new(turn));
    }

    /// The turn at a place.
    pub fn turn(&self, places: &Places) -> Option<Rc<Turn>> {
        self.turns.get(place(places, SCHEDULE)).cloned()
    }

    /// Whether nothing comes behind these places.
    pub fn ends_at(&self, places: &Places) -> bool {
        let threads = self.queues.keys().copied().chain([SCHEDULE]);
        threads.into_iter().all(|thread| place(places, thread) >= self.end(thread))
    }

    /// Where the entries of a thread end, or the turns.
    pub fn end(&self, thread: i32) -> usize {
        if thread == SCHEDULE {
            return self.turns.end();
        }
        self.queues.get(&thread).map_or(0, Queue::end)
    }

    /// Notes where a regular file stands before anything is known of it.
    pub fn stands(&mut self, file: &Held, at: i64) {
        if !self.before.iter().any(|(known, _)| Rc::ptr_eq(known, file)) {
            self.before.push((Rc::clone(file), at));
        }
    }

    /// What there is for a call that a thread makes at a place.
    pub fn find(&self, thread: i32, at: usize, asked: &Asked, rule: Rule) -> Found {
        let Some(queue) = self.queues.get(&thread) else { return Found::End };
        let Some(first) = queue.get(at) else { return Found::End };
        if rule == Rule::Exact {
            return match same(&first.asked, asked, rule) {
                true => Found::Same(at, Rc::clone(first)),
                false => Found::Other(Rc::clone(first)),
            };
        }
        let mut index = at;
        while let Some(entry) = queue.get(index) {
            if same(&entry.asked, asked, rule) {
                return Found::Same(index, Rc::clone(entry));
            }
            if !entry.asked.query {
                return if asked.query { Found::Unmatched } else { Found::Other(Rc::clone(entry)) };
            }
            index += 1;
        }
        Found::End
    }

    /// Whether threads that are at these places in `other` can as well be in this line.
    pub fn shares(&self, other: &Line, places: &Places) -> bool {
        let none = Queue::default();
        places.iter().all(|(thread, at)| {
            if *thread == SCHEDULE {
                return self.turns.shares(&other.turns, *at);
            }
            let mine = self.queues.get(thread).unwrap_or(&none);
            mine.shares(other.queues.get(thread).unwrap_or(&none), *at)
        })
    }

    /// A line that parts from this one here.
    pub fn part(&self, places: &Places) -> Line {
        let queues = self.queues.iter().map(|(thread, queue)| (*thread, queue.up_to(place(places, *thread)))).collect();
        let turns = self.turns.up_to(place(places, SCHEDULE));
        Line { queues, turns, before: self.before.clone(), ended: None }
    }

    /// What was done outside behind these places: names, each once, and how often.
    pub fn effects_behind(&self, places: &Places) -> Vec<(Rc<str>, usize)> {
        let mut found: Vec<(Rc<str>, usize)> = Vec::new();
        for (thread, queue) in &self.queues {
            let from = place(places, *thread).saturating_sub(queue.base);
            for name in queue.entries.iter().skip(from).filter_map(|entry| entry.effect.as_ref()) {
                match found.iter_mut().find(|(known, _)| known == name) {
                    Some(known) => known.1 += 1,
                    None => found.push((Rc::clone(name), 1)),
                }
            }
        }
        found
    }

    /// Where regular files stand at its end.
    pub fn offsets(&self) -> Vec<(Held, i64)> {
        let mut offsets = self.before.clone();
        for entry in self.queues.values().flat_map(|queue| &queue.entries) {
            if let Some((file, at)) = &entry.offset {
                set(&mut offsets, file, *at);
            }
        }
        offsets
    }

    /// Forgets what comes before all places from which it could be needed.
    pub fn forget(&mut self, oldest: &Places) {
        for (thread, queue) in &mut self.queues {
            // The one before is what tells whether lines share a place.
            let keep_from = place(oldest, *thread).saturating_sub(1);
            while let Some(entry) = queue.forget(keep_from) {
                if let Some((file, at)) = &entry.offset {
                    set(&mut self.before, file, *at);
                }
            }
        }
        let keep_from = place(oldest, SCHEDULE).saturating_sub(1);
        while self.turns.forget(keep_from).is_some() {}
    }
}

/// Addresses look like this; what is smaller is a number that must be equal.
const ADDRESSES: std::ops::Range<u64> = 0x1_0000..0x7fff_ffff_f000;

fn same(known: &Asked, asked: &Asked, rule: Rule) -> bool {
    if known.number != asked.number || known.given != asked.given {
        return false;
    }
    if known.arguments == asked.arguments {
        return true;
    }
    // Positions in files may be as large as addresses.
    let exact = matches!(
        syscalls::name(asked.number.into()),
        "lseek" | "pread64" | "pwrite64" | "ftruncate" | "truncate" | "fallocate"
    );
    // The buffer is on the stack, and tells the program's readings of the clock from the interpreter's.
    let exact_address = syscalls::name(asked.number.into()) == "clock_gettime" && asked.query;
    let address = |value: u64| ADDRESSES.contains(&value) && !exact_address;
    rule == Rule::Shared
        && known
            .arguments
            .iter()
            .zip(&asked.arguments)
            .enumerate()
            .all(|(index, (one, two))| one == two || (address(*one) && address(*two) && !(exact && index != 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(number: u32, first: u64, query: bool) -> Asked {
        Asked { number, arguments: [first, 0, 0, 0, 0, 0], given: 0, query }
    }

    fn line(calls: &[(u32, u64, bool)]) -> (Line, Rc<Cell<u64>>) {
        let weight = Rc::default();
        let mut line = Line::default();
        for (number, first, query) in calls {
            line.push(1, Entry::new(asked(*number, *first, *query), 0, vec![(1, vec![0; 10])], &weight));
        }
        (line, weight)
    }

    const WRITE: u32 = 1;
    const STAT: u32 = 4;
    const MKDIR: u32 = 83;

    #[test]
    fn exactly_the_next_one() {
        let (line, _) = line(&[(STAT, 1, true), (WRITE, 3, false)]);
        assert!(matches!(line.find(1, 0, &asked(WRITE, 3, false), Rule::Exact), Found::Other(_)));
        assert!(matches!(line.find(1, 1, &asked(WRITE, 3, false), Rule::Exact), Found::Same(1, _)));
        assert!(matches!(line.find(1, 1, &asked(WRITE, 4, false), Rule::Exact), Found::Other(_)));
        assert!(matches!(line.find(1, 2, &asked(WRITE, 3, false), Rule::Exact), Found::End));
        assert!(matches!(line.find(2, 0, &asked(WRITE, 3, false), Rule::Exact), Found::End));
    }

    #[test]
    fn queries_may_be_missing_or_more_but_never_pass_an_effect() {
        let (line, _) = line(&[(STAT, 1, true), (STAT, 2, true), (MKDIR, 0, false), (STAT, 1, true)]);
        assert!(matches!(line.find(1, 0, &asked(STAT, 2, true), Rule::Shared), Found::Same(1, _)));
        assert!(matches!(line.find(1, 0, &asked(MKDIR, 0, false), Rule::Shared), Found::Same(2, _)));
        // The one behind mkdir has another answer.
        assert!(matches!(line.find(1, 1, &asked(STAT, 1, true), Rule::Shared), Found::Unmatched));
        assert!(matches!(line.find(1, 0, &asked(WRITE, 0, false), Rule::Shared), Found::Other(_)));
        assert!(matches!(line.find(1, 4, &asked(WRITE, 0, false), Rule::Shared), Found::End));
    }

    #[test]
    fn lines_that_part_share_what_came_before() {
        let (first, _) = line(&[(WRITE, 1, false), (WRITE, 2, false), (WRITE, 3, false)]);
        let second = first.part(&[(1, 2)].into());
        assert_eq!(second.end(1), 2);
        assert!(second.shares(&first, &[(1, 2)].into()) && second.shares(&first, &[(1, 0)].into()));
        assert!(!second.shares(&first, &[(1, 3)].into()));
        let (stranger, _) = line(&[(WRITE, 1, false), (WRITE, 2, false)]);
        assert!(!stranger.shares(&first, &[(1, 2)].into()));
    }

    #[test]
    fn what_nobody_needs_is_forgotten() {
        let (mut line, weight) = line(&[(WRITE, 1, false), (WRITE, 2, false), (WRITE, 3, false)]);
        let before = weight.get();
        line.forget(&[(1, 2)].into());
        assert!(weight.get() < before && weight.get() > 0);
        assert_eq!(line.end(1), 3);
        assert!(matches!(line.find(1, 2, &asked(WRITE, 3, false), Rule::Exact), Found::Same(2, _)));
        drop(line);
        assert_eq!(weight.get(), 0);
    }
}
