//! The history of the program that is looked at, as states that a search goes over.

use std::time::Duration;

use fred_checkpointer::wire::{CopyId, Run, RunEnd, Spot};

use crate::engine::Failure;
use crate::engine::core::{Engine, PROGRAM};
use crate::engine::reverse::NO_EARLIER;
use crate::engine::served::machine::{Native, State};
use crate::engine::strides::Stride;
use crate::engine::travel::Aside;
use crate::history::entry::Effect;
use crate::history::execution::{PointId, Via};
use crate::search::native::{Frame, Ground, Landing, Level, Machine, Until};

/// A stretch's beginning: the state, and the last point of the history before or at it.
pub(in crate::engine::served) struct Anchor {
    pub(in crate::engine::served) state: State,
    pub(in crate::engine::served) point: PointId,
}

/// What a search goes over.
pub(in crate::engine::served) struct Field {
    pub(in crate::engine::served) anchors: Vec<Anchor>,
    pub(super) runs: Vec<bool>,
    pub(super) present: Until<State>,
}

impl Field {
    pub(in crate::engine::served) fn ground(&self) -> Ground<State> {
        Ground {
            anchors: self.anchors.iter().map(|anchor| anchor.state.clone()).collect(),
            runs: self.runs.clone(),
            present: self.present.clone(),
        }
    }

    /// The command that the user gave at an anchor.
    pub(in crate::engine::served) fn command_after(&self, engine: &Engine, anchor: usize) -> String {
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
    pub(super) fn until(&self, landing: &Landing<State>) -> Field {
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

/// The states of a program that the history has, before they are states of a search.
pub(in crate::engine::served) struct Plan {
    steps: Vec<Step>,
    /// The present, if the program lives.
    pub(super) copy: Option<CopyId>,
    /// A copy with the debugger in it.
    pub(super) debugger: Option<CopyId>,
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

impl Engine {
    /// The history of the program that is looked at, as states of it.
    pub(in crate::engine::served) fn field(&mut self, aside: &Aside) -> Result<(Plan, Vec<String>), Failure> {
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
}

impl Native<'_> {
    /// Makes states of a plan; in the present the debugger has entered so many inlined calls.
    pub(super) fn lay_out(&mut self, plan: Plan, entered: Option<u32>) -> Result<Field, Failure> {
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

    pub(super) fn same_registers(&mut self, one: &State, other: &State) -> Result<bool, Failure> {
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
}
