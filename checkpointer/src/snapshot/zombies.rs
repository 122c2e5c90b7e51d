//! Children: those that have ended and were not waited for, which no copy has, and the live ones.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::scratch::trouble;
use crate::inject::{InjectError, Remote};

/// A child that ended before the checkpoint and had not been waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zombie {
    /// Its real id.
    pub pid: i32,
    /// What wait4(2) writes to `wstatus`.
    pub status: i32,
    /// Its process group.
    pub group: i32,
    /// Its real user id.
    pub user: u32,
    /// It tells its end by another signal than SIGCHLD, or none: waited for with __WCLONE or __WALL only.
    pub is_clone: bool,
    /// User and system time, in clock ticks.
    pub times: (u64, u64),
}

/// The children that a restored process believes it has and has not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zombies {
    /// In the order in which the kernel lists them, which is the order of their creation.
    pub waiting: Vec<Zombie>,
}

/// Which children a wait is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitFor {
    /// Any child: pid -1, P_ALL.
    Any,
    /// One child: pid > 0, P_PID, and P_PIDFD after the descriptor was looked up.
    Child(i32),
    /// Children of one group: pid 0 or less than -1, P_PGID. Group 0 must be replaced by the caller's own.
    Group(i32),
}

impl WaitFor {
    /// From the first argument of wait4(2); `own_group` is the caller's process group.
    #[must_use]
    pub fn wait4(pid: i32, own_group: i32) -> Self {
        match pid {
            -1 => Self::Any,
            0 => Self::Group(own_group),
            1.. => Self::Child(pid),
            _ => Self::Group(-pid),
        }
    }

    /// From the first two arguments of waitid(2); `None` for a kind that is not known (P_PIDFD among them).
    #[must_use]
    pub fn waitid(kind: i32, id: i32, own_group: i32) -> Option<Self> {
        match kind as libc::idtype_t {
            libc::P_ALL => Some(Self::Any),
            libc::P_PID => Some(Self::Child(id)),
            libc::P_PGID => Some(Self::Group(if id == 0 { own_group } else { id })),
            _ => None,
        }
    }
}

impl Zombie {
    /// `si_code` and `si_status` for waitid(2).
    #[must_use]
    pub fn code_and_status(&self) -> (i32, i32) {
        let signal = self.status & 0x7f;
        if signal == 0 {
            (libc::CLD_EXITED, self.status >> 8 & 0xff)
        } else if self.status & 0x80 != 0 {
            (libc::CLD_DUMPED, signal)
        } else {
            (libc::CLD_KILLED, signal)
        }
    }

    fn is_wanted(&self, whom: WaitFor, options: i32) -> bool {
        let chosen = match whom {
            WaitFor::Any => true,
            WaitFor::Child(pid) => self.pid == pid,
            WaitFor::Group(group) => self.group == group,
        };
        let kind = options & libc::__WALL != 0 || self.is_clone == (options & libc::__WCLONE != 0);
        chosen && kind
    }
}

impl Zombies {
    /// Answers a wait from the list: the first child that fits, taken off the list unless `options` has WNOWAIT. For
    /// waitid(2) the caller makes sure that `options` has WEXITED. `None`: the kernel must be asked.
    pub fn answer(&mut self, whom: WaitFor, options: i32) -> Option<Zombie> {
        let index = self.waiting.iter().position(|zombie| zombie.is_wanted(whom, options))?;
        if options & libc::WNOWAIT != 0 {
            return self.waiting.get(index).cloned();
        }
        Some(self.waiting.remove(index))
    }

    /// Whether a wait could ever be answered from the list. If so, ECHILD from the kernel is not the whole truth.
    #[must_use]
    pub fn concerns(&self, whom: WaitFor, options: i32) -> bool {
        self.waiting.iter().any(|zombie| zombie.is_wanted(whom, options))
    }
}

/// Lists the children that have ended. Injects nothing.
///
/// # Errors
/// [`InjectError::Io`] when /proc cannot be read.
pub fn capture(remote: &mut dyn Remote) -> Result<Zombies, InjectError> {
    let waiting = children(remote)?.into_iter().filter(|child| child.state == 'Z').map(|child| child.zombie).collect();
    Ok(Zombies { waiting })
}

/// The live children of a process, real id and name.
///
/// # Errors
/// [`InjectError::Io`] when /proc cannot be read.
pub fn live_children(remote: &dyn Remote) -> Result<Vec<(Pid, String)>, InjectError> {
    let live = children(remote)?.into_iter().filter(|child| !matches!(child.state, 'Z' | 'X'));
    Ok(live.map(|child| (Pid::from_raw(child.zombie.pid), child.name)).collect())
}

/// What is known of a process that has ended or is about to, but for its status.
#[must_use]
pub fn ended(pid: Pid) -> Option<Zombie> {
    child(pid.as_raw()).map(|child| child.zombie)
}

struct Child {
    name: String,
    state: char,
    zombie: Zombie,
}

/// All children, of all threads: a child belongs to the thread that made it.
fn children(remote: &dyn Remote) -> Result<Vec<Child>, InjectError> {
    let fail = |source| trouble("the list of children", remote, source);
    let mut children = Vec::new();
    for task in fs::read_dir(format!("/proc/{}/task", remote.pid())).map_err(fail)? {
        // A file of CONFIG_PROC_CHILDREN, which CONFIG_CHECKPOINT_RESTORE brings too.
        let listed = fs::read_to_string(task.map_err(fail)?.path().join("children")).map_err(fail)?;
        children.extend(listed.split_whitespace().filter_map(|pid| child(pid.parse().ok()?)));
    }
    Ok(children)
}

/// One child; `None` when it is gone. proc_pid_stat(5).
fn child(pid: i32) -> Option<Child> {
    let folder = format!("/proc/{pid}");
    let stat = fs::read_to_string(format!("{folder}/stat")).ok()?;
    let (name, rest) = (stat.split_once('(')?.1.rsplit_once(')')?.0, stat.rsplit_once(')')?.1);
    // `rest` begins with field 3.
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or("0");
    Some(Child {
        name: name.to_owned(),
        state: field(3).chars().next()?,
        zombie: Zombie {
            pid,
            status: field(52).parse().ok()?,
            group: field(5).parse().ok()?,
            user: fs::metadata(&folder).map(|folder| folder.uid()).unwrap_or(0),
            is_clone: field(38) != libc::SIGCHLD.to_string(),
            times: (field(14).parse().ok()?, field(15).parse().ok()?),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(pid: i32, status: i32) -> Zombie {
        Zombie { pid, status, group: 7, user: 0, is_clone: false, times: (0, 0) }
    }

    #[test]
    fn waits_are_answered_as_the_kernel_would() {
        let mut list = Zombies { waiting: vec![ended(10, 3 << 8), ended(11, libc::SIGKILL)] };
        assert_eq!(list.answer(WaitFor::wait4(11, 7), libc::WNOWAIT).unwrap().pid, 11);
        assert_eq!(list.answer(WaitFor::wait4(11, 7), 0).unwrap().code_and_status(), (libc::CLD_KILLED, libc::SIGKILL));
        assert_eq!(list.answer(WaitFor::wait4(11, 7), 0), None);
        assert_eq!(list.answer(WaitFor::wait4(-1, 7), libc::__WCLONE), None);
        assert!(list.concerns(WaitFor::wait4(0, 7), 0));
        assert_eq!(list.answer(WaitFor::wait4(-7, 1), 0).unwrap().code_and_status(), (libc::CLD_EXITED, 3));
        assert!(list.waiting.is_empty());
    }
}
