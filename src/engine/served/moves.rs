//! The reverse moves of a served session, and landing: the debugger of the present, breakpoints and all, is brought to an
//! earlier state of the program.

use std::time::Duration;

use fred_checkpointer::wire::{CopyId, Run, RunEnd, Spot};

use super::machine::{Entered, Native, State};
use crate::backends::aide::{Answer, BreakpointFact, Question};
use crate::engine::core::{Engine, PROGRAM};
use crate::engine::reverse::{Motion, NO_EARLIER};
use crate::engine::strides::Stride;
use crate::engine::travel::Aside;
use crate::engine::{Console, Failure, Report, State as Waiting};
use crate::history::entry::{Effect, Stop};
use crate::history::execution::{PointId, Via};
use crate::history::timeline::Origin;
use crate::search::native::{
    After, Back, Frame, Ground, Landing, Level, Machine, Moved, RUN_UP, Until, back, last_hit, over_runs,
};

/// A stretch's beginning: the state, and the last point of the history before or at it.
pub(super) struct Anchor {
    pub(super) state: State,
    pub(super) point: PointId,
}

/// What a search goes over.
pub(super) struct Field {
    pub(super) anchors: Vec<Anchor>,
    runs: Vec<bool>,
    present: Until<State>,
}

impl Field {
    pub(super) fn ground(&self) -> Ground<State> {
        Ground {
            anchors: self.anchors.iter().map(|anchor| anchor.state.clone()).collect(),
            runs: self.runs.clone(),
            present: self.present.clone(),
        }
    }

    /// The command that the user gave at an anchor.
    pub(super) fn command_after(&self, engine: &Engine, anchor: usize) -> String {
        let next = self.anchors.get(anchor + 1).map_or(engine.timeline.point(), |anchor| anchor.point);
        let here = self.anchors[anchor].point;
        let between = engine.execution.back_from(next).take_while(|id| *id != here);
        let line = between.filter_map(|id| match &engine.execution.point(id).via {
            Via::Command { line, effect: Effect::Mutates } => Some(line.clone()),
            _ => None,
        });
        line.last().unwrap_or_default()
    }

    /// The same, seen from an earlier place. Nothing has run between an anchor and itself, so one that was landed on is no
    /// anchor any more; there may be none left.
    fn until(&self, landing: &Landing<State>) -> Field {
        let on_it = self.anchors[landing.anchor].state.copy() == landing.state.copy();
        let count = landing.anchor + usize::from(!on_it);
        let anchors = self.anchors[..count].iter();
        Field {
            anchors: anchors.map(|anchor| Anchor { state: anchor.state.clone(), point: anchor.point }).collect(),
            runs: self.runs[..count].to_vec(),
            present: Until::State(landing.state.clone()),
        }
    }
}

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

/// What a reverse move has come to.
struct Gone {
    landing: Landing<State>,
    done: u32,
    fell_back: bool,
}

