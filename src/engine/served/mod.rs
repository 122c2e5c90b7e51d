//! Sessions whose program is served to the debugger by the checkpointer: gdb and lldb. The program is a process of its own, so
//! its states are kept, exchanged and run without the debugger; the debugger is asked on a second interface.

mod branches;
mod machine;
mod moves;
mod turns;
mod watching;

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use fred_checkpointer::wire::{CopyId, ProgramChange, Purpose};

use super::core::{Engine, Feed, Outcome, PROGRAM, bytes_of, recorded};
use super::live::Woke;
use super::{Console, Failure};
use crate::backends::aide::{Aide, Answer, Question};
use crate::backends::dialect::PromptKind;
use crate::backends::symbols::Symbols;
use crate::history::entry::{Reason, Stop};
use crate::history::execution::PointId;
use crate::history::timeline::Origin;

/// What is said of a place for which it was waited too long.
pub(super) const MISSED: &str = "the program did not replay the same way: a place was not met again. What its threads do, the \
                                 time and what it reads may lead it elsewhere; fred-restart goes to checkpoints";

/// What there is of such a session beside the rest.
pub(crate) struct Served {
    pub(super) aide: Box<dyn Aide>,
    pub(super) symbols: Symbols,
    /// Programs that have been started.
    programs: u32,
    /// The one that runs, or ran last.
    pub(super) program: u32,
    /// Whether it is there.
    pub(super) alive: bool,
    /// The last program that stopped.
    stopped: u32,
    /// What the debugger would start, as last told to the server.
    executable: Option<String>,
    /// Arguments of a program, as last told to the server.
    arguments: Option<String>,
    /// The second interface has shown that it is there.
    answers: bool,
    /// A copy of each at its beginning, with the debugger that was letting it go.
    pub(super) origins: HashMap<u32, CopyId>,
    /// Copies of debuggers at their prompt that have seen a program at its beginning only.
    witnesses: HashMap<u32, CopyId>,
    /// Which program there was at a point, and whether it lived.
    at: HashMap<PointId, (u32, bool)>,
    /// Whether the program was let go, began or ended since a command was given.
    pub(super) ran: bool,
    /// Whether several threads of a program were seen to take turns.
    took_turns: bool,
    /// Whether it has been said what the debugger remembers of watched values.
    pub(super) told_of_watched: bool,
    /// Points at which the program is as at their predecessors: reverse moves led to the very beginning of a stretch, or a step
    /// went into an inlined call and the program stayed where it was.
    pub(super) same: std::collections::HashSet<PointId>,
    /// The state that was kept before a point to which a reverse move has led.
    pub(super) behind: HashMap<PointId, CopyId>,
}

/// What the program reads while it is run again.
pub(super) struct Replayed<'a> {
    /// All that it read since it was started.
    pub(super) inputs: &'a [String],
    /// How much of it has been read.
    pub(super) read: usize,
    /// When it is to have come to its place.
    pub(super) deadline: Option<Instant>,
}

impl Served {
    pub(super) fn new(aide: Box<dyn Aide>) -> Self {
        Served {
            symbols: Symbols::by_rows(aide.stops_after_return()),
            aide,
            programs: 0,
            program: 0,
            alive: false,
            stopped: 0,
            executable: None,
            arguments: None,
            answers: false,
            origins: HashMap::new(),
            witnesses: HashMap::new(),
            at: HashMap::new(),
            ran: false,
            took_turns: false,
            told_of_watched: false,
            same: Default::default(),
            behind: HashMap::new(),
        }
    }

    /// Notes which program there is at a point.
    pub(super) fn note(&mut self, point: PointId) {
        tracing::debug!("{point:?} noted: program {} alive {}", self.program, self.alive);
        self.at.insert(point, (self.program, self.alive));
    }

    /// Which program there was at a point.
    pub(super) fn program_at(&self, point: PointId) -> (u32, bool) {
        self.at.get(&point).copied().unwrap_or((0, false))
    }

    /// Whether this is the first stop of the program that runs; asked once at each.
    pub(super) fn is_first_stop(&mut self) -> bool {
        self.alive && std::mem::replace(&mut self.stopped, self.program) != self.program
    }

    /// The session has gone to a point.
    pub(super) fn gone_to(&mut self, point: PointId) {
        (self.program, self.alive) = self.program_at(point);
        tracing::debug!("at {point:?}: program {} alive {}", self.program, self.alive);
    }
}

