//! One file per debugger.

pub mod pdb;
pub mod pdb_agent;

use std::ffi::OsString;
use std::path::Path;

use super::dialect::Dialect;

/// The dialect of the debugger that a command line starts, if fred knows it.
pub fn of_command(argv: &[OsString]) -> Option<Box<dyn Dialect>> {
    let program = argv.first()?;
    let name = Path::new(program).file_name()?.to_str()?;
    pdb::serves(name, &argv[1..]).then(|| Box::new(pdb::Pdb::new()) as Box<dyn Dialect>)
}
