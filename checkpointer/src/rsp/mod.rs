//! The remote serial protocol: the program that a debugger looks at, served to it over a socket.
//!
//! [`target`] is what the server asks of whoever owns the program; the server itself knows packets and nothing of ptrace.
//! (gdb's manual, appendix E; LLDB's docs/resources/lldbgdbremote.md.)
//!
//! The server is our own: its whole state is cloned into a session's checkpoints and given back with a restored debugger,
//! which ready-made servers do not let go of.

pub mod agent;
mod hostio;
pub(crate) mod libraries;
mod lldb;
pub mod packet;
mod query;
pub mod registers;
mod server;
pub mod signals;
pub mod target;
mod thread_local;

pub use server::Server;
