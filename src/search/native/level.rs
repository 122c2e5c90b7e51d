//! Frames, and the levels by which the statements of a stretch are told apart.

/// A frame of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The instruction pointer in it.
    pub pc: u64,
    /// Its canonical address: the larger, the nearer to the outermost frame.
    pub address: u64,
    /// Whether the debugger knows lines for it.
    pub lines: bool,
    /// Whether a step that comes out of a call stops there: because a line begins exactly there, or because the debugger always
    /// does.
    pub begins: bool,
    /// Whether a move can lead there. A step of lldb's can stop in code without lines, behind main or in a library that has called
    /// back; gdb's never does.
    pub lands: bool,
    /// How many inlined calls it is inside of the function whose stack it shares.
    pub inlined: u32,
}

/// Frames at an address or above, in some functions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Level {
    /// Frames at this address or above count.
    pub at_least: u64,
    /// In the frame at that very address, what is inside more inlined calls does not count.
    pub inlined: u32,
    /// An address in each function whose statements count.
    pub functions: Vec<u64>,
    /// A line that does not count, named by a hit on it.
    pub without: Option<u32>,
    /// These instructions count instead of statements of functions.
    pub instructions: Vec<u64>,
}

impl Level {
    /// That of a frame: its own function and the next one outwards that has lines too, from which it was called.
    pub fn of(frames: &[Frame], index: usize) -> Option<Level> {
        let Frame { address: at_least, inlined, .. } = *frames.get(index)?;
        let mut with_lines: Vec<Frame> = frames[index..].iter().filter(|frame| frame.lines).copied().collect();
        with_lines.dedup_by_key(|frame| frame.address);
        let functions: Vec<u64> = with_lines.iter().take(2).map(|frame| frame.pc).collect();
        (!functions.is_empty()).then_some(Level { at_least, inlined, functions, ..Level::default() })
    }

    /// With all that is inlined.
    #[must_use]
    pub fn whole(self) -> Level {
        Level { inlined: u32::MAX, ..self }
    }

    /// Whether a frame is at it, or further out.
    pub fn has(&self, frame: &Frame) -> bool {
        frame.address > self.at_least || frame.address == self.at_least && frame.inlined <= self.inlined
    }

    /// Whether a frame is in a call, not an inlined one, that was made from here.
    pub(super) fn called(&self, frame: &Frame) -> bool {
        frame.address < self.at_least
    }

    /// How many inlined calls count in a frame.
    pub(super) fn most_inlined(&self, frame: &Frame) -> u32 {
        if frame.address == self.at_least { self.inlined } else { u32::MAX }
    }

    /// Some instructions, in whatever frame.
    pub fn at(instructions: Vec<u64>) -> Level {
        Level { instructions, ..Level::default() }
    }
}
