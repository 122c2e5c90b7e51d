//! The client's requests, one function each.

use std::ffi::CString;
use std::time::Instant;

use nix::sys::signal;
use nix::unistd::Pid;
use syscalls::Sysno;

use super::Supervisor;
use super::tasks::{Activity, Task, Tasks};
use crate::launch;
use crate::ptrace::How;
use crate::wire::{Answer, CopyId, Request};

impl Supervisor {
    pub(super) fn answer(&mut self, request: Request) -> Answer {
        let outcome = match request {
            Request::Launch { argv } => self.launch(argv),
            Request::Go => Ok(self.go()),
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
            Request::Serve
            | Request::CheckpointProgram
            | Request::Exchange(_)
            | Request::Run(_)
            | Request::EndRun
            | Request::Fence(_)
            | Request::Registers(_)
            | Request::Memory { .. } => Err("no program is served yet".to_owned()),
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
        let argv: Result<Vec<CString>, _> = argv.into_iter().map(CString::new).collect();
        let argv = argv.map_err(|_| "cannot launch a program whose arguments contain a zero byte".to_owned())?;
        if argv.is_empty() {
            return Err("cannot launch: no program was named".to_owned());
        }
        let launched = launch::launch(&argv, self.terminal.slave())
            .map_err(|error| format!("cannot launch {}: {error}", argv[0].to_string_lossy()))?;
        let pid = launched.program.tid();
        self.holder = Some(launched.holder);
        self.exec_failure = Some(launched.failure);
        self.main = Some(pid);
        self.main_virtual = pid.as_raw();
        self.run += 1;
        let mut task = Task::stopped(pid, pid);
        task.activity = Some(Activity::Running(launched.program));
        self.tasks.insert(pid, task);
        Ok(Answer::Launched { pid: pid.as_raw() })
    }

    /// Lets parked threads make their calls.
    fn go(&mut self) -> Answer {
        let parked: Vec<Pid> =
            self.tasks.iter().filter(|(_, task)| task.parked.is_some()).map(|(tid, _)| *tid).collect();
        for tid in parked {
            if let Some(task) = self.tasks.get_mut(&tid) {
                task.parked = None;
            }
            self.let_go(tid, How::Continue);
        }
        Answer::Done
    }

    /// Sends a signal to every live process, as a terminal would to its foreground group (in which the stopped copies are
    /// too, so that the group itself cannot be signalled).
    fn signal_live(&mut self, number: i32) {
        let parked: Vec<(Pid, u64)> =
            self.tasks.iter().filter_map(|(tid, task)| task.parked.map(|parked| (*tid, parked.call))).collect();
        for pid in self.live_processes() {
            crate::raw::kill(pid, number).ok();
        }
        for (tid, call) in parked {
            self.interrupt_parked(tid, call);
        }
    }

    /// A signal must find a parked thread inside its call, as if it had been waiting there, or its handler would run and the
    /// call then wait on: the line editors of Python and gdb act on the EINTR.
    fn interrupt_parked(&mut self, tid: Pid, call: u64) {
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
        let tasks = self.take_live();
        self.kill_tasks(&tasks);
    }

    /// Forgets the live threads, which are the caller's now.
    pub(super) fn take_live(&mut self) -> Tasks {
        self.main = None;
        self.virtual_ids.clear();
        std::mem::take(&mut self.tasks)
    }

    /// Kills the processes of these threads. Stopped ones do nothing any more, so their end is not waited for; the others may
    /// still be inside a call that has an effect.
    pub(super) fn kill_tasks(&mut self, tasks: &Tasks) {
        for task in tasks.values() {
            crate::ptrace::kill(task.pid).ok();
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
        self.kill_live();
        let ids: Vec<_> = self.copies.keys().copied().collect();
        for id in ids {
            self.drop_copy(id);
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
        if let Some(holder) = self.holder.take() {
            signal::kill(holder, signal::Signal::SIGKILL).ok();
            crate::raw::wait(Some(holder), true).ok();
        }
    }
}
