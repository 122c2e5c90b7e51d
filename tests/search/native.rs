//! Reverse watchpoints in native code, over a simulated program whose clock errs: what is found is a change of the trace.

use fred::search::native::{
    After, Back, Frame, Ground, Hit, Level, Machine, Moved, Passed, Until, Watched, back, watch,
};
use fred::search::probe::Value;
use proptest::prelude::*;

/// How long an instruction takes, in microseconds: a trace lasts long enough to be halved by time.
const TICK_US: u64 = 500;

/// Frames' addresses go down from here.
const OUTERMOST: u64 = 1 << 20;

/// Addresses of a function.
const FUNCTION: u64 = 100;

/// One instruction of the trace.
#[derive(Debug, Clone)]
struct Tick {
    /// Functions of the stack and where they are, outermost first.
    stack: Vec<u64>,
    /// Whether a statement begins.
    begins: bool,
    value: i64,
}

/// What a program does next.
#[derive(Debug, Clone, Copy)]
enum Act {
    Line,
    Call(u64),
    Return,
}

fn acts(most: usize) -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![5 => Just(Act::Line), 2 => (1u64..5).prop_map(Act::Call), 2 => Just(Act::Return)];
    prop::collection::vec(act, 40..most)
}

/// A call is made in the middle of a line and returns there.
fn trace(acts: &[Act], value: impl Fn(usize) -> i64) -> Vec<Tick> {
    let mut stack = vec![FUNCTION];
    let mut trace = Vec::new();
    let push = |trace: &mut Vec<Tick>, stack: &mut Vec<u64>, begins: bool| {
        let pc = stack.last_mut().unwrap();
        *pc = *pc / FUNCTION * FUNCTION + (*pc % FUNCTION + u64::from(begins)) % FUNCTION;
        trace.push(Tick { stack: stack.clone(), begins, value: value(trace.len()) });
    };
    for act in acts {
        match *act {
            Act::Line => push(&mut trace, &mut stack, true),
            Act::Call(function) => {
                push(&mut trace, &mut stack, true);
                stack.push((function + 1) * FUNCTION);
            }
            Act::Return if stack.len() > 1 => {
                push(&mut trace, &mut stack, true);
                stack.pop();
                push(&mut trace, &mut stack, false);
            }
            Act::Return => {}
        }
    }
    push(&mut trace, &mut stack, true);
    trace
}

/// A kept state.
#[derive(Debug, Clone)]
struct State {
    tick: usize,
    /// When it was, as the clock said on the way there.
    at: u64,
    stop: bool,
}

struct Simulated {
    trace: Vec<Tick>,
    /// Whether the debugger stops behind every return, as lldb does, be it in the middle of a line.
    anywhere: bool,
    now: State,
    /// Shares by which the clock errs, one after the other.
    errors: Vec<i64>,
    runs: usize,
    evaluations: usize,
}

impl Simulated {
    fn stop(&self, tick: usize) -> State {
        State { tick, at: tick as u64 * TICK_US, stop: true }
    }

    fn end(&self, until: &Until<State>) -> usize {
        match until {
            Until::State(state) => state.tick,
            Until::End => self.trace.len(),
        }
    }

    fn frame(&self, tick: usize, index: usize) -> Frame {
        let Tick { stack, begins, .. } = &self.trace[tick];
        let innermost = index + 1 == stack.len();
        Frame {
            pc: stack[index],
            address: OUTERMOST - index as u64 * 64,
            lines: true,
            begins: innermost && (self.anywhere || *begins),
            lands: true,
            inlined: 0,
        }
    }

    fn meets(&self, tick: usize, level: &Level) -> Option<(u64, u32)> {
        let Tick { stack, begins, .. } = &self.trace[tick];
        let frame = self.frame(tick, stack.len() - 1);
        let line = u32::try_from(frame.pc).unwrap();
        let named = level.functions.iter().any(|pc| pc / FUNCTION == frame.pc / FUNCTION) && *begins;
        let counts = named || level.instructions.contains(&frame.pc);
        (counts && frame.address >= level.at_least && level.without != Some(line)).then_some((frame.address, line))
    }

    fn go(&mut self, until: &Until<State>, there: impl Fn(&Tick) -> bool) -> Result<Moved, String> {
        let from = self.now.tick;
        let end = self.end(until);
        if end <= from {
            return Err(self.missed());
        }
        let tick = (from + 1..end).find(|tick| there(&self.trace[*tick])).unwrap_or(end);
        self.now = self.stop(tick);
        let stack = self.trace.get(tick).map_or(1, |tick| tick.stack.len());
        Ok(if tick == end { Moved::End } else { Moved::Stop(self.frame(tick, stack - 1)) })
    }
}

impl Machine for Simulated {
    type Error = String;
    type State = State;

    fn is_stop(&self, at: &State) -> bool {
        at.stop
    }

    fn stops_after_return(&self) -> bool {
        self.anywhere
    }

