//! Threads: everything that the kernel keeps for each of them and fork does not copy. Captured from the stopped process;
//! re-created in a fresh copy, which fork made with one thread only.

use nix::unistd::Pid;
use syscalls::Sysno;

use super::signals::{self, ThreadSignals};

use crate::inject::injector::Injector;
use crate::inject::{InjectError, Remote};
use crate::ptrace::{Change, change};
use crate::raw::{self, Registers};

/// The restart codes that the kernel leaves in rax when a stop interrupts a call (include/linux/errno.h).
const ERESTARTSYS: i64 = -512;
const ERESTART_RESTARTBLOCK: i64 = -516;

/// One thread of a snapshot.
#[derive(Debug, Clone)]
pub struct ThreadState {
    /// The id that the program knows it by.
    pub virtual_id: i32,
    /// Registers with any interrupted call wound back, so that resuming makes the call again.
    pub registers: Registers,
    extended: Vec<u8>,
    /// Blocked signals.
    pub mask: u64,
    robust: (u64, u64),
    /// Where the kernel writes 0 and wakes a joiner when the thread ends.
    pub clear_tid: u64,
    rseq: (u64, u32, u32),
    name: String,
    /// Pending signals and the alternate stack; of threads other than the leader.
    signals: ThreadSignals,
}

impl ThreadState {
    /// Extended state (XSAVE) of a thread other than the leader, whose is in its copy.
    pub fn extended(&self) -> Option<&[u8]> {
        (!self.extended.is_empty()).then_some(&self.extended[..])
    }

    /// Where its restartable-sequence area is, and how long: the kernel writes there at will. Known of threads other than the
    /// leader, whose is asked of the process.
    pub fn rseq_area(&self) -> Option<(u64, u64)> {
        (self.rseq.0 != 0).then(|| (self.rseq.0, u64::from(self.rseq.1)))
    }
}

/// Winds back a system call that a stop has interrupted: the instruction pointer goes to the `syscall` instruction again.
/// `original` is the call's number where the kernel has replaced it by `restart_syscall`, whose argument lives in the
/// interrupted thread only; a copy makes the call anew, with its full timeout.
pub fn wind_back(registers: &mut Registers, original: Option<u64>) {
    #[allow(clippy::cast_possible_wrap)]
    let (number, result) = (registers.orig_rax as i64, registers.rax as i64);
    if number >= 0 && (ERESTART_RESTARTBLOCK..=ERESTARTSYS).contains(&result) {
        let restart = Sysno::restart_syscall.id() as u64;
        registers.rax = if registers.orig_rax == restart { original.unwrap_or(restart) } else { registers.orig_rax };
        registers.rip -= 2;
    }
    registers.orig_rax = u64::MAX;
}

/// Whether the registers show a call that only `restart_syscall` can take up again.
pub fn needs_restart_block(registers: &Registers) -> bool {
    #[allow(clippy::cast_possible_wrap)]
    let (number, result) = (registers.orig_rax as i64, registers.rax as i64);
    number >= 0 && result == ERESTART_RESTARTBLOCK
}