impl Engine {
    /// The history of the program that is looked at, as states of it.
    pub(super) fn field(&mut self, aside: &Aside) -> Result<(Plan, Vec<String>), Failure> {
        let Some(served) = &self.served else { return Err(self.failure("no program is served in this session")) };
        let (program, alive) = (served.program, served.alive);
        if program == 0 {
            return Err(self.failure("cannot go back: no program has been started yet"));
        }
        let mut inputs = Vec::new();
        let mut at = Duration::ZERO;
        let mut plan = Plan { steps: Vec::new(), copy: None, debugger: None };
        let chain = self.execution.chain(self.timeline.point());
        let mut before = None;
        for id in &chain {
            let point = self.execution.point(*id);
            let (of, lives) = served.program_at(*id);
            if of == program && before.is_none_or(|(of, _)| of != program) {
                let origin = served.origins.get(&program).copied();
                let pred = point.pred.unwrap_or(*id);
                if let Some(copy) = origin {
                    plan.steps.push(Step { copy: Some(copy), point: pred, read: 0, at: 0, kind: Kind::Origin });
                }
                at = Duration::ZERO;
            }
            before = Some((of, *id));
            if of != program {
                continue;
            }
            let effect = match &point.via {
                Via::Command { effect, .. } => *effect,
                _ => Effect::Moves,
            };
            // Copies that were taken on the way of the command.
            if let Some(pred) = point.pred
                && let Some(strides) = self.strides.get(&pred)
                && effect == Effect::Moves
            {
                let ran = self.ran.get(id).copied().unwrap_or(Duration::MAX);
                let of_command = |stride: &&Stride| match &point.via {
                    Via::Command { line, .. } | Via::Interrupted { line } | Via::Stopped { line, .. } => {
                        *stride.line == **line && stride.at < ran
                    }
                    _ => true,
                };
                let strides = strides.iter().filter(of_command).filter(|stride| stride.program == program);
                // Where a search has landed on the way, the later ones are not yet.
                let before = match (&point.via, served.behind.get(id)) {
                    (Via::Landed, Some(behind)) => {
                        strides.clone().position(|stride| stride.copy == *behind).map_or(0, |index| index + 1)
                    }
                    (Via::Landed, None) => 0,
                    _ => usize::MAX,
                };
                for stride in strides.take(before) {
                    let at = micros(at + stride.at);
                    let read = inputs.len() + stride.read;
                    plan.steps.push(Step { copy: Some(stride.copy), point: pred, read, at, kind: Kind::OnTheWay });
                }
            }
            inputs.extend(point.inputs.iter().filter(|input| input.starts_with(PROGRAM)).cloned());
            at += self.ran.get(id).copied().unwrap_or_default();
            let kind = match effect {
                _ if served.same.contains(id) => Kind::Same,
                Effect::Moves if self.opaque.contains(id) => Kind::Changed,
                Effect::Moves => Kind::Ran,
                Effect::Mutates => Kind::Changed,
                Effect::Configures | Effect::Queries => Kind::Same,
            };
            let held = point.checkpoint.and_then(|key| self.held.get(&key)).map(|checkpoint| checkpoint.copy);
            plan.arrive(*id, held.filter(|_| lives), inputs.len(), micros(at), kind);
        }
        plan.copy = aside.copy.filter(|_| alive);
        plan.debugger = plan.copy.or_else(|| {
            let copies = plan.steps.iter().rev().filter_map(|step| step.copy);
            copies.into_iter().find(|copy| self.held.values().any(|held| held.copy == *copy))
        });
        Ok((plan, inputs))
    }

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
                Ok(Found { destination, notes, incomplete, result: None })
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
                Ok(Found { destination, notes: Vec::new(), incomplete: None, result: None })
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
        let mut search = Native::new(self, console, inputs, (debugger, prompt));
        let found = prepare(&mut search).and_then(|prepared| {
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
        let held = self.hold_breakpoints(state.copy(), console)?;
        self.look_at_leader(console)?;
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
        let (stop, shown) = self.look_at_turn(console)?.unwrap_or((stop, shown));
        self.switch_breakpoints(&held, true, console)?;
        let (stop, shown) = match state.entered() {
            Some(entered) => self.show_entered(&state, entered, console)?.unwrap_or((stop, shown)),
            None => (stop, shown),
        };
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
        let mut report = self.arrived(point);
        report.notes.extend(found.notes);
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
        Ok(shown)
    }
}

/// What a search found.
pub(super) struct Found {
    pub(super) destination: Destination,
    pub(super) notes: Vec<String>,
    pub(super) incomplete: Option<String>,
    pub(super) result: Option<serde_json::Value>,
}

/// The states of a program that the history has, before they are states of a search.
pub(super) struct Plan {
    steps: Vec<Step>,
    /// The present, if the program lives.
    copy: Option<CopyId>,
    /// A copy with the debugger in it.
    debugger: Option<CopyId>,
}

struct Step {
    /// Without one, what led here belongs to what leads to the next.
    copy: Option<CopyId>,
    point: PointId,
    read: usize,
    at: u64,
    /// How it was reached from the step before.
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is the beginning of the program.
    Origin,
    /// The program ran.
    Ran,
    /// The same; it was kept while it ran on.
    OnTheWay,
    /// The user changed something.
    Changed,
    /// Nothing happened to the program.
    Same,
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Plan {
    /// A point of the history; `copy` is `None` if no checkpoint of it is held.
    fn arrive(&mut self, point: PointId, copy: Option<CopyId>, read: usize, at: u64, kind: Kind) {
        self.steps.push(Step { copy, point, read, at, kind });
    }
}

impl Native<'_> {
    /// Makes states of a plan; in the present the debugger has entered so many inlined calls.
    fn lay_out(&mut self, plan: Plan, entered: Option<u32>) -> Result<Field, Failure> {
        let mut anchors: Vec<Anchor> = Vec::new();
        let mut runs: Vec<bool> = Vec::new();
        // What has happened since the last anchor.
        let (mut ran, mut changed) = (false, false);
        let present = plan.copy;
        let mut last = (0, 0);
        for step in plan.steps {
            match step.kind {
                Kind::Ran | Kind::OnTheWay => ran = true,
                Kind::Changed => changed = true,
                Kind::Origin | Kind::Same => {}
            }
            last = (step.read, step.at);
            let Some(copy) = step.copy else { continue };
            let state = match step.kind {
                Kind::OnTheWay => self.known_on_the_way(copy, step.read, step.at),
                _ => self.known(copy, step.read, step.at),
            };
            if let Some(before) = anchors.last_mut() {
                if !ran && !changed {
                    // The same state under a later name.
                    *before = Anchor { state, point: step.point };
                    continue;
                }
                runs.push(!changed);
            }
            anchors.push(Anchor { state, point: step.point });
            (ran, changed) = (false, false);
        }
        let present = match present {
            Some(copy) => Until::State(self.known(copy, last.0, last.1).with_entered(entered)),
            None => Until::End,
        };
        if anchors.is_empty() {
            return Err(self.engine.failure("cannot go back: there is no checkpoint of this program"));
        }
        if !ran && !changed && matches!(present, Until::State(_)) {
            // The last anchor is the present.
            anchors.pop();
            if anchors.is_empty() {
                return Err(self.engine.failure(NO_EARLIER));
            }
            // `runs` has now one for each anchor: the last one tells how the present was reached.
        } else {
            runs.push(!changed);
        }
        self.begin_at_main(Field { anchors, runs, present })
    }

