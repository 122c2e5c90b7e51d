//! fred makes ordinary debuggers reversible. See ARCHITECTURE.md for the layers.

pub mod backends;
pub mod commands;
pub mod console;
pub mod engine;
pub mod events;
pub mod history;
pub mod keyboard;
#[cfg(test)]
mod mock;
pub mod script;
pub mod search;
pub mod signals;
pub mod status;
pub mod tables;
