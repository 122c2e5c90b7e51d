//! Debuggers: how their command lines, prompts and stops read ([`dialect`]), one file each in `dialects/`.

pub mod aide;
pub mod dialect;
pub mod dialects;
pub mod mi;
pub mod pty;
pub mod sim;
pub mod symbols;
