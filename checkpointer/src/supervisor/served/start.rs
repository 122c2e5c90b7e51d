//! How a served program comes and goes: started, attached to, detached, killed.

use nix::unistd::Pid;

use super::target::in_path;
use super::{DebugRegisters, Memory, Program, Served, Supervisor};
use crate::launch::{Holder, Spec};
use crate::ptrace::{How, Running};
use crate::raw;
use crate::rsp::target::{self, Motion, Why};
use crate::supervisor::tasks::{Activity, Task, Tasks};
use crate::wire::{Event, ProgramChange};

impl Supervisor {
    /// Starts a program for the debugger.
    pub(super) fn launch_served(&mut self, wanted: &target::Program) -> Result<(), String> {
        if self.program.is_some() {
            self.kill_served();
        }
        let spec = self.spec_of(wanted)?;
        let leader = self.spawn_program(&spec)?;
        let memory = Memory::open(leader).map_err(|error| format!("cannot read the program's memory: {error}"))?;
        let known = std::mem::take(&mut self.served);
        self.served = Served {
            // System calls are caught in one process: gdb says it anew of the next one, and takes back nothing of one that has ended.
            passed: known.passed,
            running: true,
            loading: if wanted.shell.is_some() { 2 } else { 1 },
            current: leader.as_raw(),
            random: seed(),
            ..Served::default()
        };
        self.program =
            Some(Program { leader, virtual_id: leader.as_raw(), zombies: Default::default(), memory, attached: false });
        self.control(leader).motion = Some(Motion::Continue);
        self.recording.begin_anew();
        Ok(())
    }

    fn spec_of(&self, wanted: &target::Program) -> Result<Spec, String> {
        let debugger = self.main.map(Pid::as_raw).unwrap_or(0);
        let inherited = std::fs::read(format!("/proc/{debugger}/environ")).unwrap_or_default();
        let mut environment: Vec<Vec<u8>> = if wanted.bare_environment {
            Vec::new()
        } else {
            inherited.split(|byte| *byte == 0).filter(|one| !one.is_empty()).map(<[u8]>::to_vec).collect()
        };
        for (name, value) in &wanted.environment {
            environment.retain(|one| !(one.starts_with(name) && one.get(name.len()) == Some(&b'=')));
            if let Some(value) = value {
                environment.push([&name[..], b"=", value].concat());
            }
        }
        let here = std::fs::read_link(format!("/proc/{debugger}/cwd"))
            .ok()
            .map(|link| std::os::unix::ffi::OsStringExt::into_vec(link.into_os_string()));
        let directory = wanted.directory.clone().or_else(|| here.clone());
        // lldb means the files by where it is itself, whatever folder the program begins in.
        let file = |file: Vec<u8>| match &here {
            Some(here) if !file.starts_with(b"/") => [here, &b"/"[..], &file].concat(),
            _ => file,
        };
        let files = wanted.files.clone().map(|one| one.map(file));
        let path = environment.iter().find_map(|one| one.strip_prefix(b"PATH=")).unwrap_or(b"/usr/bin:/bin");
        let program = in_path(&wanted.path, path)
            .ok_or_else(|| format!("{}: no such program", String::from_utf8_lossy(&wanted.path)))?;
        let argv = match &wanted.shell {
            None => std::iter::once(program).chain(wanted.arguments.iter().cloned()).collect(),
            Some(shell) => {
                // The shell is to read the arguments; the program's name is ours.
                let mut command = b"exec ".to_vec();
                command.extend(quoted(&program));
                command.push(b' ');
                command.extend(self.as_typed(&wanted.arguments));
                vec![shell.clone(), b"-c".to_vec(), command]
            }
        };
        Ok(Spec {
            argv,
            environment: Some(environment),
            directory,
            files,
            fixed_addresses: wanted.fixed_addresses,
            recorded: self.recording.wanted,
            shared: false,
            debugger: false,
        })
    }

    /// Starts a program on the program's own terminal; it has been seized and is about to be executed.
    fn spawn_program(&mut self, spec: &Spec) -> Result<Pid, String> {
        let failed = |error: std::io::Error| format!("cannot start the program: {error}");
        if self.program_holder.is_none() {
            let Some(terminal) = &self.program_terminal else {
                return Err("there is no terminal for the program".to_owned());
            };
            self.program_holder = Some(Holder::start(terminal.slave()).map_err(failed)?);
        }
        let Some(holder) = &mut self.program_holder else { return Err("there is no holder".to_owned()) };
        let running = holder.launch(spec).map_err(failed)?;
        let leader = running.tid();
        let mut task = Task::stopped(leader, leader);
        task.activity = Some(Activity::Running(running));
        self.tasks.insert(leader, task);
        Ok(leader)
    }