impl Engine {
    /// Something became of the served program.
    pub(super) fn program_changed(&mut self, change: ProgramChange, replaying: bool) {
        let Some(served) = &mut self.served else { return };
        tracing::debug!("the program: {change:?}, replaying {replaying}");
        served.ran |= change != ProgramChange::Stopped;
        match change {
            ProgramChange::Begun => {
                served.alive = true;
                if !replaying {
                    served.programs += 1;
                    served.program = served.programs;
                    self.ran_from = std::time::Instant::now();
                    // Those of a program that the same command ended.
                    let gone = std::mem::take(&mut self.strides_now);
                    self.drop_strides(gone);
                }
            }
            ProgramChange::Origin { copy } => {
                // The one of the first time stands at the same place.
                if replaying {
                    self.live.drop_copy(copy).ok();
                } else {
                    self.live.note_copy(copy);
                    served.origins.insert(served.program, copy);
                }
            }
            ProgramChange::Gone => served.alive = false,
            ProgramChange::Resumed | ProgramChange::Stopped => {}
        }
    }

    /// Asks the debugger that runs. True with the answer: the program has come to the fence meanwhile.
    pub(super) fn ask_served(
        &mut self,
        question: &Question,
        replayed: Option<&mut Replayed<'_>>,
        console: &mut dyn Console,
    ) -> Result<(Answer, bool), Failure> {
        self.ask_told(question, replayed, console).map(|(answer, fence, _)| (answer, fence))
    }

    /// The same, with what was told on the interface meanwhile.
    fn ask_told(
        &mut self,
        question: &Question,
        replayed: Option<&mut Replayed<'_>>,
        console: &mut dyn Console,
    ) -> Result<(Answer, bool, String), Failure> {
        let Some(served) = &mut self.served else { return Err(self.failure("no program is served in this session")) };
        let closed = self.live.closed_channel().is_some();
        let typed = if closed { served.aide.at_prompt(question) } else { None };
        if closed && typed.is_none() {
            self.open_channel(console)?;
        }
        let Some(served) = &mut self.served else { return Err(self.failure("no program is served in this session")) };
        let (line, apart) = match &typed {
            Some(_) => (String::new(), false),
            None => (served.aide.write(question), served.aide.listens_apart()),
        };
        self.live.take_told();
        let asks = matches!(question, Question::Evaluate { .. } | Question::Tell(_));
        let purpose = if asks { Purpose::Question } else { Purpose::Program };
        self.live.purpose(purpose, false).map_err(|error| self.failed("asking the debugger", &error))?;
        let asked = match &typed {
            Some(line) => self.live.type_line(line),
            None => self.live.question(&line, apart),
        };
        asked.map_err(|error| self.failed("asking the debugger", &error))?;
        let mut told = String::new();
        let mut fence = false;
        let mut replayed = replayed;
        let deadline = replayed.as_ref().and_then(|replayed| replayed.deadline);
        loop {
            let woke = self.live.wait(console.interrupt_fd(), deadline);
            let woke = woke.map_err(|error| self.failed("waiting for the debugger", &error))?;
            told.push_str(&self.live.take_told());
            let shown = self.live.take_output();
            if !shown.is_empty() {
                tracing::debug!("shown while it was asked: {shown:?}");
            }
            self.live.take_printed();
            // One that is not read apart is ready when it waits again.
            let ready = match woke {
                Woke::Reading { program: true, .. } => {
                    match &mut replayed {
                        Some(replayed) => self.feed_program(replayed)?,
                        None => {
                            self.live.type_to_program(&[4]).map_err(|error| self.failed("ending its input", &error))?;
                        }
                    }
                    false
                }
                Woke::Reading { main: true, .. } => true,
                Woke::Fence => {
                    fence = true;
                    apart
                }
                Woke::Interrupt if console.interrupted() => {
                    return Err(self.failure("interrupted: the session is where it was"));
                }
                Woke::Exited(status) => {
                    return Err(self.failure(format!("the debugger ended with status {status} while it was asked")));
                }
                Woke::News if self.live.astray().is_some() => {
                    return Err(self.went_astray(console).unwrap_or_else(|| self.failure(MISSED)));
                }
                Woke::Timeout if deadline.is_some_and(|deadline| deadline <= Instant::now()) => {
                    return Err(self.failure(MISSED));
                }
                _ => apart,
            };
            if ready
                && let Some(served) = &self.served
                && let Some(answer) = served.aide.answer(question, &told)
            {
                if apart {
                    fence |= self.fence_was_told()?;
                }
                for news in self.live.take_news() {
                    self.tell(&news, Origin::Fred, console);
                }
                return Ok((answer, fence, told));
            }
        }
    }

    /// Opens the second interface of the debugger that runs, which waits at its prompt.
    pub(super) fn open_channel(&mut self, console: &mut dyn Console) -> Result<(), Failure> {
        let Some(channel) = self.live.closed_channel().map(Path::to_owned) else { return Ok(()) };
        let Some(line) = self.served.as_ref().map(|served| served.aide.opening(&channel)) else { return Ok(()) };
        if self.prompt().is_none_or(|prompt| prompt.kind != PromptKind::Command) {
            return Err(self.failure("cannot do that in the middle of a command of several lines: finish it first"));
        }
        self.type_unseen(&line, console)?;
        self.live.channel_opened();
        Ok(())
    }

