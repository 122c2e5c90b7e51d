//! fred makes ordinary debuggers reversible. See ARCHITECTURE.md for the layers.

pub mod args;
pub mod backends;
pub mod bisect;
pub mod commands;
pub mod completion;
pub mod console;
pub mod demo;
pub mod doctor;
pub mod engine;
pub mod events;
pub mod history;
pub mod keyboard;
pub mod launch;
#[cfg(test)]
mod mock;
pub mod repl;
pub mod script;
pub mod search;
pub mod signals;
pub mod status;
pub mod tables;
