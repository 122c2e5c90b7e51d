//! The client's requests, one function each.

use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

use nix::sys::signal;
use nix::unistd::Pid;
use syscalls::Sysno;

use super::Supervisor;
use super::connection::Door;
use super::served::Guard;
use super::tasks::{Activity, Task, Tasks};
use crate::launch::{Holder, Spec};
use crate::ptrace::How;
use crate::rsp::Server;
use crate::wire::{Answer, CopyId, Request};

impl Supervisor {
    pub(super) fn answer(&mut self, request: Request) -> Answer {
        let outcome = match request {
            Request::Launch { argv } => self.launch(argv),
            // Has no answer.
            Request::Go => Ok(Answer::Done),
            Request::Record { own } => {
                self.recording.wanted = true;
                self.recording.know_own(own.as_ref()).map(|()| Answer::Done)
            }
            Request::Purpose { purpose, heard } => {
                self.sync_clocks();
                self.recording.set_purpose(purpose, heard);
                self.tune_clocks();
                Ok(Answer::Done)
            }
            Request::Checkpoint => self.stop_clock(Supervisor::checkpoint),
            Request::Suspend => self.stop_clock(Supervisor::suspend),
            Request::Start(id) => self.start(id).map(|warnings| Answer::Started { warnings }),
            Request::Resume(id) => self.resume(id).map(|()| Answer::Done),
            Request::Kill => {
                self.kill_live();
                Ok(Answer::Done)
            }
            Request::Drop(id) => {
                self.drop_copy(id);
                Ok(Answer::Done)
            }
            Request::Signal(number) => {
                self.signal_live(number);
                Ok(Answer::Done)
            }
            Request::Serve => self.open_door(),
            Request::Arguments(typed) => {
                self.note_arguments(typed);
                Ok(Answer::Done)
            }
            Request::ServeExecuted => Ok(Answer::Serving { path: self.expect_execution() }),
            Request::CheckpointProgram => self.stop_clock(Supervisor::checkpoint_program),
            Request::Exchange(id) => self.exchange(id).map(|warnings| Answer::Started { warnings }),
            Request::Run(run) => self.run_program(run).map(|()| Answer::Done),
            Request::EndRun => {
                self.end_run();
                Ok(Answer::Done)
            }
            Request::Halt => {
                self.halt();
                Ok(Answer::Done)
            }
            Request::Fence(at, functions, returning) => {
                self.returning = returning;
                self.set_fence(at, functions).map(|()| Answer::Done)
            }
            Request::Guard { keep } => {
                self.guard = Guard::Up { keep };
                Ok(Answer::Done)
            }
            Request::EndGuard => self.end_guard().map(|kept| match kept {
                Some(copy) => Answer::Guarded { changed: true, copy },
                None => Answer::Guarded { changed: false, copy: None },
            }),
            Request::Registers(of) => self.program_registers(of).map(|found| Answer::Registers(Box::new(found))),
            Request::Memory { copy, address, length } => self.program_memory(copy, address, length).map(Answer::Memory),
            Request::Status => Ok(Answer::Status {
                running: self.main.map(Pid::as_raw),
                copies: self.copies.len(),
                live: self.tasks.keys().map(|tid| tid.as_raw()).collect(),
            }),
        };
        outcome.unwrap_or_else(Answer::Refused)
    }

    fn stop_clock(&mut self, take: fn(&mut Supervisor) -> Result<(CopyId, Pid), String>) -> Result<Answer, String> {
        let begin = Instant::now();
        let (id, pid) = take(self)?;
        let held_us = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
        Ok(Answer::Stopped { id, pid: pid.as_raw(), held_us })
    }

    fn launch(&mut self, argv: Vec<Vec<u8>>) -> Result<Answer, String> {
        if self.holder.is_some() {
            return Err("cannot launch a second program in one session".to_owned());
        }
        if argv.iter().any(|word| word.contains(&0)) {
            return Err("cannot launch a program whose arguments contain a zero byte".to_owned());
        }
        let Some(name) = argv.first().map(|name| String::from_utf8_lossy(name).into_owned()) else {
            return Err("cannot launch: no program was named".to_owned());
        };
        let failed = |error: std::io::Error| format!("cannot launch {name}: {error}");
        let mut holder = Holder::start(self.terminal.slave()).map_err(failed)?;
        let spec = Spec {
            argv,
            fixed_addresses: true,
            recorded: self.recording.wanted && !self.recording.served,
            shared: !self.recording.served,
            debugger: self.server.is_some(),
            ..Spec::default()
        };
        let program = holder.launch(&spec).map_err(failed)?;
        let pid = program.tid();
        self.holder = Some(holder);
        self.main = Some(pid);
        self.main_virtual = pid.as_raw();
        self.run += 1;
        let mut task = Task::stopped(pid, pid);
        task.activity = Some(Activity::Running(program));
        self.tasks.insert(pid, task);
        Ok(Answer::Launched { pid: pid.as_raw() })
    }

    /// Opens the socket at which a debugger is served.
    fn open_door(&mut self) -> Result<Answer, String> {
        let door = Door::open().map_err(|error| format!("cannot open a socket for the debugger: {error}"))?;
        let path = door.path().as_os_str().as_bytes().to_vec();
        self.door = Some(door);
        self.server = Some(Server::new());
        self.recording.served = true;
        Ok(Answer::Serving { path })
    }

    /// Lets parked threads make their calls.
    pub(super) fn go(&mut self) {
        self.recording.goes_on();
        let parked: Vec<Pid> =
            self.tasks.iter().filter(|(_, task)| task.parked.is_some()).map(|(tid, _)| *tid).collect();
        for tid in parked {
            // With something to be read the call returns at once. Otherwise it is trapped again.
            let returns = self.terminal.has_input();
            if !returns && !self.wind_back_parked(tid) {
                continue;
            }
            if let Some(task) = self.tasks.get_mut(&tid) {
                task.parked = None;
            }
            self.let_go(tid, How::Continue);
        }
    }

