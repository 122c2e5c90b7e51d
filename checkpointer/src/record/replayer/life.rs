//! Births and deaths of threads and processes, and the programs that they load.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::unistd::Pid;
use syscalls::Sysno;

use super::calls::{close, wind_back};
use super::programs::{self, Way};
use super::{Actor, Phase, Replayer, Stop};
use crate::inject::Remote;
use crate::inject::injector::Injector;
use crate::ptrace::{Change, How, change};
use crate::raw;
use crate::record::log::Loaded;
use crate::record::recorder::{await_zombie, ids};
use crate::record::thread::{Thread, arguments};
use crate::record::{Trouble, epoch, mapping, prepare};
use crate::syscalls as table;
use crate::syscalls::Class;

impl Replayer {
    /// A process or thread is made.
    pub(super) fn born(&mut self, id: i32, child: i32) -> Result<(), Trouble> {
        let expected = format!("thread {child} to be made");
        if self.actor(id)?.phase == Phase::Ready {
            let stop = self.advance(id)?;
            if !matches!(stop, Stop::Call(_)) {
                return Err(self.diverged(expected, stop.words()));
            }
        }
        let registers = self.actor(id)?.thread.registers()?;
        let Some(row) = table::find(registers.orig_rax).filter(|row| row.class == Class::Process) else {
            return Err(self.diverged(expected, table::name(registers.orig_rax)));
        };
        let actor = self.actor(id)?;
        let ids = ids(&actor.thread, row, &arguments(&registers));
        actor.thread.resume(How::ToSyscall)?;
        let what = actor.await_stop()?;
        if what != Change::Born {
            return Err(self.diverged(expected, format!("{what:?}")));
        }
        let born = nix::sys::ptrace::getevent(actor.thread.tid).map_err(|_| Trouble::Gone(id))?;
        let born = Pid::from_raw(i32::try_from(born).map_err(|_| Trouble::Gone(id))?);
        match raw::wait(Some(born), true) {
            Ok(Some((_, status))) if change(status) == Change::Interrupted => {}
            _ => return Err(Trouble::Gone(child)),
        }
        let (process, pid) = if ids.thread { (actor.thread.process, actor.thread.pid) } else { (child, born) };
        let newborn = Thread::stopped(child, process, born, pid);
        let parents = actor.thread.process;
        if let Some(address) = ids.child {
            newborn.write(address, &child.to_ne_bytes())?;
        }
        if let Some(address) = ids.parent {
            actor.thread.write(address, &child.to_ne_bytes())?;
        }
        actor.thread.resume(How::ToSyscall)?;
        actor.phase = Phase::Inside;
        if !ids.descriptors {
            // What was set aside is the parent's (`dup_fd` in fs/file.c).
            let members = self.actors.values().filter(|actor| actor.thread.process == parents);
            for reserved in members.map(|actor| actor.reserved).filter(Option::is_some) {
                close(born, reserved)?;
            }
        }
        self.actors.insert(child, Actor::new(newborn));
        Ok(())
    }

    /// A program is loaded: the first one, or by execve.
    pub(super) fn loaded(&mut self, id: i32, loaded: &Loaded) -> Result<(), Trouble> {
        if self.at > 0 {
            self.execute_program(id, loaded)?;
        }
        let actor = self.actor(id)?;
        let name = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        prepare::at_replay(&actor.thread, loaded)?;
        actor.thread.stopped = Some(crate::ptrace::Stopped::reported(actor.thread.tid));
        actor.phase = Phase::Ready;
        let exe = format!("/proc/{}/exe", actor.thread.tid);
        if let Some(program) = &loaded.program
            && !mapping::leads_to(Path::new(&exe), program)
        {
            let path = name(&program.path);
            return Err(self.diverged(format!("{path} as it was"), "that it has been changed since, or removed"));
        }
        Ok(())
    }

    fn execute_program(&mut self, id: i32, loaded: &Loaded) -> Result<(), Trouble> {
        let path = loaded.program.as_ref().map(|program| String::from_utf8_lossy(&program.path).into_owned());
        let expected = format!("{} to be loaded", path.unwrap_or_default());
        if self.actor(id)?.phase == Phase::Ready {
            let stop = self.advance(id)?;
            if !matches!(stop, Stop::Call(_)) {
                return Err(self.diverged(expected, stop.words()));
            }
        }
        let actor = self.actor(id)?;
        let registers = actor.thread.registers()?;
        if table::find(registers.orig_rax).is_none_or(|row| row.class != Class::Program) {
            return Err(self.diverged(expected, table::name(registers.orig_rax)));
        }
        let directory = Path::new(std::ffi::OsStr::from_bytes(&loaded.directory));
        let here = std::fs::read_link(format!("/proc/{}/cwd", actor.thread.tid)).unwrap_or_default();
        let mut way = programs::way(&actor.thread, &registers, loaded);
        if here != directory || way.is_some() {
            wind_back(actor, registers)?;
            let mut injector = Injector::borrow(actor.thread.tid, actor.thread.tid)?;
            // The recorded chdir was not made.
            let scratch = injector.scratch();
            let mut name = loaded.directory.clone();
            name.push(0);
            injector.write(scratch, &name)?;
            // A directory that is gone is needed by nobody but relative names, which are then not found.
            injector.call(Sysno::chdir, [scratch, 0, 0, 0, 0, 0]).ok();
            let found = way.as_mut().is_none_or(|way| programs::prepare(&mut injector, way, loaded).unwrap_or(false));
            injector.finish()?;
            if !found {
                return Err(self.diverged(expected, "that it has been changed since, or removed"));
            }
            self.advance(id)?;
        }
        let actor = self.actor(id)?;
        if let Some(way) = &way {
            programs::use_name(&actor.thread, way)?;
        }
        actor.thread.resume(How::ToSyscall)?;
        // The other threads of the process end first (ptrace(2), "execve(2) under ptrace").
        let process = actor.thread.process;
        let siblings: Vec<i32> = self.members(process).into_iter().filter(|member| *member != id).collect();
        for sibling in siblings {
            if let Some(mut sibling) = self.actors.remove(&sibling) {
                sibling.reap();
            }
        }
        let actor = self.actor(id)?;
        loop {
            match actor.await_stop()? {
                Change::Exec => {
                    if let Some(Way::Name(name)) = &way {
                        prepare::rename(&actor.thread, &name.original)?;
                    }
                    return Ok(());
                }
                Change::Syscall => {
                    let error = actor.thread.registers()?.rax.cast_signed();
                    return Err(self.diverged(expected, format!("the error {}", -error)));
                }
                Change::Exited(_) | Change::Killed(_) => return Err(self.diverged(expected, "the end of the thread")),
                _ => actor.thread.resume(How::ToSyscall)?,
            }
        }
    }

