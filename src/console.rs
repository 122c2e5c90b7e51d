//! The user's terminal while a command runs: the [`Console`] of a session.

use std::io::{self, IsTerminal, Write};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::engine::{CheckpointTaken, Console, Cost, Input, InputMode, Waiting};
use crate::events::{Event, Events};
use crate::keyboard::Keyboard;
use crate::signals::Signals;

/// A search that takes longer than this shows its progress.
const SILENT: Duration = Duration::from_millis(300);

/// Output, input, signals and the event stream of a session.
pub struct Screen {
    human: Option<Box<dyn Write>>,
    at_line_start: bool,
    /// The event stream.
    pub events: Events,
    keyboard: Keyboard,
    signals: Option<Signals>,
    began: Instant,
    spinner: Option<ProgressBar>,
    diverged: bool,
}

impl Screen {
    /// A screen that writes text for people to `human` (`None`: nowhere).
    pub fn new(human: Option<Box<dyn Write>>, events: Events, keyboard: Keyboard, signals: Option<Signals>) -> Self {
        Self {
            human,
            at_line_start: true,
            events,
            keyboard,
            signals,
            began: Instant::now(),
            spinner: None,
            diverged: false,
        }
    }

    /// Text as it is; the cursor stays behind it.
    pub fn print(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.stop_spinner();
        self.at_line_start = text.ends_with('\n');
        if let Some(out) = &mut self.human {
            // A reader that has gone away is no reason to stop working.
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        }
    }

    /// Text that ends its line.
    pub fn print_lines(&mut self, text: &str) {
        if !text.is_empty() {
            self.print(text);
            self.fresh_line();
        }
    }

    /// A line of fred's own, on a line of its own.
    pub fn say(&mut self, message: &str) {
        self.fresh_line();
        self.print(&format!("fred: {message}\n"));
    }

    /// Goes to the start of a line.
    pub fn fresh_line(&mut self) {
        if !self.at_line_start {
            self.print("\n");
        }
    }

    /// The user has typed a line at a prompt that ended it on the screen.
    pub fn line_was_entered(&mut self) {
        self.at_line_start = true;
    }

    /// The next line of standard input, for a prompt without a line editor.
    pub fn read_command(&mut self) -> Input {
        let line = self.keyboard.line(&mut self.signals);
        self.at_line_start |= self.keyboard.is_terminal();
        line
    }

    /// A command begins: an old Ctrl-C is not meant for it.
    pub fn begin(&mut self) {
        self.began = Instant::now();
        if let Some(signals) = &mut self.signals {
            signals.interrupted();
        }
    }

    /// A command has ended.
    pub fn finish(&mut self) {
        self.stop_spinner();
        self.keyboard.release();
    }

    /// Whether a replay has gone wrong since the start.
    pub fn has_diverged(&self) -> bool {
        self.diverged
    }

    fn stop_spinner(&mut self) {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
    }
}

impl Console for Screen {
    fn output(&mut self, text: &str) {
        self.print(text);
    }

    fn input(&mut self, mode: InputMode) -> Input {
        self.stop_spinner();
        let input = self.keyboard.read(mode, &mut self.signals);
        if mode == (InputMode::Line { echo: true }) && self.keyboard.is_terminal() {
            // The terminal has echoed the newline, or `^C`.
            self.at_line_start = matches!(input, Input::Line(_));
        }
        input
    }

    fn silence(&mut self, on: bool) {
        self.keyboard.silence(on);
    }

    fn progress(&mut self, cost: &Cost, left: Option<u64>) {
        if self.spinner.is_none() {
            if self.began.elapsed() < SILENT || !io::stderr().is_terminal() {
                return;
            }
            self.fresh_line();
            let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            spinner.set_style(ProgressStyle::default_spinner());
            self.spinner = Some(spinner);
        }
        if let Some(spinner) = &self.spinner {
            let left = left.map(|left| format!("{left} stops left, ")).unwrap_or_default();
            spinner.set_message(format!(
                "{left}{} probes, {} evaluations (Ctrl-C stops)",
                cost.restores, cost.evaluations
            ));
            spinner.tick();
        }
    }

    fn interrupted(&mut self) -> bool {
        self.signals.as_mut().is_some_and(Signals::interrupted)
    }

    fn interrupt_fd(&self) -> Option<BorrowedFd<'_>> {
        self.signals.as_ref().map(Signals::wake_fd)
    }

    fn checkpointed(&mut self, taken: &CheckpointTaken) {
        self.events.send(&Event::Checkpoint(taken));
    }

    fn diverged(&mut self, at: u64, expected: &str, got: &str) {
        self.diverged = true;
        self.events.send(&Event::Diverged { at, expected, got });
    }

    fn deadlock(&mut self, waiting: &[Waiting]) {
        self.events.send(&Event::Deadlock { threads: waiting });
    }

    fn unrecorded(&mut self, index: u32, reason: &str) {
        self.events.send(&Event::Unrecorded { index, reason });
    }

    fn note(&mut self, text: &str) {
        self.say(text);
    }

    fn resized(&mut self) -> Option<(u16, u16)> {
        self.signals.as_ref().filter(|signals| signals.resized()).map(|_| window())
    }
}

/// Rows and columns of the terminal; 24 by 80 where there is none.
pub fn window() -> (u16, u16) {
    match terminal_size::terminal_size() {
        Some((terminal_size::Width(columns), terminal_size::Height(rows))) if rows > 0 && columns > 0 => {
            (rows, columns)
        }
        _ => (24, 80),
    }
}
