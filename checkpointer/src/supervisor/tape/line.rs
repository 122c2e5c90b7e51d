//! What happened on one line of history: for each thread the calls that it made, in order. Lines that part from each other share
//! the entries before that, so a place in one is a place in the other. Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use super::held::Held;
use super::kinds::Tries;
use super::locks::Locks;
use super::mapped::Contents;
use super::records::{Record, Used};
use super::schedule::Turn;
use super::signals::Noted;
use super::store::{Kept, Store};
use super::timers::Newest;
use crate::snapshot::timers::Timers;
use crate::syscalls;

/// A descriptor that a call made, with what it stands for.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub number: i32,
    pub close_on_exec: bool,
    pub held: Held,
    pub regular: bool,
    pub name: Rc<str>,
    pub tries: Tries,
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
    /// Checksum of what goes out, as the process itself would have made it; 0 where nobody compares it.
    pub sum: u64,
    /// What its descriptor stands for, where a number does not tell.
    pub about: Option<Rc<str>>,
}

impl Asked {
    /// In words.
    pub fn words(&self) -> String {
        if self.number == syscalls::FLUSH {
            return "what is noted without a stop".to_owned();
        }
        if self.number == SIGNAL {
            return "a signal".to_owned();
        }
        if self.number == MEMORY {
            return "what another process has stored in shared memory".to_owned();
        }
        if self.number == MAPPED {
            return "the mapping of a file".to_owned();
        }
        if self.number == COUNTER {
            return "a reading of the time-stamp counter".to_owned();
        }
        let [a, b, c, ..] = self.arguments;
        format!("{}({a:#x}, {b:#x}, {c:#x}, ...)", syscalls::name(self.number.into()))
    }
}

/// Stands for a call's number where a signal is noted by itself.
pub(super) const SIGNAL: u32 = u32::MAX;

/// Stands for a call's number where the time-stamp counter was read.
pub(super) const COUNTER: u32 = u32::MAX - 1;

/// Stands for a call's number where another process has stored something in shared memory: behind the tick that is the first argument, in
/// a mapping of which the others tell.
pub(super) const MEMORY: u32 = u32::MAX - 2;

/// Stands for a call's number where a file was mapped to store in it: so many bytes, from this offset on.
pub(super) const MAPPED: u32 = u32::MAX - 3;

/// How exactly a call must be the one of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// The program is alone in its process: the same call with the same arguments, in the same order.
    Exact,
    /// A debugger lives in the process: its own memory may lie elsewhere, and it asks about files.
    Shared,
    /// The same, and readings of the monotonic clock that could be the debugger's are not noted (own_readings.rs): the others are the
    /// program's, and come one after the other, whoever asks.
    Told,
}

impl Rule {
    /// Whether a debugger lives in the process.
    pub fn is_shared(self) -> bool {
        self != Rule::Exact
    }
}

/// One finished call.
#[derive(Debug)]
pub(super) struct Entry {
    pub asked: Asked,
    pub result: i64,
    /// What it wrote where.
    pub outputs: Vec<(u64, Kept)>,
    pub made: Vec<Made>,
    /// Where regular files stand after it.
    pub offsets: Vec<(Held, i64)>,
    /// It opened a file that does not change, and is made again each time.
    pub still: bool,
    /// What it did outside, if it did: the name of what it acted on.
    pub effect: Option<Rc<str>>,
    /// It is no call but what the process has noted itself, this many bytes.
    pub recorded: usize,
    /// Files that those were about.
    pub files: Vec<Used>,
    /// The signal that came in the call, or, if it is none, by itself.
    pub signal: Option<Noted>,
    /// Timers after it, where it has changed them.
    pub timers: Option<Rc<Timers>>,
    /// Locks after it, where it is about them.
    pub locks: Option<Rc<Locks>>,
    store: Rc<Store>,
}

/// Bytes that the notes of a call take by themselves.
const OWN: u64 = 200;