    /// Closes it before a line of the user's, if nothing was asked there since the one before: a debugger that has it open says
    /// there what happens, too, and that takes longer than a step.
    pub(super) fn close_idle_channel(&mut self, console: &mut dyn Console) -> Result<(), Failure> {
        if !self.live.channel_idles() {
            return Ok(());
        }
        let Some(line) = self.served.as_ref().and_then(|served| served.aide.closing()) else { return Ok(()) };
        self.type_unseen(&line, console)?;
        self.live.channel_closed();
        Ok(())
    }

    /// Types a line that is not the user's, and waits for the prompt; nothing of it is shown.
    fn type_unseen(&mut self, line: &str, console: &mut dyn Console) -> Result<(), Failure> {
        self.live.type_line(line).map_err(|error| self.failed("asking the debugger", &error))?;
        loop {
            let woke = self.live.wait(console.interrupt_fd(), None);
            match woke.map_err(|error| self.failed("waiting for the debugger", &error))? {
                Woke::Reading { main: true, program: false, .. } => break,
                Woke::Exited(status) => {
                    return Err(self.failure(format!("the debugger ended with status {status} while it was asked")));
                }
                Woke::Interrupt if console.interrupted() => {
                    return Err(self.failure("interrupted: the session is where it was"));
                }
                _ => {}
            }
        }
        let shown = self.live.take_output();
        tracing::debug!("shown behind {line:?}: {shown:?}");
        self.live.take_told();
        Ok(())
    }

    /// A copy of a debugger at its prompt that has seen the program which ran last, for one that has never stopped.
    pub(super) fn witness(&mut self) -> Result<Option<CopyId>, Failure> {
        let Some(served) = &self.served else { return Ok(None) };
        let program = served.program;
        if let Some(known) = served.witnesses.get(&program) {
            return Ok(Some(*known));
        }
        let Some(origin) = served.origins.get(&program).copied() else { return Ok(None) };
        self.live.start_copy(origin).map_err(|error| Failure { message: error.to_string(), cost: self.spent() })?;
        self.cost.restores += 1;
        self.await_parked()?;
        self.live.take_told();
        let kept = self.live.checkpoint().map_err(|error| self.failed("keeping the debugger", &error))?;
        if let Some(served) = &mut self.served {
            served.witnesses.insert(program, kept.id);
        }
        Ok(Some(kept.id))
    }

    /// Whether the debugger told that the program was let go.
    pub(super) fn was_moved(&self, told: &str) -> bool {
        self.served.as_ref().is_some_and(|served| served.aide.moved(told))
    }

    /// Asks where the program has stopped, if the debugger was told to be silent about that (`silent` in gdb).
    pub(super) fn locate(&mut self, stop: &mut Option<Stop>, console: &mut dyn Console) -> Result<(), Failure> {
        let Some(stop) = stop else { return Ok(()) };
        let unsaid = stop.file.is_none() && stop.function.is_none() && stop.reason != Reason::Exited;
        // What stands in for the second interface tells the place of every stop.
        if !unsaid || self.served.is_none() || self.live.closed_channel().is_some() {
            return Ok(());
        }
        if let (Answer::Frames(frames), _) = self.ask_served(&Question::Frames { most: 1 }, None, console)?
            && let Some(frame) = frames.into_iter().next()
        {
            stop.reason = Reason::Breakpoint;
            (stop.file, stop.line, stop.function) = (frame.file, frame.line, frame.function);
        }
        Ok(())
    }

    /// Takes what the supervisor told before an answer came: an answer and events arrive on different ways, and the text of the
    /// one may have been read with the first of the others.
    fn fence_was_told(&mut self) -> Result<bool, Failure> {
        let mut fence = false;
        loop {
            match self.live.wait(None, Some(Instant::now())) {
                Ok(Woke::Timeout) => return Ok(fence),
                Ok(Woke::Fence) => fence = true,
                Ok(Woke::Exited(status)) => {
                    return Err(self.failure(format!("the debugger ended with status {status} while it was asked")));
                }
                Ok(_) => {}
                Err(error) => return Err(self.failed("waiting for the debugger", &error)),
            }
        }
    }

