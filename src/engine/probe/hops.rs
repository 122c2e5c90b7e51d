//! Places on the way of a long command, at which it was stopped or a copy was taken while it ran: running on from there saves
//! replaying the rest.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Anchor, Hop, SAMPLE, SHORT, Search, Stand};
use crate::backends::dialect::PromptKind;
use crate::backends::dialects::pdb_agent::Request;
use crate::engine::Failure;
use crate::engine::strides::Stride;
use crate::history::entry::{Effect, Reason};
use crate::history::execution::Via;

impl Search<'_> {
    /// Whether the command that leads on from an anchor begins there, or is taken up again.
    pub(super) fn begins(&self, index: usize) -> bool {
        match &self.anchors[index].stand {
            Stand::Point(id) => {
                !matches!(self.engine.execution.point(*id).via, Via::Stopped { typed_again: false, .. })
            }
            Stand::Hop(hop) => hop.interrupted,
        }
    }

    /// Makes an anchor of the copy, among those taken while the command ran, that is nearest to a time after anchor `index`.
    pub(super) fn use_stride(
        &mut self,
        index: usize,
        line: &str,
        wanted: Duration,
        ran: Duration,
    ) -> Result<bool, Failure> {
        let (Some(to), Some(from)) = (self.id_at(self.next_point(index)), self.id_at(self.last_point(index))) else {
            return Ok(false);
        };
        if !self.engine.dialect.runs_on(line) {
            return Ok(false);
        }
        let begin = self.offset(index);
        let end = begin + self.span(index, ran);
        // Near the ends there is nothing to be gained.
        let between =
            |stride: &&Stride| &*stride.line == line && stride.at > begin + SAMPLE && stride.at + SAMPLE < end;
        let strides = self.engine.strides.get(&from).map_or(&[][..], Vec::as_slice);
        let Some(stride) =
            strides.iter().filter(between).min_by_key(|stride| stride.at.abs_diff(begin + wanted)).cloned()
        else {
            return Ok(false);
        };
        let stopped = self.engine.interrupt_stride(&stride, self.console)?;
        let stop = stopped.as_ref().and_then(|outcome| self.engine.dialect.parse_stop(line, &outcome.output));
        let (Some(mut outcome), Some(mut stop)) = (stopped, stop.filter(|stop| stop.reason == Reason::Interrupt))
        else {
            // This program does not stop so; the others would not either.
            let gone = self.engine.strides.remove(&from).unwrap_or_default();
            self.engine.drop_strides(gone);
            return Ok(false);
        };
        let mut inputs: VecDeque<String> =
            self.engine.execution.point(to).inputs.iter().skip(stride.read).cloned().collect();
        let (reply, _) = self.engine.ask(Request::Where, &mut VecDeque::new(), self.console)?;
        if reply.facts.is_some_and(|facts| facts.own) {
            let (reply, left) = self.engine.put(Request::Leave, &mut inputs, self.console)?;
            let stopped = self.engine.dialect.parse_stop("step", &left.output);
            let (true, None, Some(stopped)) = (reply.is_some_and(|reply| reply.ok), left.exited, stopped) else {
                return Ok(false);
            };
            (outcome, stop) = (left, stopped);
        }
        let (kept, prompt) = self.keep_running()?;
        let shown = self.engine.dialect.stop_text(&outcome.output);
        let hop = Hop { copy: kept.id, pid: kept.pid, prompt, inputs, stop, shown, point: None, interrupted: true };
        self.anchors.insert(index + 1, Anchor { stand: Stand::Hop(Box::new(hop)), at: stride.at, to_point: None });
        Ok(true)
    }

    /// Running time from the beginning of the command to an anchor on its way.
    pub(super) fn offset(&self, index: usize) -> Duration {
        match &self.anchors[index].stand {
            Stand::Point(_) => Duration::ZERO,
            Stand::Hop(_) => self.anchors[index].at,
        }
    }

    /// The command over which a segment leads, and how long it ran to the next point, if it can be stopped on its way.
    pub(super) fn long_command(&self, index: usize) -> Option<(String, Duration, bool)> {
        let to = self.id_at(self.next_point(index))?;
        let ran = *self.engine.ran.get(&to)?;
        let natural = match &self.engine.execution.point(to).via {
            Via::Command { line, effect: Effect::Moves } => (line.clone(), ran, true),
            // Beyond such a point the program would just go on: half of the way is never beyond it.
            Via::Interrupted { line } | Via::Stopped { line, .. } => (line.clone(), ran, false),
            _ => return None,
        };
        Some(natural)
    }

    /// Running time from an anchor to the next.
    pub(super) fn span(&self, index: usize, ran: Duration) -> Duration {
        let begin = self.offset(index);
        let end = match self.anchors.get(index + 1).map(|next| &next.stand) {
            Some(Stand::Hop(_)) => self.anchors[index + 1].at,
            _ => ran,
        };
        end.saturating_sub(begin)
    }

    /// Whether a command is worth being stopped on its way. Where pdb traces the program line by line, for the sake of its
    /// breakpoints, our own counting is several times as fast; where it does not, it is several times as slow.
    pub(super) fn hops(&mut self, index: usize, line: &str) -> Result<bool, Failure> {
        if self.counting.is_none() {
            let hopped = self.hop(index, line, SAMPLE)?;
            let traced = hopped && self.counting == Some(true);
            self.counting = Some(traced);
            if hopped && let Stand::Hop(hop) = self.anchors.remove(index + 1).stand {
                self.engine.live.drop_copy(hop.copy).ok();
            }
        }
        Ok(self.counting == Some(false))
    }

    /// Runs on from an anchor for some time and makes a new one where that has led. False if the command ended before.
    pub(super) fn hop(&mut self, index: usize, line: &str, after: Duration) -> Result<bool, Failure> {
        self.check()?;
        let mut inputs = self.inputs_after(index);
        self.stand_at_anchor(index)?;
        if self.engine.prompt().is_none_or(|prompt| prompt.kind != PromptKind::Command) {
            return Ok(false);
        }
        self.engine.nudge = Some(Instant::now() + after);
        let begin = Instant::now();
        let request = Request::Hop { command: self.begins(index).then(|| line.to_owned()) };
        let outcome = self.engine.ask(request, &mut inputs, self.console);
        self.engine.nudge = None;
        let (reply, outcome) = outcome?;
        let began = self.offset(index);
        let stop = self.engine.dialect.parse_stop("step", &outcome.output);
        let (true, None, Some(stop)) = (reply.hopped, outcome.exited, stop) else { return Ok(false) };
        let at = began + begin.elapsed();
        if reply.traced {
            self.counting = Some(true);
        }
        let (kept, prompt) = self.keep_running()?;
        let shown = self.engine.dialect.stop_text(&outcome.output);
        let hop = Hop { copy: kept.id, pid: kept.pid, prompt, inputs, stop, shown, point: None, interrupted: false };
        self.anchors.insert(index + 1, Anchor { stand: Stand::Hop(Box::new(hop)), at, to_point: None });
        Ok(true)
    }

    /// Brings an anchor close before the present, so that what is near is found without replaying all of a long command.
    pub(in crate::engine) fn approach_present(&mut self) -> Result<(), Failure> {
        let Some(mut index) = self.anchors.len().checked_sub(2) else { return Ok(()) };
        // Settings and mutations at the present do not move.
        while index > 0 && self.id_at(index + 1).is_some_and(|id| self.engine.execution.point(id).ticks == Some(0)) {
            index -= 1;
        }
        let Some(to) = self.id_at(index + 1) else { return Ok(()) };
        let Some((line, mut ran, _)) = self.long_command(index) else { return Ok(()) };
        if self.engine.execution.point(to).ticks.is_some() || self.span(index, ran) < 2 * SAMPLE {
            return Ok(());
        }
        let whole = self.span(index, ran);
        if self.use_stride(index, &line, whole, ran)? {
            index += 1;
        }
        let mut tries = 0;
        while self.span(index, ran) > SHORT && tries < 24 && self.hops(index, &line)? {
            tries += 1;
            let half = self.span(index, ran) / 2;
            if self.hop(index, &line, half)? {
                index += 1;
            } else {
                // It ended within half of the time that was thought to be left: less is left.
                ran -= half;
            }
        }
        Ok(())
    }
}
