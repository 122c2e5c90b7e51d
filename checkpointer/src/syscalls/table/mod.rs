//! The rows, by subject.

mod descriptors;
mod files;
mod kernel;
mod memory;
mod network;
mod processes;
mod signals;
mod time;

use super::row::Row;

/// All rows.
pub const TABLE: &[&[Row]] = &[
    time::ROWS,
    descriptors::ROWS,
    files::ROWS,
    memory::ROWS,
    network::ROWS,
    processes::ROWS,
    signals::ROWS,
    kernel::ROWS,
];
