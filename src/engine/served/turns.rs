//! Which thread the debugger looks at, where threads take turns: the one whose turn it is, as a state of the program is not one of
//! another thread's.
//!
//! A debugger that lets the program go from a breakpoint steps the thread that it looks at over it first, alone, and takes it ill when another
//! one stops then (gdb 13 ends by an assertion). So before the program is exchanged it looks at the first thread, which every state has.

use fred_checkpointer::wire::CopyId;

use super::super::core::Engine;
use super::super::{Console, Failure};
use crate::backends::aide::{Answer, FrameFact, Question};
use crate::history::entry::{Reason, Stop};

impl Engine {
    /// Notes whether several threads take turns where the program stands.
    pub(super) fn note_turns(&mut self) {
        let several = self.live.registers(None).is_ok_and(|registers| registers.turns.is_some());
        if let Some(served) = &mut self.served {
            served.took_turns |= several;
        }
    }

    /// Has the debugger look at the program's first thread, if there are several that take turns, or were: a search runs the
    /// program without the debugger, which may still look at a thread that has ended by then, or has not begun.
    pub(super) fn look_at_leader(&mut self, console: &mut dyn Console) -> Result<(), Failure> {
        self.note_turns();
        let took_turns = self.served.as_ref().is_some_and(|served| served.took_turns);
        let registers = self.live.registers(None).ok();
        let leader = registers.and_then(|registers| registers.turns.or(took_turns.then_some(registers.tid)));
        match leader {
            Some(leader) => self.look_at_thread(leader, console).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Whether there are several threads, or were.
    pub(super) fn has_threads(&mut self) -> bool {
        let took_turns = self.served.as_ref().is_some_and(|served| served.took_turns);
        took_turns || self.live.registers(None).is_ok_and(|registers| registers.threads > 1)
    }

    /// Has a step let all threads go, so that the debugger looks at all anew when the program is exchanged, and not only at the one that it
    /// would have stepped; gives back what is to be set again.
    pub(super) fn unlock_threads(&mut self, console: &mut dyn Console) -> Result<Option<String>, Failure> {
        let Some(all) = self.served.as_ref().and_then(|served| served.aide.lock(None)) else { return Ok(None) };
        if !self.has_threads() {
            return Ok(None);
        }
        let Answer::Text(how) = self.ask_served(&Question::Locking, None, console)?.0 else { return Ok(None) };
        self.ask_served(&all, None, console)?;
        Ok(Some(how))
    }

    pub(super) fn lock_threads(&mut self, how: Option<String>, console: &mut dyn Console) -> Result<(), Failure> {
        let lock = how.and_then(|how| self.served.as_ref().and_then(|served| served.aide.lock(Some(&how))));
        match lock {
            Some(lock) => self.ask_served(&lock, None, console).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Takes the user's watchpoints out of force before a program is exchanged: a debugger remembers what a watched expression was, and
    /// compares with that until they are put in force again. And all breakpoints, if the program has several threads: it steps each
    /// thread that stands at one over it before it does anything else, and the program would go on. Gives back which they are.
    pub(super) fn hold_breakpoints(&mut self, to: CopyId, console: &mut dyn Console) -> Result<Vec<String>, Failure> {
        let several = [None, Some(to)].into_iter().any(|of| {
            self.live.registers(of).is_ok_and(|registers| registers.turns.is_some() || registers.threads > 1)
        });
        let numbers: Vec<String> = match self.ask_served(&Question::Breakpoints, None, console)?.0 {
            Answer::Breakpoints(known) => {
                let held = known.into_iter().filter(|one| one.enabled && (several || one.watches));
                held.map(|one| one.number).collect()
            }
            _ => Vec::new(),
        };
        self.switch_breakpoints(&numbers, false, console)?;
        Ok(numbers)
    }

    /// Puts breakpoints in force again.
    pub(super) fn switch_breakpoints(
        &mut self,
        numbers: &[String],
        on: bool,
        console: &mut dyn Console,
    ) -> Result<(), Failure> {
        let switches = self.served.as_ref().map(|served| served.aide.switch_breakpoints(numbers, on));
        for switch in switches.unwrap_or_default() {
            self.ask_served(&switch, None, console)?;
        }
        Ok(())
    }

    /// Has it look at the thread whose turn it is, if there are several; the place there, and what it showed.
    pub(super) fn look_at_turn(&mut self, console: &mut dyn Console) -> Result<Option<(Stop, String)>, Failure> {
        let Ok(registers) = self.live.registers(None) else { return Ok(None) };
        if registers.turns.is_none_or(|leader| leader == registers.tid) {
            return Ok(None);
        }
        let Some((thread, shown)) = self.look_at_thread(registers.tid, console)? else { return Ok(None) };
        let stop = Stop { thread: Some(thread), ..self.standing(console)?.unwrap_or(Stop::nowhere(Reason::Step)) };
        // lldb shows a thread that is selected on its terminal, whoever selects it.
        let show = self.served.as_ref().map(|served| served.aide.show_place());
        let shown = match show.filter(|_| shown.trim().is_empty()) {
            Some(show) => self.place_shown(&show, console)?,
            None => shown,
        };
        Ok(Some((stop, shown)))
    }

    /// Where a command has brought the program without a stop, as `return` and `jump` of a debugger do, and how that is shown; `None` if
    /// it stands where it did.
    pub(in crate::engine) fn place_after_change(
        &mut self,
        before: &Stop,
        console: &mut dyn Console,
    ) -> Result<Option<(Stop, String)>, Failure> {
        let Some(show) = self.served.as_ref().filter(|served| served.alive).map(|served| served.aide.show_place())
        else {
            return Ok(None);
        };
        let Some(stop) = self.standing(console)? else { return Ok(None) };
        if (&stop.file, stop.line, &stop.function) == (&before.file, before.line, &before.function) {
            return Ok(None);
        }
        let text = self.place_shown(&show, console)?;
        Ok(Some((Stop { thread: before.thread, ..stop }, text)))
    }

    /// Where the debugger stands, as far as its innermost frame says; `None` if it has none.
    fn standing(&mut self, console: &mut dyn Console) -> Result<Option<Stop>, Failure> {
        let Answer::Frames(frames) = self.ask_served(&Question::Frames { most: 1 }, None, console)?.0 else {
            return Ok(None);
        };
        let stop =
            |FrameFact { file, line, function, .. }| Stop { file, line, function, ..Stop::nowhere(Reason::Step) };
        Ok(frames.into_iter().next().map(stop))
    }

    /// What the debugger shows of the place, without what it adds in brackets.
    pub(super) fn place_shown(&mut self, show: &Question, console: &mut dyn Console) -> Result<String, Failure> {
        Ok(match self.ask_served(show, None, console)?.0 {
            Answer::Text(text) => {
                let lines = text.lines().filter(|line| !line.starts_with('('));
                lines.map(|line| format!("{line}\n")).collect()
            }
            _ => String::new(),
        })
    }

    /// Has it look at a thread, where they take turns: the one that it looked at, if it was another. The outer `None`: there
    /// is no such thread.
    pub(super) fn look_from(&mut self, id: i32, console: &mut dyn Console) -> Result<Option<Option<i32>>, Failure> {
        let now = self.live.registers(None).ok().filter(|registers| registers.turns.is_some());
        match now.map(|registers| registers.tid) {
            Some(turn) if turn != id => Ok(self.look_at_thread(id, console)?.map(|_| Some(turn))),
            _ => Ok(Some(None)),
        }
    }

    /// The id of the thread that the user has selected, as the program knows it; `None` where it need not be known.
    pub(super) fn selected_thread(&mut self, console: &mut dyn Console) -> Result<Option<i32>, Failure> {
        let Some(question) = self.served.as_ref().and_then(|served| served.aide.selected_thread()) else {
            return Ok(None);
        };
        let Answer::Text(text) = self.ask_served(&question, None, console)?.0 else { return Ok(None) };
        Ok(self.served.as_ref().and_then(|served| served.aide.thread_id(&text)))
    }

    /// Selects a thread by the id that the program knows: the debugger's number of it, and what it showed.
    pub(super) fn look_at_thread(
        &mut self,
        id: i32,
        console: &mut dyn Console,
    ) -> Result<Option<(u32, String)>, Failure> {
        let Some(find) = self.served.as_ref().and_then(|served| served.aide.find_thread(id)) else { return Ok(None) };
        let Answer::Text(found) = self.ask_served(&find, None, console)?.0 else { return Ok(None) };
        let Some(number) = self.served.as_ref().and_then(|served| served.aide.found_thread(id, &found)) else {
            return Ok(None);
        };
        let Some(select) = self.served.as_ref().map(|served| served.aide.select_thread(number)) else {
            return Ok(None);
        };
        match self.ask_served(&select, None, console)?.0 {
            Answer::Text(shown) => Ok(Some((number, shown))),
            _ => Ok(None),
        }
    }
}
