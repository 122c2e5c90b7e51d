//! Reverse moves, reverse watchpoints and undo over the simulated debugger, against linear scans of its trace.

mod moves;
mod native;
mod session;
mod watching;

use fred::backends::sim::{Act, Sim, run};
use proptest::prelude::*;
use session::Session;

/// A call tree: random acts are one, whatever they are, since a call without a return just lasts until the end.
pub(crate) fn acts(most: usize) -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![4 => Just(Act::Line), 2 => (1u32..5).prop_map(Act::Call), 2 => Just(Act::Return)];
    prop::collection::vec(act, 0..most)
}

/// What a user does.
#[derive(Debug, Clone)]
pub(crate) enum Doing {
    Say(&'static str),
    Break(u32),
    Clear(u32),
    Add(i64),
    Interrupt(u64),
}

impl Doing {
    pub(crate) fn apply(&self, session: &mut Session) {
        match self {
            Doing::Say(line) => session.say(line),
            Doing::Break(line) => session.say(&format!("break {line}")),
            Doing::Clear(line) => session.say(&format!("clear {line}")),
            Doing::Add(n) => session.say(&format!("add {n}")),
            Doing::Interrupt(ticks) => session.say_for("continue", *ticks),
        }
    }
}

pub(crate) fn doing() -> impl Strategy<Value = Doing> {
    let line = (0u32..5, 0u32..9).prop_map(|(function, line)| function * 10 + line);
    prop_oneof![
        6 => prop::sample::select(vec!["step", "next", "next", "finish", "print"]).prop_map(Doing::Say),
        1 => Just(Doing::Say("continue")),
        2 => line.clone().prop_map(Doing::Break),
        1 => line.prop_map(Doing::Clear),
        1 => (1i64..4).prop_map(Doing::Add),
        3 => (1u64..40).prop_map(Doing::Interrupt),
    ]
}

/// A session that has been used.
pub(crate) fn used(acts: &[Act], doings: &[Doing]) -> Session {
    let mut session = Session::new(Sim::new(run(acts)));
    doings.iter().for_each(|doing| doing.apply(&mut session));
    session
}
