//! Another schedule each time, to bring races out: turns of random length that end anywhere, threads that are left before their
//! calls while others run, and times in which some threads do not run at all as long as others can (the idea of rr's chaos
//! mode: a race often needs one thread to be held up for long, not many switches).

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The shortest turn; the longest is this one doubled so many times.
const SHORTEST: Duration = Duration::from_micros(20);
const DOUBLED: u32 = 10;

/// How many copies of processes, which stopping threads anywhere takes, it may cause.
pub(super) const MOST_COPIES: usize = 300;

/// The dice, and who is favoured at present.
#[derive(Debug)]
pub(super) struct Chaos {
    state: u64,
    turn: Duration,
    /// Those with more go first; empty while all are equal.
    priorities: HashMap<i32, u64>,
    equal: bool,
    until: Instant,
}

impl Chaos {
    /// Dice that begin at a seed.
    pub fn new(seed: u64) -> Chaos {
        Chaos { state: seed | 1, turn: SHORTEST, priorities: HashMap::new(), equal: true, until: Instant::now() }
    }

    /// xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators").
    fn below(&mut self, bound: u64) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    /// How long the present turn lasts.
    pub fn turn(&self) -> Duration {
        self.turn
    }

    /// Who has the next turn after that of `last`. `able` is not empty.
    pub fn pick(&mut self, able: &[i32], last: i32) -> Option<i32> {
        #[allow(clippy::cast_possible_truncation)]
        let doubled = self.below(u64::from(DOUBLED)).min(self.below(u64::from(DOUBLED))) as u32;
        self.turn = SHORTEST * 2u32.pow(doubled) + Duration::from_nanos(self.below(20_000));
        if Instant::now() >= self.until {
            self.until = Instant::now() + Duration::from_millis(1 + self.below(50));
            self.equal = self.below(2) == 0;
            self.priorities.clear();
        }
        if self.equal {
            let others: Vec<i32> = able.iter().copied().filter(|id| *id != last || able.len() == 1).collect();
            let index = self.below(others.len() as u64);
            return others.get(usize::try_from(index).ok()?).copied();
        }
        for id in able {
            if !self.priorities.contains_key(id) {
                let priority = self.below(1000);
                self.priorities.insert(*id, priority);
            }
        }
        able.iter().copied().max_by_key(|id| self.priorities.get(id))
    }

    /// Whether a thread is left before the call that it has come to.
    pub fn holds(&mut self) -> bool {
        self.below(4) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_get_turns_of_many_lengths() {
        let mut chaos = Chaos::new(7);
        let (mut picked, mut shortest, mut longest) = ([0; 3], Duration::MAX, Duration::ZERO);
        let mut last = 0;
        for _ in 0..3000 {
            last = chaos.pick(&[0, 1, 2], last).unwrap();
            picked[usize::try_from(last).unwrap()] += 1;
            (shortest, longest) = (shortest.min(chaos.turn()), longest.max(chaos.turn()));
            // As if the time were over.
            chaos.until = Instant::now();
        }
        assert!(picked.iter().all(|times| *times > 700), "{picked:?}");
        assert!(shortest < Duration::from_micros(40) && longest > Duration::from_millis(5), "{shortest:?} {longest:?}");
    }
}
