//! The reverse watchpoint: to the statement after which an expression has the value that it has now.

use super::probe::{Place, Probe, Value};

/// Anchors before the present that are looked at one by one. What the user asks about has mostly happened lately, and their
/// checkpoints are at hand.
const LOOK_BACK: usize = 10;

/// How many segments are then jumped over at a time; after the last of these, all the rest. Doubling keeps the search near
/// the present; the two big jumps at the end keep the number of evaluations small in very long histories.
const STRIDES: [usize; 7] = [2, 4, 8, 16, 32, 64, 1024];

/// How many ticks the first look ahead goes where the length of a segment is not known: about what runs between two anchors
/// that time could not tell apart any more.
const FIRST_STRIDE: u64 = 1 << 14;

/// The longest look ahead. An implementation of [`Probe::countable`] makes sure that this does not lead beyond the present.
const LAST_STRIDE: u64 = 1 << 19;

/// What a reverse watchpoint found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A change.
    Found(Found),
    /// The expression has the value that it has now at the start, too, and wherever it was looked at.
    NeverDiffers {
        /// The value.
        value: Value,
        /// How often the expression was evaluated.
        evaluations: u32,
    },
    /// A stop at which the expression was the same as now the first time was different the second time: the program did not
    /// replay the same way.
    Unstable {
        /// The stop.
        at: Place,
        /// The value of the first time, which is also the one of the present.
        first: Value,
        /// The value of the second time.
        second: Value,
        /// How often the expression was evaluated.
        evaluations: u32,
    },
}

/// A change to the value of now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The last stop before the change. What is executed from here to the next stop makes it.
    pub at: Place,
    /// The value there.
    pub before: Value,
    /// The value one step (or, for a command of the user, that command) later: the one that it has now.
    pub after: Value,
    /// Who made the change.
    pub by: Cause,
    /// How often the expression was evaluated.
    pub evaluations: u32,
}

/// Who made a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The program, between two stops.
    Program,
    /// The user, who typed this command.
    Command(String),
}

/// Goes back to a change of the watched expression to its value of now.
///
/// The present is compared with earlier anchors, first one by one, then in growing jumps, until one differs; the segments
/// between it and the one after are halved until one is left, and then that segment's ticks. The invariant is that the left
/// end differs from now and the right end does not, so what is found is *a* change. It is the last one unless the value
/// went away and came back between two places that were looked at.
///
/// At most `2 log2(e) + 20` evaluations for a history of `e` ticks and segments together; the ticks are asked of one segment
/// only.
///
/// # Errors
/// As the probe's, Ctrl-C among them.
pub fn watch<P: Probe>(probe: &mut P) -> Result<Outcome, P::Error> {
    let mut search = Search { probe, evaluations: 0 };
    let present = search.probe.segments();
    let now = search.value(Place::anchor(present))?;
    let Some((mut left, mut right)) = search.bracket(present, &now)? else {
        return Ok(Outcome::NeverDiffers { value: now, evaluations: search.evaluations });
    };
    while right.at.segment - left.at.segment > 1 {
        let middle = Place::anchor(left.at.segment.midpoint(right.at.segment));
        search.narrow(&mut left, &mut right, middle, &now)?;
    }
    while search.probe.split(left.at.segment)? {
        right.at.segment += 1;
        let middle = Place::anchor(left.at.segment + 1);
        search.narrow(&mut left, &mut right, middle, &now)?;
    }
    let segment = left.at.segment;
    if !search.probe.countable(segment) && search.gallop(&mut left, &mut right, &now)? {
        return search.halve(left, right, &now);
    }
    let ticks = search.probe.ticks(segment)?;
    if ticks == 0 {
        let by = Cause::Command(search.probe.command(segment));
        return Ok(search.found(left, right.value, by));
    }
    // The same stop under its other name, so that reaching it again means executing the change.
    right.at = Place { segment, ticks };
    search.halve(left, right, &now)
}

/// An end of the interval in which the change is.
#[derive(Clone)]
struct End {
    at: Place,
    value: Value,
}

struct Search<'p, P> {
    probe: &'p mut P,
    evaluations: u32,
}

