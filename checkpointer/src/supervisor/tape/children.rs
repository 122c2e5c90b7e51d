//! Children of a recorded process run once. A process that goes along the notes has none: it learns again that it has made them, and
//! behind the end of the notes it may wait for one that another process has made. So how children end is remembered, and a list
//! of those that it has made and not waited for answers it ([`crate::snapshot::zombies`]).

use nix::unistd::Pid;
use syscalls::Sysno;

use super::Supervisor;
use super::line::Entry;
use crate::ptrace::Change;
use crate::snapshot::zombies::{self, Zombie, Zombies};

/// The options and the id of the child of a wait that has found one; `None` for anything else.
fn waited(entry: &Entry) -> Option<(i32, i32)> {
    let arguments = entry.asked.arguments;
    #[allow(clippy::cast_possible_truncation)]
    match usize::try_from(entry.asked.number).ok().and_then(Sysno::new) {
        Some(Sysno::wait4) if entry.result > 0 => Some((arguments[2] as i32, i32::try_from(entry.result).ok()?)),
        Some(Sysno::waitid) if entry.result == 0 => {
            // siginfo_t: si_pid
            let (_, kept) = entry.outputs.iter().find(|(address, _)| *address == arguments[2])?;
            let child = i32::from_ne_bytes(kept.bytes().get(16..20)?.try_into().ok()?);
            (child > 0).then_some((arguments[3] as i32, child))
        }
        _ => None,
    }
}

impl Supervisor {
    /// A process ends that is none of the session's own: it stands at its end.
    pub(in crate::supervisor) fn remember_end(&mut self, tid: Pid) {
        if !self.recording.on || self.is_own(tid) || self.tasks.get(&tid).is_none_or(|task| task.pid != tid) {
            return;
        }
        let Ok(status) = nix::sys::ptrace::getevent(tid) else { return };
        let (Ok(status), Some(ended)) = (i32::try_from(status), zombies::ended(tid)) else { return };
        self.recording.ended.insert(tid.as_raw(), Zombie { status, ..ended });
    }

    /// A process has ended. If it was killed, it may not have stood at its end.
    pub(in crate::supervisor) fn has_ended(&mut self, pid: Pid, what: Change) {
        let status = match what {
            Change::Exited(code) => code << 8,
            Change::Killed(signal) => signal,
            _ => return,
        };
        if !self.recording.on || self.is_own(pid) {
            return;
        }
        self.recording.ended.entry(pid.as_raw()).or_insert(Zombie {
            pid: pid.as_raw(),
            status,
            group: 0,
            user: nix::unistd::getuid().as_raw(),
            is_clone: false,
            times: (0, 0),
        });
    }

    fn is_own(&self, pid: Pid) -> bool {
        self.main == Some(pid) || self.program.as_ref().is_some_and(|program| program.leader == pid)
    }

    fn children_of(&mut self, pid: Pid) -> &mut Zombies {
        match &mut self.program {
            Some(program) if program.leader == pid => &mut program.zombies,
            _ => &mut self.zombies,
        }
    }

    /// A process has learnt again that it has made a child, or that one has ended.
    pub(super) fn learns_of_child(&mut self, pid: Pid, entry: &Entry, makes: bool) {
        if makes && entry.result > 0 {
            let child = i32::try_from(entry.result).unwrap_or(0);
            if let Some(ended) = self.recording.ended.get(&child).cloned() {
                self.children_of(pid).waiting.push(ended);
            }
        } else if let Some((options, child)) = waited(entry)
            && options & libc::WNOWAIT == 0
        {
            self.children_of(pid).waiting.retain(|known| known.pid != child);
        }
    }
}
