//! Stacks of a search's states: frames with their inlined calls, and the values of expressions in them.

use std::collections::HashMap;
use std::rc::Rc;

use fred_checkpointer::wire::CopyId;

use super::{Native, State};
use crate::backends::aide::{Answer, Question};
use crate::backends::symbols::Registers;
use crate::engine::Failure;
use crate::search::native::Frame;
use crate::search::probe::Value;

/// Frames that are looked at most.
const MOST_FRAMES: usize = 512;

/// Bytes of a stack that are fetched at once.
const STACK_CHUNK: u64 = 16 * 1024;

/// Inlined calls around an instruction.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::engine::served) struct Entered {
    /// Those that the debugger has entered.
    pub(in crate::engine::served) now: u32,
    /// All.
    pub(in crate::engine::served) all: u32,
    /// Those that do not begin right there.
    pub(in crate::engine::served) least: u32,
}

impl Native<'_> {
    /// The stack of the program as it stands, or of a copy, with all inlined calls.
    pub(in crate::engine::served) fn stack(
        &mut self,
        of: Option<CopyId>,
        most: usize,
    ) -> Result<Vec<(Frame, Option<String>)>, Failure> {
        if of.is_none() {
            self.mend()?;
        }
        let live = &mut self.engine.live;
        let found = live.registers(of);
        let registers = match found {
            Ok(registers) => registers,
            Err(error) => return Err(self.engine.failed("reading the registers", &error)),
        };
        self.chancy = registers.threads > 1 && registers.turns.is_none();
        let Some(served) = &mut self.engine.served else { return Ok(Vec::new()) };
        if let Ok(maps) = std::fs::read_to_string(format!("/proc/{}/maps", registers.pid)) {
            served.symbols.set_maps(&maps);
        }
        let mut chunks: HashMap<u64, Vec<u8>> = HashMap::new();
        let mut read = |address: u64, buffer: &mut [u8]| {
            for (offset, byte) in (0u64..).zip(buffer.iter_mut()) {
                let at = address.wrapping_add(offset);
                let base = at - at % STACK_CHUNK;
                let chunk =
                    chunks.entry(base).or_insert_with(|| live.memory(of, base, STACK_CHUNK).unwrap_or_default());
                #[allow(clippy::cast_possible_truncation)]
                let Some(found) = chunk.get((at - base) as usize) else { return false };
                *byte = *found;
            }
            true
        };
        let registers = Registers { pc: registers.rip, general: registers.general };
        let frames = served.symbols.unwind(&registers, &mut read, most);
        let stops_anywhere = served.aide.stops_after_return();
        let mut stack = Vec::new();
        for frame in frames {
            // The program's own outermost frame is main; what started it is nobody's.
            let outermost = frame.function.as_deref() == Some("main");
            // A return address can be the first one behind its function.
            let pc = if stack.is_empty() { frame.pc } else { frame.pc.saturating_sub(1) };
            let lines = served.symbols.has_lines(pc);
            let begins = stack.is_empty() && (stops_anywhere || served.symbols.begins_line(pc));
            let lands = lines || !stops_anywhere;
            let inlined = served.symbols.inlined_at(pc).depth;
            for inlined in (0..=inlined).rev() {
                stack.push((Frame { pc, address: frame.cfa, lines, begins, lands, inlined }, frame.function.clone()));
            }
            if outermost {
                break;
            }
        }
        Ok(stack)
    }

    /// The innermost frame as the debugger shows it, which may not have entered inlined calls that begin there.
    pub(in crate::engine::served) fn shown(&mut self, frame: Frame) -> Result<Frame, Failure> {
        let symbols = self.engine.served.as_mut().map(|served| &mut served.symbols);
        let all = symbols.map(|symbols| symbols.inlined_at(frame.pc)).unwrap_or_default();
        self.entered = None;
        if all.beginning == 0 {
            return Ok(frame);
        }
        let Answer::Frames(frames) = self.ask(&Question::Frames { most: all.depth + 1 })?.0 else { return Ok(frame) };
        let here = frames.iter().take_while(|one| one.pc == frame.pc).count();
        let entered = u32::try_from(here).unwrap_or(u32::MAX).saturating_sub(1).min(all.depth);
        self.entered = Some(entered);
        Ok(Frame { inlined: entered, ..frame })
    }

    /// What a debugger that comes to a state shows of its innermost frame: the inlined calls that it has entered, all that it
    /// can enter there, and those that it has entered whatever it shows.
    pub(in crate::engine::served) fn inlined(&mut self, at: &State) -> Result<Entered, Failure> {
        self.unwound(at)?;
        let cached = at.0.frames.borrow();
        let Some((frames, beginning)) = &*cached else { return Ok(Entered::default()) };
        let all = frames.first().map_or(0, |frame| frame.inlined);
        let least = all.saturating_sub(*beginning);
        Ok(Entered { now: at.1.unwrap_or(least).clamp(least, all), all, least })
    }

    /// How many inlined calls the debugger has entered where it stands, if some begin there.
    pub(in crate::engine::served) fn entered_here(&mut self) -> Result<Option<u32>, Failure> {
        if let Some((frame, _)) = self.stack(None, 1)?.first().cloned() {
            self.shown(frame)?;
        }
        Ok(self.entered)
    }

    /// Unwinds the stack of a state, once.
    pub(super) fn unwound(&mut self, at: &State) -> Result<(), Failure> {
        if at.0.frames.borrow().is_none() {
            let stack = self.stack(Some(at.0.copy), MOST_FRAMES)?;
            let frames: Vec<Frame> = stack.into_iter().map(|(frame, _)| frame).collect();
            let symbols = self.engine.served.as_mut().map(|served| &mut served.symbols);
            let beginning = match (frames.first(), symbols) {
                (Some(frame), Some(symbols)) => symbols.inlined_at(frame.pc).beginning,
                _ => 0,
            };
            let addresses = || frames.iter().map(|frame| frame.address);
            if let (Some(low), Some(high)) = (addresses().min(), addresses().max())
                && let Ok(registers) = self.engine.live.registers(Some(at.0.copy))
            {
                match self.stacks.iter_mut().find(|(thread, ..)| *thread == registers.tid) {
                    Some(known) => (known.1, known.2) = (known.1.min(low), known.2.max(high)),
                    None => self.stacks.push((registers.tid, low, high)),
                }
            }
            *at.0.frames.borrow_mut() = Some((frames, beginning));
        }
        Ok(())
    }

    /// The value of an expression in the innermost frame of a function (`None`: the innermost of all) of the thread that the
    /// debugger looks at.
    pub(super) fn value_there(&mut self, expression: &str, scope: Option<&str>) -> Result<Value, Failure> {
        let mut frame = 0;
        if let Some(scope) = scope {
            match self.ask(&Question::Frames { most: 256 })?.0 {
                Answer::Frames(frames) => match frames.iter().find(|frame| frame.function.as_deref() == Some(scope)) {
                    Some(found) => frame = found.level,
                    None => return Ok(Value::Unknown(format!("{scope} is not running"))),
                },
                Answer::Refused(why) => return Ok(Value::Unknown(why)),
                _ => {}
            }
        }
        // A function that is called may change anything: what goes on afterwards is the program as it was. Whether one is called
        // the debugger knows (operators, members and printers can be functions), and its server sees.
        let (entered, read, at) = (self.entered, self.read, self.at);
        let standing = self.standing.clone();
        self.engine
            .live
            .guard(standing.is_none())
            .map_err(|error| self.engine.failed("guarding the program", &error))?;
        let answer = self.ask(&Question::Evaluate { expression: expression.to_owned(), frame });
        let before = self.engine.live.end_guard();
        let answer = answer?.0;
        let (changed, copy) = before.map_err(|error| self.engine.failed("keeping the program as it was", &error))?;
        if let Some(copy) = copy {
            self.engine.cost.checkpoints += 1;
            let mut kept = self.kept(copy, read, at);
            kept.temporary = true;
            self.spoilt = Some(State(Rc::new(kept), entered));
        } else if changed {
            self.spoilt = standing.map(|state| state.with_entered(entered));
        }
        tracing::debug!("the value is {answer:?}");
        Ok(match answer {
            Answer::Text(text) => Value::Known { digest: crate::engine::reverse::fold(&text), text },
            Answer::Refused(why) => Value::Unknown(why),
            _ => Value::Unknown("the debugger does not say".to_owned()),
        })
    }
}
