//! One file per debugger.

pub mod gdb;
pub mod gdb_aide;
pub mod lldb;
pub mod lldb_aide;
pub mod pdb;
pub mod pdb_agent;
mod pdb_own;

use std::ffi::OsString;
use std::path::Path;

use super::dialect::{Dialect, Serving};

/// The dialect of the debugger that a command line starts, if fred knows it.
pub fn of_command(argv: &[OsString]) -> Option<Box<dyn Dialect>> {
    let program = argv.first()?;
    let name = Path::new(program).file_name()?.to_str()?;
    if gdb::serves(name) {
        return Some(Box::new(gdb::Gdb::named(program)));
    }
    if lldb::serves(name) {
        return Some(Box::new(lldb::Lldb::default()));
    }
    pdb::serves(name, &argv[1..]).then(|| Box::new(pdb::Pdb::new()) as Box<dyn Dialect>)
}

/// The command line to execute for what the user typed: ipdb is told to prompt plainly, because its own line editor draws on
/// the screen.
pub fn to_execute(argv: &[OsString], serving: Option<&Serving>) -> Vec<OsString> {
    if let Some(serving) = serving {
        let name = argv.first().and_then(|program| Path::new(program).file_name()?.to_str());
        return match name {
            Some(name) if lldb::serves(name) => lldb::to_execute(argv, serving),
            _ => gdb::to_execute(argv, serving),
        };
    }
    let is_ipdb = |word: &OsString| {
        let name = Path::new(word).file_name().and_then(|name| name.to_str()).unwrap_or("");
        name.strip_prefix("ipdb").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
    };
    let mut command: Vec<OsString> = Vec::new();
    // The program itself, or the module that Python is to run.
    if argv.iter().take(1).any(is_ipdb) || argv.windows(2).any(|pair| pair[0] == "-m" && is_ipdb(&pair[1])) {
        command.extend(["env".into(), "IPY_TEST_SIMPLE_PROMPT=1".into()]);
    }
    command.extend_from_slice(argv);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ipdb_is_told_to_prompt_plainly() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        let plain = words("python3 -m pdb ipdb.py");
        assert_eq!(to_execute(&plain, None), plain);
        assert_eq!(to_execute(&words("python3 -m ipdb x.py"), None)[..2], words("env IPY_TEST_SIMPLE_PROMPT=1")[..]);
        assert_eq!(to_execute(&words("/v/bin/ipdb3 x.py"), None).len(), 4);
    }
}
