//! The trace oracle: where each reverse move lands is read off the list of all stops.

use fred::search::previous::{Landing, Move, previous};
use fred::search::probe::{Place, Probe};
use proptest::prelude::*;

use crate::session::{Session, SimProbe};
use crate::{Doing, acts, doing, used};

/// Where `n` moves lead by definition: the index in the trace, how many were done, and whether the last fell back.
fn scan(session: &Session, movement: Move, n: u32) -> Option<(usize, u32, bool)> {
    let events = session.sim.events();
    let mut at = session.sim.at;
    let mut done = 0;
    let mut fell_back = false;
    while done < n && at > 0 && !fell_back {
        let depth = events[at].depth;
        let wanted = |index: &usize| match movement {
            Move::Step => true,
            Move::Next { .. } => events[*index].depth <= depth,
            Move::Finish { .. } => events[*index].depth < depth,
            Move::Continue => session.sim.breakpoints.contains(&events[*index].line),
        };
        at = match (0..at).rev().find(wanted) {
            Some(index) => index,
            None if movement == Move::Continue => {
                fell_back = true;
                0
            }
            None => break,
        };
        done += 1;
    }
    (done > 0).then_some((at, done, fell_back))
}

fn all_moves(session: &Session) -> [Move; 4] {
    let depth = session.sim.event().depth;
    [Move::Step, Move::Next { depth }, Move::Finish { depth }, Move::Continue]
}

#[test]
fn the_start_has_no_earlier_point() {
    let session = used(&[], &[Doing::Break(1), Doing::Add(1)]);
    for movement in all_moves(&session) {
        let mut probe = SimProbe::new(&session);
        assert_eq!(previous(&mut probe, movement, 3), Ok(None), "{movement:?}");
    }
}

#[test]
fn a_long_step_back_asks_only_for_the_segments_it_crosses() {
    use fred::backends::sim::Act;
    let doings: Vec<Doing> = (0..20).map(|_| Doing::Interrupt(10)).collect();
    let session = used(&[Act::Line; 300], &doings);
    let mut probe = SimProbe::new(&session);
    let landing = previous(&mut probe, Move::Step, 25).unwrap();
    assert_eq!(landing, Some(Landing { at: Place { segment: 17, ticks: 5 }, done: 25, fell_back: false }));
    assert_eq!(probe.asked, [19, 18, 17]);
    // A hundred times `next` within a segment is one replay of it, as well.
    let mut probe = SimProbe::new(&session);
    let landing = previous(&mut probe, Move::Next { depth: 1 }, 25).unwrap();
    assert_eq!(landing.map(|l| l.at), Some(Place { segment: 17, ticks: 5 }));
    assert_eq!(probe.asked, [19, 18, 17]);
    // The outermost function has no caller: nothing is replayed to find that out.
    let mut probe = SimProbe::new(&session);
    assert_eq!(previous(&mut probe, Move::Finish { depth: 1 }, 1), Ok(None));
    assert!(probe.asked.is_empty());
}

proptest! {
    #[test]
    fn a_reverse_move_lands_where_a_scan_says(
        acts in acts(300),
        doings in prop::collection::vec(doing(), 0..25),
        n in prop_oneof![3 => Just(1u32), 2 => 1u32..12, 1 => Just(u32::MAX)],
    ) {
        let session = used(&acts, &doings);
        for movement in all_moves(&session) {
            let mut probe = SimProbe::new(&session);
            let landing = previous(&mut probe, movement, n).unwrap();
            let found = landing.map(|l| (probe.copy(l.at).at, l.done, l.fell_back));
            prop_assert_eq!(found, scan(&session, movement, n), "{:?}", movement);
            if let Some(landing) = landing {
                // Of the names of the stop it is the last one: what the user changed there before moving on is kept.
                prop_assert!(probe.ticks(landing.at.segment).unwrap() > landing.at.ticks);
            }
        }
    }

    #[test]
    fn any_mix_of_moves_leaves_the_state_of_a_fresh_run(
        acts in acts(200),
        steps in prop::collection::vec((doing(), 0u8..12, 1u32..4), 1..40),
    ) {
        let mut session = used(&acts, &[]);
        for (doing, kind, n) in steps {
            let movement = all_moves(&session).get(usize::from(kind)).copied();
            if let Some(movement) = movement {
                // Whatever stopped it then, the place and the settings must be the same.
                let (was, at) = (session.sim.clone(), session.present);
                let expected = scan(&session, movement, n);
                let landing = session.back(movement, n);
                prop_assert_eq!(landing.map(|l| (session.sim.at, l.done, l.fell_back)), expected);
                prop_assert_eq!(&session.sim.breakpoints, &was.breakpoints, "settings are kept");
                if landing.is_some() {
                    // Undoing the reverse move returns to where it was typed; redoing comes back here.
                    let here = session.sim.clone();
                    session.timeline.undo(1);
                    session.follow_head();
                    prop_assert_eq!((session.sim.at, session.present), (was.at, at));
                    session.timeline.redo(1);
                    session.follow_head();
                    prop_assert_eq!(&session.sim.at, &here.at);
                }
            } else if kind == 4 {
                session.timeline.undo(n);
                session.follow_head();
            } else if kind == 5 {
                session.timeline.redo(n);
                session.follow_head();
            } else {
                doing.apply(&mut session);
            }
            let again = session.rebuild(session.present);
            let seen = &session.seen[&session.present];
            for other in [&again, seen] {
                prop_assert_eq!(other.at, session.sim.at);
                prop_assert_eq!(other.bias, session.sim.bias);
                prop_assert_eq!(&other.breakpoints, &session.sim.breakpoints);
            }
        }
    }
}
