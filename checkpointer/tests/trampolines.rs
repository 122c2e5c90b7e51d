//! Runs whose spots and fences are counted and compared in the program, against the same ones by stops: every instruction of a
//! function is a spot.

use fred_checkpointer::wire::{CopyId, Event, Functions, Ran, Run, RunEnd, Spot};
use iced_x86::{Decoder, DecoderOptions};
use object::{Object, ObjectSymbol};

#[path = "served/session.rs"]
#[allow(dead_code)]
mod session;
use session::{Sample, Session};

/// A program that stands at the beginning of a function.
struct Standing {
    session: Session,
    begin: CopyId,
    spots: Vec<Spot>,
    functions: Functions,
}

impl Standing {
    fn at(function: &str) -> Standing {
        Standing::with(function, &[])
    }

    /// After lines typed there.
    fn with(function: &str, lines: &[&str]) -> Standing {
        let sample = Sample::new("hot.c");
        let stop = format!("break *{function}");
        let before = [stop.as_str(), "run"];
        let all = before.iter().chain(lines).copied().chain(["python import os; os.read(0, 1)"]);
        let mut session = Session::start(&sample, &all.collect::<Vec<_>>());
        while !matches!(session.wait(), Event::Reading { program: false, .. }) {}
        let begin = session.client.checkpoint_program().expect("a copy").id;
        let start = session.client.registers(None).expect("registers").rip;
        let file = std::fs::read(sample.program()).expect("the program");
        let parsed = object::File::parse(&*file).expect("ELF");
        let symbol = parsed.symbols().find(|symbol| symbol.name() == Ok(function)).expect("the function");
        let code = session.client.memory(None, start, symbol.size()).expect("its code");
        let decoder = Decoder::with_ip(64, &code, start, DecoderOptions::NONE);
        let spots = decoder.into_iter().map(|one| Spot { address: one.ip(), frame: None, at_least: 0 }).collect();
        Standing { session, begin, spots, functions: vec![vec![(start, start + symbol.size())]] }
    }

    /// By trampolines, or by stops.
    fn run(&mut self, trampolines: bool, wanted: Run) -> Ran {
        self.session.client.exchange(self.begin).expect("the beginning");
        let functions = if trampolines { self.functions.clone() } else { Vec::new() };
        let micros = Some(20_000_000);
        // While copies are wanted on the way there are none.
        let keep_every = (!trampolines).then_some(u64::MAX);
        self.session.client.run(Run { functions, micros, keep_every, ..wanted }).expect("a run");
        loop {
            if let Event::Ran(ran) = self.session.wait() {
                return ran;
            }
        }
    }

    fn spots(&self) -> Run {
        Run { spots: self.spots.clone(), ..Run::default() }
    }

    fn registers(&mut self) -> (u64, [u64; 16]) {
        let found = self.session.client.registers(None).expect("registers");
        (found.rip, found.general)
    }
}

/// The same hits, in the same order, whoever counts.
fn hits_agree(function: &str) {
    let mut standing = Standing::at(function);
    let spots = standing.spots();
    let slow = standing.run(false, spots.clone());
    let fast = standing.run(true, spots);
    assert!(slow.hits > 1000 && u64::from(slow.stops) == slow.hits, "{slow:?}");
    // Instructions of one byte that have something behind them that is jumped to are met by stops in either case.
    assert!(u64::from(fast.stops) < slow.hits / 16, "{} stops of {} hits", fast.stops, slow.hits);
    assert_eq!((slow.end, slow.hits, &slow.last), (fast.end, fast.hits, &fast.last));
    for number in [15, 16, 17, 18, 200, 333, slow.hits / 2, slow.hits - 1] {
        let wanted = Run { hits: Some(number), ..standing.spots() };
        let slow = standing.run(false, wanted.clone());
        let before = standing.registers();
        let fast = standing.run(true, wanted);
        assert_eq!((slow.end, slow.hits, &slow.last), (RunEnd::Hits, number, &fast.last), "{function}, {number}");
        assert_eq!((fast.end, fast.hits), (RunEnd::Hits, number));
        assert_eq!(before, standing.registers(), "{function}, {number}");
        // Nothing of it is left.
        let (here, code) = (standing.functions[0][0], standing.code());
        assert_eq!(code, standing.session.client.memory(Some(standing.begin), here.0, here.1 - here.0).expect("code"));
    }
}

impl Standing {
    fn code(&mut self) -> Vec<u8> {
        let (start, end) = self.functions[0][0];
        self.session.client.memory(None, start, end - start).expect("code")
    }
}

/// The fence is met at the same hit.
fn fences_agree(function: &str) {
    let mut standing = Standing::at(function);
    let all = standing.run(true, standing.spots()).hits;
    let (mut stops, mut numbers) = (0, 0);
    for number in [100, 101, 102, 103, 104, 105, 106, 107, all / 2, all / 2 + 1, all - 2] {
        let wanted = Run { hits: Some(number), ..standing.spots() };
        assert_eq!(standing.run(true, wanted).end, RunEnd::Hits);
        let place = standing.registers();
        let there = standing.session.client.checkpoint_program().expect("a copy").id;
        for spots in [Vec::new(), standing.spots.clone()] {
            let counted = if spots.is_empty() { 0 } else { number - 1 };
            let ran = standing.run(true, Run { spots, fence: Some(there), ..Run::default() });
            assert_eq!((ran.end, ran.hits), (RunEnd::Fence, counted), "{function}, {number}: {place:x?}");
            assert_eq!(place, standing.registers());
            stops += u64::from(ran.stops);
        }
        standing.session.client.drop_copy(there).expect("dropped");
        numbers += number;
    }
    assert!(stops < numbers / 2, "{stops} stops of {numbers} hits");
}

#[test]
fn hits_of_plain_code_are_counted_in_the_program() {
    hits_agree("plain");
}

#[test]
fn hits_of_tight_code_are_counted_in_the_program() {
    hits_agree("tight");
}

#[test]
fn hits_of_narrow_code_are_counted_in_the_program() {
    hits_agree("narrow");
}

#[test]
fn fences_in_plain_code_are_compared_in_the_program() {
    fences_agree("plain");
}

#[test]
fn fences_in_tight_code_are_compared_in_the_program() {
    fences_agree("tight");
}

/// Hits of so many rounds while a signal comes every so many microseconds.
fn hits_with_signals(trampolines: bool, rounds: u64, micros: u64) -> Ran {
    let lines = [format!("set var $rdi = {rounds}"), format!("set var $rsi = {micros}")];
    let mut standing = Standing::with("beaten", &lines.each_ref().map(String::as_str));
    let spots = standing.spots();
    standing.run(trampolines, spots)
}

#[test]
fn a_signal_does_not_count_a_hit_twice() {
    let [few, more] = [10, 30].map(|rounds| hits_with_signals(false, rounds, 0).hits);
    let expected = |rounds: u64| few + (more - few) / 20 * (rounds - 10);
    let stopped = hits_with_signals(false, 400, 300);
    assert_eq!((stopped.end, stopped.hits), (RunEnd::Exited(0), expected(400)), "by stops");
    let counted = hits_with_signals(true, 500_000, 500);
    assert_eq!((counted.end, counted.hits), (RunEnd::Exited(0), expected(500_000)), "by trampolines");
}
