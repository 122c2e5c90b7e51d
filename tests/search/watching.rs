//! Reverse watchpoints against a scan of all values.

use fred::backends::sim::{Act, Event, Sim, run};
use fred::search::probe::{Place, Probe, Value};
use fred::search::watch::{Cause, Found, Outcome, watch};
use proptest::prelude::*;

use crate::session::{CtrlC, Session, SimProbe};
use crate::{Doing, acts, doing};

fn session(acts: &[Act], doings: &[Doing], value: impl Fn(usize) -> Option<i64>) -> Session {
    let events: Vec<Event> =
        run(acts).into_iter().enumerate().map(|(i, event)| Event { value: value(i), ..event }).collect();
    let mut session = Session::new(Sim::new(events));
    doings.iter().for_each(|doing| doing.apply(&mut session));
    session
}

fn known(value: i64) -> Value {
    Value::Known { text: value.to_string(), digest: value as u64 }
}

/// Checks everything that is promised of any search; gives what was found.
/// The same where long segments are first split in time.
fn check_split(session: &Session) -> Result<(), TestCaseError> {
    let mut probe = SimProbe::new(session);
    probe.splits = true;
    let outcome = watch(&mut probe).unwrap();
    let places = probe.places();
    let values: Vec<Value> = places.iter().map(|&at| probe.value_of(at)).collect();
    let now = values.last().unwrap();
    match &outcome {
        Outcome::Found(found) => {
            let index = places.iter().position(|at| *at == found.at).expect("a place by its one name");
            prop_assert!(!values[index].same(now) && values[index + 1].same(now), "no change at {:?}", found.at);
            let changes: Vec<usize> = (0..values.len() - 1).filter(|&i| !values[i].same(&values[i + 1])).collect();
            if let [only] = changes[..] {
                prop_assert_eq!(index, only);
            }
        }
        Outcome::NeverDiffers { .. } => prop_assert!(values[0].same(now)),
        Outcome::Unstable { .. } => prop_assert!(false, "nothing went astray"),
    }
    Ok(())
}

fn check(session: &Session) -> Result<(Outcome, SimProbe), TestCaseError> {
    let mut probe = SimProbe::new(session);
    let outcome = watch(&mut probe).unwrap();
    let places = probe.places();
    let values: Vec<Value> = places.iter().map(|&at| probe.value_of(at)).collect();
    let now = values.last().unwrap();
    let events = (places.len() + probe.segments()) as f64;
    let most = 2.0 * events.log2() + 20.0;
    prop_assert!(f64::from(probe.evaluations) <= most, "{} evaluations of {} events", probe.evaluations, events);
    match &outcome {
        Outcome::Found(found) => {
            prop_assert_eq!(found.evaluations, probe.evaluations);
            let index = places.iter().position(|at| *at == found.at).expect("a place by its one name");
            prop_assert_eq!((&found.before, &found.after), (&values[index], &values[index + 1]));
            prop_assert!(!values[index].same(now) && values[index + 1].same(now), "no change at {:?}", found.at);
            let moved = probe.copy(places[index]).at != probe.copy(places[index + 1]).at;
            prop_assert_eq!(matches!(found.by, Cause::Program), moved);
            let changes: Vec<usize> = (0..values.len() - 1).filter(|&i| !values[i].same(&values[i + 1])).collect();
            if let [only] = changes[..] {
                prop_assert_eq!(index, only);
            }
            // Among the last anchors the latest that differs decides.
            let recent = probe.segments().saturating_sub(10)..probe.segments();
            let differs = recent.rev().find(|&anchor| !probe.value_of(Place::anchor(anchor)).same(now));
            prop_assert!(differs.is_none_or(|anchor| found.at.segment == anchor));
            // One pass over the segment finds the place, and a step re-checks it.
            let length = probe.ticks(found.at.segment).unwrap();
            prop_assert!(probe.replayed <= 2 * length.max(1), "{} of {} replayed", probe.replayed, length);
        }
        Outcome::NeverDiffers { value, .. } => {
            prop_assert!(value.same(now) && values[0].same(now));
        }
        Outcome::Unstable { .. } => prop_assert!(false, "the simulation is stable"),
    }
    Ok((outcome, probe))
}

