//! Trapped system calls: the thread stands right before the call.

use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{Pid, getpgid};
use syscalls::Sysno;

use super::Supervisor;
use super::tape::Taken;
use super::tasks::{Activity, Parked, parent_of};
use super::terminal::Terminal;
use crate::inject::injector::{read_memory, write_memory};
use crate::ptrace::{Change, How, change};
use crate::raw::{self, Registers};
use crate::record::thread::arguments;
use crate::rsp::Server;
use crate::snapshot::zombies::WaitFor;
use crate::syscalls::{Special, special};
use crate::wire::Event;

impl Supervisor {
    /// A call with a row in the table is about to be made.
    pub(super) fn trap(&mut self, tid: Pid) {
        let Some(registers) = self.registers_of(tid) else {
            return;
        };
        let special = special(registers.orig_rax, &arguments(&registers));
        if special == Some(Special::TerminalRead) && self.parked_at_terminal(tid, &registers) {
            return;
        }
        let taken = self.recorded_call(tid, &registers);
        if !matches!(taken, Taken::Live) {
            self.count_call(tid);
        }
        if matches!(taken, Taken::Live | Taken::Made)
            && let Some(special) = special
        {
            self.before_call(tid, special, registers);
            if self.is_served(tid) && self.caught_end(tid) {
                return;
            }
        }
        if matches!(taken, Taken::Left) || matches!(taken, Taken::Answered) && self.signal_follows(tid) {
            return;
        }
        self.let_go(tid, How::Continue);
        if matches!(taken, Taken::Made) {
            self.family_may_run(tid);
        }
        if matches!(taken, Taken::Made)
            && self.ends_at_once(tid)
            && let Ok(Some((_, status))) = raw::wait(Some(tid), true)
        {
            let what = self.record(tid, status);
            self.react(tid, what);
        }
        if matches!(taken, Taken::Made) {
            self.has_entered(tid);
        }
    }

    fn registers_of(&self, tid: Pid) -> Option<Registers> {
        match &self.tasks.get(&tid)?.activity {
            Some(Activity::Stopped(stopped)) => stopped.registers().ok(),
            _ => None,
        }
    }

    fn before_call(&mut self, tid: Pid, special: Special, mut registers: Registers) {
        #[allow(clippy::cast_possible_truncation)]
        let number = |word: u64| word as i32;
        match special {
            Special::OwnId => self.own_id(tid, &registers),
            Special::IdArgument(index) => {
                let word = argument(&mut registers, index);
                let real = self.real_id(number(*word)).as_raw();
                self.replace(tid, registers, index, real);
            }
            Special::ThreadKill => {
                let process = self.real_id(number(registers.rdi)).as_raw();
                let thread = self.real_id(number(registers.rsi)).as_raw();
                let as_given = registers;
                #[allow(clippy::cast_sign_loss)]
                {
                    registers.rdi = process as u64;
                    registers.rsi = thread as u64;
                }
                #[allow(clippy::cast_possible_truncation)]
                let signal = registers.rdx as i32;
                self.make_translated(tid, &as_given, registers, signal);
            }
            Special::Kill => self.kill_call(tid, registers),
            Special::Wait => self.wait_call(tid, &registers),
            Special::TerminalModes => self.modes_call(tid, &registers),
            Special::ForkAdvice => self.hints.fork_advice = true,
            Special::Locked => self.hints.locked = true,
            Special::WatchPath => self.note_watch(tid, &registers),
            Special::Random => self.random_call(tid, &registers),
            Special::SharedMapping => self.watch_mapping(tid, &registers),
            Special::TerminalRead => {}
        }
    }

