//! Going back to stops at breakpoints, and what becomes of breakpoints by that: a hit is a hit whichever way the program goes, so hits
//! that are to be ignored are used up by going back over them, and a temporary breakpoint goes with its stop.

use std::collections::BTreeMap;
use std::time::Duration;

use fred_checkpointer::wire::{Run, RunEnd};

use super::back::Gone;
use super::field::Field;
use crate::backends::aide::{Answer, BreakpointFact, Question};
use crate::engine::core::Engine;
use crate::engine::reverse::NO_EARLIER;
use crate::engine::served::machine::{Native, State};
use crate::engine::{Console, Failure};
use crate::search::native::{Landing, Level, Machine, Moved, Until, last_hit, over_runs};

/// How long a debugger may take to judge a hit: lldb 16 takes a millisecond for a comparison, more for a call.
const JUDGED: Duration = Duration::from_millis(20);

/// What the user's breakpoints have become by being hit.
#[derive(Default)]
pub(in crate::engine::served) struct Spent {
    /// How many hits they ignore from now on, before those that a landing makes.
    ignored: BTreeMap<String, u64>,
    /// Stops on the way, each with how often there was one like it.
    passed: Vec<Passed>,
    /// They stop once, and have.
    gone: Vec<String>,
}

impl Spent {
    /// The states of stops on the way.
    pub(super) fn into_states(self) -> impl Iterator<Item = State> {
        self.passed.into_iter().map(|passed| passed.state)
    }
}

/// A stop that was gone back over to another: it is a hit of the breakpoints there.
struct Passed {
    state: State,
    address: u64,
    hit: Vec<String>,
    times: u64,
}

/// What is to be given back to the debugger's breakpoints after a landing.
pub(super) struct Muted {
    commands: Vec<(String, Vec<String>)>,
    gone: Vec<String>,
}

/// A search for the user's stops.
struct Stops {
    /// Those at which a user would see a stop.
    breakpoints: Vec<BreakpointFact>,
    spent: Spent,
}

impl Stops {
    fn level(&self) -> Level {
        Level::at(self.breakpoints.iter().flat_map(|one| one.addresses.clone()).collect())
    }

    /// Whether the debugger need not be asked which hits are stops.
    fn plain(&self) -> bool {
        self.breakpoints.iter().all(|one| one.plain && !one.conditional)
    }
}

