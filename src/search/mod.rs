//! Pure search over an execution, through the `Probe` trait. No process, no I/O.