    /// The beginning of a program is the first statement of main, if it has one.
    fn begin_at_main(&mut self, mut field: Field) -> Result<Field, Failure> {
        let Some(first) = field.anchors.first() else { return Ok(field) };
        let origin = first.state.clone();
        let before = |search: &mut Self, state: &State| -> Result<bool, Failure> {
            Ok(search.frames(state)?.iter().all(|frame| !frame.lines))
        };
        if !before(self, &origin)? || origin.at() != 0 {
            return Ok(field);
        }
        let Some(address) = self.main_address() else { return Ok(field) };
        let ground = field.ground();
        let until = ground.end(ground.next_stop(self, 0) - 1);
        let Some(begin) = self.first_execution(&origin, address, &until)? else { return Ok(field) };
        // A copy on the way that was taken before main is no place to begin at, either.
        while let Until::State(next) = field.ground().end(0)
            && !self.is_stop(&next)
            && !self.is_in_function(&next, address)?
            && self.comes_to(&next, address, &until)?
        {
            field.anchors.remove(1);
            field.runs.remove(1);
        }
        let until = field.ground().end(0);
        // A breakpoint at main stops at the very same place.
        let same = match &until {
            Until::State(next) => self.same_registers(&begin, next)?,
            Until::End => false,
        };
        if same {
            field.anchors.remove(0);
            field.runs.remove(0);
            if field.anchors.is_empty() {
                return Err(self.engine.failure(NO_EARLIER));
            }
        } else {
            field.anchors[0].state = begin;
        }
        Ok(field)
    }

    /// The stop at or before a share of the running time.
    fn at_share(&mut self, field: &Field, share: f64) -> Result<Landing<State>, Failure> {
        self.be_quiet()?;
        let end = match &field.present {
            Until::State(state) => state.at(),
            Until::End => field.anchors.last().map_or(0, |anchor| anchor.state.at()),
        };
        let begin = field.anchors[0].state.at();
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let wanted = begin + (end.saturating_sub(begin) as f64 * share) as u64;
        let index = field.anchors.iter().rposition(|anchor| anchor.state.at() <= wanted).unwrap_or(0);
        let state = field.anchors[index].state.clone();
        let ahead = wanted.saturating_sub(state.at());
        if ahead == 0 || !field.runs[index] {
            return Ok(Landing { state, anchor: index });
        }
        let until = match self.after(&state, ahead, &field.ground().end(index))? {
            After::At(there) => match self.stop_after(&there, &field.ground().end(index))? {
                Some(state) => return Ok(Landing { state, anchor: index }),
                None => Until::State(there),
            },
            After::End(_) => field.ground().end(index),
        };
        let frames = match &until {
            Until::State(there) => self.frames(&there.clone())?,
            Until::End => self.frames_at_end(field)?,
        };
        let Some(level) = Level::of(&frames, 0) else { return Ok(Landing { state, anchor: index }) };
        let state = crate::search::native::last_step(self, &state, &until, &level)?;
        Ok(Landing { state, anchor: index })
    }

