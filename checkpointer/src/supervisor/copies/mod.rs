//! Stopped copies: checkpoints (forked, one thread each) and suspended processes (whole), and how they come to life.

mod hold;
mod restore;
mod take;

use std::rc::Rc;

use nix::sched::CpuSet;
use nix::unistd::Pid;

use super::Supervisor;
use super::connection::Connection;
use super::served::Served;
use super::tape::Mark;
use super::tasks::Tasks;
use super::terminal::Modes;
use crate::raw;
use crate::rsp::Server;
use crate::snapshot::state::ProcessState;
use crate::snapshot::threads::ThreadState;
use crate::wire::{CopyId, ProgramRegisters};

/// What a process was like at a moment, but for its memory, which the copy itself holds.
#[derive(Debug)]
pub(super) struct Snapshot {
    virtual_id: i32,
    /// The leader first.
    threads: Vec<ThreadState>,
    /// The ids that the threads really had, in the same order: what the kernel reported of timers and owners names these.
    real_ids: Vec<i32>,
    state: ProcessState,
    modes: Modes,
    attached: bool,
    /// On which processors the leader may run, if it had been put on one by us: a forked copy inherits that.
    processors: Option<CpuSet>,
}

impl Snapshot {
    pub(super) fn threads(&self) -> &[ThreadState] {
        &self.threads
    }
}

/// Which of the session's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The session's own: what was launched.
    Main,
    /// The program that is served to it.
    Program,
}

/// A stopped copy of a process.
#[derive(Debug)]
pub(super) struct Part {
    /// Real id of its leader.
    pub(super) leader: Pid,
    pub(super) snapshot: Rc<Snapshot>,
    /// For a suspended process: its own threads, as they were. Empty for a checkpoint.
    threads: Tasks,
    /// Killed from outside.
    pub(super) dead: bool,
}

/// A stopped copy: of the session's process, of the program that is served to it, or of both.
#[derive(Debug)]
pub(super) struct Copy {
    main: Option<Part>,
    pub(super) program: Option<Part>,
    pub(super) served: Served,
    server: Option<Server>,
    connection: Option<Connection>,
    /// Where its recorded process is in the notes.
    pub(super) mark: Option<Mark>,
    /// Taken in the middle of a command of the debugger, which is to end at once where a fresh copy is started.
    pub(super) on_the_way: bool,
}

impl Copy {
    fn parts(&self) -> impl Iterator<Item = &Part> {
        [&self.main, &self.program].into_iter().flatten()
    }

    /// The program's process, or the session's own, if it is not a copy but has been put aside itself.
    pub(super) fn aside(&self, program: bool) -> Option<Pid> {
        let part = if program { &self.program } else { &self.main };
        part.as_ref().filter(|part| !part.threads.is_empty() && !part.dead).map(|part| part.leader)
    }

    fn parts_mut(&mut self) -> impl Iterator<Item = &mut Part> {
        [&mut self.main, &mut self.program].into_iter().flatten()
    }
}

impl Supervisor {
    fn program_leader(&self) -> Option<Pid> {
        self.program.as_ref().map(|program| program.leader)
    }

    fn discard(&mut self, part: Part) {
        crate::ptrace::kill(part.leader).ok();
        self.dying.insert(part.leader);
    }

    fn keep(&mut self, copy: Copy) -> CopyId {
        let id = CopyId(self.next_copy);
        self.next_copy += 1;
        self.copies.insert(id, copy);
        id
    }

    /// Whether the served program has been let go.
    fn served_runs(&self) -> bool {
        self.served.running
    }