    fn frames(&mut self, at: &State) -> Result<Vec<Frame>, String> {
        Ok((0..self.trace[at.tick].stack.len()).rev().map(|index| self.frame(at.tick, index)).collect())
    }

    fn entered(&mut self, at: &State, _most: u32) -> Result<State, String> {
        Ok(at.clone())
    }

    fn pass(
        &mut self,
        from: &State,
        until: &Until<State>,
        level: &Level,
        most: u64,
        micros: Option<u64>,
    ) -> Result<Passed, String> {
        let end = self.end(until);
        if end < from.tick {
            return Err("the program ended before the place that was to be met again".to_owned());
        }
        let mut passed = Passed { count: 0, last: Vec::new(), reached: true, micros: 0, turns: 0, handled: 0 };
        for tick in from.tick + 1..end {
            passed.micros += TICK_US;
            if let Some((frame, line)) = self.meets(tick, level) {
                passed.count += 1;
                passed.last.push(Hit { number: passed.count, frame, line, address: u64::from(line) });
            }
            if passed.count == most || micros.is_some_and(|micros| passed.micros > micros) {
                passed.reached = false;
                break;
            }
        }
        Ok(passed)
    }

    fn at_hit(&mut self, from: &State, level: &Level, number: u64) -> Result<State, String> {
        if number == 0 {
            return Ok(from.clone());
        }
        let mut met = (from.tick + 1..self.trace.len()).filter(|tick| self.meets(*tick, level).is_some());
        let tick = met.nth(usize::try_from(number).unwrap() - 1);
        tick.map(|tick| self.stop(tick)).ok_or_else(|| self.astray("a statement was met less often"))
    }

    fn same_thread(&mut self, _one: &State, _other: &State) -> Result<bool, String> {
        Ok(true)
    }

    fn function(&mut self, pc: u64) -> Option<u64> {
        Some(pc / FUNCTION * FUNCTION)
    }

    fn entries(&mut self, _at: &State) -> Result<Level, String> {
        Ok(Level::at((1..10).map(|function| function * FUNCTION + 1).collect()))
    }

    fn line(&mut self, pc: u64) -> Option<u32> {
        u32::try_from(pc).ok()
    }

    fn closed_line(&mut self, _at: &State) -> Result<Option<u32>, String> {
        Ok(None)
    }

    fn after(&mut self, from: &State, micros: u64, until: &Until<State>) -> Result<After<State>, String> {
        self.runs += 1;
        let error = self.errors[self.runs % self.errors.len()];
        let ran = micros.saturating_add_signed(micros as i64 * error / 100);
        let tick = from.tick + usize::try_from(ran / TICK_US).unwrap();
        let end = self.end(until);
        if from.tick < end && tick >= end {
            return Ok(After::End((end - from.tick) as u64 * TICK_US));
        }
        if tick >= self.trace.len() {
            return Err(self.astray("a replay ended"));
        }
        Ok(After::At(State { tick, at: from.at + micros, stop: false }))
    }

    fn part_way(&mut self, from: &State, micros: u64, until: &Until<State>) -> Result<After<State>, String> {
        self.after(from, micros, until)
    }

    fn reaches(&mut self, from: &State, micros: u64, until: &Until<State>) -> Result<Option<u64>, String> {
        let ahead = self.end(until).checked_sub(from.tick).map(|ticks| ticks as u64 * TICK_US);
        Ok(ahead.filter(|ahead| *ahead <= micros))
    }

    fn span(&self, from: &State, until: &Until<State>) -> u64 {
        match until {
            Until::State(state) => state.at.saturating_sub(from.at),
            Until::End => 1_000_000,
        }
    }

    fn longest(&self, from: &State, until: &Until<State>) -> u64 {
        1_000_000 + 10 * self.span(from, until)
    }

    fn stand(&mut self, at: &State) -> Result<(), String> {
        self.now = at.clone();
        Ok(())
    }

    fn step(&mut self, until: &Until<State>) -> Result<Moved, String> {
        let anywhere = self.anywhere;
        self.go(until, |tick| anywhere || tick.begins)
    }

    fn finish(&mut self, until: &Until<State>) -> Result<Moved, String> {
        let depth = self.trace[self.now.tick].stack.len();
        self.go(until, |tick| tick.stack.len() < depth)
    }

    fn here(&mut self) -> Result<State, String> {
        Ok(self.now.clone())
    }

    fn value(&mut self) -> Result<Value, String> {
        self.evaluations += 1;
        let value = self.trace[self.now.tick].value;
        Ok(known(value))
    }

    fn most_steps(&self) -> u32 {
        60
    }

    fn missed(&self) -> String {
        "the place was not met again".to_owned()
    }

    fn astray(&self, what: &str) -> String {
        what.to_owned()
    }
}

fn known(value: i64) -> Value {
    Value::Known { text: value.to_string(), digest: value.cast_unsigned() }
}

