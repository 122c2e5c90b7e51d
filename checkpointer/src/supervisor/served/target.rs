//! What the protocol server asks of the served program.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use nix::unistd::Pid;

use super::Supervisor;
use crate::ptrace::How;
use crate::raw;
use crate::rsp::target::{Action, Caught, Errno, Kind, Motion, Program, Stop, Target, ThreadRegisters, Tid, Why};
use crate::supervisor::tasks::{Activity, proc_text};
use crate::wire::{Event, ProgramChange};

/// The served program, for the server.
pub(in crate::supervisor) struct View<'s>(pub(in crate::supervisor) &'s mut Supervisor);

impl View<'_> {
    /// Real id of a thread of the program.
    fn real(&self, tid: Tid) -> Result<Pid, Errno> {
        let real = self.0.real_id(tid);
        if self.0.is_served(real) { Ok(real) } else { Err(libc::ESRCH) }
    }

    /// Real id of a stopped thread.
    fn stopped(&self, tid: Tid) -> Result<Pid, Errno> {
        let real = self.real(tid)?;
        if self.0.tasks.get(&real).is_some_and(|task| task.is_stopped()) { Ok(real) } else { Err(libc::EBUSY) }
    }
}

fn number(error: nix::errno::Errno) -> Errno {
    error as i32
}