impl Entry {
    /// An entry whose bytes are kept by `store`.
    pub fn new(asked: Asked, result: i64, outputs: Vec<(u64, Vec<u8>)>, store: &Rc<Store>) -> Entry {
        store.add(OWN);
        let outputs = outputs.into_iter().map(|(address, bytes)| (address, store.keep(bytes))).collect();
        Entry {
            asked,
            result,
            outputs,
            made: Vec::new(),
            offsets: Vec::new(),
            still: false,
            effect: None,
            recorded: 0,
            files: Vec::new(),
            signal: None,
            timers: None,
            locks: None,
            store: Rc::clone(store),
        }
    }

    /// What the time-stamp counter showed, and on which processor.
    pub fn of_counter(asked: Asked, (value, processor): (u64, u32), store: &Rc<Store>) -> Entry {
        let bytes = [value, processor.into()].map(u64::to_ne_bytes).concat();
        Entry::new(asked, 0, vec![(0, bytes)], store)
    }

    /// The same again.
    pub fn counter(&self) -> (u64, u32) {
        let bytes = self.outputs.first().map(|(_, kept)| kept.bytes()).unwrap_or_default();
        let (words, _) = bytes.as_chunks::<8>();
        let word = |index: usize| words.get(index).copied().map_or(0, u64::from_ne_bytes);
        (word(0), u32::try_from(word(1)).unwrap_or(0))
    }

    /// What a process has noted itself, as it is in its buffer, and the files that it is about.
    pub fn of_records(bytes: &[u8], files: Vec<Used>, rule: Rule, store: &Rc<Store>) -> Entry {
        let query = Record::all(bytes, 0).all(|(_, record)| record.is_query(rule));
        let asked = Asked { number: syscalls::FLUSH, arguments: [0; 6], given: 0, query, sum: 0, about: None };
        let mut entry = Entry::new(asked, 0, vec![(0, bytes.to_vec())], store);
        for (_, record) in Record::all(bytes, 0) {
            if let Some((file, at)) = record.stands(&files) {
                set(&mut entry.offsets, file, at);
            }
        }
        entry.recorded = bytes.len();
        entry.files = files;
        entry
    }