    /// Lets a thread that stands right before a call make it, and changes what it returns.
    fn make_call(&mut self, tid: Pid, result: i64) {
        let made = raw::resume(libc::PTRACE_SYSCALL, tid, 0).is_ok()
            && matches!(raw::wait(Some(tid), true), Ok(Some((_, status))) if change(status) == Change::Syscall);
        self.note_made(tid, made);
        if made && let Ok(mut registers) = raw::registers(tid) {
            #[allow(clippy::cast_sign_loss)]
            {
                registers.rax = result as u64;
            }
            raw::set_registers(tid, &registers).ok();
        }
    }

    /// Lets a thread that stands right before a call that sends a signal make it with other arguments. It finds its own in the registers again, which
    /// the kernel preserves (System V ABI, A.2.1): a signal that it sends itself stops it there, and a copy is compared.
    fn make_translated(&mut self, tid: Pid, as_given: &Registers, translated: Registers, signal: i32) {
        if (as_given.rdi, as_given.rsi) == (translated.rdi, translated.rsi) {
            return;
        }
        raw::set_registers(tid, &translated).ok();
        if signal == libc::SIGKILL {
            // It may not come back from that.
            return;
        }
        let made = raw::resume(libc::PTRACE_SYSCALL, tid, 0).is_ok()
            && matches!(raw::wait(Some(tid), true), Ok(Some((_, status))) if change(status) == Change::Syscall);
        self.note_made(tid, made);
        if made && let Ok(registers) = raw::registers(tid) {
            let back = Registers { rdi: as_given.rdi, rsi: as_given.rsi, ..registers };
            raw::set_registers(tid, &back).ok();
        }
    }

    /// getrandom of a served program: bytes of a sequence that a checkpoint carries. Every process begins with one of these
    /// calls (malloc has a random key), and a replay could not come to the same state otherwise.
    fn random_call(&mut self, tid: Pid, registers: &Registers) {
        const MOST: u64 = 1 << 16;
        if !self.is_served(tid) || registers.rsi > MOST {
            return;
        }
        let Some(pid) = self.tasks.get(&tid).map(|task| task.pid) else { return };
        let mut bytes = vec![0u8; usize::try_from(registers.rsi).unwrap_or(0)];
        self.served_random(&mut bytes);
        let told = bytes.is_empty() || write_memory(pid, registers.rdi, &bytes).is_ok();
        #[allow(clippy::cast_possible_wrap)]
        let result = if told { bytes.len() as i64 } else { -i64::from(libc::EFAULT) };
        self.answer_call(tid, *registers, result);
    }

    fn replace(&self, tid: Pid, mut registers: Registers, index: u8, real: i32) {
        let word = argument(&mut registers, index);
        #[allow(clippy::cast_sign_loss)]
        let wanted = real as u32 as u64;
        if *word & 0xffff_ffff != wanted {
            *word = wanted;
            raw::set_registers(tid, &registers).ok();
        }
    }

    /// Answers instead of the kernel: with the number -1 the call is not made and rax stays as we set it
    /// (kernel/seccomp.c, SECCOMP_RET_TRACE).
    pub(super) fn answer_call(&self, tid: Pid, mut registers: Registers, result: i64) {
        registers.orig_rax = u64::MAX;
        #[allow(clippy::cast_sign_loss)]
        {
            registers.rax = result as u64;
        }
        raw::set_registers(tid, &registers).ok();
    }

    fn own_id(&mut self, tid: Pid, registers: &Registers) {
        let Some(task) = self.tasks.get(&tid) else {
            return;
        };
        let pid = task.pid;
        let call = registers.orig_rax;
        let known = if call == Sysno::getpid.id() as u64 {
            self.virtual_id(pid)
        } else if call == Sysno::getppid.id() as u64 {
            let Some(parent) = parent_of(pid) else { return };
            if !self.virtual_ids.contains_key(&parent) {
                return;
            }
            self.virtual_id(parent)
        } else {
            self.virtual_id(tid)
        };
        if call == Sysno::set_tid_address.id() as u64 {
            // The dynamic linker makes this call, when it has mapped everything.
            self.replace_calls(pid);
            if let Some(task) = self.tasks.get_mut(&tid) {
                task.clear_tid = Some(registers.rdi);
            }
            // Made for real; the C library keeps what it returns.
            if known != tid.as_raw() {
                self.make_call(tid, i64::from(known));
            }
            return;
        }
        if self.virtual_ids.is_empty() {
            return;
        }
        self.answer_call(tid, *registers, i64::from(known));
    }

