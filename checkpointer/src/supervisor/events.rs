//! What the kernel reports: every stop and end of every traced thread.

use nix::unistd::Pid;
use syscalls::Sysno;

use super::Supervisor;
use super::tape::install_clocks;
use super::tasks::{Activity, Task, proc_text, process_of};
use crate::inject::injector::{read_memory, write_memory};
use crate::inject::page;
use crate::ptrace::{Change, How, Stopped, change};
use crate::raw;
use crate::record::prepare::auxiliary;
use crate::record::thread::Thread;
use crate::record::vdso::IMAGE;
use crate::wire::Event;

impl Supervisor {
    /// Takes everything that has happened until now.
    pub(super) fn pump(&mut self) {
        while let Ok(Some((tid, status))) = raw::wait(None, false) {
            if self.is_holder(tid) {
                // The terminal has lost its owner, and the processes their parent: the session cannot go on.
                if !libc::WIFSTOPPED(status) {
                    self.holder_gone(tid);
                    self.orphaned = true;
                }
                continue;
            }
            if self.dying.contains(&tid) {
                if libc::WIFSTOPPED(status) {
                    // The stop before the end.
                    raw::resume(libc::PTRACE_CONT, tid, 0).ok();
                } else {
                    self.dying.remove(&tid);
                }
                continue;
            }
            if self.stand_in_changed(tid, status) {
                continue;
            }
            if self.is_copy(tid) {
                self.copy_changed(tid, status);
                continue;
            }
            let unknown = !self.tasks.contains_key(&tid);
            let what = self.record(tid, status);
            let early = || self.program.is_some() || self.takes_turns(tid) || self.is_new_child(tid);
            if unknown && what == Change::Interrupted && early() {
                // Breakpoints may be in its memory, by which id it goes its parent's call says, and what it stores in memory that it
                // shares is to be seen from the beginning: its parent's stop comes, and then it is seen to.
                self.early.insert(tid);
                continue;
            }
            self.react(tid, what);
        }
    }

    /// Notes a reported change in the thread's state, and brings the thread into a stop from which anything can be done to
    /// it; lets nothing go. Returns what is still to be acted on.
    pub(super) fn record(&mut self, tid: Pid, status: i32) -> Change {
        let what = change(status);
        if matches!(what, Change::Exited(_) | Change::Killed(_)) {
            self.ended(tid, what);
            return what;
        }
        if let std::collections::btree_map::Entry::Vacant(e) = self.tasks.entry(tid) {
            let Some(pid) = process_of(tid) else {
                return Change::Killed(0);
            };
            e.insert(Task::stopped(pid, tid));
        }
        let mut stopped = Stopped::reported(tid);
        if let Change::Signal(number) = what {
            stopped.signal = self.incoming(tid, number);
        }
        self.leave_clocks(tid, what);
        let registers = stopped.registers().ok();
        let Some(task) = self.tasks.get_mut(&tid) else {
            return what;
        };
        if let Some(registers) = registers
            && crate::snapshot::threads::needs_restart_block(&registers)
            && registers.orig_rax != 219
        {
            task.restarting = Some(registers.orig_rax);
        }
        task.group_stopped = matches!(what, Change::GroupStop(_));
        task.activity = Some(Activity::Stopped(stopped));
        let what = match self.sort_counter(tid, what) {
            Change::Signal(number) => self.sort_signal(tid, number),
            what => what,
        };
        self.recorded_stop(tid, what);
        match what {
            Change::Exec => self.loaded(tid),
            Change::Ending => {
                if self.recorded_leader() == self.tasks.get(&tid).map(|task| task.pid) {
                    self.sync_clocks();
                    if self.ends_with(tid) {
                        self.contents_at_end();
                    }
                }
                if self.is_served(tid) {
                    self.take_counts();
                }
                self.about_to_end(tid);
                self.remember_end(tid);
                if self.recorded_leader() == Some(tid) {
                    self.keep_newest_ends(tid);
                }
                self.turn_ends(tid);
            }
            Change::Interrupted => self.mend_interrupted(tid),
            _ => {}
        }
        what
    }