    /// The thread was stopped at a place without a name: its process goes on from the copy that was made there.
    pub(super) fn preempted(&mut self, id: i32, copy: i32, mut descriptors: Vec<(i32, bool)>) -> Result<(), Trouble> {
        let process = self.actor(id)?.thread.process;
        let members = self.members(process);
        for member in &members {
            let actor = self.actor(*member)?;
            match actor.phase {
                Phase::Ready => {}
                Phase::AtCall => {
                    let registers = actor.thread.registers()?;
                    wind_back(actor, registers)?;
                }
                Phase::Inside => {
                    let what =
                        "a thread was stopped where nothing names the place, while another of its process made one";
                    return Err(Trouble::Refused { thread: id, what: what.to_owned() });
                }
            }
            self.actor(*member)?.leave()?;
        }
        let others: Vec<i32> = members.into_iter().filter(|member| *member != id).collect();
        let thread = |member: &i32| self.actors.get(member).map(|actor| &actor.thread);
        let reserved = |member: &i32| self.actors.get(member).and_then(|actor| actor.reserved);
        let reserved: Vec<_> = others.iter().map(reserved).collect();
        let first = thread(&id).ok_or(Trouble::Gone(id))?;
        // Those that are set aside for calls in which threads wait: the kernel does not show them.
        for number in reserved.iter().flatten().filter_map(|number| i32::try_from(*number).ok()) {
            let closed_by_exec = epoch::descriptors(first.tid)?.contains(&(number, true));
            descriptors.push((number, closed_by_exec));
        }
        let rest = epoch::rest(first, others.iter().filter_map(thread), descriptors)?;
        let copy = Pid::from_raw(copy);
        let made = epoch::complete(copy, &rest)?;
        self.killed(id)?;
        self.actors.insert(id, Actor::new(Thread::stopped(id, process, copy, copy)));
        for ((other, tid), reserved) in others.into_iter().zip(made).zip(reserved) {
            let actor = Actor::new(Thread::stopped(other, process, tid, copy));
            self.actors.insert(other, Actor { reserved, ..actor });
        }
        Ok(())
    }

    /// A thread ends, or its whole process.
    pub(super) fn ended(&mut self, id: i32, status: i32, process: bool) -> Result<(), Trouble> {
        let stop = self.advance(id)?;
        // A core may be dumped once and not the other time.
        const CORE: i32 = 0x80;
        match stop {
            Stop::Ending(now) if now & !CORE == status & !CORE => {}
            other => return Err(self.diverged(format!("its end with wait status {status:#x}"), other.words())),
        }
        if process {
            return self.reap_process(id);
        }
        let actor = self.actor(id)?;
        let (tid, own) = (actor.thread.tid, actor.thread.process);
        let leader = actor.thread.tid == actor.thread.pid;
        actor.thread.resume(How::Continue)?;
        self.actors.remove(&id);
        if leader && self.actors.values().any(|actor| actor.thread.process == own) {
            await_zombie(tid);
        } else {
            raw::wait(Some(tid), true).ok();
        }
        Ok(())
    }

    /// Its process was killed from outside.
    pub(super) fn killed(&mut self, id: i32) -> Result<(), Trouble> {
        let pid = self.actor(id)?.thread.pid;
        crate::ptrace::kill(pid).ok();
        self.reap_process(id)
    }

    /// Lets all threads of a process come to their ends.
    fn reap_process(&mut self, id: i32) -> Result<(), Trouble> {
        let process = self.actor(id)?.thread.process;
        let members = self.members(process);
        // The leader last: its end is reported when the others have ended.
        let leads = |id: &&i32| self.actors.get(id).is_some_and(|actor| actor.thread.tid == actor.thread.pid);
        let (leaders, others): (Vec<i32>, Vec<i32>) = members.iter().partition(leads);
        if let Some(actor) = self.actors.get_mut(&id) {
            actor.thread.resume(How::Continue).ok();
        }
        for member in others.iter().chain(&leaders) {
            if let Some(mut actor) = self.actors.remove(member) {
                actor.reap();
            }
        }
        Ok(())
    }

    /// The threads of a process.
    fn members(&self, process: i32) -> Vec<i32> {
        self.actors.iter().filter(|(_, actor)| actor.thread.process == process).map(|(id, _)| *id).collect()
    }
}

impl Actor {
    /// Lets a thread that has been killed, or let go to end, come to its end.
    fn reap(&mut self) {
        loop {
            match self.await_stop() {
                Ok(Change::Exited(_) | Change::Killed(_)) | Err(_) => break,
                Ok(_) => drop(self.thread.resume(How::Continue)),
            }
        }
    }
}
