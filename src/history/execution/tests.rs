use super::*;
use crate::history::stop_at as at;

#[test]
fn a_chain_runs_from_the_start() {
    let mut e = Execution::new(at(1), vec![]);
    let a = e.command(e.start(), "next", Effect::Moves, at(2), vec![]);
    let b = e.command(a, "break 9", Effect::Configures, at(2), vec![]);
    let other = e.command(a, "next", Effect::Moves, at(3), vec![]);
    assert_eq!(e.chain(b), [e.start(), a, b]);
    assert_eq!(e.chain(other), [e.start(), a, other]);
}

#[test]
fn only_segments_that_move_have_something_to_count() {
    let mut e = Execution::new(at(1), vec![]);
    let a = e.command(e.start(), "continue", Effect::Moves, at(9), vec![]);
    let b = e.command(a, "x = 1", Effect::Mutates, at(9), vec![]);
    assert_eq!((e.point(a).ticks, e.point(b).ticks), (None, Some(0)));
    assert_eq!(e.travelled(b), None);
    e.set_ticks(a, 40).unwrap();
    assert_eq!(e.travelled(b), Some(40));
    assert_eq!(
        e.set_ticks(a, 41),
        Err(Recounted {
            point: a,
            before: 40,
            now: 41
        })
    );
}

#[test]
fn a_landing_hangs_below_the_anchor_and_carries_the_settings() {
    let mut e = Execution::new(at(1), vec![]);
    let a = e.command(e.start(), "break 9", Effect::Configures, at(1), vec![]);
    let b = e.command(a, "continue", Effect::Moves, at(9), vec![]);
    let c = e.command(b, "x = 1", Effect::Mutates, at(9), vec![]);
    let d = e.command(c, "break 12", Effect::Configures, at(9), vec![]);
    let landed = e.land(d, 1, 7, at(5), vec![]);
    assert_eq!(e.point(landed).pred, Some(a));
    assert_eq!(e.point(landed).ticks, Some(7));
    // `x = 1` was done to the program later on: it is undone. The breakpoint is kept.
    assert_eq!(e.configured_between(a, landed), ["break 12"]);
    // A reverse move from the landing carries it further, and shares the list.
    let again = e.land(landed, 1, 3, at(3), vec![]);
    assert_eq!(e.point(again).pred, Some(a));
    assert_eq!(
        e.configured_between(e.start(), again),
        ["break 9", "break 12"]
    );
    assert_eq!(e.overlays.len(), 1);
    // Landing on the anchor with a setting to carry is a point of its own; with none it is the anchor.
    let with = e.land(again, 1, 0, at(1), vec![]);
    assert_ne!(with, a);
    assert_eq!(e.land(b, 1, 0, at(1), vec![]), a);
}

#[test]
fn replay_begins_at_the_nearest_checkpoint() {
    let mut e = Execution::new(at(1), vec![]);
    let a = e.command(e.start(), "next", Effect::Moves, at(2), vec![]);
    let b = e.interrupted(a, "continue", at(3), vec!["yes".into()]);
    assert_eq!(e.nearest_checkpoint(b), None);
    e.set_checkpoint(a, Some(CheckpointKey(4)));
    assert_eq!(e.nearest_checkpoint(b), Some((a, CheckpointKey(4))));
    e.set_checkpoint(a, None);
    e.set_checkpoint(e.start(), Some(CheckpointKey(1)));
    assert_eq!(e.nearest_checkpoint(b), Some((e.start(), CheckpointKey(1))));
}

#[test]
fn a_saved_execution_is_checked_when_it_is_loaded() {
    let mut e = Execution::new(at(1), vec![]);
    let a = e.command(e.start(), "next", Effect::Moves, at(2), vec![]);
    e.land(a, 0, 1, at(2), vec![]);
    let text = serde_json::to_string(&e).unwrap();
    assert_eq!(serde_json::from_str::<Execution>(&text).unwrap(), e);
    let broken = text.replacen("\"pred\":0", "\"pred\":7", 1);
    let error = serde_json::from_str::<Execution>(&broken)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("point 1 of a saved execution comes before its predecessor"),
        "{error}"
    );
}