    /// A stop soon after a place: what comes before it would have to be looked for, and the place may be in the middle of a loop,
    /// where it is met again a million times. Not before the third step the stops are those that a forward run makes.
    fn stop_after(&mut self, there: &State, until: &Until<State>) -> Result<Option<State>, Failure> {
        let Moved::Stop(_) = crate::search::native::set_out(self, there, until)? else { return Ok(None) };
        for _ in 0..RUN_UP {
            if !matches!(self.step(until)?, Moved::Stop(frame) if frame.lands) {
                return Ok(None);
            }
        }
        self.here().map(Some)
    }

    fn main_address(&mut self) -> Option<u64> {
        self.engine.served.as_mut()?.symbols.main_statement()
    }

    /// Whether the function of an instruction is being executed.
    fn is_in_function(&mut self, state: &State, address: u64) -> Result<bool, Failure> {
        let frames = self.frames(state)?;
        let symbols = self.engine.served.as_mut().map(|served| &mut served.symbols);
        let function = symbols.and_then(|symbols| symbols.function_at(address));
        let within = |frame: &Frame| {
            let ranges = function.iter().flat_map(|function| &function.ranges);
            ranges.into_iter().any(|(from, to)| (*from..*to).contains(&frame.pc))
        };
        Ok(frames.iter().any(within))
    }

    /// Runs to the first execution of an instruction, or to an end at which the debugger has stopped.
    fn run_to(&mut self, from: &State, address: u64, until: &Until<State>) -> Result<RunEnd, Failure> {
        let spots = vec![Spot { address, frame: None, at_least: 0 }];
        let run = Run { spots, hits: Some(1), ..self.run_until(until, &Level::default()) };
        Ok(self.run(from, run)?.end)
    }

    /// The state at the first execution of an instruction before an end.
    fn first_execution(&mut self, from: &State, address: u64, until: &Until<State>) -> Result<Option<State>, Failure> {
        match self.run_to(from, address, until)? {
            RunEnd::Hits => self.keep().map(Some),
            // The fence at the same place, or an end before main.
            RunEnd::Fence => Ok(match until {
                Until::State(state) => Some(state.clone()),
                Until::End => None,
            }),
            _ => Ok(None),
        }
    }

    /// Whether an instruction is executed between a state and an end, or right there.
    fn comes_to(&mut self, from: &State, address: u64, until: &Until<State>) -> Result<bool, Failure> {
        Ok(match (self.run_to(from, address, until)?, until) {
            (RunEnd::Hits, _) => true,
            (RunEnd::Fence, Until::State(state)) => {
                self.engine.live.registers(Some(state.copy())).is_ok_and(|registers| registers.rip == address)
            }
            _ => false,
        })
    }

    fn same_registers(&mut self, one: &State, other: &State) -> Result<bool, Failure> {
        if one.copy() == other.copy() {
            return Ok(true);
        }
        let mut of = |state: &State| {
            let found = self.engine.live.registers(Some(state.copy()));
            found.map_err(|error| self.engine.failed("reading the registers", &error))
        };
        let (one, other) = (of(one)?, of(other)?);
        Ok((one.rip, one.general) == (other.rip, other.general))
    }

    pub(super) fn destination(&self, field: &Field, landing: &Landing<State>) -> Destination {
        let anchor = &field.anchors[landing.anchor];
        let inputs = self.inputs_between(anchor.state.read(), landing.state.read());
        let same = landing.state.copy() == anchor.state.copy();
        Destination { state: landing.state.clone(), point: anchor.point, inputs, same, anchor: anchor.state.copy() }
    }

    /// The frames that the program stood in at the end of a field; for its end, those of main.
    fn frames_at_end(&mut self, field: &Field) -> Result<Vec<Frame>, Failure> {
        match &field.present {
            Until::State(state) => self.frames(&state.clone()),
            Until::End => self.outermost(field),
        }
    }

