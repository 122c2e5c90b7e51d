//! fred makes ordinary debuggers reversible. See ARCHITECTURE.md for the layers.

pub mod backends;
pub mod engine;
pub mod history;
pub mod search;