    /// That, if it is any.
    pub fn records(&self) -> Cow<'_, [u8]> {
        match &self.outputs[..] {
            [(_, kept)] if self.recorded > 0 => kept.bytes(),
            _ => Cow::Borrowed(&[]),
        }
    }

    /// What was done outside, from a place in its records on: names, as often as it was.
    fn effects(&self, into: usize) -> Vec<Rc<str>> {
        let records = self.records();
        let recorded = Record::all(&records, into).filter_map(|(_, record)| record.effect(&self.files).cloned());
        self.effect.iter().cloned().chain(recorded).collect()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.store.remove(OWN);
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
    /// What the process has noted itself, at this index, and where that ends there.
    Record(usize, usize, Record),
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
    /// What waited for the newest process when it was left.
    pub newest: Option<Rc<Newest>>,
    /// Files that were mapped, as it left them.
    pub contents: Vec<Contents>,
    /// Whose turn it is, is chosen anew behind its last turn, although calls are noted there.
    pub chooses_turns: bool,
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
        // Threads that were made last are those that are least likely to be over.
        let threads = [SCHEDULE].into_iter().chain(self.queues.keys().rev().copied());
        threads.into_iter().all(|thread| place(places, thread) >= self.end(thread))
    }

    /// Where the entries of a thread end, or the turns.
    pub fn end(&self, thread: i32) -> usize {
        if thread == SCHEDULE {
            return self.turns.end();
        }
        self.queues.get(&thread).map_or(0, Queue::end)
    }

    /// Where it ends, for diagnostics.
    pub fn ends(&self) -> Places {
        self.queues.iter().map(|(thread, queue)| (*thread, queue.end())).collect()
    }

    /// Notes where a regular file stands before anything is known of it.
    pub fn stands(&mut self, file: &Held, at: i64) {
        if !self.before.iter().any(|(known, _)| Rc::ptr_eq(known, file)) {
            self.before.push((Rc::clone(file), at));
        }
    }

    /// What there is at a place, if the process has noted that itself.
    pub fn records(&self, thread: i32, at: usize) -> Option<&Entry> {
        self.queues.get(&thread)?.get(at).filter(|entry| entry.recorded > 0).map(Rc::as_ref)
    }

    /// What is noted at a place.
    pub fn entry(&self, thread: i32, at: usize) -> Option<Rc<Entry>> {
        self.queues.get(&thread)?.get(at).cloned()
    }

    /// Whether what is noted at a place cannot be passed over.
    pub fn is_closed(&self, thread: i32, at: usize) -> bool {
        self.queues.get(&thread).and_then(|queue| queue.get(at)).is_some_and(|entry| !entry.asked.query)
    }

    /// What there is for a call that a thread makes at a place, so many bytes into what the process has noted there.
    pub fn find(&self, thread: i32, at: usize, into: usize, asked: &Asked, rule: Rule) -> Found {
        let Some(queue) = self.queues.get(&thread) else { return Found::End };
        let Some(first) = queue.get(at) else { return Found::End };
        if rule == Rule::Exact {
            if let Some(record) = Record::at(&first.records(), into)
                && record.is_for(asked, &first.files, rule)
            {
                return Found::Record(at, into + record.length(), record);
            }
            return match same(&first.asked, asked, rule) {
                true => Found::Same(at, Rc::clone(first)),
                false => Found::Other(Rc::clone(first)),
            };
        }
        let mut index = at;
        while let Some(entry) = queue.get(index) {
            let from = if index == at { into } else { 0 };
            for (begins, record) in Record::all(&entry.records(), from) {
                if record.is_for(asked, &entry.files, rule) {
                    return Found::Record(index, begins + record.length(), record);
                }
                if !record.is_query(rule) {
                    return if asked.query { Found::Unmatched } else { Found::Other(Rc::clone(entry)) };
                }
            }
            if entry.recorded > 0 {
                index += 1;
                continue;
            }
            if same(&entry.asked, asked, rule) {
                return Found::Same(index, Rc::clone(entry));
            }
            if !entry.asked.query {
                return if asked.query { Found::Unmatched } else { Found::Other(Rc::clone(entry)) };
            }
            index += 1;
        }
        // A reading of the interpreter's clock may be one too many. If the notes ended with it, what the program has opened and read
        // would be passed over.
        let mut behind = (at..).map_while(|index| queue.get(index));
        match asked.query
            && is_clock(asked.number)
            && behind.any(|entry| !entry.offsets.is_empty() || !entry.made.is_empty())
        {
            true => Found::Unmatched,
            false => Found::End,
        }
    }

    /// The signal that is noted next for a thread, by itself, and where.
    pub fn signal(&self, thread: i32, at: usize, rule: Rule) -> Option<(usize, Rc<Entry>)> {
        let queue = self.queues.get(&thread)?;
        let mut index = at;
        loop {
            let entry = queue.get(index)?;
            if entry.asked.number == SIGNAL {
                return Some((index, Rc::clone(entry)));
            }
            if rule == Rule::Exact || !entry.asked.query {
                return None;
            }
            index += 1;
        }
    }

    /// The same, if at most readings of clocks come before it.
    pub fn signal_ahead(&self, thread: i32, at: usize) -> Option<Rc<Entry>> {
        let queue = self.queues.get(&thread)?;
        let mut index = at;
        while queue.get(index)?.recorded > 0 {
            index += 1;
        }
        queue.get(index).filter(|entry| entry.asked.number == SIGNAL).cloned()
    }

    /// Whether nothing comes behind these places that could not be missing.
    pub fn has_only_queries_behind(&self, places: &Places) -> bool {
        self.turns.end() <= place(places, SCHEDULE)
            && self.queues.iter().all(|(thread, queue)| {
                let from = place(places, *thread).saturating_sub(queue.base);
                queue.entries.iter().skip(from).all(|entry| entry.asked.query)
            })
    }

    /// Whether signals are noted behind these places.
    pub fn has_signals_behind(&self, places: &Places) -> bool {
        self.queues.iter().any(|(thread, queue)| {
            let from = place(places, *thread).saturating_sub(queue.base);
            queue.entries.iter().skip(from).any(|entry| entry.signal.is_some())
        })
    }

    /// The call that is noted before a place.
    pub fn call_before(&self, thread: i32, at: usize) -> Option<u32> {
        let entry = self.queues.get(&thread)?.get(at.checked_sub(1)?)?;
        Some(entry.asked.number)
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

    /// Where in this line a thread is that is so many bytes into what a process has noted at a place of `other`, if it has noted the
    /// same here until then.
    pub fn same_place(&self, other: &Line, thread: i32, at: usize, into: usize) -> Option<(usize, usize)> {
        if into == 0 {
            return Some((at, 0));
        }
        let (here, there) = (self.records(thread, at)?.records(), other.records(thread, at)?.records());
        let same = here.get(..into)? == there.get(..into)?;
        same.then_some(if here.len() == into { (at + 1, 0) } else { (at, into) })
    }

    /// A line that parts from this one here, where threads have come so many bytes into what they have noted there themselves.
    pub fn part(&self, places: &Places, into: &Places) -> Line {
        let up_to = |(thread, queue): (&i32, &Queue<Entry>)| {
            let (at, into) = (place(places, *thread), place(into, *thread));
            let mut kept = queue.up_to(at);
            if let Some(half) = queue.get(at).filter(|entry| into > 0 && into < entry.recorded) {
                let records = half.records();
                let records = &records[..into.min(records.len())];
                let mut part = Entry::of_records(records, half.files.clone(), Rule::Shared, &half.store);
                part.asked.query &= half.asked.query;
                kept.entries.push_back(Rc::new(part));
            }
            (*thread, kept)
        };
        let queues = self.queues.iter().map(up_to).collect();
        let turns = self.turns.up_to(place(places, SCHEDULE));
        Line { queues, turns, before: self.before.clone(), ..Line::default() }
    }

    /// A line with the same calls and, from this place on, other turns.
    pub fn part_turns(&self, places: &Places) -> Line {
        let queues = self.queues.iter().map(|(thread, queue)| (*thread, queue.up_to(usize::MAX))).collect();
        Line {
            queues,
            turns: self.turns.up_to(place(places, SCHEDULE)),
            before: self.before.clone(),
            ended: self.ended.clone(),
            newest: self.newest.clone(),
            contents: self.contents.clone(),
            chooses_turns: true,
        }
    }

    /// What was done outside behind these places, and so many bytes into what threads have noted there: names, each once, and how often.
    pub fn effects_behind(&self, places: &Places, into: &Places) -> Vec<(Rc<str>, usize)> {
        let mut found: Vec<(Rc<str>, usize)> = Vec::new();
        for (thread, queue) in &self.queues {
            let from = place(places, *thread).saturating_sub(queue.base);
            let behind = queue.entries.iter().skip(from).enumerate();
            let into = place(into, *thread);
            for name in behind.flat_map(|(nth, entry)| entry.effects(if nth == 0 { into } else { 0 })) {
                match found.iter_mut().find(|(known, _)| *known == name) {
                    Some(known) => known.1 += 1,
                    None => found.push((name, 1)),
                }
            }
        }
        found
    }

    /// Where regular files stand at its end.
    pub fn offsets(&self) -> Vec<(Held, i64)> {
        let mut offsets = self.before.clone();
        for entry in self.queues.values().flat_map(|queue| &queue.entries) {
            for (file, at) in &entry.offsets {
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
                for (file, at) in &entry.offsets {
                    set(&mut self.before, file, *at);
                }
            }
        }
        let keep_from = place(oldest, SCHEDULE).saturating_sub(1);
        while self.turns.forget(keep_from).is_some() {}
    }
}