    /// Kills a stopped copy.
    pub(super) fn drop_copy(&mut self, id: CopyId) {
        let Some(mut copy) = self.copies.remove(&id) else {
            return;
        };
        if let Some(newest) = copy.aside(self.recording.served).filter(|_| self.keeps_locks(copy.mark.as_ref())) {
            for part in copy.parts_mut().filter(|part| part.leader == newest) {
                let threads = std::mem::take(&mut part.threads);
                let rest = self.without_keeper(threads, Some(newest));
                part.dead = rest.is_empty();
                part.threads = rest;
            }
        }
        for part in copy.parts().filter(|part| !part.dead) {
            crate::ptrace::kill(part.leader).ok();
            self.dying.insert(part.leader);
            self.dying.extend(part.threads.keys());
        }
        let of_notes = self.recording.copies_of_notes();
        let needed = self.copies.iter().filter(|(id, _)| !of_notes.contains(id));
        self.recording.forget(needed.filter_map(|(_, copy)| copy.mark.as_ref()));
        for gone in self.places_forgotten() {
            self.drop_copy(gone);
        }
    }

    /// Whether a thread belongs to a stopped copy.
    pub(super) fn is_copy(&self, tid: Pid) -> bool {
        let mut parts = self.copies.values().flat_map(Copy::parts);
        parts.any(|part| part.leader == tid || part.threads.contains_key(&tid))
    }

    /// A stopped copy can only be killed.
    pub(super) fn copy_changed(&mut self, tid: Pid, status: i32) {
        if libc::WIFSTOPPED(status) {
            // The stop before its end.
            raw::resume(libc::PTRACE_CONT, tid, 0).ok();
            return;
        }
        for part in self.copies.values_mut().flat_map(Copy::parts_mut) {
            if part.leader == tid {
                part.dead = true;
            }
            part.threads.remove(&tid);
        }
    }

    /// Registers of the thread of the program that was told of last, or of that of a copy.
    pub(super) fn program_registers(&self, of: Option<CopyId>) -> Result<ProgramRegisters, String> {
        let none = "there is no program to be looked at";
        let (pid, tid, found, turns, threads) = match of {
            None => {
                let program = self.program.as_ref().ok_or(none)?;
                let real = self.real_id(self.served.current);
                let real = if self.is_served(real) { real } else { program.leader };
                let found = raw::registers(real).map_err(|error| format!("cannot read the registers: {error}"))?;
                (program.leader, self.virtual_id(real), found, self.leader_in_turn(), self.served_threads().len())
            }
            Some(id) => {
                let copy = self.copies.get(&id).ok_or(none)?;
                let part = copy.program.as_ref().ok_or(none)?;
                let threads = &part.snapshot.threads;
                let thread = threads.iter().find(|state| state.virtual_id == copy.served.current).or(threads.first());
                let thread = thread.ok_or(none)?;
                let turns = (copy.mark.is_some() && threads.len() > 1).then_some(part.snapshot.virtual_id);
                (part.leader, thread.virtual_id, thread.registers, turns, threads.len())
            }
        };
        Ok(ProgramRegisters {
            pid: pid.as_raw(),
            tid,
            turns,
            threads,
            rip: found.rip,
            general: [
                found.rax, found.rdx, found.rcx, found.rbx, found.rsi, found.rdi, found.rbp, found.rsp, found.r8,
                found.r9, found.r10, found.r11, found.r12, found.r13, found.r14, found.r15,
            ],
        })
    }

    /// Memory of the program, or of that of a copy; what cannot be read is cut off.
    pub(super) fn program_memory(&self, of: Option<CopyId>, address: u64, length: u64) -> Result<Vec<u8>, String> {
        const MOST: u64 = 16 << 20;
        let none = "there is no program to be looked at";
        let pid = match of {
            None => self.program_leader().ok_or(none)?,
            Some(id) => self.copies.get(&id).and_then(|copy| copy.program.as_ref()).ok_or(none)?.leader,
        };
        let mut bytes = vec![0u8; usize::try_from(length.min(MOST)).unwrap_or(0)];
        let read = raw::read_remote(pid, address, &mut bytes);
        bytes.truncate(read);
        Ok(bytes)
    }
}
