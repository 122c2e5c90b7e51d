//! The reverse moves of a served session, and landing: the debugger of the present, breakpoints and all, is brought to an
//! earlier state of the program.

mod back;
mod field;
mod stops;

use std::time::Duration;

use fred_checkpointer::wire::CopyId;

use super::machine::{Native, State};
use crate::backends::aide::{Answer, Question};
use crate::engine::core::Engine;
use crate::engine::reverse::{Motion, NO_EARLIER};
use crate::engine::travel::Aside;
use crate::engine::{Console, Failure, Report, State as Waiting};
use crate::history::entry::{Effect, Stop};
use crate::history::execution::PointId;
use crate::history::timeline::Origin;
use crate::search::native::Landing;
pub(super) use field::Field;
use stops::Spent;

/// Where a search has led, for the record.
pub(super) struct Destination {
    pub(super) state: State,
    pub(super) point: PointId,
    /// What the program read between the point and the place.
    pub(super) inputs: Vec<String>,
    /// It is the point itself.
    pub(super) same: bool,
    /// The anchor before it.
    pub(super) anchor: CopyId,
}

impl Engine {
    /// A reverse move, `n` times.
    pub(in crate::engine) fn native_reverse(
        &mut self,
        line: &str,
        motion: Motion,
        n: u32,
        console: &mut dyn Console,
    ) -> Result<Report, Failure> {
        self.native_search(
            line,
            console,
            |_| Ok(()),
            |search, (), field| {
                if motion != Motion::Continue {
                    search.be_quiet()?;
                }
                let gone = search.go_back(field, motion, n)?;
                let destination = search.destination(field, &gone.landing);
                let mut notes = Vec::new();
                if gone.fell_back {
                    notes.push("no earlier stop at a breakpoint: this is the start of the history.".to_owned());
                }
                let incomplete = (gone.done < n).then(|| NO_EARLIER.to_owned());
                Ok(Found { destination, notes, incomplete, result: None, spent: gone.spent })
            },
        )
    }

    /// Goes to a share of the time that the program has run on the current line of history.
    pub(in crate::engine) fn native_goto(
        &mut self,
        position: &str,
        share: f64,
        console: &mut dyn Console,
    ) -> Result<Report, Failure> {
        let tip = self.timeline.tip();
        if tip != self.timeline.head() || share >= 1.0 {
            let report = self.travel_to(tip, console)?;
            if share >= 1.0 {
                return Ok(report);
            }
        }
        self.native_search(
            &format!("fred-goto {position}"),
            console,
            |_| Ok(()),
            |search, (), field| {
                let landing = search.at_share(field, share)?;
                let destination = search.destination(field, &landing);
                Ok(Found::at(destination))
            },
        )
    }