    /// Asks what a debugger does not tell by itself, now that it prompts again.
    pub(super) fn ask_after_line(&mut self, feed: &mut Feed<'_>, outcome: &mut Outcome) -> Result<(), Failure> {
        let Some(question) = self.served.as_ref().and_then(|served| served.aide.after_line()) else { return Ok(()) };
        // Before it is known that there is somebody to be asked, nobody is.
        let known = outcome.prompt.as_ref().is_some_and(|prompt| prompt.kind == PromptKind::Command);
        let there = self.served.as_ref().is_some_and(|served| served.answers || served.aide.is_there(&outcome.told));
        if !known || !there {
            return Ok(());
        }
        if let Some(served) = &mut self.served {
            served.answers = true;
        }
        let console = match feed {
            Feed::User(console) | Feed::Log { console, .. } => &mut **console,
        };
        let (_, _, told) = self.ask_told(&question, None, console)?;
        outcome.told.push_str(&told);
        Ok(())
    }

    /// Gives the program that is run again what it read then.
    pub(super) fn feed_program(&mut self, replayed: &mut Replayed<'_>) -> Result<(), Failure> {
        let Some(known) = replayed.inputs.get(replayed.read) else {
            return Err(
                self.failure("the program did not replay the same way: it reads the terminal where it did not before")
            );
        };
        replayed.read += 1;
        let bytes = bytes_of(&recorded(known.strip_prefix(PROGRAM).unwrap_or(known)));
        self.live.type_to_program(&bytes).map_err(|error| self.failed("giving the program its input", &error))
    }

    /// Tells the server which program the debugger would start, if that has changed.
    pub(super) fn name_program(&mut self, console: &mut dyn Console) -> Result<(), Failure> {
        let Some(served) = &self.served else { return Ok(()) };
        if served.alive || served.aide.name_program("").is_none() {
            return Ok(());
        }
        let known = served.executable.clone();
        if let (Answer::Program { executable: Some(executable), .. }, _) =
            self.ask_served(&Question::Program, None, console)?
            && known.as_ref() != Some(&executable)
        {
            let question = self.served.as_ref().and_then(|served| served.aide.name_program(&executable));
            if let Some(question) = question {
                self.ask_served(&question, None, console)?;
            }
            if let Some(served) = &mut self.served {
                served.executable = Some(executable);
            }
        }
        let question = self.served.as_ref().and_then(|served| served.aide.ask_arguments());
        if let Some(question) = question
            && let (Answer::Text(text), _) = self.ask_served(&question, None, console)?
            && let Some(typed) = self.served.as_ref().and_then(|served| served.aide.arguments(&text))
        {
            self.tell_arguments(typed)?;
        }
        Ok(())
    }

    /// Tells the server what arguments a line gives to a program, if it does.
    pub(super) fn note_arguments(&mut self, line: &str) -> Result<(), Failure> {
        match self.dialect.arguments_in(line) {
            Some(typed) if self.served.is_some() => self.tell_arguments(typed),
            _ => Ok(()),
        }
    }

    fn tell_arguments(&mut self, typed: String) -> Result<(), Failure> {
        let Some(served) = &mut self.served else { return Ok(()) };
        if served.arguments.as_ref() == Some(&typed) {
            return Ok(());
        }
        served.arguments = Some(typed.clone());
        self.live.arguments(&typed).map_err(|error| self.failed("telling the program's arguments", &error))
    }

    /// Evaluates at the present, on a throw-away copy: whether it could be, and the value or the reason.
    pub(super) fn evaluate_served(
        &mut self,
        expression: &str,
        console: &mut dyn Console,
    ) -> Result<(bool, String), Failure> {
        let aside = self.put_aside()?;
        let answer = self.evaluate_on(&aside, expression, console);
        self.come_back(aside)?;
        match answer {
            Ok(Answer::Text(text)) => Ok((true, text)),
            Ok(Answer::Refused(why)) => Ok((false, why)),
            Ok(_) => Ok((false, "the debugger does not say".to_owned())),
            Err(failure) => Ok((false, failure.message)),
        }
    }

    fn evaluate_on(
        &mut self,
        aside: &super::travel::Aside,
        expression: &str,
        console: &mut dyn Console,
    ) -> Result<Answer, Failure> {
        let (Some(copy), super::State::Prompt(prompt)) = (aside.copy, aside.state.clone()) else {
            return Err(self.failure("cannot do that: the debugger has ended; fred-undo goes back"));
        };
        self.start_copy(copy, &prompt)?;
        let frame = match self.ask_served(&Question::Selected, None, console)?.0 {
            Answer::Frames(frames) => frames.first().map_or(0, |frame| frame.level),
            _ => 0,
        };
        let question = Question::Evaluate { expression: expression.to_owned(), frame };
        Ok(self.ask_served(&question, None, console)?.0)
    }

    /// What the debugger would complete.
    pub(super) fn complete_served(&mut self, line: &str, console: &mut dyn Console) -> Vec<String> {
        match self.ask_served(&Question::Complete(line.to_owned()), None, console) {
            Ok((Answer::Names(names), _)) => names,
            _ => Vec::new(),
        }
    }
}