impl Target for View<'_> {
    fn launch(&mut self, program: &Program) -> Result<(), String> {
        self.0.launch_served(program)
    }

    fn attach(&mut self, pid: i32) -> Result<(), String> {
        self.0.attach_served(pid)
    }

    fn detach(&mut self) -> Result<(), String> {
        self.0.detach_served()
    }

    fn kill(&mut self) {
        self.0.kill_served();
    }

    fn tell_forks(&mut self, told: bool) {
        self.0.fork_events = told;
    }

    fn child(&self) -> Option<(Tid, bool)> {
        Some((self.0.held_child()?, self.0.held.is_some_and(|held| held.vfork)))
    }

    fn let_child_go(&mut self) {
        self.0.free_held();
    }

    fn follow_child(&mut self) -> Result<(), String> {
        self.0.follow_held()
    }

    fn kill_child(&mut self) {
        self.0.kill_held();
    }

    fn process(&self) -> Option<i32> {
        self.0.program.as_ref().map(|program| program.virtual_id)
    }

    fn real_process(&self) -> Option<i32> {
        self.0.program.as_ref().map(|program| program.leader.as_raw())
    }

    fn threads(&self) -> Vec<Tid> {
        let mut threads: Vec<Tid> = self.0.served_threads().into_iter().map(|tid| self.0.virtual_id(tid)).collect();
        threads.sort_unstable();
        if let Some(program) = &self.0.program
            && let Some(at) = threads.iter().position(|tid| *tid == program.virtual_id)
        {
            threads[..=at].rotate_right(1);
        }
        threads
    }

    fn thread_name(&self, tid: Tid) -> Option<String> {
        let real = self.real(tid).ok()?;
        let name = proc_text(&format!("/proc/{real}/comm"))?;
        Some(name.trim_end().to_owned())
    }

    fn registers(&mut self, tid: Tid) -> Result<ThreadRegisters, Errno> {
        let real = self.stopped(tid)?;
        let general = raw::registers(real).map_err(number)?;
        let general = self.0.at_entry(real, general);
        let extended = raw::extended_state(real).map_err(number)?;
        Ok(ThreadRegisters { general, extended })
    }

    fn set_registers(&mut self, tid: Tid, registers: &ThreadRegisters) -> Result<(), Errno> {
        let real = self.stopped(tid)?;
        self.0.pass_guard();
        self.0.chosen_by_hand(real);
        let general = self.0.before_entry(real, registers.general);
        raw::set_registers(real, &general).map_err(number)?;
        raw::set_extended_state(real, &registers.extended).map_err(number)
    }

    fn read(&mut self, address: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let Some(program) = &self.0.program else { return Err(libc::ESRCH) };
        let read = program.memory.read(address, buffer);
        if read == 0 && !buffer.is_empty() {
            return Err(libc::EFAULT);
        }
        self.0.served.breakpoints.hide(address, &mut buffer[..read]);
        self.0.served.sites.hide(address, &mut buffer[..read]);
        Ok(read)
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.0.guard_memory(address);
        let Some(program) = &self.0.program else { return Err(libc::ESRCH) };
        self.0.served.sites.put_back(&program.memory, address, address + bytes.len() as u64);
        let written = self.0.served.breakpoints.write(address, bytes);
        program.memory.write(address, &written).map_err(|_| libc::EFAULT)
    }

    fn allocate(&mut self, length: u64, protection: u64) -> Result<u64, Errno> {
        self.0.allocate(length, protection)
    }

    fn deallocate(&mut self, address: u64) -> Result<(), Errno> {
        self.0.deallocate(address)
    }

    fn insert(&mut self, kind: Kind, address: u64, length: u64) -> Result<(), Errno> {
        let Some(program) = &self.0.program else { return Err(libc::ESRCH) };
        if kind == Kind::Software {
            let mut byte = [0u8];
            if program.memory.read(address, &mut byte) != 1 {
                return Err(libc::EFAULT);
            }
            self.0.served.breakpoints.change(address, |wanted| wanted.debugger = true);
            if self.0.served.running {
                self.0.insert_breakpoints();
            }
            return Ok(());
        }
        if kind == Kind::Read {
            let mut value = vec![0u8; usize::try_from(length.min(64)).unwrap_or(0)];
            program.memory.read(address, &mut value);
            self.0.served.watched_values.insert((address, length), value);
        }
        self.0.served.registers.insert(kind, address, length)
    }

    fn conditions(&mut self, address: u64, conditions: Vec<Vec<u8>>) {
        self.0.served.breakpoints.set_conditions(address, conditions);
    }

    fn remove(&mut self, kind: Kind, address: u64, length: u64) -> Result<(), Errno> {
        if kind == Kind::Software {
            self.0.served.breakpoints.change(address, |wanted| wanted.debugger = false);
            self.0.served.breakpoints.set_conditions(address, Vec::new());
            if self.0.served.breakpoints.at(address).is_none()
                && let Some(program) = &self.0.program
            {
                self.0.served.breakpoints.lift(address, &program.memory);
            }
            return Ok(());
        }
        self.0.served.watched_values.remove(&(address, length));
        self.0.served.registers.remove(kind, address, length);
        Ok(())
    }

    fn resume(&mut self, actions: &[Action]) -> Result<(), String> {
        self.0.pass_guard();
        self.0.resume_served(actions)
    }

    fn interrupt(&mut self, signal: i32) {
        if self.0.served.running {
            self.0.served.interrupting = Some(signal);
            if self.0.served.loading == 0 {
                self.0.tell_if_interrupted();
            }
        }
    }

    fn signal_information(&mut self, tid: Tid) -> Result<Vec<u8>, Errno> {
        let real = self.real(tid)?;
        match &self.0.control(real).signal {
            Some((_, info)) => Ok(raw::signal_bytes(info)),
            None => {
                // A breakpoint or a step: what the kernel would say.
                let mut info = raw::signal_of_bytes(&[]);
                info.0.si_signo = libc::SIGTRAP;
                info.0.si_code = 1;
                Ok(raw::signal_bytes(&info))
            }
        }
    }

    fn set_signal_information(&mut self, tid: Tid, information: &[u8]) -> Result<(), Errno> {
        let real = self.real(tid)?;
        match &mut self.0.control(real).signal {
            Some((_, info)) => {
                *info = raw::signal_of_bytes(information);
                Ok(())
            }
            None => Err(libc::EINVAL),
        }
    }

    fn pass_signals(&mut self, signals: &[i32]) {
        self.0.served.passed = signals.iter().copied().collect();
    }

    fn catch(&mut self, calls: Caught) {
        self.0.served.caught = calls;
    }

    fn thread_pointer(&mut self, tid: Tid) -> Result<u64, Errno> {
        let real = self.stopped(tid)?;
        raw::registers(real).map(|registers| registers.fs_base).map_err(number)
    }

    fn debugger(&self) -> Option<i32> {
        self.0.main.map(Pid::as_raw)
    }
}

