//! What a program has printed on the terminal that it shares with its debugger: along the notes it is not shown again. Pure.
//!
//! The debugger writes with the same calls, and prints more or less each time, so these are no calls of the notes. The text of each
//! descriptor is kept instead, without what is the debugger's; a copy knows its place in it, and a write that is what comes next there
//! is one that has been seen. Anything else is shown: a text that is not known for certain to be the program's is shown twice rather than
//! never.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use regex::bytes::Regex;

use super::store::Store;
use crate::wire;

/// How what a debugger prints is told from what its program prints.
#[derive(Debug)]
pub(in crate::supervisor) struct Own {
    stop: Regex,
    before: Regex,
    prompt: Regex,
}

impl Own {
    /// Reads the patterns.
    pub fn new(patterns: &wire::Own) -> Result<Own, regex::Error> {
        let read = |pattern: &str| Regex::new(pattern);
        Ok(Own { stop: read(&patterns.stop)?, before: read(&patterns.before)?, prompt: read(&patterns.prompt)? })
    }
}

/// Text of one descriptor.
#[derive(Debug, Clone, Default)]
struct Stream {
    /// How much has been forgotten.
    base: u64,
    bytes: Vec<u8>,
}

impl Stream {
    fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    fn index(&self, at: u64) -> usize {
        usize::try_from(at.saturating_sub(self.base)).unwrap_or(0).min(self.bytes.len())
    }

    fn behind(&self, at: u64) -> &[u8] {
        &self.bytes[self.index(at)..]
    }
}

/// What has been printed on one line of history.
#[derive(Debug, Default)]
struct Transcript {
    streams: BTreeMap<i32, Stream>,
    /// What was printed where a program went another way, from there on.
    parted: Vec<(Places, Rc<RefCell<Transcript>>)>,
    store: Rc<Store>,
}

impl Transcript {
    /// Of streams that begin at these places.
    fn begin_at(places: &Places, store: &Rc<Store>) -> Transcript {
        let begin = |(descriptor, base): (&i32, &u64)| (*descriptor, Stream { base: *base, bytes: Vec::new() });
        let streams = places.iter().map(begin).collect();
        Transcript { streams, parted: Vec::new(), store: Rc::clone(store) }
    }

    fn push(&mut self, descriptor: i32, text: &[u8]) {
        self.store.add(text.len() as u64);
        self.streams.entry(descriptor).or_default().bytes.extend(text);
    }

    fn truncate(&mut self, descriptor: i32, end: u64) {
        let Some(stream) = self.streams.get_mut(&descriptor) else { return };
        let keep = stream.index(end);
        self.store.remove((stream.bytes.len() - keep) as u64);
        stream.bytes.truncate(keep);
    }

    fn end(&self, descriptor: i32) -> u64 {
        self.streams.get(&descriptor).map_or(0, Stream::end)
    }

    fn ends(&self) -> Places {
        self.streams.iter().map(|(descriptor, stream)| (*descriptor, stream.end())).collect()
    }

    /// Forgets what comes before all of these places.
    fn forget(&mut self, places: &[&Places]) {
        self.parted.retain(|(begin, _)| places.iter().any(|at| is_before(at, begin)));
        for (descriptor, stream) in &mut self.streams {
            let oldest = places.iter().map(|at| at.get(descriptor).copied().unwrap_or(0)).min();
            let gone = stream.index(oldest.unwrap_or(0));
            // What is kept is moved.
            if gone > stream.bytes.len() / 2 {
                stream.bytes.drain(..gone);
                stream.base += gone as u64;
                self.store.remove(gone as u64);
            }
        }
    }

    /// What has been printed behind a place.
    fn behind(&self, descriptor: i32, at: u64) -> &[u8] {
        self.streams.get(&descriptor).map_or(&[], |stream| stream.behind(at))
    }
}

impl Drop for Transcript {
    fn drop(&mut self) {
        self.store.remove(self.streams.values().map(|stream| stream.bytes.len() as u64).sum());
    }
}