    /// kill(2). Groups and "everybody" are served here: the stopped copies are in the program's group too.
    fn kill_call(&mut self, tid: Pid, registers: Registers) {
        #[allow(clippy::cast_possible_truncation)]
        let (target, signal) = (registers.rdi as i32, registers.rsi as i32);
        if self.end_stand_in(Pid::from_raw(target)) {
            return self.answer_call(tid, registers, 0);
        }
        if target > 0 {
            let real = self.real_id(target).as_raw();
            #[allow(clippy::cast_sign_loss)]
            let translated = Registers { rdi: real as u64, ..registers };
            return self.make_translated(tid, &registers, translated, signal);
        }
        let own = self.tasks.get(&tid).map(|task| task.pid);
        let group = match target {
            0 => own.and_then(|pid| getpgid(Some(pid)).ok()),
            -1 => None,
            other => Some(Pid::from_raw(-other)),
        };
        let mut reached = 0;
        for pid in self.live_processes() {
            let meant = match group {
                Some(group) => getpgid(Some(pid)) == Ok(group),
                None => target == -1 && Some(pid) != own,
            };
            if meant && raw::kill(pid, signal).is_ok() {
                reached += 1;
            }
        }
        if reached > 0 || target == -1 {
            self.answer_call(tid, registers, 0);
        } else if target < -1 && group.is_some_and(|group| !self.is_own_group(group)) {
            // Somebody else's group: the kernel's business.
        } else {
            self.answer_call(tid, registers, -i64::from(libc::ESRCH));
        }
    }

    fn is_own_group(&self, group: Pid) -> bool {
        [&self.holder, &self.program_holder]
            .into_iter()
            .flatten()
            .any(|holder| nix::unistd::getsid(Some(group)) == Ok(holder.pid))
    }

    fn modes_call(&mut self, tid: Pid, registers: &Registers) {
        let Some(pid) = self.tasks.get(&tid).map(|task| task.pid) else {
            return;
        };
        let program = self.uses_program_terminal(pid);
        let terminal = match &mut self.program_terminal {
            Some(terminal) if program => terminal,
            _ => &mut self.terminal,
        };
        if !terminal.is_descriptor(pid, registers.rdi & 0xffff_ffff) {
            return;
        }
        // struct termios: c_iflag, c_oflag, c_cflag, c_lflag
        let mut flags = [0u8; 4];
        if read_memory(pid, registers.rdx + 12, &mut flags).is_ok() {
            let before = terminal.secret;
            terminal.note_modes(u32::from_ne_bytes(flags));
            let secret = terminal.secret;
            if secret != before {
                self.tell(Event::Silence(!before));
            }
            // A password is read from a descriptor of /dev/tty that the filter does not know: look at every call meanwhile.
            if let Some(task) = self.tasks.get_mut(&tid) {
                task.watched = secret;
            }
        }
    }

    fn note_watch(&mut self, tid: Pid, registers: &Registers) {
        let Some(pid) = self.tasks.get(&tid).map(|task| task.pid) else {
            return;
        };
        let mut path = Vec::new();
        let mut chunk = [0u8; 1];
        // Byte by byte: the string may end right before an unmapped page.
        while path.len() < 4096 && read_memory(pid, registers.rsi + path.len() as u64, &mut chunk).is_ok() {
            if chunk[0] == 0 {
                break;
            }
            path.push(chunk[0]);
        }
        use std::os::unix::{ffi::OsStringExt, fs::MetadataExt};
        let path = std::path::PathBuf::from(std::ffi::OsString::from_vec(path));
        // As the process sees it: relative to its working directory, below its root.
        let seen = std::path::Path::new("/proc").join(pid.to_string()).join("cwd").join(&path);
        if let Ok(named) = std::fs::metadata(seen) {
            self.hints.inotify_paths.insert((named.dev(), named.ino()), path);
        }
    }