    /// A signal on its way, its sender translated.
    fn incoming(&self, tid: Pid, number: i32) -> Option<(i32, raw::SigInfo)> {
        let mut info = raw::signal_information(tid).ok()?;
        if let Some(sender) = raw::sender(&info) {
            let real = Pid::from_raw(sender);
            let known = if real == Pid::this() { self.main_virtual } else { self.virtual_id(real) };
            if known != sender {
                raw::set_sender(&mut info, known);
            }
        }
        Some((number, info))
    }

    fn is_holder(&self, pid: Pid) -> bool {
        [&self.holder, &self.program_holder].into_iter().flatten().any(|holder| holder.pid == pid)
    }

    fn holder_gone(&mut self, pid: Pid) {
        for holder in [&mut self.holder, &mut self.program_holder] {
            if holder.as_ref().is_some_and(|holder| holder.pid == pid) {
                *holder = None;
            }
        }
    }

    /// Lets the thread go on after what was reported, or does what the report calls for.
    pub(super) fn react(&mut self, tid: Pid, what: Change) {
        if self.is_served(tid) {
            return self.served_stop(tid, what);
        }
        match what {
            Change::Exited(_) | Change::Killed(_) => {}
            Change::Seccomp => self.trap(tid),
            Change::Counter => self.reads_counter(tid),
            Change::Syscall => self.watched_call(tid),
            Change::GroupStop(_) => self.leave_group_stopped(tid),
            Change::Born => {
                if let Some((newborn, what)) = self.await_newborn(tid) {
                    self.react(newborn, what);
                }
                self.let_go(tid, How::Continue);
            }
            Change::Ending => {
                self.let_go(tid, How::Continue);
                self.turn_has_ended(tid);
            }
            _ => self.let_go(tid, How::Continue),
        }
    }

    /// Lets a stopped thread go.
    pub(super) fn let_go(&mut self, tid: Pid, how: How) {
        if !self.may_go(tid) {
            return;
        }
        self.tune_calls(tid);
        let how = if self.is_served(tid) { self.how_served(tid) } else { how };
        if let Some(Activity::Stopped(stopped)) = self.tasks.get(&tid).and_then(|task| task.activity.as_ref()) {
            let signal = stopped.signal;
            self.note_arrival(tid, signal.as_ref());
            if signal.is_some() && self.is_served(tid) {
                self.clear_way_back(tid);
            }
        }
        self.memory_comes(tid);
        if !self.enter_handler(tid) {
            return;
        }
        let Some(task) = self.tasks.get_mut(&tid) else {
            return;
        };
        let looked_at = task.watched || task.pending.as_ref().is_some_and(|pending| pending.inside);
        let how = if looked_at && how == How::Continue { How::ToSyscall } else { how };
        task.activity = match task.activity.take() {
            // Killed while stopped: its end is about to be reported.
            Some(Activity::Stopped(stopped)) => stopped.resume(how).ok().map(Activity::Running),
            other => other,
        };
    }

    pub(super) fn leave_group_stopped(&mut self, tid: Pid) {
        let Some(task) = self.tasks.get_mut(&tid) else {
            return;
        };
        if let Some(Activity::Stopped(stopped)) = task.activity.take() {
            task.activity = stopped.listen().ok().map(Activity::Running);
        }
    }

