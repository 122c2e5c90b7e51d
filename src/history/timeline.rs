//! The history of commands: an append-only tree of entries, and a head.
//!
//! As in jj, undoing moves the head and deletes nothing. A *line of history* is a path from the start to a tip; a command that
//! is run after an undo begins a new line, and the old one is kept under a name. Redo goes towards the tip of the current line.

use serde::{Deserialize, Serialize};

use super::entry::{Effect, Stop};
use super::execution::PointId;

/// Names an entry of one [`Timeline`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryId(u32);

/// Who ran a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Typed at the prompt.
    User,
    /// Read from a file or an option.
    Script,
    /// Run by fred itself.
    Fred,
}

/// A command that was not a query. Reverse moves are entries too, so that undoing one returns to where it was typed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub id: EntryId,
    /// The entry after which it was run. `None` for the start only.
    pub parent: Option<EntryId>,
    /// History number: the start is 0, its children 1, and so on.
    pub number: u32,
    /// The command as typed; empty for the start.
    pub line: String,
    /// What it did.
    pub effect: Effect,
    /// Who ran it.
    pub origin: Origin,
    /// Where it led.
    pub point: PointId,
    /// Where the program stopped, if it moved.
    pub stop: Option<Stop>,
}

/// A path from the start to a tip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    /// `None` for a line that is neither named by the user nor has been left yet.
    pub(super) name: Option<String>,
    /// Where the user stands on it, or stood when it was left.
    pub(super) head: EntryId,
    /// Its last entry: as far as redo goes.
    pub(super) tip: EntryId,
}

/// What came of an undo or a redo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// The head now.
    pub head: EntryId,
    /// How many steps could be done.
    pub done: u32,
}

/// A line of history, for a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Branch {
    /// Its name; the current line may have none yet.
    pub name: Option<String>,
    /// The entry at its head.
    #[serde(skip)]
    pub head: EntryId,
    /// The head's history number.
    pub number: u32,
    /// Where the program last stopped on the way to its head.
    pub stop: Option<Stop>,
    /// Whether it is the current line.
    pub current: bool,
}

/// Why a line of history cannot be named or found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BranchError {
    /// Another line has it.
    #[error("there is a branch `{0}` already: choose another name, or fred-switch {0}")]
    Taken(String),
    /// It cannot be typed as one word.
    #[error("`{0}` cannot name a branch: a name is one word of letters, digits, `-`, `_`, `.` or `/`")]
    Unfit(String),
    /// No line has it.
    #[error("there is no branch `{0}`: fred-list shows the ones there are")]
    Missing(String),
}

/// The history of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    pub(super) entries: Vec<Entry>,
    pub(super) lines: Vec<Line>,
    pub(super) current: usize,
}

impl Timeline {
    /// A history with nothing in it yet; `point` and `stop` are where the session begins.
    pub fn new(point: PointId, stop: Option<Stop>) -> Self {
        let start = EntryId(0);
        Timeline {
            entries: vec![Entry {
                id: start,
                parent: None,
                number: 0,
                line: String::new(),
                effect: Effect::Moves,
                origin: Origin::Fred,
                point,
                stop,
            }],
            lines: vec![Line { name: None, head: start, tip: start }],
            current: 0,
        }
    }

    /// The entry of that name.
    ///
    /// # Panics
    /// If the name is another timeline's and larger than any here.
    pub fn entry(&self, id: EntryId) -> &Entry {
        &self.entries[id.0 as usize]
    }

    /// Every entry of every line, oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether there is an entry of that name.
    pub(super) fn contains(&self, id: EntryId) -> bool {
        (id.0 as usize) < self.entries.len()
    }

    fn line(&self) -> &Line {
        &self.lines[self.current]
    }

    /// The last command that is in force.
    pub fn head(&self) -> EntryId {
        self.line().head
    }

    /// Where the head led.
    pub fn point(&self) -> PointId {
        self.entry(self.head()).point
    }

    /// The last entry of the current line, as far as redo goes.
    pub fn tip(&self) -> EntryId {
        self.line().tip
    }

    /// Adds a command that was run at the head; the head moves to it.
    ///
    /// When the head was not the tip (after an undo), a new line begins. The old one keeps its future: going back to it by
    /// name leads to what had been undone.
    pub fn append(
        &mut self,
        line: &str,
        effect: Effect,
        origin: Origin,
        point: PointId,
        stop: Option<Stop>,
    ) -> EntryId {
        let head = self.head();
        if head != self.tip() {
            let old = &mut self.lines[self.current];
            old.head = old.tip;
            self.name_if_unnamed(self.current);
            self.lines.push(Line { name: None, head, tip: head });
            self.current = self.lines.len() - 1;
        }
        let id = EntryId(u32::try_from(self.entries.len()).expect("a session has fewer than 2^32 commands"));
        let number = self.entry(head).number + 1;
        self.entries.push(Entry { id, parent: Some(head), number, line: line.to_owned(), effect, origin, point, stop });
        let current = &mut self.lines[self.current];
        (current.head, current.tip) = (id, id);
        id
    }

