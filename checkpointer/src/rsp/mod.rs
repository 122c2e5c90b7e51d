//! The remote serial protocol: the program that a debugger looks at, served to it over a socket.
//!
//! [`target`] is what the server asks of whoever owns the program; the server itself knows packets and nothing of ptrace.

pub mod target;