    fn ended(&mut self, tid: Pid, what: Change) {
        let known = self.virtual_id(tid);
        let task = self.tasks.remove(&tid);
        self.pinned_ended(tid);
        if task.as_ref().is_some_and(|task| task.pid == tid) {
            self.has_ended(tid, what);
        }
        self.give_up_locks();
        self.virtual_ids.remove(&tid);
        self.early.remove(&tid);
        if self.held.is_some_and(|held| held.pid == tid) {
            self.held = None;
        }
        if let Some(program) = &self.program {
            if program.leader == tid {
                return self.served_ended(what);
            }
            if task.as_ref().is_some_and(|task| task.pid == program.leader) {
                self.served_thread_ended(known);
            }
        }
        if let Some(task) = task {
            if self.recorded_leader() == Some(task.pid) {
                // It may have been the last but one.
                self.tune_clocks();
            }
            self.turn_is_over(task.pid, known);
        }
        self.family_shrinks();
        if self.main != Some(tid) {
            return;
        }
        // The leader's end is reported last, after all other threads of the process.
        self.main = None;
        let (status, signal) = match what {
            Change::Killed(signal) => (None, Some(signal)),
            Change::Exited(status) => (Some(status), None),
            _ => (None, None),
        };
        match status {
            // Before it was executed its status is the error's number.
            Some(errno) if !self.loaded => self.tell(Event::ExecFailed(errno)),
            _ => self.tell(Event::Exited { status, signal }),
        }
    }

    /// Some calls fail with EINTR when their thread is stopped, and are not restarted by the kernel even though no signal was
    /// handled (signal(7), "Interruption of system calls ... by stop signals"). Our stops must not be noticed: make the call
    /// again, unless a signal is on its way that would have interrupted it anyway.
    fn mend_interrupted(&mut self, tid: Pid) {
        let Ok(registers) = raw::registers(tid) else { return };
        if !is_ended_by_stops(&registers) || signal_on_its_way(tid) {
            return;
        }
        let mut again = registers;
        again.rip -= 2;
        again.rax = registers.orig_rax;
        again.orig_rax = u64::MAX;
        raw::set_registers(tid, &again).ok();
    }

    /// A thread that ends tells the waiters of the robust mutexes that it holds. The kernel knows the owner by its real id
    /// (kernel/futex/core.c, handle_futex_death), the program by its virtual one: change what is in the locks.
    fn about_to_end(&mut self, tid: Pid) {
        const OWNER: u32 = 0x3fff_ffff;
        let known = self.virtual_id(tid);
        let Some(pid) = self.tasks.get(&tid).map(|task| task.pid) else { return };
        if known == tid.as_raw() {
            return;
        }
        let Ok((head, _)) = raw::robust_list(tid) else { return };
        let word = |address: u64| {
            let mut bytes = [0u8; 8];
            read_memory(pid, address, &mut bytes).ok().map(|()| u64::from_ne_bytes(bytes))
        };
        // struct robust_list_head: list.next, futex_offset, list_op_pending; bit 0 of a pointer marks a priority-inheriting lock.
        let (Some(first), Some(offset), Some(pending)) = (word(head), word(head + 8), word(head + 16)) else { return };
        let mut entries = vec![pending];
        let mut entry = first & !1;
        // The kernel's own bound, ROBUST_LIST_LIMIT.
        while entry != head && entry != 0 && entries.len() < 2048 {
            entries.push(entry);
            let Some(next) = word(entry) else { break };
            entry = next & !1;
        }
        for entry in entries.into_iter().filter(|entry| *entry != 0) {
            let lock = (entry & !1).wrapping_add(offset);
            let mut bytes = [0u8; 4];
            if read_memory(pid, lock, &mut bytes).is_err() {
                continue;
            }
            let value = u32::from_ne_bytes(bytes);
            #[allow(clippy::cast_sign_loss)]
            if value & OWNER == known as u32 {
                let value = value & !OWNER | tid.as_raw() as u32;
                write_memory(pid, lock, &value.to_ne_bytes()).ok();
            }
        }
    }