/// Captures one stopped thread. `leader` says that it is the one that fork will copy, which spares some calls;
/// `clear_tid` is its clear-child-tid address if it is known already. One that stands at a signal in a call stays there: whether the
/// call is made again is decided when it gets the signal.
///
/// # Errors
/// The thread was killed meanwhile.
pub fn capture(
    pid: Pid,
    tid: Pid,
    virtual_id: i32,
    original: Option<u64>,
    leader: bool,
    clear_tid: Option<u64>,
    at_signal: bool,
) -> Result<ThreadState, InjectError> {
    let killed = |_| InjectError::Killed { tid: tid.as_raw() };
    let mut registers = raw::registers(tid).map_err(killed)?;
    if !at_signal {
        wind_back(&mut registers, original);
    }
    let mask = raw::signal_mask(tid).map_err(killed)?;
    let robust = raw::robust_list(tid).unwrap_or((0, 0));
    let name = std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/comm")).unwrap_or_default();
    let mut signals = ThreadSignals::default();
    let mut extended = Vec::new();
    let mut clear = clear_tid;
    if !leader || clear.is_none() {
        let mut injector = Injector::borrow(pid, tid)?;
        let scratch = injector.scratch();
        if clear.is_none() {
            const PR_GET_TID_ADDRESS: u64 = 40;
            // Needs CONFIG_CHECKPOINT_RESTORE, as all distributions have; without it a join after a restore would hang.
            injector.call(Sysno::prctl, [PR_GET_TID_ADDRESS, scratch, 0, 0, 0, 0])?;
            let mut word = [0u8; 8];
            injector.read(scratch, &mut word)?;
            clear = Some(u64::from_le_bytes(word));
        }
        if !leader {
            signals = signals::capture_thread(&mut injector)?;
        }
        injector.finish()?;
    }
    if !leader {
        // The leader's are copied by fork.
        extended = raw::extended_state(tid).map_err(killed)?;
    }
    let rseq = raw::rseq_configuration(tid).unwrap_or((0, 0, 0));
    Ok(ThreadState {
        virtual_id,
        registers,
        extended,
        mask,
        robust,
        clear_tid: clear.unwrap_or(0),
        rseq,
        name: name.trim_end_matches('\n').to_owned(),
        signals,
    })
}

/// What fork has not copied of the leader.
///
/// # Errors
/// As for every injected call.
pub fn mend_leader(leader: &mut Injector, state: &ThreadState) -> Result<(), InjectError> {
    if state.robust.0 != 0 {
        leader.call(Sysno::set_robust_list, [state.robust.0, state.robust.1, 0, 0, 0, 0])?;
    }
    Ok(())
}

/// Makes one more thread in a process that has the leader only; returns its real id. It stays stopped.
///
/// # Errors
/// As for every injected call; EAGAIN at the limit of processes.
pub fn recreate(leader: &mut Injector, state: &ThreadState) -> Result<Pid, InjectError> {
    let flags = libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_FILES
        | libc::CLONE_SIGHAND
        | libc::CLONE_THREAD
        | libc::CLONE_SYSVSEM
        | libc::CLONE_SETTLS
        | libc::CLONE_CHILD_CLEARTID;
    #[allow(clippy::cast_sign_loss)]
    let arguments = [flags as u64, state.registers.rsp, 0, state.clear_tid, state.registers.fs_base, 0];
    leader.call(Sysno::clone, arguments)?;
    let pid = leader.pid();
    let Some(tid) = leader.born.take() else {
        return Err(InjectError::Unsupported("a new thread was made but not reported".to_owned()));
    };
    await_birth(tid)?;
    let killed = |_| InjectError::Killed { tid: tid.as_raw() };
    let mut thread = Injector::borrow(pid, tid)?;
    let scratch = thread.scratch();
    if state.robust.0 != 0 {
        thread.call(Sysno::set_robust_list, [state.robust.0, state.robust.1, 0, 0, 0, 0])?;
    }
    if state.rseq.0 != 0 {
        let (area, size, signature) = state.rseq;
        thread.call(Sysno::rseq, [area, u64::from(size), 0, u64::from(signature), 0, 0])?;
    }
    let mut name = state.name.clone().into_bytes();
    name.push(0);
    thread.write(scratch, &name)?;
    thread.call(Sysno::prctl, [libc::PR_SET_NAME as u64, scratch, 0, 0, 0, 0])?;
    // Last: a signal that is queued now must not be delivered to the injector.
    for warning in signals::put_back_thread(&state.signals, &mut thread)? {
        tracing::info!("not brought back: {warning}");
    }
    thread.leave_with(state.registers, state.mask);
    thread.finish()?;
    raw::set_extended_state(tid, &state.extended).map_err(killed)?;
    Ok(tid)
}

/// Waits for the first stop of a process or thread that an injected call has made.
///
/// # Errors
/// It was killed before it stopped.
pub fn await_birth(tid: Pid) -> Result<(), InjectError> {
    match raw::wait(Some(tid), true) {
        Ok(Some((_, status))) if change(status) == Change::Interrupted => Ok(()),
        _ => Err(InjectError::Killed { tid: tid.as_raw() }),
    }
}
