//! The `fred` program.
fn main() {}