type Places = BTreeMap<i32, u64>;

/// What becomes of a write to the terminal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// So many bytes have been shown.
    Again(usize),
    /// It is shown.
    Shown,
    /// It is shown, and what is written of the first so many bytes is noted.
    New(usize),
}

/// A place in what has been printed.
#[derive(Debug, Clone, Default)]
pub(super) struct Reader {
    transcript: Rc<RefCell<Transcript>>,
    at: Places,
    /// Where what was noted ended when somebody last read the terminal.
    run: Places,
    /// The debugger prints, until it reads the terminal.
    own: bool,
    /// What was shown last, and is not noted, is not the end of a line.
    within: bool,
    /// The beginning of a line that was not shown.
    hidden: Vec<u8>,
    /// To which descriptor the last text went.
    last: i32,
    /// The user has changed something since, or answered a question: what is printed may differ.
    changed: bool,
}

impl Reader {
    /// At the beginning of nothing.
    pub fn new(store: &Rc<Store>) -> Reader {
        let transcript = Transcript::begin_at(&Places::new(), store);
        Reader { transcript: Rc::new(RefCell::new(transcript)), ..Reader::default() }
    }

    /// A thread is about to write this. `new`: what has not been noted is to be.
    pub fn hears(&mut self, descriptor: i32, text: &[u8], own: &Own, new: bool) -> Heard {
        if text.is_empty() {
            return Heard::Again(0);
        }
        self.last = descriptor;
        if self.own {
            return Heard::Shown;
        }
        let stop = own.stop.find(text).map(|found| found.start());
        let program = &text[..stop.unwrap_or(text.len())];
        let at = self.place(descriptor);
        let (common, left) = {
            let transcript = self.transcript.borrow();
            let known = transcript.behind(descriptor, at);
            (known.iter().zip(program).take_while(|(one, two)| one == two).count(), known.len())
        };
        let newest = left == 0;
        if self.within && program == b"\n" {
            // The end of a line of which the rest was shown.
            self.within = false;
            return Heard::Shown;
        }
        if program.is_empty() {
            self.begin_own();
            if newest && new {
                self.take_back(descriptor, own);
            }
            return Heard::Shown;
        }
        if !newest && (common == program.len() || common == left) {
            self.at.insert(descriptor, at + common as u64);
            self.within = false;
            self.hide(&text[..common]);
            return Heard::Again(common);
        } else if self.follow(descriptor, program) {
            return self.hears(descriptor, text, own, new);
        } else if newest {
            self.at.insert(descriptor, at);
            self.hidden.clear();
        } else if self.changed && !leads_to_stop(own, text) {
            self.part();
        } else {
            let transcript = self.transcript.borrow();
            let known = transcript.behind(descriptor, at);
            let known = String::from_utf8_lossy(&known[..known.len().min(200)]).into_owned();
            tracing::debug!("shown, and not noted: {:?} is not {known:?}", String::from_utf8_lossy(program));
            drop(transcript);
            self.hidden.clear();
        }
        let noted = new && self.place(descriptor) == self.transcript.borrow().end(descriptor);
        if stop.is_some() {
            self.begin_own();
        } else {
            self.within = !noted && !text.ends_with(b"\n");
        }
        if noted { Heard::New(program.len()) } else { Heard::Shown }
    }

    fn place(&self, descriptor: i32) -> u64 {
        // Lines of the debugger's may have been taken off since.
        self.at.get(&descriptor).copied().unwrap_or(0).min(self.transcript.borrow().end(descriptor))
    }

    fn begin_own(&mut self) {
        self.own = true;
        self.hidden.clear();
        self.within = false;
    }

