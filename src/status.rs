//! Exit statuses of fred.

/// Every fred command did what it was asked.
pub const DONE: u8 = 0;
/// A fred command could not do what it was asked (`--batch`); `fred bisect`: the expression never changed.
pub const REFUSED: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// The debugger could not be started; `fred bisect`: the bad point was not reached.
pub const NOT_STARTED: u8 = 3;
/// `fred bisect`: could not be decided (`git bisect` skips the revision).
pub const UNDECIDED: u8 = 125;
/// fred itself failed.
pub const FRED_FAILED: u8 = 129;