    /// Takes hold of a process that runs already.
    pub(super) fn attach_served(&mut self, pid: i32) -> Result<(), String> {
        let leader = Pid::from_raw(pid);
        if self.tasks.contains_key(&leader) || self.is_copy(leader) {
            return Err(format!("process {pid} belongs to this session already"));
        }
        if self.program.is_some() {
            self.kill_served();
        }
        let memory = Memory::open(leader).map_err(|error| format!("cannot attach to process {pid}: {error}"))?;
        let mut taken = Tasks::new();
        // Threads can be made while they are being taken, by those that have not been.
        loop {
            let listed = std::fs::read_dir(format!("/proc/{pid}/task"))
                .map_err(|error| format!("cannot attach to process {pid}: {error}"))?;
            let ids = listed.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
            let fresh: Vec<Pid> = ids.map(Pid::from_raw).filter(|tid| !taken.contains_key(tid)).collect();
            if fresh.is_empty() {
                break;
            }
            for tid in fresh {
                match Running::seize(tid) {
                    Ok(running) => {
                        running.interrupt().ok();
                        let mut task = Task::stopped(leader, tid);
                        task.activity = Some(Activity::Running(running));
                        taken.insert(tid, task);
                    }
                    Err(nix::errno::Errno::ESRCH) => {}
                    Err(error) if taken.is_empty() => {
                        return Err(format!("cannot attach to process {pid}: {error}"));
                    }
                    // Seized by TRACECLONE with its creator.
                    Err(_) => {
                        taken.insert(tid, Task::stopped(leader, tid));
                    }
                }
            }
        }
        self.tasks.extend(taken);
        let known = std::mem::take(&mut self.served);
        self.served = Served { passed: known.passed, running: true, current: pid, random: seed(), ..Served::default() };
        self.program = Some(Program { leader, virtual_id: pid, zombies: Default::default(), memory, attached: true });
        self.stop_served();
        if let Err(error) = crate::inject::page::install(leader) {
            tracing::warn!("cannot prepare process {pid} for checkpoints: {error}");
        }
        self.begun(leader);
        self.later(target::Stop::Thread { tid: pid, why: Why::Signal(0) });
        Ok(())
    }

    /// Lets the program go.
    pub(in crate::supervisor) fn detach_served(&mut self) -> Result<(), String> {
        self.stop_served();
        self.free_held();
        let Some(program) = self.program.take() else { return Ok(()) };
        let threads: Vec<Pid> =
            self.tasks.iter().filter(|(_, task)| task.pid == program.leader).map(|(tid, _)| *tid).collect();
        let known = std::mem::take(&mut self.served);
        self.served.passed = known.passed;
        self.served.caught = known.caught;
        self.tell(Event::Program(ProgramChange::Gone));
        for tid in threads {
            if let Some(task) = self.tasks.get_mut(&tid) {
                DebugRegisters::default().apply(tid, &mut task.debug).ok();
            }
            if program.attached {
                if let Some(task) = self.tasks.remove(&tid)
                    && let Some(Activity::Stopped(stopped)) = task.activity
                {
                    raw::resume(libc::PTRACE_DETACH, stopped.tid(), 0).ok();
                }
            } else {
                // Under our filter it cannot live untraced: it runs free, and ends with the session.
                self.let_go(tid, How::Continue);
            }
        }
        Ok(())
    }

    /// Kills the program.
    pub(in crate::supervisor) fn kill_served(&mut self) {
        let Some(program) = self.program.take() else { return };
        self.free_held();
        let mut gone = Tasks::new();
        let threads: Vec<Pid> =
            self.tasks.iter().filter(|(_, task)| task.pid == program.leader).map(|(tid, _)| *tid).collect();
        for tid in threads {
            if let Some(task) = self.tasks.remove(&tid) {
                gone.insert(tid, task);
            }
            self.virtual_ids.remove(&tid);
        }
        self.kill_tasks(&gone);
        let known = std::mem::take(&mut self.served);
        self.served.passed = known.passed;
        self.served.caught = known.caught;
        self.running = None;
        self.trampolines = None;
        self.tell(Event::Program(ProgramChange::Gone));
    }
}

/// Another sequence of random bytes for every program that is started.
fn seed() -> u64 {
    let mut bytes = [0u8; 8];
    let read =
        std::fs::File::open("/dev/urandom").and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes));
    if let Err(error) = read {
        tracing::warn!("no random seed: {error}");
    }
    u64::from_le_bytes(bytes)
}

/// A word as the shell reads it back.
fn quoted(word: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in word {
        match byte {
            b'\'' => quoted.extend(b"'\\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}