fn is_clock(number: u32) -> bool {
    syscalls::name(number.into()) == "clock_gettime"
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
    let exact_address = rule == Rule::Shared && is_clock(asked.number) && asked.query;
    let address = |value: u64| ADDRESSES.contains(&value) && !exact_address;
    rule.is_shared()
        && known
            .arguments
            .iter()
            .zip(&asked.arguments)
            .enumerate()
            .all(|(index, (one, two))| one == two || (address(*one) && address(*two) && !(exact && index != 1)))
}

#[cfg(test)]
mod tests {
    use super::super::records::tests::{asked as of, reading};
    use super::*;

    fn asked(number: u32, first: u64, query: bool) -> Asked {
        Asked { query, ..of(number, &[first], 0) }
    }

    fn line(calls: &[(u32, u64, bool)]) -> (Line, Rc<Store>) {
        let store = Rc::default();
        let mut line = Line::default();
        for (number, first, query) in calls {
            line.push(1, Entry::new(asked(*number, *first, *query), 0, vec![(1, vec![0; 10])], &store));
        }
        (line, store)
    }

    #[test]
    fn a_clock_does_not_end_the_notes_before_what_is_read_from_files() {
        const CLOCK: u32 = libc::SYS_clock_gettime as u32;
        let (mut line, store) = line(&[(5, 3, true)]);
        let clock = asked(CLOCK, 1, true);
        assert!(matches!(line.find(1, 0, 0, &clock, Rule::Shared), Found::End));
        let file = super::super::held::Slot::new(std::fs::File::open("/dev/null").unwrap().into(), false);
        let mut read = Entry::new(asked(0, 3, true), 8, Vec::new(), &store);
        read.offsets = vec![(file, 8)];
        line.push(1, read);
        assert!(matches!(line.find(1, 0, 0, &clock, Rule::Shared), Found::Unmatched));
        assert!(matches!(line.find(1, 2, 0, &clock, Rule::Shared), Found::End));
    }