    /// A call that may wait for the terminal. If nothing waits to be read there, the thread is parked: wound back to before
    /// the call, from where it can be forked, and the client is told; otherwise false.
    fn parked_at_terminal(&mut self, tid: Pid, registers: &Registers) -> bool {
        let Some(pid) = self.tasks.get(&tid).map(|task| task.pid) else {
            return true;
        };
        let call = usize::try_from(registers.orig_rax).ok().and_then(Sysno::new);
        let Some(others) = call.and_then(|call| self.waits_for_terminal(pid, call, registers)) else {
            return false;
        };
        // A debugger that has a server is left where it is: most of the time a line is typed next, and nobody forks it before.
        let inside = Some(pid) == self.main && self.server.is_some();
        let parked = Parked { call: registers.orig_rax, others, inside };
        if inside || self.back_out(tid) {
            self.park(tid, pid, parked);
        }
        true
    }

    /// Winds a parked thread back to where it can be forked. False if it died meanwhile.
    pub(super) fn wind_back_parked(&mut self, tid: Pid) -> bool {
        let inside = self
            .tasks
            .get_mut(&tid)
            .and_then(|task| task.parked.as_mut())
            .is_some_and(|parked| std::mem::take(&mut parked.inside));
        !inside || self.back_out(tid)
    }

    /// Notes that a thread waits for its terminal, and tells the client.
    fn park(&mut self, tid: Pid, pid: Pid, parked: Parked) {
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.parked = Some(parked);
        }
        let program = self.uses_program_terminal(pid);
        self.ask_again(pid);
        let mode = self.terminal_of(pid).read_mode();
        let settled = !self.owes_debugger();
        self.tell(Event::Reading { main: Some(pid) == self.main, program, mode, settled, went: self.went });
    }

    /// Whether a process is in the session of the served program.
    fn uses_program_terminal(&self, pid: Pid) -> bool {
        let Some(holder) = &self.program_holder else { return false };
        if Some(pid) == self.main {
            return false;
        }
        self.program.as_ref().is_some_and(|program| program.leader == pid)
            || nix::unistd::getsid(Some(pid)) == Ok(holder.pid)
    }

    pub(super) fn terminal_of(&self, pid: Pid) -> &Terminal {
        match &self.program_terminal {
            Some(terminal) if self.uses_program_terminal(pid) => terminal,
            _ => &self.terminal,
        }
    }

    /// Whether a call that is about to be made would wait for the terminal: for nothing else, or, in a debugger that is served
    /// its program, for that and others, none of which has anything to tell. If so, whether there are others.
    fn waits_for_terminal(&self, pid: Pid, call: Sysno, registers: &Registers) -> Option<bool> {
        let terminal = self.terminal_of(pid);
        if terminal.has_input() {
            return None;
        }
        let served = Some(pid) == self.main && self.server.is_some();
        if !served || !matches!(call, Sysno::poll | Sysno::ppoll) {
            return terminal.is_awaited(pid, call, registers).then_some(false);
        }
        // While the program runs the debugger waits for that, and only if it was let go in the background for the terminal, too. That
        // is found by looking (`look_for_readers`).
        if self.server.as_ref().is_some_and(Server::is_running) {
            return None;
        }
        let others = terminal.is_among(pid, registers.rdi, registers.rsi)?;
        (others.is_empty() || !any_ready(pid, &others)).then_some(!others.is_empty())
    }

    /// From right before a call (seccomp or entry stop) to a plain stop with the instruction pointer at the `syscall`
    /// instruction, the call not made. False if the thread died meanwhile.
    pub(super) fn back_out(&mut self, tid: Pid) -> bool {
        let Some(registers) = self.registers_of(tid) else {
            return false;
        };
        let mut skipped = registers;
        skipped.orig_rax = u64::MAX;
        if raw::set_registers(tid, &skipped).is_err() || raw::resume(libc::PTRACE_SYSCALL, tid, 0).is_err() {
            return false;
        }
        match raw::wait(Some(tid), true) {
            Ok(Some((_, status))) if matches!(change(status), Change::Exited(_) | Change::Killed(_)) => {
                self.record(tid, status);
                return false;
            }
            Ok(Some(_)) => {}
            _ => return false,
        }
        let mut wound = registers;
        wound.rip -= 2;
        wound.rax = registers.orig_rax;
        wound.orig_rax = u64::MAX;
        raw::set_registers(tid, &wound).is_ok()
    }

    /// Entry or exit of a call of a watched thread.
    pub(super) fn watched_call(&mut self, tid: Pid) {
        let Some(registers) = self.registers_of(tid) else {
            return;
        };
        #[allow(clippy::cast_possible_wrap)]
        let entering = registers.rax as i64 == -i64::from(libc::ENOSYS);
        let reads = registers.orig_rax == Sysno::read.id() as u64;
        if entering && reads {
            if !self.parked_at_terminal(tid, &registers) {
                self.let_go(tid, How::Continue);
            }
            return;
        }
        self.let_go(tid, How::Continue);
    }
}

