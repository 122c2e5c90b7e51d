//! What a search may ask of a session.

/// A stop of the program: `ticks` step-stops after anchor `segment`.
///
/// A stop can have two names: the end of segment `i` (`ticks` equal to its length) is anchor `i + 1`. Searches name a stop by
/// the anchor that follows it only where they say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The segment, counted from the start of history.
    pub segment: usize,
    /// Step-stops after the segment's anchor; 0 is the anchor itself.
    pub ticks: u64,
}

impl Place {
    /// The place of an anchor.
    pub fn anchor(segment: usize) -> Self {
        Place { segment, ticks: 0 }
    }
}

/// Which stops a backward search is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Stops with at most this many frames. Repeated, each landing's own depth is the bound for the next one.
    AtMost(u32),
    /// Stops at which an enabled breakpoint of the present (its condition honoured) would have stopped the program.
    Breakpoint,
}

/// The end of the stretch that a backward search looks at; the end itself is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// The end of the segment, however long it is.
    End,
    /// The stop this many ticks after the anchor.
    Tick(u64),
}

/// What a backward search found in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// Where the last of the moves landed.
    pub ticks: u64,
    /// Frames there, the outermost being 1.
    pub depth: u32,
    /// How many moves were made, at least 1.
    pub moves: u32,
}

/// The value of a watched expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// It could be evaluated.
    Known {
        /// What the debugger printed, for the report. May be shortened.
        text: String,
        /// A digest of the whole value.
        digest: u64,
    },
    /// It could not, and this is why: the function is not running, a name is not bound yet.
    Unknown(String),
}

impl Value {
    /// Whether a search takes the two for the same: the digests decide, not the shortened texts. A value that cannot be had
    /// differs from every known one and equals every other that cannot be had, whatever the reasons.
    pub fn same(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Known { digest: a, .. }, Value::Known { digest: b, .. }) => a == b,
            (Value::Unknown(_), Value::Unknown(_)) => true,
            _ => false,
        }
    }
}

/// A session as searches see it: a chain of *anchors*, the first of which is the start of history and the last the present,
/// with *segments* between them.
///
/// An implementation keeps to this:
/// 1. Segment `i` leads from anchor `i` to anchor `i + 1`, for `i < segments()`. The present is anchor `segments()`.
/// 2. A segment has no ticks exactly when it is a setting or a mutation: it does not move the program.
/// 3. The same question has the same answer for as long as a search lasts; what does not replay the same way is an error.
/// 4. Nothing that is asked changes the session: it is asked of throw-away copies.
/// 5. Ctrl-C is an error, returned as soon as it is noticed. So is a divergence.
pub trait Probe {
    /// Why a question could not be answered; ends the search.
    type Error;

    /// How many segments there are.
    fn segments(&self) -> usize;

    /// Step-stops from anchor `segment` to the next. May cost a replay of the segment when it has not been counted.
    ///
    /// # Errors
    /// As the trait says.
    fn ticks(&mut self, segment: usize) -> Result<u64, Self::Error>;

    /// Makes up to `repeat` moves backwards in the segment, each to the last wanted stop before where the one before ended,
    /// beginning at `before`. The anchor (tick 0) can be landed on, `before` cannot, so that a segment without ticks gives
    /// `None`. Fewer moves than asked means that there are no more in this segment. One replay is enough:
    /// [`Pass`](super::pass::Pass) picks the answer out of it.
    ///
    /// # Errors
    /// As the trait says.
    fn last(&mut self, segment: usize, before: Before, wanted: Wanted, repeat: u32)
    -> Result<Option<Hit>, Self::Error>;

    /// The value of the watched expression at a place. `at.ticks` may be the length of the segment: that is then reached by
    /// stepping from inside it, not by restoring the next anchor.
    ///
    /// # Errors
    /// As the trait says. An expression that cannot be evaluated there is not an error but [`Value::Unknown`].
    fn value(&mut self, at: Place) -> Result<Value, Self::Error>;

    /// From now on [`Probe::value`] is asked only for places from `left` to `right`. `left` has been evaluated: a copy that
    /// stands there is worth keeping, every one outside can go. With that all probes inside a segment replay it about once
    /// in total.
    fn settle(&mut self, left: Place, right: Place);

    /// Puts a new anchor about half way (in time) between anchor `segment` and the next, if the program ran for long between
    /// them; true if there is one now, as anchor `segment + 1`. The anchors after it count one up.
    ///
    /// # Errors
    /// As the trait says.
    fn split(&mut self, segment: usize) -> Result<bool, Self::Error> {
        let _ = segment;
        Ok(false)
    }

    /// Whether the ticks of a segment are known or cost no more than to replay that segment. If not, the anchor after it was
    /// made by [`Probe::split`], and its ticks can only be had by replaying everything behind it, too.
    fn countable(&self, segment: usize) -> bool {
        let _ = segment;
        true
    }

    /// What the user typed at a segment without ticks, for the report.
    fn command(&self, segment: usize) -> String;
}