#[test]
fn the_statement_is_found_in_one_long_continue() {
    let value = |i| Some(if i < 700_001 { 4 } else { 5 });
    let session = session(&[Act::Line; 1_000_000], &[Doing::Break(8), Doing::Say("continue")], value);
    let (outcome, probe) = check(&session).unwrap();
    let expected = Found {
        at: Place { segment: 1, ticks: 700_000 },
        before: known(4),
        after: known(5),
        by: Cause::Program,
        evaluations: probe.evaluations,
    };
    assert_eq!(outcome, Outcome::Found(expected));
    assert!(probe.evaluations <= 24, "{}", probe.evaluations);
}

#[test]
fn a_command_of_the_user_is_named() {
    let doings = [Doing::Interrupt(5), Doing::Add(3), Doing::Break(3), Doing::Interrupt(5)];
    let session = session(&[Act::Line; 20], &doings, |_| Some(1));
    let (Outcome::Found(found), _) = check(&session).unwrap() else { panic!("it changed") };
    assert_eq!((found.at, found.by), (Place::anchor(1), Cause::Command("add 3".into())));
    assert_eq!((found.before, found.after), (known(1), known(4)));
}

#[test]
fn what_cannot_be_evaluated_differs_from_every_value() {
    let value = |i| (i >= 30).then_some(7);
    let session = session(&[Act::Line; 60], &[Doing::Interrupt(50)], value);
    let (Outcome::Found(found), _) = check(&session).unwrap() else { panic!("it was bound") };
    assert_eq!(found.at, Place { segment: 0, ticks: 29 });
    assert!(matches!(found.before, Value::Unknown(why) if why.contains("not defined")));
}

#[test]
fn a_value_that_was_always_so_is_said() {
    let session = session(&[Act::Line; 60], &vec![Doing::Interrupt(2); 25], |_| Some(7));
    let (outcome, _) = check(&session).unwrap();
    assert_eq!(outcome, Outcome::NeverDiffers { value: known(7), evaluations: 15 });
    let (outcome, _) = check(&self::session(&[], &[], |_| None)).unwrap();
    assert!(matches!(outcome, Outcome::NeverDiffers { value: Value::Unknown(_), evaluations: 1 }));
}

#[test]
fn ctrl_c_and_a_replay_gone_astray_end_the_search() {
    let session = session(&[Act::Line; 100], &[Doing::Interrupt(90)], |i| Some(i64::from(i > 40)));
    let mut probe = SimProbe::new(&session);
    probe.patience = 4;
    assert_eq!(watch(&mut probe), Err(CtrlC));
    let mut probe = SimProbe::new(&session);
    let Ok(Outcome::Found(found)) = watch(&mut probe) else { panic!("it changed") };
    let mut probe = SimProbe::new(&session);
    probe.astray_from = found.evaluations;
    let Ok(Outcome::Unstable { at, first, second, .. }) = watch(&mut probe) else { panic!("it was not noticed") };
    assert_eq!((at, first, second), (Place { segment: 0, ticks: 41 }, known(1), known(1001)));
}

#[test]
fn a_long_history_of_short_commands_takes_few_evaluations() {
    // The worst for the bound: as many segments as ticks in the one segment that matters.
    for count in [50usize, 500, 3000] {
        let mut doings = vec![Doing::Interrupt(count as u64)];
        doings.extend(vec![Doing::Say("step"); count]);
        for change in [1, count / 2, count - 1] {
            let session = session(&vec![Act::Line; 2 * count + 9], &doings, |i| Some(i64::from(i > change)));
            check(&session).unwrap();
        }
    }
}

proptest! {
    #[test]
    fn one_change_is_the_change(
        acts in acts(300),
        doings in prop::collection::vec(doing(), 1..60),
        change in any::<prop::sample::Index>(),
    ) {
        let change = change.index(acts.len() + 1);
        let doings: Vec<Doing> = doings.into_iter().filter(|d| !matches!(d, Doing::Add(_))).collect();
        let session = session(&acts, &doings, |i| (i > change).then_some(1));
        check(&session)?;
        check_split(&session)?;
    }

    #[test]
    fn of_many_changes_one_is_found(
        acts in acts(300),
        doings in prop::collection::vec(doing(), 1..60),
        values in prop::collection::vec(prop::option::weighted(0.8, 0i64..3), 600),
        stretch in 1usize..40,
    ) {
        let session = session(&acts, &doings, |i| values[i / stretch]);
        check(&session)?;
        check_split(&session)?;
    }

    #[test]
    fn a_growing_counter_is_found(acts in acts(300), doings in prop::collection::vec(doing(), 1..40), every in 1usize..50) {
        let session = session(&acts, &doings, |i| Some((i / every) as i64));
        check(&session)?;
    }
}