    /// Lines right before a stop that are the debugger's have been noted as the program's.
    fn take_back(&mut self, descriptor: i32, own: &Own) {
        const MOST: usize = 1 << 16;
        let begin = self.run.get(&descriptor).copied().unwrap_or(0);
        let mut transcript = self.transcript.borrow_mut();
        let text = transcript.behind(descriptor, begin);
        let text = &text[text.len().saturating_sub(MOST)..];
        let taken = own.before.find(text).map_or(0, |found| {
            // It begins with the end of the line before.
            let line = usize::from(found.as_bytes().starts_with(b"\n") && found.start() > 0);
            text.len() - found.start() - line
        });
        let end = transcript.end(descriptor) - taken as u64;
        transcript.truncate(descriptor, end);
        self.at.insert(descriptor, end);
    }

    /// This was written, and had not been.
    pub fn printed(&mut self, descriptor: i32, text: &[u8]) {
        let mut transcript = self.transcript.borrow_mut();
        transcript.push(descriptor, text);
        self.at.insert(descriptor, transcript.end(descriptor));
    }

    /// Of what was written last so many bytes have not been.
    pub fn unprinted(&mut self, descriptor: i32, length: usize) {
        let mut transcript = self.transcript.borrow_mut();
        let end = transcript.end(descriptor);
        if self.at.get(&descriptor) == Some(&end) {
            let end = end.saturating_sub(length as u64);
            transcript.truncate(descriptor, end);
            self.at.insert(descriptor, end);
        }
    }

    /// A text has not been shown again.
    pub fn hide(&mut self, text: &[u8]) {
        const MOST: usize = 4096;
        match text.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => self.hidden = text[end + 1..].to_vec(),
            None => self.hidden.extend(text),
        }
        let excess = self.hidden.len().saturating_sub(MOST);
        self.hidden.drain(..excess);
    }

    /// The beginning of a line that was not shown and is to be now: the line goes on in another way, or a program that has its
    /// terminal for itself prints.
    pub fn show(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.hidden)
    }

    /// Somebody waits for input. What is returned is shown to the user, who is to answer it if he hears it.
    pub fn waits(&mut self, own: Option<&Own>, heard: bool) -> Vec<u8> {
        if let Some(own) = own.filter(|_| !self.own) {
            // The answer may be another one.
            self.changed |= heard;
            let begin = |reader: &Reader| reader.run.get(&reader.last).copied().unwrap_or(0);
            // A prompt is the end of the text.
            const LONGEST: usize = 256;
            let prompts = {
                let transcript = self.transcript.borrow();
                let text = transcript.behind(self.last, begin(self));
                own.prompt.is_match(&text[text.len().saturating_sub(LONGEST)..])
            };
            if prompts {
                // The debugger's, without a stop that was known as one: nothing is certain of what was printed before it.
                let mut transcript = self.transcript.borrow_mut();
                for (descriptor, end) in transcript.ends() {
                    let begin = self.run.get(&descriptor).copied().unwrap_or(0);
                    if begin < end && self.at.get(&descriptor) == Some(&end) {
                        transcript.truncate(descriptor, begin);
                        self.at.insert(descriptor, begin);
                    }
                }
            }
        }
        std::mem::take(&mut self.hidden)
    }

    /// What somebody waited for is there.
    pub fn goes_on(&mut self) {
        self.own = false;
        self.within = false;
        self.run = self.transcript.borrow().ends();
    }

    /// What has been noted is behind it.
    pub fn go_live(&mut self) {
        self.at = self.transcript.borrow().ends();
    }

    /// The user changes something.
    pub fn change(&mut self) {
        self.changed = true;
    }

    /// From here on something else is printed.
    pub fn part(&mut self) {
        let places = self.places();
        let parted = Transcript::begin_at(&places, &self.transcript.borrow().store);
        let parted = Rc::new(RefCell::new(parted));
        self.transcript.borrow_mut().parted.push((places.clone(), Rc::clone(&parted)));
        self.go_over(places, parted);
    }

    /// Something else was printed here before, and it was this: false if not.
    fn follow(&mut self, descriptor: i32, text: &[u8]) -> bool {
        let places = self.places();
        let at = self.place(descriptor);
        let transcript = self.transcript.borrow();
        let same = |(begin, parted): &&(Places, Rc<RefCell<Transcript>>)| {
            *begin == places && !text.is_empty() && parted.borrow().behind(descriptor, at).starts_with(text)
        };
        let found = transcript.parted.iter().rev().find(same).map(|(_, parted)| Rc::clone(parted));
        drop(transcript);
        let Some(parted) = found else { return false };
        self.go_over(places, parted);
        true
    }

    fn go_over(&mut self, places: Places, parted: Rc<RefCell<Transcript>>) {
        self.transcript = parted;
        self.changed = false;
        self.run.clone_from(&places);
        self.at = places;
    }

    /// Where it is in everything.
    fn places(&self) -> Places {
        self.transcript.borrow().streams.keys().map(|descriptor| (*descriptor, self.place(*descriptor))).collect()
    }

    /// Forgets what comes before all of these places.
    pub fn forget(readers: &[&Reader]) {
        let mut needed: Vec<(Rc<RefCell<Transcript>>, Places)> = Vec::new();
        for reader in readers {
            needed.push((Rc::clone(&reader.transcript), reader.places()));
        }
        // Who stands before a place at which programs went another way may go there, too.
        let mut index = 0;
        while let Some((transcript, places)) = needed.get(index).cloned() {
            for (begin, parted) in &transcript.borrow().parted {
                let known = |(other, at): &(Rc<_>, Places)| Rc::ptr_eq(other, parted) && at == begin;
                if is_before(&places, begin) && !needed.iter().any(known) {
                    needed.push((Rc::clone(parted), begin.clone()));
                }
            }
            index += 1;
        }
        for (index, (transcript, _)) in needed.iter().enumerate() {
            let same = |other: &&(Rc<_>, Places)| Rc::ptr_eq(&other.0, transcript);
            if needed[..index].iter().any(|other| same(&other)) {
                continue;
            }
            let places: Vec<&Places> = needed.iter().filter(same).map(|(_, places)| places).collect();
            transcript.borrow_mut().forget(&places);
        }
    }
}

