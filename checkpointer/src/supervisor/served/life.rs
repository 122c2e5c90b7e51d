//! Births, programs that are loaded, and ends, of the served process and its threads.

use nix::unistd::Pid;

use super::{Applied, DebugRegisters, Memory, Supervisor};
use crate::ptrace::Change;
use crate::raw;
use crate::rsp::target::{Motion, Stop, Tid, Why};
use crate::wire::{Event, ProgramChange};

impl Supervisor {
    /// A thread or a process has been made by the program; gives back what the debugger is to be told.
    pub(super) fn served_birth(&mut self, parent: Pid, newborn: Option<(Pid, Change)>) -> Option<Why> {
        let (newborn, what) = newborn?;
        self.born(parent, newborn);
        if self.is_served(newborn) {
            self.go_on(newborn);
            return None;
        }
        let told = self.hold_child(parent, newborn);
        if told.is_none() {
            self.react(newborn, what);
        }
        told
    }

    /// A thread or a process has been made by the program.
    fn born(&mut self, parent: Pid, newborn: Pid) {
        if self.is_served(newborn) {
            self.do_without_trampolines();
            let motion = self.control(parent).motion.map(|_| Motion::Continue);
            self.control(newborn).motion = motion;
            return;
        }
        // A child runs free. After vfork its memory is the program's own, until it loads something else.
        if let Ok(memory) = Memory::open(newborn) {
            self.served.breakpoints.clean(&memory);
        }
        let shared = self.tasks.get(&newborn).is_some_and(|task| shares_memory(task.pid, parent));
        if let Ok(memory) = Memory::open(newborn) {
            self.clean_jumps(&memory, shared);
        }
        if shared {
            self.served.breakpoints.forget_inserted();
        }
    }

    pub(super) fn served_exec(&mut self, tid: Pid) {
        self.served.breakpoints.clear();
        (self.trampolines, self.served.linker) = (None, None);
        self.served.registers = DebugRegisters::default();
        self.served.threads.clear();
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.debug = Applied::default();
        }
        if let Some(program) = &mut self.program
            && let Ok(memory) = Memory::open(program.leader)
        {
            program.memory = memory;
        }
        self.control(tid).motion = Some(Motion::Continue);
        if self.served.loading > 1 {
            self.served.loading -= 1;
            self.go_on(tid);
            return;
        }
        let path = std::fs::read_link(format!("/proc/{tid}/exe")).unwrap_or_default();
        let path = std::os::unix::ffi::OsStringExt::into_vec(path.into_os_string());
        if self.served.loading == 1 {
            self.begun(tid);
        }
        self.happened(tid, Why::Exec { path });
    }

    /// The program that was asked for stands at its first instruction, which is the dynamic linker's. Its own entry is where
    /// it is kept: what the linker does takes its time, and notes how long.
    pub(in crate::supervisor) fn begun(&mut self, tid: Pid) {
        self.served.loading = 0;
        self.served.current = self.virtual_id(tid);
        self.tell(Event::Program(ProgramChange::Begun));
        let entry = entry_of(tid);
        let here = raw::registers(tid).ok().map(|registers| registers.rip);
        match entry {
            Some(entry) if Some(entry) != here && !self.is_attached() => {
                self.served.breakpoints.change(entry, |wanted| wanted.origin = true);
            }
            _ => self.keep_origin(),
        }
    }

    fn is_attached(&self) -> bool {
        self.program.as_ref().is_some_and(|program| program.attached)
    }

    /// Keeps the program as it is at its beginning, and the debugger that has just let it go: of a program that never stops there is
    /// no other debugger that has seen it alive.
    pub(super) fn keep_origin(&mut self) {
        let kept = if self.server.is_some() { self.checkpoint() } else { self.checkpoint_program() };
        match kept.or_else(|_| self.checkpoint_program()) {
            Ok((copy, _)) => {
                if let Some(kept) = self.copies.get_mut(&copy) {
                    kept.on_the_way = true;
                }
                self.tell(Event::Program(ProgramChange::Origin { copy }));
            }
            Err(error) => tracing::info!("no checkpoint of the program's beginning: {error}"),
        }
    }

    /// The served process has ended.
    pub(in crate::supervisor) fn served_ended(&mut self, what: Change) {
        self.program = None;
        self.trampolines = None;
        self.free_held();
        let loading = self.served.loading > 0;
        let known = std::mem::take(&mut self.served);
        self.served.passed = known.passed;
        self.served.caught = known.caught;
        if self.running.is_some() {
            return self.run_ended_program(what);
        }
        let stop = match what {
            // It could not be executed: the status is the error's number.
            Change::Exited(status) if loading => {
                let error = std::io::Error::from_raw_os_error(status);
                Stop::Failed(if status == 127 { "the program did not start".to_owned() } else { error.to_string() })
            }
            Change::Exited(status) => Stop::Exited(status),
            Change::Killed(signal) => Stop::Killed(signal),
            _ => Stop::Exited(0),
        };
        self.tell_stop(&stop);
    }

    /// A thread of the program has ended, but not the program.
    pub(in crate::supervisor) fn served_thread_ended(&mut self, virtual_id: Tid) {
        self.served.threads.remove(&virtual_id);
        if !self.served.running {
            return;
        }
        let threads = self.served_threads();
        let runs = |tid: &Pid| self.tasks.get(tid).is_some_and(|task| !task.is_stopped() || task.parked.is_some());
        let waits_for_turn = |tid: &Pid| {
            let known = self.virtual_id(*tid);
            self.takes_turns(*tid) && self.served.threads.get(&known).is_some_and(|control| control.motion.is_some())
        };
        if !threads.iter().any(|tid| runs(tid) || waits_for_turn(tid))
            && let Some(&tid) = threads.first()
        {
            // Only threads that were to stay stopped are left.
            self.happened(tid, Why::Signal(0));
        }
    }
}

/// The entry of the program that a process has loaded, from its auxiliary vector (getauxval(3), AT_ENTRY).
fn entry_of(pid: Pid) -> Option<u64> {
    let vector = std::fs::read(format!("/proc/{pid}/auxv")).ok()?;
    vector.chunks_exact(16).find_map(|pair| {
        let (key, value) = pair.split_at(8);
        (u64::from_le_bytes(key.try_into().ok()?) == libc::AT_ENTRY)
            .then(|| u64::from_le_bytes(value.try_into().unwrap_or([0; 8])))
    })
}

/// Whether two processes use one memory, as a vfork'ed child does.
fn shares_memory(one: Pid, other: Pid) -> bool {
    raw::same_memory(one, other)
}