    /// Sends a signal to every live process, as a terminal would to its foreground group (in which the stopped copies are
    /// too, so that the group itself cannot be signalled).
    fn signal_live(&mut self, number: i32) {
        if number == libc::SIGINT && self.interrupt_for_debugger() {
            return;
        }
        let parked: Vec<(Pid, u64)> =
            self.tasks.iter().filter_map(|(tid, task)| task.parked.map(|parked| (*tid, parked.call))).collect();
        // A served program hears of it from its debugger.
        let served = self.program.as_ref().map(|program| program.leader);
        for pid in self.live_processes().into_iter().filter(|pid| Some(*pid) != served) {
            crate::raw::kill(pid, number).ok();
        }
        for (tid, call) in parked {
            if !self.is_served(tid) {
                self.interrupt_parked(tid, call);
            }
        }
    }

    /// A signal must find a parked thread inside its call, as if it had been waiting there, or its handler would run and the
    /// call then wait on: the line editors of Python and gdb act on the EINTR.
    fn interrupt_parked(&mut self, tid: Pid, call: u64) {
        if !self.wind_back_parked(tid) {
            return;
        }
        let Some(task) = self.tasks.get_mut(&tid) else {
            return;
        };
        task.parked = None;
        if let Some(Activity::Stopped(stopped)) = &task.activity
            && let Ok(mut registers) = stopped.registers()
        {
            let read = call == Sysno::read.id() as u64;
            // ERESTARTSYS for read, ERESTARTNOHAND for select and poll: what the kernel leaves itself.
            let code: i64 = if read { -512 } else { -514 };
            registers.orig_rax = call;
            #[allow(clippy::cast_sign_loss)]
            {
                registers.rax = code as u64;
            }
            registers.rip += 2;
            stopped.set_registers(&registers).ok();
        }
        self.let_go(tid, How::Continue);
    }

    /// Real ids of all live processes.
    pub(super) fn live_processes(&self) -> Vec<Pid> {
        let mut processes: Vec<Pid> = self.tasks.values().map(|task| task.pid).collect();
        processes.sort_unstable();
        processes.dedup();
        processes
    }

    /// Kills the running process with its children and forgets them.
    pub(super) fn kill_live(&mut self) {
        self.keep_newest();
        let tasks = self.take_live();
        self.kill_tasks(&tasks);
    }

    /// Forgets the live threads, which are the caller's now.
    pub(super) fn take_live(&mut self) -> Tasks {
        self.main = None;
        self.program = None;
        self.running = None;
        self.trampolines = None;
        self.fence = None;
        self.waiting = None;
        self.guard = Guard::Down;
        self.untold.clear();
        self.virtual_ids.clear();
        std::mem::take(&mut self.tasks)
    }

    /// Kills the processes of these threads. Stopped ones do nothing any more, so their end is not waited for; the others may
    /// still be inside a call that has an effect.
    pub(super) fn kill_tasks(&mut self, tasks: &Tasks) {
        for task in tasks.values() {
            crate::ptrace::kill(task.pid).ok();
        }
        // One that was about to end by itself, and is stopped there, is not woken by being killed.
        for (&tid, _) in tasks.iter().filter(|(_, task)| task.is_stopped()) {
            crate::raw::resume(libc::PTRACE_CONT, tid, 0).ok();
        }
        // Leaders last: their end is reported when all other threads of the process have ended.
        for (&tid, task) in tasks
            .iter()
            .filter(|(tid, task)| **tid != task.pid)
            .chain(tasks.iter().filter(|(tid, task)| **tid == task.pid))
        {
            self.dying.insert(tid);
            if !task.is_stopped() {
                self.reap(tid);
            }
        }
    }

    /// Waits for the end of a killed thread.
    pub(super) fn reap(&mut self, tid: Pid) {
        while let Ok(Some((_, status))) = crate::raw::wait(Some(tid), true) {
            if !libc::WIFSTOPPED(status) {
                break;
            }
            // Reported from before the kill, or the stop before the end, which alone needs resuming.
            crate::raw::resume(libc::PTRACE_CONT, tid, 0).ok();
        }
        self.dying.remove(&tid);
    }

    /// The end of the session.
    pub(super) fn end_all(&mut self) {
        if self.program.as_ref().is_some_and(|program| program.is_attached()) {
            // It was there before the session, and lives on.
            self.detach_served().ok();
        }
        self.kill_live();
        self.newest_is_back();
        self.end_stand_ins();
        let ids: Vec<_> = self.copies.keys().copied().collect();
        for id in ids {
            self.drop_copy(id);
        }
        self.end_keeper();
        // One that was about to end by itself, and had been stopped there, is not woken by being killed.
        for &tid in &self.dying {
            crate::raw::resume(libc::PTRACE_CONT, tid, 0).ok();
        }
        // In any order: the leaders' ends come when those of their threads have been taken.
        while !self.dying.is_empty() {
            match crate::raw::wait(None, true) {
                Ok(Some((tid, status))) if !libc::WIFSTOPPED(status) => {
                    self.dying.remove(&tid);
                }
                Ok(Some((tid, _))) => {
                    crate::raw::resume(libc::PTRACE_CONT, tid, 0).ok();
                }
                Ok(None) => {}
                Err(_) => self.dying.clear(),
            }
        }
        for holder in [self.program_holder.take(), self.holder.take()].into_iter().flatten() {
            signal::kill(holder.pid, signal::Signal::SIGKILL).ok();
            crate::raw::wait(Some(holder.pid), true).ok();
        }
    }
}