/// Stands at stops to which the user has gone; the machine, where it may begin, and where it is.
fn stand(
    trace: Vec<Tick>,
    stops: &[prop::sample::Index],
    errors: Vec<i64>,
    anywhere: bool,
) -> Option<(Simulated, Vec<usize>, Ground<State>, usize)> {
    let begun: Vec<usize> = (0..trace.len()).filter(|tick| anywhere || trace[*tick].begins).collect();
    let mut stops: Vec<usize> = stops.iter().map(|stop| begun[stop.index(begun.len())]).chain([begun[0]]).collect();
    stops.sort_unstable();
    stops.dedup();
    let now = stops.pop().filter(|_| !stops.is_empty())?;
    let start = State { tick: 0, at: 0, stop: true };
    let machine = Simulated { trace, anywhere, now: start, errors, runs: 0, evaluations: 0 };
    let ground = Ground {
        anchors: stops.iter().map(|tick| machine.stop(*tick)).collect(),
        runs: vec![true; stops.len()],
        present: Until::State(machine.stop(now)),
    };
    Some((machine, begun, ground, now))
}

/// Watches from the last of the stops, and compares with the trace.
fn check(trace: Vec<Tick>, stops: &[prop::sample::Index], errors: Vec<i64>) -> Result<(), TestCaseError> {
    let Some((mut machine, begun, ground, now)) = stand(trace, stops, errors, false) else { return Ok(()) };
    let value = machine.trace[now].value;
    let watched = watch(&mut machine, &ground, &known(value)).map_err(TestCaseError::fail)?;
    let trace = &machine.trace;
    match watched {
        Watched::NeverDiffers(_) => {
            prop_assert!(ground.anchors.iter().all(|anchor| trace[anchor.tick].value == value));
        }
        Watched::Found(change) => {
            let at = change.landing.state.tick;
            prop_assert!(at < now && trace[at].begins, "a stop");
            prop_assert!(change.before.same(&known(trace[at].value)) && trace[at].value != value);
            let next = begun.iter().find(|tick| **tick > at).unwrap();
            // Behind a call that has returned to the middle of a line the value is looked at, too.
            prop_assert!((at + 1..=*next).any(|tick| trace[tick].value == value), "the statement makes the value");
        }
    }
    // The limit of a session is 60: here the clock errs by up to three times, and calls are as deep as they are many.
    prop_assert!(machine.evaluations <= 100, "{} evaluations", machine.evaluations);
    Ok(())
}

/// Goes back from the last of the stops, and compares with the trace: to the stop before, and to the last one that is no deeper.
fn check_moves(
    trace: Vec<Tick>,
    stops: &[prop::sample::Index],
    errors: Vec<i64>,
    anywhere: bool,
) -> Result<(), TestCaseError> {
    let Some((mut machine, begun, ground, now)) = stand(trace, stops, errors, anywhere) else { return Ok(()) };
    let here = machine.frames(&machine.stop(now)).map_err(TestCaseError::fail)?;
    let level = Level::of(&here, 0).unwrap();
    for how in [Back::Step, Back::Within(level.clone())] {
        let found = back(&mut machine, &ground, &how, &level).map_err(TestCaseError::fail)?;
        let depth = if how == Back::Step { usize::MAX } else { here.len() };
        let expected = begun.iter().rfind(|tick| **tick < now && machine.trace[**tick].stack.len() <= depth);
        prop_assert_eq!(found.map(|landing| landing.state.tick), expected.copied(), "{:?}", how);
    }
    Ok(())
}

fn errors() -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(-60i64..200, 1..8)
}

fn stops() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 1..6)
}

proptest! {
    #[test]
    fn a_move_back_is_to_the_stop_before(
        acts in acts(400),
        stops in stops(),
        errors in errors(),
        anywhere in any::<bool>(),
    ) {
        check_moves(trace(&acts, |_| 0), &stops, errors, anywhere)?;
    }

    #[test]
    fn one_change_is_the_change(acts in acts(400), stops in stops(), errors in errors(), change in 0usize..400) {
        check(trace(&acts, |tick| i64::from(tick > change)), &stops, errors)?;
    }

    #[test]
    fn of_values_that_go_up_and_down_one_change_is_found(
        acts in acts(400),
        stops in stops(),
        errors in errors(),
        period in 2usize..60,
        stretch in 1usize..20,
    ) {
        let value = |tick: usize| (tick / stretch % period).min(period - tick / stretch % period) as i64;
        check(trace(&acts, value), &stops, errors)?;
    }

    #[test]
    fn of_values_of_all_kinds_one_change_is_found(
        acts in acts(400),
        stops in stops(),
        errors in errors(),
        values in prop::collection::vec(0i64..3, 1000),
        stretch in 1usize..20,
    ) {
        check(trace(&acts, |tick| values[tick / stretch]), &stops, errors)?;
    }
}