impl Supervisor {
    /// Whether a running thread could come to wait for the terminal in a call without a row (a read of a single byte, of
    /// another descriptor than 0).
    pub(super) fn may_read_unseen(&self) -> bool {
        self.tasks.values().any(|task| !task.is_stopped())
    }

    /// Parks threads that wait for the terminal in a call that was not trapped. The kernel says what a sleeping thread waits
    /// in: /proc/PID/syscall (proc(5)).
    pub(super) fn look_for_readers(&mut self) {
        let running: Vec<(Pid, Pid)> =
            self.tasks.iter().filter(|(_, task)| !task.is_stopped()).map(|(tid, task)| (*tid, task.pid)).collect();
        for (tid, pid) in running {
            let Ok(text) = std::fs::read_to_string(format!("/proc/{tid}/syscall")) else { continue };
            let mut words = text.split_whitespace();
            let call = words.next().and_then(|number| number.parse().ok()).and_then(Sysno::new);
            let mut argument =
                || words.next().and_then(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok());
            let (Some(call), Some(first), Some(second), third) = (call, argument(), argument(), argument()) else {
                continue;
            };
            let for_ever = if call == Sysno::ppoll { Some(0) } else { Some(0xffff_ffff) };
            let terminal = self.terminal_of(pid);
            let others = match call {
                Sysno::read => terminal.is_descriptor(pid, first).then(Vec::new),
                Sysno::poll | Sysno::ppoll
                    if Some(pid) == self.main
                        && self.server.is_some()
                        && third.map(|word| word & 0xffff_ffff) == for_ever =>
                {
                    terminal.is_among(pid, first, second)
                }
                _ => None,
            };
            if let Some(others) = others
                && !terminal.has_input()
                && (others.is_empty() || !any_ready(pid, &others))
            {
                self.park_reader(tid, pid, call, !others.is_empty());
            }
        }
    }

    fn park_reader(&mut self, tid: Pid, pid: Pid, call: Sysno, others: bool) {
        let interrupted = match self.tasks.get(&tid).and_then(|task| task.activity.as_ref()) {
            Some(Activity::Running(running)) => running.interrupt().is_ok(),
            _ => false,
        };
        if !interrupted {
            return;
        }
        let Ok(Some((_, status))) = raw::wait(Some(tid), true) else { return };
        let what = self.record(tid, status);
        let call = call.id() as u64;
        let waiting = self.registers_of(tid).filter(|registers| {
            // Still in the call, and without anything to return from it.
            #[allow(clippy::cast_possible_wrap)]
            let restarted = (-516..=-512).contains(&(registers.rax as i64));
            what == Change::Interrupted && registers.orig_rax == call && restarted
        });
        let Some(mut registers) = waiting else { return self.react(tid, what) };
        crate::snapshot::threads::wind_back(&mut registers, None);
        if raw::set_registers(tid, &registers).is_err() {
            return;
        }
        self.park(tid, pid, Parked { call, others, inside: false });
    }
}

