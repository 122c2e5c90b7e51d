//! The trace oracle for native programs, from outside: whatever `fred` shows while it goes back and forth below lldb is what a
//! plain forward run under plain lldb shows.

mod native;
mod oracle_c;

#[test]
fn random_programs() {
    oracle_c::random_programs(&native::lldbs(), &["-O0"]);
}

#[test]
fn random_programs_optimised() {
    oracle_c::random_programs(&native::lldbs(), &["-O1", "-O2", "-Os", "-Og"]);
}

#[test]
fn random_breakpoints() {
    oracle_c::random_breakpoints(&native::lldbs(), &["-O0", "-O0", "-Og"]);
}

#[test]
fn written_programs() {
    oracle_c::written_programs(&native::lldbs());
}