/// Whether one place is another one or comes before it.
fn is_before(one: &Places, other: &Places) -> bool {
    other.iter().all(|(descriptor, at)| one.get(descriptor).copied().unwrap_or(0) <= *at)
}

/// Whether a text is one of the debugger's that come right before a stop.
fn leads_to_stop(own: &Own, text: &[u8]) -> bool {
    let line = [text, b"\n"].concat();
    own.before.find(&line).is_some_and(|found| found.start() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Own {
        let patterns = wire::Own {
            stop: r"(?-u)> /[^\n]*\(\d+\)[^\s()]+\(\)(?:\n-> |\n?\z)".to_owned(),
            before: r"(?-u)(?:\A|\n)(?:(?:--Return--|\w+Error: [^\n]*)\n)+\z".to_owned(),
            prompt: r"(?-u)\(Pdb\) \z".to_owned(),
        };
        Own::new(&patterns).expect("patterns")
    }

    const STOP: &str = "> /a.py(3)f()\n-> x = 1";

    /// What is shown of these texts; as it would be written.
    fn shown(reader: &mut Reader, texts: &[&str], new: bool) -> String {
        let own = own();
        let mut shown = String::new();
        reader.goes_on();
        for text in texts {
            let mut rest = text.as_bytes();
            while !rest.is_empty() {
                let written = match reader.hears(1, rest, &own, new) {
                    Heard::Again(length) => length,
                    Heard::Shown => {
                        shown.push_str(&String::from_utf8_lossy(&reader.show()));
                        shown.push_str(&String::from_utf8_lossy(rest));
                        rest.len()
                    }
                    Heard::New(length) => {
                        shown.push_str(&String::from_utf8_lossy(&reader.show()));
                        reader.printed(1, &rest[..length]);
                        shown.push_str(&String::from_utf8_lossy(rest));
                        rest.len()
                    }
                };
                rest = &rest[written..];
            }
        }
        shown + &String::from_utf8_lossy(&reader.waits(Some(&own), new))
    }

    #[test]
    fn what_the_program_has_printed_is_not_shown_again() {
        let mut reader = Reader::default();
        let start = reader.clone();
        assert_eq!(shown(&mut reader, &["one\n", STOP, "\n"], true), format!("one\n{STOP}\n"));
        assert_eq!(shown(&mut reader, &["two\n", STOP, "\n"], true), format!("two\n{STOP}\n"));
        let mut again = start.clone();
        assert_eq!(shown(&mut again, &["one\n", STOP, "\n"], true), format!("{STOP}\n"));
        // In one go, and beyond.
        let mut again = start;
        assert_eq!(shown(&mut again, &["one\n", "two\n", "three\n", STOP, "\n"], true), format!("three\n{STOP}\n"));
        assert_eq!(shown(&mut reader, &["three\n", "four\n", STOP, "\n"], true), format!("four\n{STOP}\n"));
    }

    #[test]
    fn a_search_notes_nothing() {
        let mut reader = Reader::default();
        let start = reader.clone();
        shown(&mut reader.clone(), &["one\n", STOP, "\n"], false);
        assert_eq!(shown(&mut reader, &["one\n", STOP, "\n"], true), format!("one\n{STOP}\n"));
        assert_eq!(shown(&mut start.clone(), &["one\n", STOP, "\n"], false), format!("{STOP}\n"));
    }

    #[test]
    fn lines_need_not_end_where_writes_do() {
        let mut reader = Reader::default();
        let start = reader.clone();
        let stop = format!("a{STOP}");
        assert_eq!(shown(&mut reader, &[&stop, "\n"], true), format!("a{STOP}\n"));
        assert_eq!(shown(&mut reader, &["b\n", STOP, "\n"], true), format!("b\n{STOP}\n"));
        assert_eq!(shown(&mut start.clone(), &[&stop, "\n"], true), format!("{STOP}\n"));
        assert_eq!(shown(&mut start.clone(), &["ab\nc\n", STOP, "\n"], true), format!("c\n{STOP}\n"));
        // The other way round.
        let mut reader = start.clone();
        let start = Reader::default();
        reader.clone_from(&start);
        shown(&mut reader, &["a", "b", "\n", STOP, "\n"], true);
        let mut again = start;
        assert_eq!(shown(&mut again, &[&stop, "\n"], true), format!("{STOP}\n"));
        assert_eq!(shown(&mut again, &["b", "\n", STOP, "\n"], true), format!("{STOP}\n"));
    }

    #[test]
    fn what_comes_before_a_stop_is_the_debuggers() {
        let mut reader = Reader::default();
        let start = reader.clone();
        let error = ["one\n", "ValueError: 3\n", STOP, "\n"];
        shown(&mut reader, &error, true);
        shown(&mut reader, &["\n", "two\n", STOP, "\n"], true);
        let mut again = start.clone();
        assert_eq!(shown(&mut again, &error, true), format!("ValueError: 3\n{STOP}\n"));
        // The end of the debugger's line is not the empty line that comes next.
        let mut again = start.clone();
        assert_eq!(
            shown(&mut again, &["one\n", "ValueError: 3", "\n", STOP, "\n"], true),
            format!("ValueError: 3\n{STOP}\n")
        );
        assert_eq!(shown(&mut again, &["\n", "two\n", STOP, "\n"], true), format!("{STOP}\n"));
        // Without a stop there it is missing.
        let mut again = start;
        assert_eq!(shown(&mut again, &["one\n", "\n", "two\n", STOP, "\n"], true), format!("{STOP}\n"));
    }

    #[test]
    fn a_prompt_without_a_stop_makes_all_before_it_doubtful() {
        let mut reader = Reader::default();
        let mut again = reader.clone();
        shown(&mut reader, &["one\n", STOP, "\n"], true);
        shown(&mut reader, &["*** an error\n", "(Pdb) "], true);
        shown(&mut reader, &["two\n", STOP, "\n"], true);
        shown(&mut again, &["one\n", STOP, "\n"], true);
        assert_eq!(shown(&mut again, &["*** an error\n", "(Pdb) "], true), "*** an error\n(Pdb) ");
        assert_eq!(shown(&mut again, &["two\n", STOP, "\n"], true), format!("{STOP}\n"));
    }

    #[test]
    fn a_question_is_shown_again_where_it_is_to_be_answered_again() {
        let mut reader = Reader::default();
        let mut again = reader.clone();
        assert_eq!(shown(&mut reader, &["one\n", "name? "], true), "one\nname? ");
        assert_eq!(shown(&mut reader, &["hello\n", STOP, "\n"], true), format!("hello\n{STOP}\n"));
        assert_eq!(shown(&mut again, &["one\n", "name? "], true), "name? ");
        assert_eq!(shown(&mut again, &["hello\n", STOP, "\n"], true), format!("{STOP}\n"));
    }

    #[test]
    fn after_a_change_what_differs_begins_a_line_of_its_own() {
        let mut reader = Reader::default();
        let start = reader.clone();
        shown(&mut reader, &["one\n", "x is 4\n", "end\n", STOP, "\n"], true);
        let mut other = start.clone();
        other.change();
        assert_eq!(shown(&mut other, &["one\n", "--Return--\n", STOP, "\n"], true), format!("--Return--\n{STOP}\n"));
        assert_eq!(shown(&mut other, &["x is 5\n", "end\n", STOP, "\n"], true), format!("x is 5\nend\n{STOP}\n"));
        let mut other = start.clone();
        shown(&mut other, &["one\n", "x? "], true);
        assert_eq!(shown(&mut other, &["x is 3\n", "end\n", STOP, "\n"], true), format!("x is 3\nend\n{STOP}\n"));
        let mut other = start.clone();
        other.change();
        assert_eq!(
            shown(&mut other, &["one\n", "x", " is ", "5", "\n", STOP, "\n"], true),
            format!("x is 5\n{STOP}\n")
        );
        assert_eq!(other.hears(1, b"", &own(), true), Heard::Again(0));
        // Once more, it is known.
        let mut again = start.clone();
        again.change();
        assert_eq!(shown(&mut again, &["one\n", "x is 5\n", "end\n", STOP, "\n"], true), format!("{STOP}\n"));
        // The former line is what it was.
        assert_eq!(shown(&mut start.clone(), &["one\n", "x is 4\n", "end\n", STOP, "\n"], true), format!("{STOP}\n"));
    }

    #[test]
    fn what_nobody_needs_is_forgotten() {
        let store: Rc<Store> = Rc::default();
        let mut reader = Reader::new(&store);
        shown(&mut reader, &["one\n", "two\n", STOP, "\n"], true);
        assert_eq!(store.weight().0, 8);
        let place = reader.clone();
        shown(&mut reader, &["three\n", STOP, "\n"], true);
        Reader::forget(&[&reader, &place]);
        assert_eq!(store.weight().0, 6);
        assert_eq!(shown(&mut place.clone(), &["three\n", STOP, "\n"], true), format!("{STOP}\n"));
        let mut former = reader.clone();
        reader.part();
        assert_eq!(store.weight().0, 6);
        shown(&mut reader, &["five\n", STOP, "\n"], true);
        assert_eq!(store.weight().0, 11);
        // Who stood where they part may come there, too.
        Reader::forget(&[&reader, &former]);
        assert_eq!(store.weight().0, 5);
        former.change();
        assert_eq!(shown(&mut former.clone(), &["five\n", STOP, "\n"], true), format!("{STOP}\n"));
        Reader::forget(&[&reader]);
        assert_eq!(store.weight().0, 0);
        drop((reader, place, former));
        assert_eq!(store.weight().0, 0);
    }
}