/// Whether one of a process's descriptors has something to tell.
fn any_ready(pid: Pid, others: &[(i32, i16)]) -> bool {
    let Ok(handle) = raw::pidfd_open(pid.as_raw()) else { return true };
    let ours: Vec<_> = others
        .iter()
        .filter_map(|(number, events)| Some((raw::pidfd_getfd(handle.as_fd(), *number).ok()?, *events)))
        .collect();
    let mut wanted: Vec<PollFd> =
        ours.iter().map(|(fd, events)| PollFd::new(fd.as_fd(), PollFlags::from_bits_truncate(*events))).collect();
    !matches!(poll(&mut wanted, PollTimeout::ZERO), Ok(0))
}

fn argument(registers: &mut Registers, index: u8) -> &mut u64 {
    match index {
        0 => &mut registers.rdi,
        1 => &mut registers.rsi,
        2 => &mut registers.rdx,
        3 => &mut registers.r10,
        4 => &mut registers.r8,
        _ => &mut registers.r9,
    }
}

impl Supervisor {
    /// wait4 and waitid: a child that had ended before the checkpoint is no child of the copy, and is answered from the list.
    fn wait_call(&mut self, tid: Pid, registers: &Registers) {
        let Some(pid) = self.tasks.get(&tid).map(|task| task.pid) else { return };
        let zombies = match &mut self.program {
            Some(program) if program.leader == pid => &mut program.zombies,
            _ if Some(pid) == self.main => &mut self.zombies,
            _ => return,
        };
        if zombies.waiting.is_empty() {
            return;
        }
        let group = getpgid(Some(pid)).map_or(0, Pid::as_raw);
        #[allow(clippy::cast_possible_truncation)]
        let (first, second) = (registers.rdi as i32, registers.rsi as i32);
        if registers.orig_rax == Sysno::wait4.id() as u64 {
            #[allow(clippy::cast_possible_truncation)]
            let options = registers.rdx as i32;
            let Some(child) = zombies.answer(WaitFor::wait4(first, group), options) else { return };
            let told = put(pid, registers.rsi, &child.status.to_ne_bytes())
                && put(pid, registers.r10, &[0; std::mem::size_of::<libc::rusage>()]);
            self.answer_call(tid, *registers, if told { i64::from(child.pid) } else { -i64::from(libc::EFAULT) });
            return;
        }
        #[allow(clippy::cast_possible_truncation)]
        let options = registers.r10 as i32;
        let Some(whom) = WaitFor::waitid(first, second, group).filter(|_| options & libc::WEXITED != 0) else { return };
        let Some(child) = zombies.answer(whom, options) else { return };
        let (code, status) = child.code_and_status();
        // siginfo_t: si_signo, si_errno, si_code, padding, si_pid, si_uid, si_status
        let mut info = [0u8; 128];
        for (offset, value) in [(0, libc::SIGCHLD), (8, code), (16, child.pid), (24, status)] {
            info[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        }
        let told = put(pid, registers.rdx, &info) && put(pid, registers.r8, &[0; std::mem::size_of::<libc::rusage>()]);
        self.answer_call(tid, *registers, if told { 0 } else { -i64::from(libc::EFAULT) });
    }
}

/// Writes a result where the program wants it; nothing if it does not.
fn put(pid: Pid, address: u64, bytes: &[u8]) -> bool {
    address == 0 || write_memory(pid, address, bytes).is_ok()
}