impl Supervisor {
    /// Lets threads go for the debugger.
    fn resume_served(&mut self, actions: &[Action]) -> Result<(), String> {
        if self.program.is_none() {
            return Err("there is no program".to_owned());
        }
        if let Some(child) = self.held_child() {
            return Err(format!(
                "process {child} was forked and is kept stopped (`set detach-on-fork off'), and only one process can be looked \
                 at here: `detach inferiors 2' or `kill inferiors 2' lets the program go on"
            ));
        }
        let action_of = |tid: Tid| actions.iter().find(|action| action.thread.is_none_or(|wanted| wanted == tid));
        let threads: Vec<(Pid, Tid)> =
            self.served_threads().into_iter().map(|tid| (tid, self.virtual_id(tid))).collect();
        let chosen: Vec<(Pid, Tid, Action)> = threads
            .iter()
            .filter_map(|(real, known)| action_of(*known).map(|action| (*real, *known, *action)))
            .collect();
        if chosen.is_empty() {
            return Err("none of the threads that were named is there".to_owned());
        }
        if std::mem::take(&mut self.served.exchanged) {
            let halting = std::mem::take(&mut self.served.halting);
            let asked = actions.iter().find_map(|action| action.thread);
            let leader = self.program.as_ref().map_or(0, |program| program.virtual_id);
            let is_there = |tid: &Tid| threads.iter().any(|(_, known)| known == tid);
            let turn = self.leader_in_turn().map(|_| self.served.current);
            let tid = asked.or(turn).filter(is_there).unwrap_or(leader);
            // A signal at which it stands is told again: the debugger delivers it when it lets the program go.
            let stands_at = self.served.threads.get(&tid).and_then(|control| control.signal.as_ref());
            let stands_at = stands_at.map(|(number, _)| *number).filter(|number| *number != libc::SIGTRAP);
            // But one that the debugger passes: told of it, it would go on, and look at another place.
            if let Some(number) = stands_at.filter(|number| self.is_passed(*number)) {
                self.served.threads.entry(tid).or_default().pending = Some(Why::Signal(number));
            }
            let why = match stands_at {
                Some(number) if !self.is_passed(number) => Why::Signal(number),
                _ if halting => Why::Halted,
                _ => Why::Exchanged,
            };
            self.later(Stop::Thread { tid, why });
            return Ok(());
        }
        // What has been met already comes first; but not signals of which nobody wants to hear.
        let is_passed = |why: &Why| matches!(why, Why::Signal(number) if self.is_passed(*number));
        let (passing, told): (Vec<_>, Vec<_>) = chosen
            .iter()
            .filter_map(|(real, known, _)| {
                self.served.threads.get(known)?.pending.as_ref().map(|why| (*real, *known, is_passed(why)))
            })
            .partition(|(_, _, passed)| *passed);
        if let Some((real, tid, _)) = told.first().copied()
            && let Some(why) = self.control(real).pending.take()
        {
            let signal = self.control(real).signal;
            self.note_arrival(real, signal.as_ref());
            self.later(Stop::Thread { tid, why });
            return Ok(());
        }
        let passing: BTreeSet<Pid> = passing.into_iter().map(|(real, _, _)| real).collect();
        for real in &passing {
            self.control(*real).pending = None;
        }
        for (real, _, action) in &chosen {
            if self.control(*real).signal.is_none() {
                self.note_given(*real, action.signal.map(|number| (number, own_signal(number))));
            }
        }
        self.served.running = true;
        self.served.resumed = Some(Instant::now());
        self.recording.schedule().since = self.served.resumed;
        let steps = |action: &Action| !matches!(action.motion, Motion::Continue);
        // Many traps for few stops: on one processor they are cheaper. Where it goes on between steps (over a breakpoint, to the end
        // of a call) it is let go when it has run for a while.
        if chosen.iter().any(|(_, _, action)| steps(action)) {
            self.pin();
        }
        // A step stops of itself, and looks at where it is.
        let alone = threads.len() == 1 && chosen.iter().all(|(_, _, action)| steps(action));
        if alone {
            // But for where a signal or a turn is noted, which is where it may stand already.
            self.expect_spin_without_trap();
        } else {
            self.insert_breakpoints();
        }
        for (_, known) in &threads {
            self.served.threads.entry(*known).or_default().motion = None;
        }
        for (real, _, action) in &chosen {
            let control = self.control(*real);
            control.motion = Some(action.motion);
            self.step_from(*real, action.motion);
            let control = self.control(*real);
            let stood = control.signal.take();
            let signal = action.signal.map(|number| match stood {
                Some((at, info)) if at == number => (number, info),
                _ => (number, own_signal(number)),
            });
            let signal = signal.or(stood.filter(|_| passing.contains(real)));
            match (stood, signal) {
                (None, Some((number, information))) => self.inject_signal(*real, number, information, None),
                (None, None) => self.deliver(*real, None),
                (Some(_), _) => {
                    self.note_arrival(*real, stood.as_ref());
                    self.decide(*real, signal.map_or(0, |(number, _)| number));
                    self.deliver(*real, signal);
                }
            }
        }
        // The terminal may be read by it from now on; a thread that is parked there stays so.
        for (real, _, _) in chosen {
            let parked = self.tasks.get(&real).is_some_and(|task| task.parked.is_some());
            if !parked || !matches!(self.control(real).motion, Some(Motion::Continue)) {
                self.begin_from(real);
            }
        }
        self.tell(Event::Program(ProgramChange::Resumed));
        Ok(())
    }

