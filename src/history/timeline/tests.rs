use super::*;
use crate::history::execution::Execution;
use crate::history::stop_at;
use proptest::prelude::*;

fn timeline() -> Timeline {
    Timeline::new(Execution::new(stop_at(1), vec![]).start(), Some(stop_at(1)))
}

fn say(t: &mut Timeline, line: &str) -> EntryId {
    t.append(line, Effect::Moves, Origin::User, t.entry(t.head()).point, Some(stop_at(2)))
}

fn lines(t: &Timeline) -> Vec<&str> {
    t.path(t.tip()).iter().map(|&id| t.entry(id).line.as_str()).collect()
}

#[test]
fn undo_does_what_it_can_and_says_how_much() {
    let mut t = timeline();
    let (a, b) = (say(&mut t, "a"), say(&mut t, "b"));
    assert_eq!(t.undo(1), Shift { head: a, done: 1 });
    assert_eq!(t.undo(5).done, 1);
    assert_eq!(t.undo(1).done, 0);
    assert_eq!(t.redo(9), Shift { head: b, done: 2 });
    assert_eq!(t.redo(1).done, 0);
}

#[test]
fn a_command_after_an_undo_begins_a_line_and_keeps_the_old_one() {
    let mut t = timeline();
    say(&mut t, "a");
    let b = say(&mut t, "b");
    t.undo(1);
    let c = say(&mut t, "c");
    assert_eq!(lines(&t), ["", "a", "c"]);
    assert_eq!(t.redo(1).done, 0);
    // Going back to the old line leads to what had been undone, and names the one that is left.
    assert_eq!(t.switch("b1"), Ok(b));
    assert_eq!(lines(&t), ["", "a", "b"]);
    assert_eq!(t.switch("b2"), Ok(c));
    assert_eq!(t.switch("b3"), Err(BranchError::Missing("b3".into())));
}

#[test]
fn a_line_is_found_as_it_was_left() {
    let mut t = timeline();
    let a = say(&mut t, "a");
    say(&mut t, "b");
    t.name("main").unwrap();
    t.undo(1);
    say(&mut t, "c");
    t.name("try").unwrap();
    t.undo(1);
    t.switch("main").unwrap();
    assert_eq!(t.switch("try"), Ok(a), "the undo on it was not forgotten");
    assert_eq!(t.redo(1).done, 1);
    assert_eq!(lines(&t), ["", "a", "c"]);
}

#[test]
fn names_follow_their_line_and_belong_to_one() {
    let mut t = timeline();
    t.name("main").unwrap();
    let a = say(&mut t, "a");
    assert_eq!(t.branch_head("main"), Ok(a));
    t.undo(1);
    say(&mut t, "b");
    assert_eq!(t.name("main"), Err(BranchError::Taken("main".into())));
    assert_eq!(t.name("two words"), Err(BranchError::Unfit("two words".into())));
    t.name("b7").unwrap();
    t.name("side/1").unwrap();
    let rows = t.branches();
    assert_eq!(rows.iter().map(|b| b.name.as_deref()).collect::<Vec<_>>(), [Some("main"), Some("side/1")]);
    assert_eq!(rows.iter().map(|b| (b.number, b.current)).collect::<Vec<_>>(), [(1, false), (1, true)]);
}

#[test]
fn numbers_count_along_the_current_line() {
    let mut t = timeline();
    say(&mut t, "a");
    let b = say(&mut t, "b");
    t.undo(2);
    let c = say(&mut t, "c");
    assert_eq!((t.entry_at(1), t.entry_at(2)), (Some(c), None));
    assert!(!t.on_current_line(b));
    t.go(b);
    assert_eq!((t.head(), lines(&t)), (b, vec!["", "a", "b"]));
}

#[derive(Debug, Clone)]
enum Op {
    Say,
    Undo(u32),
    Redo(u32),
    Go(prop::sample::Index),
    Switch(prop::sample::Index),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => Just(Op::Say),
        2 => (0u32..5).prop_map(Op::Undo),
        2 => (0u32..5).prop_map(Op::Redo),
        1 => any::<prop::sample::Index>().prop_map(Op::Go),
        1 => any::<prop::sample::Index>().prop_map(Op::Switch),
    ]
}

proptest! {
    #[test]
    fn nothing_is_lost_and_undo_redo_is_the_identity(ops in prop::collection::vec(op(), 0..60)) {
        let mut t = timeline();
        for op in ops {
            let before = t.clone();
            match op {
                Op::Say => { say(&mut t, "x"); }
                Op::Undo(n) => { t.undo(n); }
                Op::Redo(n) => { t.redo(n); }
                Op::Go(index) => {
                    let id = index.get(t.entries()).id;
                    t.go(id);
                    prop_assert_eq!(t.head(), id);
                }
                Op::Switch(index) => {
                    if let Some(name) = &index.get(&t.branches()).name {
                        let head = t.branch_head(name);
                        prop_assert_eq!(t.switch(name), head);
                    }
                }
            }
            prop_assert!(t.entries().starts_with(before.entries()));
            prop_assert_eq!(t.path(t.head()).len() as u32, t.entry(t.head()).number + 1);
            prop_assert!(t.on_current_line(t.head()));
            for entry in t.entries() {
                let reachable = t.lines.iter().any(|line| t.path(line.tip).contains(&entry.id));
                prop_assert!(reachable, "{:?} is on no line", entry);
            }
            let unnamed: Vec<_> = t.branches().into_iter().filter(|b| b.name.is_none() && !b.current).collect();
            prop_assert!(unnamed.is_empty(), "cannot go back to {:?}", unnamed);
            let mut there_and_back = t.clone();
            let undone = there_and_back.undo(3).done;
            prop_assert_eq!(there_and_back.redo(undone).done, undone);
            prop_assert_eq!(&there_and_back, &t);
        }
    }
}