impl Native<'_> {
    fn breakpoints(&mut self) -> Result<Vec<BreakpointFact>, Failure> {
        match self.ask(&Question::Breakpoints)?.0 {
            Answer::Breakpoints(list) => Ok(list.into_iter().filter(|one| one.enabled).collect()),
            Answer::Refused(why) => Err(self.engine.failure(why)),
            _ => Ok(Vec::new()),
        }
    }

    /// To the n-th stop at a breakpoint before the end of a field, or to the start.
    pub(super) fn continue_back(&mut self, field: &Field, n: u32) -> Result<Gone, Failure> {
        let breakpoints = self.breakpoints()?;
        let fit = self.engine.served.as_ref().map(|served| served.aide.judging(&breakpoints)).unwrap_or_default();
        self.make_fit(fit)?;
        let stopping = breakpoints.into_iter().filter(|one| !one.goes_on).collect();
        let mut stops = Stops { breakpoints: stopping, spent: Spent::default() };
        let mut landing: Option<Landing<State>> = None;
        // The breakpoints that were hit there, if it is a stop.
        let mut last: Option<Vec<String>> = None;
        let mut done = 0;
        while done < n && !stops.breakpoints.is_empty() {
            let seen = landing.as_ref().map(|landing| field.until(landing));
            let field = seen.as_ref().unwrap_or(field);
            let level = stops.level();
            let here = match &field.present {
                Until::State(state) => Some(state.copy()),
                Until::End => None,
            };
            let found = over_runs(self, &field.ground(), |search, from, until| {
                if !stops.plain() {
                    let last = search.last_debugger_stop(from, until, &stops.breakpoints)?;
                    return Ok(match until {
                        // The stop at which the stretch ends, to which the last one led that was looked at.
                        Until::State(end) if search.watched_end && Some(end.copy()) != here => Some(end.clone()),
                        _ => last,
                    });
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
            let counted = self.spend_hit(&found.state, &mut stops)?;
            done += u32::from(counted.is_some());
            if let Some((landing, hit)) = landing.take().zip(last.take()) {
                self.pass_stop(landing.state, hit, &mut stops.spent)?;
            }
            (landing, last) = (Some(found), counted);
        }
        let mut spent = stops.spent;
        if done == n
            && let Some(landing) = landing
        {
            return Ok(Gone { landing, done, fell_back: false, spent });
        }
        let start = field.anchors.iter().zip(&field.runs).position(|(_, runs)| *runs);
        match start {
            Some(anchor) => {
                let state = field.anchors[anchor].state.clone();
                let at_start = landing.as_ref().is_some_and(|landing| landing.state.copy() == state.copy());
                if at_start && let Some(landing) = landing {
                    return Ok(Gone { landing, done, fell_back: false, spent });
                }
                if let Some((landing, hit)) = landing.zip(last) {
                    self.pass_stop(landing.state, hit, &mut spent)?;
                }
                Ok(Gone { landing: Landing { state, anchor }, done: done + 1, fell_back: true, spent })
            }
            None => Err(self.engine.failure(NO_EARLIER)),
        }
    }

    /// Notes what a hit makes of the breakpoints that are hit: which they are, if it is a stop.
    fn spend_hit(&mut self, at: &State, stops: &mut Stops) -> Result<Option<Vec<String>>, Failure> {
        let Stops { breakpoints, spent } = stops;
        let instruction = self.instruction(at)?;
        let there = || breakpoints.iter().filter(|one| one.addresses.contains(&instruction));
        // Where there is one only, it is that.
        let alone = there().count() == 1 && there().all(|one| one.ignored == 0 && !one.once);
        let hit = match there().next() {
            Some(one) if alone => vec![one.number.clone()],
            _ => self.hit_there(at, breakpoints)?,
        };
        // What is no breakpoint of an instruction, but a watchpoint say, is a stop.
        let stopping = hit.is_empty() || breakpoints.iter().any(|one| one.ignored == 0 && hit.contains(&one.number));
        let counts = self.engine.served.as_ref().is_some_and(|served| served.aide.hits_by_landing());
        for one in breakpoints.iter_mut().filter(|one| hit.contains(&one.number)) {
            if one.ignored > 0 {
                one.ignored -= 1;
                // At a stop the debugger does that itself.
                let left = spent.ignored.entry(one.number.clone()).or_insert(one.ignored + 1);
                *left -= u64::from(!(stopping && counts));
            }
        }
        let once = |one: &BreakpointFact| one.once && one.ignored == 0 && hit.contains(&one.number);
        for one in breakpoints.extract_if(.., |one| stopping && once(one)) {
            let forget = self.engine.served.as_ref().map(|served| served.aide.forget(&one)).unwrap_or_default();
            spent.gone.push(one.number);
            self.make_fit(forget)?;
        }
        Ok(stopping.then_some(hit))
    }

    /// Notes a stop that is gone back over. One state stands for all like it.
    fn pass_stop(&mut self, state: State, hit: Vec<String>, spent: &mut Spent) -> Result<(), Failure> {
        let address = self.instruction(&state)?;
        match spent.passed.iter_mut().find(|known| known.address == address && known.hit == hit) {
            Some(known) => known.times += 1,
            None => spent.passed.push(Passed { state, address, hit, times: 1 }),
        }
        Ok(())
    }

    /// Whether a copy that was taken on the way was taken right where it is to be gone back from.
    fn is_end(&mut self, from: &State, until: &Until<State>) -> Result<bool, Failure> {
        let run = Run { micros: Some(1), ..self.run_until(until, &Level::default()) };
        let ran = self.run(from, run)?;
        Ok(ran.end == RunEnd::Fence && !ran.let_go)
    }

    fn stands_at(&mut self, at: &State, level: &Level) -> Result<bool, Failure> {
        Ok(level.instructions.contains(&self.instruction(at)?))
    }

    fn instruction(&mut self, at: &State) -> Result<u64, Failure> {
        let found = self.engine.live.registers(Some(at.copy()));
        Ok(found.map_err(|error| self.engine.failed("reading the registers", &error))?.rip)
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
        // That the place is met again is known then, and how often the debugger is asked on the way to it.
        let hits = self.pass(from, until, &level, u64::MAX, None)?.count;
        self.judges = JUDGED * u32::try_from(hits).unwrap_or(u32::MAX);
        self.stand(from)?;
        let mut last = None;
        // Where it stands it has stopped before, if it has a condition that holds.
        if at_one && !self.hit_there(from, breakpoints)?.is_empty() {
            last = Some(from.clone());
            self.stand(from)?;
        }
        while self.go_on(until)? != Moved::End {
            last = Some(self.here()?);
        }
        Ok(last)
    }

    /// The numbers of the breakpoints at which the program stands, and whose condition holds.
    fn hit_there(&mut self, at: &State, breakpoints: &[BreakpointFact]) -> Result<Vec<String>, Failure> {
        let instruction = self.instruction(at)?;
        let mut found = Vec::new();
        let mut stands = false;
        for one in breakpoints.iter().filter(|one| one.addresses.contains(&instruction)) {
            if let Some(condition) = &one.condition {
                if !std::mem::replace(&mut stands, true) {
                    self.stand(at)?;
                }
                let expression = format!("({condition}) != 0");
                let answer = self.ask(&Question::Evaluate { expression, frame: 0 })?.0;
                if !matches!(answer, Answer::Text(text) if matches!(text.as_str(), "1" | "true")) {
                    continue;
                }
            }
            found.push(one.number.clone());
        }
        Ok(found)
    }
}

impl Engine {
    /// Has the debugger that is to land count the stops that were gone back over.
    pub(super) fn count_passed(&mut self, spent: &Spent, console: &mut dyn Console) -> Result<(), Failure> {
        if !self.served.as_ref().is_some_and(|served| served.aide.hits_by_landing()) {
            return Ok(());
        }
        for Passed { state, times, .. } in &spent.passed {
            for _ in 0..*times {
                let lost = self.live.exchange(state.copy());
                self.lost.extend(lost.map_err(|error| self.failed("restoring a state of the program", &error))?);
                self.ask_served(&Question::StepInstruction, None, console)?;
            }
        }
        Ok(())
    }

    /// Has the breakpoints of the debugger that is to land ignore what they still have to, and do nothing when it lands on one: the
    /// user has not come there by going forward, and what goes on would leave the place.
    pub(super) fn mute(&mut self, spent: &Spent, console: &mut dyn Console) -> Result<Muted, Failure> {
        let Some(aide) = self.served.as_ref().map(|served| &served.aide) else {
            return Ok(Muted { commands: Vec::new(), gone: Vec::new() });
        };
        let hits = aide.hits_by_landing();
        let ignore: Vec<Question> = spent.ignored.iter().map(|(number, hits)| aide.ignore(number, *hits)).collect();
        for question in ignore {
            self.ask_served(&question, None, console)?;
        }
        let mut commands = Vec::new();
        if hits && let Answer::Breakpoints(known) = self.ask_served(&Question::Breakpoints, None, console)?.0 {
            commands = known
                .into_iter()
                .filter(|one| one.enabled && !one.commands.is_empty())
                .map(|one| (one.number, one.commands))
                .collect();
        }
        for (number, _) in &commands {
            let question = Question::Commands { number: number.clone(), lines: Vec::new() };
            self.ask_served(&question, None, console)?;
        }
        // What goes with its stop takes its commands along.
        commands.retain(|(number, _)| !spent.gone.contains(number));
        Ok(Muted { commands, gone: if hits { Vec::new() } else { spent.gone.clone() } })
    }

    /// Gives back what was taken from the breakpoints, and takes away those that have stopped once.
    pub(super) fn unmute(&mut self, muted: Muted, console: &mut dyn Console) -> Result<(), Failure> {
        for (number, lines) in muted.commands {
            self.ask_served(&Question::Commands { number, lines }, None, console)?;
        }
        for number in muted.gone {
            let question = self.served.as_ref().map(|served| served.aide.delete_breakpoint(&number));
            if let Some(question) = question {
                self.ask_served(&question, None, console)?;
            }
        }
        Ok(())
    }
}
