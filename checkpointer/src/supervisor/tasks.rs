//! The threads that belong to the running process and its children, and what each of them is doing.

use std::collections::BTreeMap;

use nix::unistd::Pid;

use super::tape::{Pending, Place, Printing};
use crate::ptrace::{Running, Stopped};
use crate::raw::Registers;
use crate::signals::Deferred;

/// A thread that waits for input with its call not yet made.
#[derive(Debug, Clone, Copy)]
pub struct Parked {
    /// Number of the call.
    pub call: u64,
    /// It waits for others than the terminal, too.
    pub others: bool,
    /// It stands right before the call, where the filter has trapped it, and makes it as soon as it is let go. Otherwise its
    /// registers stand at the `syscall` instruction, from where it can be forked.
    pub inside: bool,
}

/// Whether a thread runs.
#[derive(Debug)]
pub enum Activity {
    /// It runs; a wait will report it.
    Running(Running),
    /// It is stopped, by us or on its way.
    Stopped(Stopped),
}

/// One live thread.
#[derive(Debug)]
pub struct Task {
    /// Real id of its process.
    pub pid: Pid,
    /// What it does; `None` only while it changes hands inside one function.
    pub activity: Option<Activity>,
    /// Set while it is parked.
    pub parked: Option<Parked>,
    /// The call that `restart_syscall` stands for, if one was interrupted.
    pub restarting: Option<u64>,
    /// Its clear-child-tid address, once asked for.
    pub clear_tid: Option<u64>,
    /// The call that it has been let into and that is looked at when it is done.
    pub pending: Option<Pending>,
    /// Registers at the end of the call that it has made last, if that has been noted.
    pub made: Option<Registers>,
    /// What it prints.
    pub printing: Option<Printing>,
    /// The entry of the notes whose descriptors it has been given.
    pub given: Option<usize>,
    /// Every call of it is looked at (while it has the terminal silent).
    pub watched: bool,
    /// It is in a job-control stop.
    pub group_stopped: bool,
    /// Signals that have come for it and that it has not got.
    pub deferred: Deferred,
    /// Where it is about to get one, if that has not been noted.
    pub arriving: Option<Place>,
    /// What its debug registers have been told.
    pub debug: [u64; 5],
}

impl Task {
    /// A thread that has just been reported as stopped.
    pub fn stopped(pid: Pid, tid: Pid) -> Task {
        Task {
            pid,
            activity: Some(Activity::Stopped(Stopped::reported(tid))),
            parked: None,
            restarting: None,
            clear_tid: None,
            pending: None,
            made: None,
            printing: None,
            given: None,
            watched: false,
            group_stopped: false,
            deferred: Deferred::default(),
            arriving: None,
            debug: [0; 5],
        }
    }

    /// Whether it is stopped.
    pub fn is_stopped(&self) -> bool {
        matches!(self.activity, Some(Activity::Stopped(_)))
    }
}

/// Live threads by real id.
pub type Tasks = BTreeMap<Pid, Task>;

/// A short file of /proc, in one read: these are made whole when they are read from their beginning (fs/seq_file.c).
pub fn proc_text(path: &str) -> Option<String> {
    let mut buffer = [0u8; 4096];
    let mut file = std::fs::File::open(path).ok()?;
    let read = std::io::Read::read(&mut file, &mut buffer).ok()?;
    String::from_utf8(buffer.get(..read)?.to_vec()).ok()
}

/// Real id of the process that a thread belongs to.
pub fn process_of(tid: Pid) -> Option<Pid> {
    let status = proc_text(&format!("/proc/{tid}/status"))?;
    field(&status, "Tgid:")
}

/// Real id of the parent of a process.
pub fn parent_of(pid: Pid) -> Option<Pid> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    field(&status, "PPid:")
}

fn field(status: &str, name: &str) -> Option<Pid> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok().map(Pid::from_raw)
}

/// Name of a process, for messages.
pub fn name_of(pid: Pid) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).map_or_else(|_| "?".to_owned(), |name| name.trim().to_owned())
}
