//! Whether this machine lets an ordinary user do what the checkpointer needs. Each check really tries.

use std::process::{Command, Stdio};

use nix::sys::ptrace;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

/// Seizes a child, stops it, reads its registers and lets it go.
///
/// # Errors
/// What did not work.
pub fn ptrace_a_child() -> Result<(), String> {
    // It waits for its input, so it is there for as long as it is wanted.
    let mut child = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start cat: {error}"))?;
    let outcome = i32::try_from(child.id()).map_err(|error| error.to_string()).and_then(|id| trace(Pid::from_raw(id)));
    let _ = child.kill();
    let _ = child.wait();
    outcome
}

fn trace(child: Pid) -> Result<(), String> {
    fn failed(what: &'static str) -> impl Fn(nix::Error) -> String {
        move |error| format!("{what}: {error}")
    }
    ptrace::seize(child, ptrace::Options::PTRACE_O_EXITKILL).map_err(failed("PTRACE_SEIZE"))?;
    ptrace::interrupt(child).map_err(failed("PTRACE_INTERRUPT"))?;
    match waitpid(child, None).map_err(failed("waitpid"))? {
        WaitStatus::PtraceEvent(..) | WaitStatus::Stopped(..) => {}
        other => return Err(format!("the child did not stop but gave {other:?}")),
    }
    ptrace::getregs(child).map_err(failed("PTRACE_GETREGS"))?;
    ptrace::detach(child, None).map_err(failed("PTRACE_DETACH"))
}

/// Installs a filter that allows everything, in a thread of its own that then ends.
///
/// # Errors
/// What did not work.
pub fn install_a_filter() -> Result<(), String> {
    let attempt = || -> Result<(), String> {
        use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
        let arch = std::env::consts::ARCH.try_into().map_err(|error| format!("{error}"))?;
        // The two actions must differ; no rule ever matches.
        let filter = SeccompFilter::new(Default::default(), SeccompAction::Allow, SeccompAction::Log, arch)
            .map_err(|error| error.to_string())?;
        let program: BpfProgram = filter.try_into().map_err(|error: seccompiler::BackendError| error.to_string())?;
        seccompiler::apply_filter(&program).map_err(|error| error.to_string())
    };
    std::thread::spawn(attempt).join().unwrap_or_else(|_| Err("the thread that tried it failed".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_work_here_or_say_why_not() {
        for outcome in [ptrace_a_child(), install_a_filter()] {
            if let Err(why) = outcome {
                assert!(!why.is_empty());
            }
        }
    }
}
