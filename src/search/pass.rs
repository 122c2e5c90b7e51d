//! Picks the answer of a backward search out of one forward replay.

use super::probe::{Hit, Wanted};

/// A stop that may turn out to be the answer.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    ticks: u64,
    depth: u32,
}

/// Watches the stops of a replay go by, oldest first, and knows at any time where moves backwards would land.
///
/// For depths it keeps the stops that no later one hides: a stop is hidden by a later one with fewer frames, because a move
/// that passes the later one has a smaller bound. What is left never decreases in depth, so repeated moves go down the list.
#[derive(Debug, Clone)]
pub struct Pass {
    wanted: Wanted,
    candidates: Vec<Candidate>,
}

impl Pass {
    /// Watches for the wanted stops.
    pub fn new(wanted: Wanted) -> Self {
        Pass { wanted, candidates: Vec::new() }
    }

    /// The replay is at a stop. The stop from which the search looks back is not shown.
    pub fn stop(&mut self, ticks: u64, depth: u32, at_breakpoint: bool) {
        match self.wanted {
            Wanted::AtMost(_) => {
                while self.candidates.pop_if(|last| last.depth > depth).is_some() {}
                self.candidates.push(Candidate { ticks, depth });
            }
            Wanted::Breakpoint if at_breakpoint => self.candidates.push(Candidate { ticks, depth }),
            Wanted::Breakpoint => {}
        }
    }

    /// Where up to `repeat` moves back from the end land.
    pub fn hit(&self, repeat: u32) -> Option<Hit> {
        let fits = |candidate: &Candidate| match self.wanted {
            Wanted::AtMost(depth) => candidate.depth <= depth,
            Wanted::Breakpoint => true,
        };
        let fitting = self.candidates.iter().rposition(fits).map_or(0, |index| index + 1);
        let moves = u32::try_from(fitting).unwrap_or(u32::MAX).min(repeat);
        let landed = self.candidates.get(fitting.checked_sub(moves as usize)?)?;
        (moves > 0).then_some(Hit { ticks: landed.ticks, depth: landed.depth, moves })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition: look back from the end, one move at a time.
    fn scan(stops: &[(u32, bool)], wanted: Wanted, repeat: u32) -> Option<Hit> {
        let (mut end, mut wanted, mut hit) = (stops.len(), wanted, None);
        for moves in 1..=repeat {
            let fits = |&(depth, at_breakpoint): &(u32, bool)| match wanted {
                Wanted::AtMost(most) => depth <= most,
                Wanted::Breakpoint => at_breakpoint,
            };
            let Some(index) = stops[..end].iter().rposition(fits) else {
                break;
            };
            let depth = stops[index].0;
            if let Wanted::AtMost(most) = &mut wanted {
                *most = depth;
            }
            end = index;
            hit = Some(Hit { ticks: index as u64, depth, moves });
        }
        hit
    }

    proptest! {
        #[test]
        fn one_pass_equals_repeated_scans(
            stops in prop::collection::vec((1u32..6, any::<bool>()), 0..40),
            depth in 0u32..7,
            repeat in 0u32..12,
        ) {
            for wanted in [Wanted::AtMost(depth), Wanted::Breakpoint] {
                let mut pass = Pass::new(wanted);
                for (ticks, &(depth, at_breakpoint)) in stops.iter().enumerate() {
                    pass.stop(ticks as u64, depth, at_breakpoint);
                }
                prop_assert_eq!(pass.hit(repeat), scan(&stops, wanted, repeat));
            }
        }
    }
}