    /// The outermost frame where a field was last kept: whatever that called has returned by the end, or ends the program.
    fn outermost(&mut self, field: &Field) -> Result<Vec<Frame>, Failure> {
        let Some(anchor) = field.anchors.last() else { return Ok(Vec::new()) };
        let state = anchor.state.clone();
        let frames = self.frames(&state)?;
        Ok(frames.last().copied().into_iter().collect())
    }

    fn go_back(&mut self, field: &Field, motion: Motion, n: u32) -> Result<Gone, Failure> {
        if motion == Motion::Continue {
            return self.continue_back(field, n);
        }
        let mut landing: Option<Landing<State>> = None;
        let mut done = 0;
        while done < n {
            let seen = landing.as_ref().map(|landing| field.until(landing));
            let field = seen.as_ref().unwrap_or(field);
            if field.anchors.is_empty() {
                break;
            }
            let Some(next) = self.one_back(field, motion, done == 0)? else { break };
            landing = Some(next);
            done += 1;
        }
        match landing {
            Some(landing) => Ok(Gone { landing, done, fell_back: false }),
            None => Err(self.engine.failure(NO_EARLIER)),
        }
    }

    fn one_back(&mut self, field: &Field, motion: Motion, first: bool) -> Result<Option<Landing<State>>, Failure> {
        if motion == Motion::Instruction {
            return self.instruction_back(field);
        }
        let mut frames = self.frames_at_end(field)?;
        if Level::of(&frames, 0).is_none() {
            // Behind the end of main: as if the program had ended.
            frames = self.outermost(field)?;
        }
        let Some(here) = Level::of(&frames, 0) else {
            return Err(self.engine.failure("cannot go back by lines: there is no line information for this place"));
        };
        let how = match motion {
            Motion::Step => Back::Step,
            Motion::Next => Back::Within(here.clone()),
            _ => match Level::of(&frames, 1) {
                Some(caller) => Back::Within(caller),
                None if !first => return Ok(None),
                None => return Err(self.engine.failure(
                    "cannot go to the caller: this is the outermost frame of the program; fred-reverse-step goes back in it",
                )),
            },
        };
        if let Some(found) = self.out_of_inlined(field, &here)? {
            return Ok(Some(found));
        }
        back(self, &field.ground(), &how, &here)
    }

    /// To the call of an inlined function that begins where the program stands and that the debugger has entered: a stop of its
    /// own, though the program stands where it does.
    fn out_of_inlined(&mut self, field: &Field, here: &Level) -> Result<Option<Landing<State>>, Failure> {
        let Until::State(present) = field.present.clone() else { return Ok(None) };
        let anchor = field.anchors.len() - 1;
        let Entered { now, least, .. } = self.inlined(&present)?;
        if now == least || !field.runs[anchor] {
            return Ok(None);
        }
        let outer = Landing { state: present.with_entered(Some(now - 1)), anchor };
        if now - 1 > least {
            return Ok(Some(outer));
        }
        // A step from the same line goes into the call at once.
        let Some(before) = back(self, &field.ground(), &Back::Step, here)? else { return Ok(None) };
        self.stand(&before.state)?;
        let Moved::Stop(frame) = self.step(&Until::End)? else { return Ok(None) };
        let arrived = self.here()?;
        let same = frame.inlined == least && self.same_registers(&arrived, &present)?;
        Ok(same.then_some(outer))
    }

    /// To the instruction before.
    fn instruction_back(&mut self, field: &Field) -> Result<Option<Landing<State>>, Failure> {
        let frames = self.frames_at_end(field)?;
        let level = Level::of(&frames, 0);
        over_runs(self, &field.ground(), |search, from, until| match &level {
            Some(level) => {
                let from = crate::search::native::last_step(search, from, until, level)?;
                search.before_end(&from, until)
            }
            None => search.before_end(from, until),
        })
    }

    /// Steps by instructions to an end; the state one before it.
    fn before_end(&mut self, from: &State, until: &Until<State>) -> Result<Option<State>, Failure> {
        self.stand(from)?;
        let mut count = 0u64;
        while self.step_instruction(until)? != Moved::End {
            count += 1;
            if count > 200_000 {
                return Err(self.engine.failure("the instruction before is too far from the line before"));
            }
        }
        self.stand(from)?;
        for _ in 0..count {
            self.step_instruction(until)?;
        }
        if count == 0 { Ok(Some(from.clone())) } else { self.here().map(Some) }
    }

