//! Children of the served program. Each is told of if the debugger wants that, and is held until the debugger lets it go; or the
//! debugger lets the program go instead, and follows the child. One process is looked at, at a time.

use nix::unistd::Pid;
use syscalls::Sysno;

use super::{Control, Memory, Program, Supervisor};
use crate::inject::injector::read_memory;
use crate::ptrace::How;
use crate::raw;
use crate::rsp::target::{Motion, Tid, Why};
use crate::supervisor::tasks::Activity;
use crate::wire::{Event, ProgramChange};

/// A child that stands where it was made.
#[derive(Debug, Clone, Copy)]
pub(in crate::supervisor) struct Held {
    /// Real id.
    pub(in crate::supervisor) pid: Pid,
    /// It uses the memory of the program until it has loaded something else.
    pub(super) vfork: bool,
}

impl Supervisor {
    /// The child that is held, as it is known.
    pub(super) fn held_child(&self) -> Option<Tid> {
        self.held.map(|held| self.virtual_id(held.pid))
    }

    /// Holds a child that has just been made, if the debugger is to be told; gives back what it is told.
    pub(super) fn hold_child(&mut self, parent: Pid, child: Pid) -> Option<Why> {
        let told = self.fork_events && self.running.is_none() && self.served.loading == 0 && self.held.is_none();
        if !told || !self.tasks.contains_key(&child) {
            return None;
        }
        let vfork = is_vfork(parent);
        if !vfork && raw::same_memory(parent, child) {
            // Neither a thread nor a process of its own: such a one runs free.
            return None;
        }
        self.held = Some(Held { pid: child, vfork });
        self.served.vforked |= vfork;
        Some(Why::Forked { child: self.virtual_id(child), vfork })
    }

    /// Lets the child go that is held, for good.
    pub(super) fn free_held(&mut self) {
        if let Some(held) = self.held.take() {
            self.let_go(held.pid, How::Continue);
        }
    }

    /// Kills the child that is held.
    pub(super) fn kill_held(&mut self) {
        if let Some(held) = self.held.take() {
            nix::sys::signal::kill(held.pid, nix::sys::signal::Signal::SIGKILL).ok();
            self.let_go(held.pid, How::Continue);
        }
    }

    /// The held child becomes the program; what was the program runs free.
    pub(super) fn follow_held(&mut self) -> Result<(), String> {
        let Some(held) = self.held.take() else { return Err("no child is held".to_owned()) };
        let Some(parent) = self.program.take() else { return Err("there is no program".to_owned()) };
        let threads: Vec<Pid> =
            self.tasks.iter().filter(|(_, task)| task.pid == parent.leader).map(|(tid, _)| *tid).collect();
        let memory = Memory::open(held.pid)
            .map_err(|error| format!("cannot follow the child into process {}: {error}", held.pid))?;
        let virtual_id = self.virtual_id(held.pid);
        self.stop_recording("the debugger has followed a child of the program");
        self.program = Some(Program {
            leader: held.pid,
            virtual_id,
            zombies: Default::default(),
            memory,
            attached: parent.attached,
        });
        let served = &mut self.served;
        if !held.vfork {
            served.breakpoints.clear();
        }
        served.threads.clear();
        served.vforked = false;
        served.current = virtual_id;
        served.threads.insert(virtual_id, Control { motion: Some(Motion::Continue), ..Control::default() });
        for tid in threads {
            if let Some(task) = self.tasks.get_mut(&tid) {
                super::DebugRegisters::default().apply(tid, &mut task.debug).ok();
                task.parked = None;
            }
            if matches!(self.tasks.get(&tid).map(|task| &task.activity), Some(Some(Activity::Stopped(_)))) {
                self.let_go(tid, How::Continue);
            }
        }
        self.tell(Event::Program(ProgramChange::Begun));
        Ok(())
    }
}

/// Whether the call in which a thread makes a process stops it until the child is out of its memory.
fn is_vfork(parent: Pid) -> bool {
    let Ok(registers) = raw::registers(parent) else { return false };
    #[allow(clippy::cast_sign_loss)]
    let flag = libc::CLONE_VFORK as u64;
    match usize::try_from(registers.orig_rax).ok().and_then(Sysno::new) {
        Some(Sysno::vfork) => true,
        Some(Sysno::clone) => registers.rdi & flag != 0,
        Some(Sysno::clone3) => {
            // struct clone_args begins with the flags.
            let mut bytes = [0u8; 8];
            read_memory(parent, registers.rdi, &mut bytes).is_ok() && u64::from_ne_bytes(bytes) & flag != 0
        }
        _ => false,
    }
}