    /// Lets a thread go from where it stands; over a fence, if one is there.
    pub(in crate::supervisor) fn begin_from(&mut self, tid: Pid) {
        // It may have become another's turn, and that the end of the run, when the thread before was let go.
        if !self.served.running || !self.may_go(tid) {
            return;
        }
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.parked = None;
        }
        let at = match self.tasks.get(&tid).map(|task| &task.activity) {
            Some(Some(Activity::Stopped(stopped))) => stopped.registers().ok().map(|registers| registers.rip),
            _ => None,
        };
        // It may have been stopped right where it is to be left.
        if at.is_some() && self.spin_awaited() == at && self.is_left_spinning(tid) {
            return;
        }
        self.enter_trampoline(tid);
        match at.and_then(|at| self.served.breakpoints.at(at).map(|wanted| (at, wanted))) {
            Some((at, wanted)) if !wanted.debugger || self.running.is_some() => self.go_over(tid, at),
            _ => self.let_go(tid, How::Continue),
        }
    }
}

/// The information of a signal that the debugger makes up.
pub(super) fn own_signal(number: i32) -> raw::SigInfo {
    let mut info = raw::signal_of_bytes(&[]);
    info.0.si_signo = number;
    // SI_USER, from nobody.
    info.0.si_code = 0;
    info
}

/// Whether a path names a program that can be executed.
pub(super) fn in_path(name: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    if name.contains(&b'/') {
        return Some(name.to_vec());
    }
    path.split(|byte| *byte == b':').find_map(|folder| {
        let whole = Path::new(std::ffi::OsStr::from_bytes(folder)).join(std::ffi::OsStr::from_bytes(name));
        nix::unistd::access(&whole, nix::unistd::AccessFlags::X_OK).ok()?;
        Some(whole.as_os_str().as_bytes().to_vec())
    })
}