    const WRITE: u32 = 1;
    const STAT: u32 = 4;
    const MKDIR: u32 = 83;

    #[test]
    fn exactly_the_next_one() {
        let (line, _) = line(&[(STAT, 1, true), (WRITE, 3, false)]);
        assert!(matches!(line.find(1, 0, 0, &asked(WRITE, 3, false), Rule::Exact), Found::Other(_)));
        assert!(matches!(line.find(1, 1, 0, &asked(WRITE, 3, false), Rule::Exact), Found::Same(1, _)));
        assert!(matches!(line.find(1, 1, 0, &asked(WRITE, 4, false), Rule::Exact), Found::Other(_)));
        assert!(matches!(line.find(1, 2, 0, &asked(WRITE, 3, false), Rule::Exact), Found::End));
        assert!(matches!(line.find(2, 0, 0, &asked(WRITE, 3, false), Rule::Exact), Found::End));
    }

    #[test]
    fn queries_may_be_missing_or_more_but_never_pass_an_effect() {
        let (line, _) = line(&[(STAT, 1, true), (STAT, 2, true), (MKDIR, 0, false), (STAT, 1, true)]);
        assert!(matches!(line.find(1, 0, 0, &asked(STAT, 2, true), Rule::Shared), Found::Same(1, _)));
        assert!(matches!(line.find(1, 0, 0, &asked(MKDIR, 0, false), Rule::Shared), Found::Same(2, _)));
        // The one behind mkdir has another answer.
        assert!(matches!(line.find(1, 1, 0, &asked(STAT, 1, true), Rule::Shared), Found::Unmatched));
        assert!(matches!(line.find(1, 0, 0, &asked(WRITE, 0, false), Rule::Shared), Found::Other(_)));
        assert!(matches!(line.find(1, 4, 0, &asked(WRITE, 0, false), Rule::Shared), Found::End));
    }

