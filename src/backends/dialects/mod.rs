//! One file per debugger.