impl<P: Probe> Search<'_, P> {
    fn value(&mut self, at: Place) -> Result<Value, P::Error> {
        self.evaluations += 1;
        self.probe.value(at)
    }

    /// The last anchor looked at that differs from now, and the one looked at after it.
    fn bracket(&mut self, present: usize, now: &Value) -> Result<Option<(End, End)>, P::Error> {
        let mut right = End { at: Place::anchor(present), value: now.clone() };
        let strides = std::iter::repeat_n(1, LOOK_BACK).chain(STRIDES).chain(std::iter::once(usize::MAX));
        for stride in strides {
            if right.at.segment == 0 {
                break;
            }
            let at = Place::anchor(right.at.segment.saturating_sub(stride));
            let left = End { at, value: self.value(at)? };
            if !left.value.same(now) {
                self.probe.settle(left.at, right.at);
                return Ok(Some((left, right)));
            }
            right = left;
        }
        Ok(None)
    }

    /// Looks ahead in growing strides for a place with the value of now, when where the right end is cannot be said in ticks.
    /// False if there is none near: the value has gone away again and the ticks must be counted after all. The left end is then
    /// where it was, since the places that were looked at may be behind the right one.
    fn gallop(&mut self, left: &mut End, right: &mut End, now: &Value) -> Result<bool, P::Error> {
        let segment = left.at.segment;
        let mut stride = FIRST_STRIDE;
        let begin = left.clone();
        self.probe.settle(left.at, Place { segment, ticks: LAST_STRIDE * 2 });
        while stride <= LAST_STRIDE {
            let at = Place { segment, ticks: left.at.ticks + stride };
            let value = self.value(at)?;
            if value.same(now) {
                *right = End { at, value };
                self.probe.settle(left.at, right.at);
                return Ok(true);
            }
            *left = End { at, value };
            self.probe.settle(left.at, Place { segment, ticks: LAST_STRIDE * 2 });
            stride *= 2;
        }
        *left = begin;
        self.probe.settle(left.at, right.at);
        Ok(false)
    }

    /// Halves the ticks between two places of one segment until they are neighbours, and looks once more.
    fn halve(mut self, mut left: End, mut right: End, now: &Value) -> Result<Outcome, P::Error> {
        let segment = left.at.segment;
        while right.at.ticks - left.at.ticks > 1 {
            let middle = Place { segment, ticks: left.at.ticks.midpoint(right.at.ticks) };
            self.narrow(&mut left, &mut right, middle, now)?;
        }
        let again = self.value(right.at)?;
        if again.same(now) {
            Ok(self.found(left, again, Cause::Program))
        } else {
            let evaluations = self.evaluations;
            Ok(Outcome::Unstable { at: right.at, first: right.value, second: again, evaluations })
        }
    }

    fn narrow(&mut self, left: &mut End, right: &mut End, middle: Place, now: &Value) -> Result<(), P::Error> {
        let value = self.value(middle)?;
        let end = if value.same(now) { &mut *right } else { &mut *left };
        *end = End { at: middle, value };
        self.probe.settle(left.at, right.at);
        Ok(())
    }

    fn found(&self, left: End, after: Value, by: Cause) -> Outcome {
        Outcome::Found(Found { at: left.at, before: left.value, after, by, evaluations: self.evaluations })
    }
}

#[cfg(test)]
mod tests {
    use super::super::probe::{Before, Hit, Wanted};
    use super::*;

    /// One segment whose end can be told in ticks only by counting. The value of now is there from a tick on, but goes away
    /// right behind the end and does not come back before the present.
    struct Flicker {
        from: u64,
        end: u64,
        left: u32,
    }

    impl Probe for Flicker {
        type Error = &'static str;

        fn segments(&self) -> usize {
            2
        }

        fn ticks(&mut self, _: usize) -> Result<u64, Self::Error> {
            Ok(self.end)
        }

        fn last(&mut self, _: usize, _: Before, _: Wanted, _: u32) -> Result<Option<Hit>, Self::Error> {
            Err("nothing is asked but values")
        }

        fn value(&mut self, at: Place) -> Result<Value, Self::Error> {
            self.left = self.left.checked_sub(1).ok_or("no end of looking")?;
            let there = at.segment > 0 || (self.from..=self.end).contains(&at.ticks);
            Ok(Value::Known { text: there.to_string(), digest: u64::from(there) })
        }

        fn settle(&mut self, left: Place, right: Place) {
            assert!((left.segment, left.ticks) < (right.segment, right.ticks), "{left:?} {right:?}");
        }

        fn countable(&self, _: usize) -> bool {
            false
        }

        fn command(&self, _: usize) -> String {
            "continue".to_owned()
        }
    }

    #[test]
    fn a_look_ahead_that_finds_nothing_goes_back() {
        let mut probe = Flicker { from: 4300, end: 4395, left: 60 };
        let outcome = watch(&mut probe).expect("it ends");
        let Outcome::Found(found) = outcome else { panic!("{outcome:?}") };
        assert_eq!(found.at, Place { segment: 0, ticks: 4299 });
    }
}