    fn breakpoints(&mut self) -> Result<Vec<BreakpointFact>, Failure> {
        match self.ask(&Question::Breakpoints)?.0 {
            Answer::Breakpoints(list) => Ok(list.into_iter().filter(|one| one.enabled).collect()),
            Answer::Refused(why) => Err(self.engine.failure(why)),
            _ => Ok(Vec::new()),
        }
    }

    fn continue_back(&mut self, field: &Field, n: u32) -> Result<Gone, Failure> {
        let breakpoints = self.breakpoints()?;
        let plain = breakpoints.iter().all(|one| one.plain && !one.conditional);
        let level = Level::at(breakpoints.iter().flat_map(|one| one.addresses.clone()).collect());
        let mut landing: Option<Landing<State>> = None;
        let mut done = 0;
        while done < n && !breakpoints.is_empty() {
            let seen = landing.as_ref().map(|landing| field.until(landing));
            let field = seen.as_ref().unwrap_or(field);
            let found = over_runs(self, &field.ground(), |search, from, until| {
                if !plain {
                    return search.last_debugger_stop(from, until, &breakpoints);
                }
                match last_hit(search, from, until, &level)? {
                    Some(state) => Ok(Some(state)),
                    None => {
                        let stop = search.stands_at(from, &level)? && !search.is_end(from, until)?;
                        Ok(stop.then(|| from.clone()))
                    }
                }
            })?;
            let Some(found) = found else { break };
            landing = Some(found);
            done += 1;
        }
        if done == n
            && let Some(landing) = landing
        {
            return Ok(Gone { landing, done, fell_back: false });
        }
        let start = field.anchors.iter().zip(&field.runs).position(|(_, runs)| *runs);
        match start {
            Some(anchor) => {
                let state = field.anchors[anchor].state.clone();
                let at_start = landing.as_ref().is_some_and(|landing| landing.state.copy() == state.copy());
                if at_start && let Some(landing) = landing {
                    return Ok(Gone { landing, done, fell_back: false });
                }
                Ok(Gone { landing: Landing { state, anchor }, done: done + 1, fell_back: true })
            }
            None => Err(self.engine.failure(NO_EARLIER)),
        }
    }

    /// Whether a copy that was taken on the way was taken right where it is to be gone back from.
    fn is_end(&mut self, from: &State, until: &Until<State>) -> Result<bool, Failure> {
        let run = Run { micros: Some(1), ..self.run_until(until, &Level::default()) };
        let ran = self.run(from, run)?;
        Ok(ran.end == RunEnd::Fence && !ran.let_go)
    }

    fn stands_at(&mut self, at: &State, level: &Level) -> Result<bool, Failure> {
        let found = self.engine.live.registers(Some(at.copy()));
        let found = found.map_err(|error| self.engine.failed("reading the registers", &error))?;
        Ok(level.instructions.contains(&found.rip))
    }

    /// The last stop at a breakpoint that the debugger itself makes: it judges conditions and watches.
    fn last_debugger_stop(
        &mut self,
        from: &State,
        until: &Until<State>,
        breakpoints: &[BreakpointFact],
    ) -> Result<Option<State>, Failure> {
        let level = Level::at(breakpoints.iter().flat_map(|one| one.addresses.clone()).collect());
        let at_one = self.stands_at(from, &level)? && !self.is_end(from, until)?;
        self.stand(from)?;
        let mut last = None;
        // Where it stands it has stopped before, if it has a condition that holds.
        if at_one && self.stops_here(from, breakpoints)? {
            last = Some(from.clone());
            self.stand(from)?;
        }
        while self.go_on(until)? != Moved::End {
            last = Some(self.here()?);
        }
        Ok(last)
    }

    fn stops_here(&mut self, at: &State, breakpoints: &[BreakpointFact]) -> Result<bool, Failure> {
        let found = self.engine.live.registers(Some(at.copy()));
        let rip = found.map_err(|error| self.engine.failed("reading the registers", &error))?.rip;
        for one in breakpoints.iter().filter(|one| one.addresses.contains(&rip)) {
            let Some(condition) = &one.condition else { return Ok(true) };
            let expression = format!("({condition}) != 0");
            if let Answer::Text(text) = self.ask(&Question::Evaluate { expression, frame: 0 })?.0
                && matches!(text.as_str(), "1" | "true")
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