    /// A new program was loaded: the injector's pages are gone with the old memory.
    fn loaded(&mut self, tid: Pid) {
        if self.main == Some(tid) {
            self.loaded = true;
        }
        // The other threads are gone, and the caller has the leader's id now (ptrace(2), "execve(2) under ptrace").
        let former = nix::sys::ptrace::getevent(tid).ok().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        if let Some(former) = former
            && former != tid
        {
            self.tasks.remove(&former);
            self.virtual_ids.remove(&former);
        }
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.clear_tid = None;
            task.watched = false;
            task.pending = None;
        }
        self.turns_begin_again(tid);
        // The event comes from inside execve, whose result would overwrite ours: leave the call first.
        let left = raw::resume(libc::PTRACE_SYSCALL, tid, 0).is_ok()
            && matches!(raw::wait(Some(tid), true), Ok(Some((_, status))) if change(status) == Change::Syscall);
        if !left {
            return;
        }
        if self.stands_in(tid) {
            return;
        }
        if let Err(error) = page::install(tid) {
            tracing::warn!("cannot prepare process {tid} for checkpoints: {error}");
        }
        if self.recorded_leader() == Some(tid) {
            self.replace_clock(tid);
        }
    }

    /// Gives a program that has just been loaded functions of ours for its vDSO (vdso(7)), or else takes it off, so that it reads
    /// clocks by system calls.
    fn replace_clock(&mut self, tid: Pid) {
        let thread = Thread { id: tid.as_raw(), process: tid.as_raw(), tid, pid: tid, stopped: None };
        let installed = install_clocks(tid).map_err(|error| error.to_string()).and_then(|()| {
            let (entry, _) = auxiliary(&thread, libc::AT_SYSINFO_EHDR).ok_or("there is none to be replaced")?;
            thread.write(entry + 8, &IMAGE.to_ne_bytes()).map_err(|error| error.to_string())
        });
        self.recording.clocks = installed.is_ok();
        self.served.sites = Default::default();
        self.recording.forget_search();
        self.set_clocks_up();
        if let Err(why) = installed {
            tracing::info!("process {tid} reads clocks by system calls: {why}");
            hide_clock(tid);
        }
    }
}

/// Takes the vDSO (vdso(7)) off a program that has just been loaded, so that it reads clocks by system calls, which can be noted.
fn hide_clock(tid: Pid) {
    const AT_IGNORE: u64 = 1;
    let thread = Thread { id: tid.as_raw(), process: tid.as_raw(), tid, pid: tid, stopped: None };
    let hidden = auxiliary(&thread, libc::AT_SYSINFO_EHDR)
        .is_none_or(|(entry, _)| thread.write(entry, &AT_IGNORE.to_ne_bytes()).is_ok());
    if !hidden {
        tracing::warn!("process {tid} keeps its own way to read the clock");
    }
}

/// Whether a call has failed as those do that the kernel does not make again by itself after a stop.
pub(super) fn is_ended_by_stops(registers: &raw::Registers) -> bool {
    let Some(call) = usize::try_from(registers.orig_rax).ok().and_then(Sysno::new) else { return false };
    let unlucky = matches!(
        call,
        Sysno::epoll_wait
            | Sysno::epoll_pwait
            | Sysno::epoll_pwait2
            | Sysno::semop
            | Sysno::semtimedop
            | Sysno::io_getevents
            | Sysno::io_pgetevents
            | Sysno::rt_sigtimedwait
            | Sysno::recvfrom
            | Sysno::recvmsg
            | Sysno::recvmmsg
            | Sysno::sendto
            | Sysno::sendmsg
            | Sysno::accept
            | Sysno::accept4
            | Sysno::connect
    );
    unlucky && registers.rax.cast_signed() == -i64::from(libc::EINTR)
}

/// Whether a signal that the thread does not block waits for it or its process.
pub(super) fn signal_on_its_way(tid: Pid) -> bool {
    waiting_signals(tid).is_some_and(|(waiting, blocked)| waiting & !blocked != 0)
}

/// Sets of the signals that wait for a thread or its process, and of those that it blocks.
pub(super) fn waiting_signals(tid: Pid) -> Option<(u64, u64)> {
    let status = proc_text(&format!("/proc/{tid}/status"))?;
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    Some((mask("SigPnd:")? | mask("ShdPnd:")?, mask("SigBlk:")?))
}
