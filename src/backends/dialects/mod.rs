//! One file per debugger.

pub mod pdb;
pub mod pdb_agent;