    #[test]
    fn lines_that_part_share_what_came_before() {
        let (first, _) = line(&[(WRITE, 1, false), (WRITE, 2, false), (WRITE, 3, false)]);
        let second = first.part(&[(1, 2)].into(), &Places::new());
        assert_eq!(second.end(1), 2);
        assert!(second.shares(&first, &[(1, 2)].into()) && second.shares(&first, &[(1, 0)].into()));
        assert!(!second.shares(&first, &[(1, 3)].into()));
        let (stranger, _) = line(&[(WRITE, 1, false), (WRITE, 2, false)]);
        assert!(!stranger.shares(&first, &[(1, 2)].into()));
    }

    #[test]
    fn what_nobody_needs_is_forgotten() {
        let (mut line, store) = line(&[(WRITE, 1, false), (WRITE, 2, false), (WRITE, 3, false)]);
        let before = store.weight().0;
        line.forget(&[(1, 2)].into());
        assert!(store.weight().0 < before && store.weight().0 > 0);
        assert_eq!(line.end(1), 3);
        assert!(matches!(line.find(1, 2, 0, &asked(WRITE, 3, false), Rule::Exact), Found::Same(2, _)));
        drop(line);
        assert_eq!(store.weight(), (0, 0));
    }

    fn clock(which: u32, address: u64) -> Asked {
        Asked { query: which == 1, ..of(228, &[which.into(), address], 0) }
    }

    fn found(found: &Found) -> Option<(usize, usize)> {
        match found {
            Found::Record(index, end, _) => Some((*index, *end)),
            _ => None,
        }
    }

    #[test]
    fn readings_come_one_after_the_other() {
        let (mut line, store) = line(&[(WRITE, 1, false)]);
        let records = [reading(0, 1), reading(1, 2), reading(0, 1)].concat();
        line.push(1, Entry::of_records(&records, Vec::new(), Rule::Shared, &store));
        line.push(1, Entry::new(asked(MKDIR, 0, false), 0, Vec::new(), &store));
        let exact = |into, asked: &Asked| line.find(1, 1, into, asked, Rule::Exact);
        assert_eq!(found(&exact(0, &clock(0, 9))), Some((1, 32)));
        assert_eq!(found(&exact(32, &clock(1, 9))), Some((1, 64)));
        assert!(matches!(exact(32, &clock(0, 9)), Found::Other(_)));
        assert!(matches!(exact(0, &asked(MKDIR, 0, false)), Found::Other(_)));
        // Where the process is shared, readings of the monotonic clock can be passed over, and are told by their address.
        let shared = |into, asked: &Asked| line.find(1, 1, into, asked, Rule::Shared);
        assert_eq!(found(&shared(32, &clock(0, 9))), Some((1, 96)));
        assert_eq!(found(&shared(32, &clock(1, 2))), Some((1, 64)));
        assert!(matches!(shared(32, &clock(1, 3)), Found::Unmatched));
        assert!(matches!(shared(1, &asked(MKDIR, 0, false)), Found::Other(_)));
    }

    #[test]
    fn a_line_can_part_in_the_middle_of_readings() {
        let (mut line, store) = line(&[(WRITE, 1, false)]);
        line.push(1, Entry::of_records(&reading(0, 1).repeat(3), Vec::new(), Rule::Exact, &store));
        let other = line.part(&[(1, 1)].into(), &[(1, 64)].into());
        assert_eq!((other.end(1), other.records(1, 1).map(|entry| entry.recorded)), (2, Some(64)));
        assert_eq!(line.part(&[(1, 1)].into(), &Places::new()).end(1), 1);
        // Who has come as far in the one is there in the other one, which goes on behind that.
        assert_eq!(other.same_place(&line, 1, 1, 64), Some((2, 0)));
        assert_eq!(line.same_place(&other, 1, 1, 32), Some((1, 32)));
        assert_eq!(other.same_place(&line, 1, 1, 96), None);
    }
}