    /// Searches from the present, which is put aside meanwhile, and goes where that leads. `prepare` asks what there is to
    /// ask of the debugger where the user has left it.
    pub(super) fn native_search<P>(
        &mut self,
        line: &str,
        console: &mut dyn Console,
        prepare: impl FnOnce(&mut Native<'_>) -> Result<P, Failure>,
        work: impl FnOnce(&mut Native<'_>, P, &Field) -> Result<Found, Failure>,
    ) -> Result<Report, Failure> {
        self.begin();
        // To come back to.
        self.checkpoint_prompt(true, false, console);
        let aside = self.put_aside()?;
        let outcome = self.native_found(&aside, console, prepare, work);
        let outcome = match outcome {
            Ok((found, debugger)) => self.native_land(line, found, debugger, console),
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(mut report) => {
                self.stay(aside);
                report.cost = self.spent();
                Ok(report)
            }
            Err(mut failure) => {
                self.come_back(aside)?;
                if let Some(served) = &mut self.served {
                    served.gone_to(self.timeline.point());
                }
                self.tell_divergence(console);
                failure.cost = self.spent();
                Err(failure)
            }
        }
    }

    fn native_found<P>(
        &mut self,
        aside: &Aside,
        console: &mut dyn Console,
        prepare: impl FnOnce(&mut Native<'_>) -> Result<P, Failure>,
        work: impl FnOnce(&mut Native<'_>, P, &Field) -> Result<Found, Failure>,
    ) -> Result<(Found, CopyId), Failure> {
        let (plan, inputs) = self.field(aside)?;
        let seen = match plan.debugger {
            Some(debugger) => Some(debugger),
            None => self.witness()?,
        };
        let Some(debugger) = seen else {
            return Err(self.failure("cannot go back: no copy of the debugger has seen this program"));
        };
        let prompt = match &self.state {
            Waiting::Prompt(prompt) => prompt.clone(),
            Waiting::Ended { .. } => match self.held.values().find(|held| held.copy == debugger) {
                Some(held) => held.prompt.clone(),
                None => return Err(self.failure("cannot do that: the debugger has ended; fred-undo goes back")),
            },
        };
        self.start_copy(debugger, &prompt)?;
        if let (Answer::Text(folders), _) = self.ask_served(&Question::DebugFolders, None, console)?
            && let Some(served) = &mut self.served
        {
            served.symbols.set_folders(&folders);
        }
        let threads = self.has_threads();
        let mut search = Native::new(self, console, inputs, (debugger, prompt));
        let found = search.free_threads(threads).and_then(|()| prepare(&mut search)).and_then(|prepared| {
            let entered = if plan.copy.is_some() { search.entered_here()? } else { None };
            let field = search.lay_out(plan, entered)?;
            work(&mut search, prepared, &field)
        });
        search.finish_search();
        Ok((found?, debugger))
    }

    /// Brings the debugger to where a search has led, and notes it as a command of the history.
    fn native_land(
        &mut self,
        line: &str,
        found: Found,
        debugger: CopyId,
        console: &mut dyn Console,
    ) -> Result<Report, Failure> {
        let Waiting::Prompt(prompt) = self.state.clone() else {
            return Err(self.failure("the debugger has ended"));
        };
        let Destination { state, point: anchor, inputs, same, anchor: behind } = found.destination;
        // The debugger of the present, which has seen nothing of the search.
        self.start_copy(debugger, &prompt)?;
        let muted = self.mute(&found.spent, console)?;
        let held = self.hold_breakpoints(state.copy(), console)?;
        self.look_at_leader(console)?;
        let locked = self.unlock_threads(console)?;
        self.count_passed(&found.spent, console)?;
        let lost = self.live.exchange(state.copy());
        self.lost.extend(lost.map_err(|error| self.failed("restoring a state of the program", &error))?);
        let again = self.served.as_ref().map(|served| served.aide.look_again()).unwrap_or_default();
        let (stop, shown) = match self.ask_served(&Question::StepInstruction, None, console)?.0 {
            Answer::Went { stop: Some(stop), shown } => (stop, shown),
            Answer::Refused(why) => {
                return Err(self.failure(format!("the debugger does not take the program up: {why}")));
            }
            _ => return Err(self.failure("the debugger does not see the program any more")),
        };
        for question in again {
            self.ask_served(&question, None, console)?;
        }
        let (stop, shown) = match self.look_at_turn(console)? {
            Some(turned) => {
                // It was told of the stop of another thread, and would stop at a breakpoint once more at which this one stands.
                let lost = self.live.exchange(state.copy());
                self.lost.extend(lost.map_err(|error| self.failed("restoring a state of the program", &error))?);
                self.ask_served(&Question::StepInstruction, None, console)?;
                turned
            }
            None => (stop, shown),
        };
        self.switch_breakpoints(&held, true, console)?;
        let (stop, shown) = match state.entered() {
            Some(entered) => self.show_entered(&state, entered, console)?.unwrap_or((stop, shown)),
            None => (stop, shown),
        };
        self.unmute(muted, console)?;
        self.lock_threads(locked, console)?;
        let mut stop = Stop { reason: crate::history::entry::Reason::Step, ..stop };
        self.deepen(&mut stop, console);
        let point = self.execution.landed(anchor, stop.clone(), inputs);
        self.shown.insert(point, shown);
        let began = self.ran.get(&anchor).copied().unwrap_or_default();
        self.ran.insert(point, Duration::from_micros(state.at()).saturating_sub(began));
        if let Some(served) = &mut self.served {
            served.alive = true;
            served.note(point);
            served.behind.insert(point, behind);
            if same {
                served.same.insert(point);
            }
        }
        self.timeline.append(line, Effect::Moves, Origin::User, point, Some(stop));
        self.checkpoint_prompt(true, true, console);
        // The place has a checkpoint of its own now.
        for copy in found.spent.into_states().chain([state]).filter_map(State::into_dropped) {
            self.live.drop_copy(copy).ok();
        }
        let mut report = self.arrived(point);
        report.notes.extend(found.notes);
        if let Some(served) = &mut self.served
            && let Some(note) = served.aide.remembers(&held)
            && !std::mem::replace(&mut served.told_of_watched, true)
        {
            report.notes.push(note.to_owned());
        }
        report.incomplete = found.incomplete;
        report.result = found.result;
        Ok(report)
    }
}

impl Engine {
    /// Has the debugger show the program with so many inlined calls entered where it stands. After a step of an instruction it
    /// has entered all, after any other stop none.
    fn show_entered(
        &mut self,
        state: &State,
        entered: u32,
        console: &mut dyn Console,
    ) -> Result<Option<(Stop, String)>, Failure> {
        let Some(pc) = self.live.registers(None).ok().map(|registers| registers.rip) else { return Ok(None) };
        let all = self.served.as_mut().map(|served| served.symbols.inlined_at(pc)).unwrap_or_default();
        let mut now = all.depth;
        let mut shown = None;
        while now != entered {
            let question = if now > entered {
                let lost = self.live.exchange(state.copy());
                self.lost.extend(lost.map_err(|error| self.failed("restoring a state of the program", &error))?);
                self.live.halt().map_err(|error| self.failed("showing the place", &error))?;
                now = all.depth - all.beginning;
                Question::Continue
            } else {
                now += 1;
                Question::Step
            };
            shown = match self.ask_served(&question, None, console)?.0 {
                Answer::Went { stop: Some(stop), shown } => Some((stop, shown)),
                _ => return Err(self.failure("the debugger does not show the call of the inlined function")),
            };
        }
        // gdb's second interpreter says nothing of a place to which the program had not to run.
        if let Some((_, text)) = shown.as_mut().filter(|(_, text)| text.trim().is_empty())
            && let Some(show) = self.served.as_ref().map(|served| served.aide.show_place())
        {
            let place = self.place_shown(&show, console)?;
            place.strip_prefix("#0").unwrap_or(&place).trim_start().clone_into(text);
        }
        Ok(shown)
    }
}

/// What a search found.
pub(super) struct Found {
    pub(super) destination: Destination,
    pub(super) notes: Vec<String>,
    pub(super) incomplete: Option<String>,
    pub(super) result: Option<serde_json::Value>,
    pub(super) spent: Spent,
}

impl Found {
    /// A place, of which there is nothing else to say.
    pub(super) fn at(destination: Destination) -> Found {
        Found { destination, notes: Vec::new(), incomplete: None, result: None, spent: Spent::default() }
    }
}

impl Native<'_> {
    pub(super) fn destination(&self, field: &Field, landing: &Landing<State>) -> Destination {
        let anchor = &field.anchors[landing.anchor];
        let inputs = self.inputs_between(anchor.state.read(), landing.state.read());
        let same = landing.state.copy() == anchor.state.copy();
        Destination { state: landing.state.clone(), point: anchor.point, inputs, same, anchor: anchor.state.copy() }
    }
}