    /// Moves the head back over the last `n` commands, or as many as there are.
    pub fn undo(&mut self, n: u32) -> Shift {
        let number = self.entry(self.head()).number;
        self.shift(number, number.saturating_sub(n))
    }

    /// Moves the head forward again over `n` commands of the current line, or as many as there are.
    pub fn redo(&mut self, n: u32) -> Shift {
        let number = self.entry(self.head()).number;
        self.shift(number, number.saturating_add(n).min(self.entry(self.tip()).number))
    }

    fn shift(&mut self, from: u32, to: u32) -> Shift {
        let head = self.entry_at(to).unwrap_or_else(|| self.head());
        self.lines[self.current].head = head;
        Shift { head, done: from.abs_diff(to) }
    }

    /// The entries from the start (number 0) to `id`, both included: the index is the history number.
    pub fn path(&self, id: EntryId) -> Vec<EntryId> {
        let mut path: Vec<EntryId> = self.back_from(id).collect();
        path.reverse();
        path
    }

    fn back_from(&self, id: EntryId) -> impl Iterator<Item = EntryId> + '_ {
        std::iter::successors(Some(id), |&id| self.entry(id).parent)
    }

    fn ancestor(&self, of: EntryId, number: u32) -> Option<EntryId> {
        self.back_from(of).find(|&id| self.entry(id).number <= number).filter(|&id| self.entry(id).number == number)
    }

    /// The entry of that history number on the current line, what can be redone included.
    pub fn entry_at(&self, number: u32) -> Option<EntryId> {
        self.ancestor(self.tip(), number)
    }

    /// Whether `id` is on the current line, what can be redone included.
    pub fn on_current_line(&self, id: EntryId) -> bool {
        self.entry_at(self.entry(id).number) == Some(id)
    }

    /// Moves the head to any entry. If it is not on the current line, the line that came by last becomes current.
    pub fn go(&mut self, id: EntryId) {
        if !self.on_current_line(id) {
            let number = self.entry(id).number;
            let through = |line: &Line| self.ancestor(line.tip, number) == Some(id);
            // Every entry was appended to some line, and a line's tip only ever advances: one is always found.
            if let Some(index) = self.lines.iter().rposition(through) {
                self.leave_for(index);
            }
        }
        self.lines[self.current].head = id;
    }

    fn leave_for(&mut self, line: usize) {
        if line != self.current {
            self.name_if_unnamed(self.current);
            self.current = line;
        }
    }

    fn name_if_unnamed(&mut self, line: usize) {
        if self.lines[line].name.is_none() {
            let name = (1u64..).map(|n| format!("b{n}")).find(|name| self.find(name).is_none());
            self.lines[line].name = name;
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.lines.iter().position(|line| line.name.as_deref() == Some(name))
    }

    /// Names the current line, or gives it another name. The name follows the line as it advances.
    ///
    /// # Errors
    /// The name is another line's, or is not one word.
    pub fn name(&mut self, name: &str) -> Result<(), BranchError> {
        let fit = |c: char| c.is_alphanumeric() || "-_./".contains(c);
        if name.is_empty() || name.starts_with('-') || !name.chars().all(fit) {
            return Err(BranchError::Unfit(name.to_owned()));
        }
        if self.find(name).is_some_and(|line| line != self.current) {
            return Err(BranchError::Taken(name.to_owned()));
        }
        self.lines[self.current].name = Some(name.to_owned());
        Ok(())
    }

    /// Where [`Timeline::switch`] would lead; nothing changes.
    ///
    /// # Errors
    /// No line has that name.
    pub fn branch_head(&self, name: &str) -> Result<EntryId, BranchError> {
        self.find(name).map(|line| self.lines[line].head).ok_or_else(|| BranchError::Missing(name.to_owned()))
    }

    /// Makes the line of that name current; the head is where the user stood on it when it was left.
    ///
    /// # Errors
    /// No line has that name.
    pub fn switch(&mut self, name: &str) -> Result<EntryId, BranchError> {
        let line = self.find(name).ok_or_else(|| BranchError::Missing(name.to_owned()))?;
        self.leave_for(line);
        Ok(self.head())
    }

    /// The lines of history, oldest first.
    pub fn branches(&self) -> Vec<Branch> {
        let row = |(index, line): (usize, &Line)| Branch {
            name: line.name.clone(),
            head: line.head,
            number: self.entry(line.head).number,
            stop: self.back_from(line.head).find_map(|id| self.entry(id).stop.clone()),
            current: index == self.current,
        };
        self.lines.iter().enumerate().map(row).collect()
    }
}

#[cfg(test)]
mod tests;
