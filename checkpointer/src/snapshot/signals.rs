//! Pending signals, and the alternate signal stacks of threads.
//!
//! Fork copies neither: `copy_process` empties the pending queues of the child. The leader of a forked copy keeps its
//! alternate stack; a thread made with CLONE_VM without CLONE_VFORK has it reset (`sas_ss_reset`, kernel/fork.c).

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use syscalls::Sysno;

use super::scratch::{argument, bytes_of, call, refusal, result, trouble, words};
use crate::inject::{InjectError, Remote};
use crate::raw;

/// One queued signal: its `siginfo_t`, 128 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingSignal {
    siginfo: Vec<u8>,
    /// Whether the process sent it to itself: a copy of it has another id.
    own: bool,
}

/// Where `siginfo_t` has the sender of a signal (asm-generic/siginfo.h).
const SENDER: std::ops::Range<usize> = 16..20;

impl PendingSignal {
    /// The signal's number.
    #[must_use]
    pub fn number(&self) -> i32 {
        self.field(0)
    }

    /// Why it was sent (`si_code`).
    #[must_use]
    pub fn code(&self) -> i32 {
        self.field(8)
    }

    fn field(&self, offset: usize) -> i32 {
        self.siginfo
            .get(offset..offset + 4)
            .map_or(0, |bytes| i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn captured(siginfo: &[u8], pid: Pid) -> PendingSignal {
        let mut signal = PendingSignal { siginfo: siginfo.to_vec(), own: false };
        let by_call = [libc::SI_USER, libc::SI_TKILL, libc::SI_QUEUE].contains(&signal.code());
        signal.own = by_call && signal.field(SENDER.start) == pid.as_raw();
        signal
    }

    /// As it would have been sent in the process of this id.
    fn siginfo_in(&self, pid: Pid) -> Vec<u8> {
        let mut siginfo = self.siginfo.clone();
        if self.own {
            siginfo[SENDER].copy_from_slice(&pid.as_raw().to_ne_bytes());
        }
        siginfo
    }
}

/// The alternate signal stack of one thread (`stack_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlternateStack {
    base: u64,
    flags: u32,
    size: u64,
}

/// Signals that wait for the process as a whole, in queue order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSignals {
    /// The queue.
    pub pending: Vec<PendingSignal>,
}

impl ProcessSignals {
    /// Those that the process has sent itself.
    #[must_use]
    pub fn own(&self) -> ProcessSignals {
        ProcessSignals { pending: self.pending.iter().filter(|signal| signal.own).cloned().collect() }
    }

    /// Those that came from elsewhere: their numbers and what is known of them.
    #[must_use]
    pub fn foreign(&self) -> Vec<(i32, raw::SigInfo)> {
        let foreign = self.pending.iter().filter(|signal| !signal.own);
        foreign.map(|signal| (signal.number(), raw::signal_of_bytes(&signal.siginfo))).collect()
    }
}

/// Signals that wait for one thread, in queue order, and where it would handle them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadSignals {
    /// The queue.
    pub pending: Vec<PendingSignal>,
    /// Its alternate stack; `None` for the leader, which keeps it through a fork.
    pub stack: Option<AlternateStack>,
}

/// What waits for the process as a whole. Costs one ptrace request when nothing does.
///
/// # Errors
/// [`InjectError::Io`] when the thread is not a stopped tracee of the calling thread.
pub fn capture_process(remote: &mut dyn Remote) -> Result<ProcessSignals, InjectError> {
    Ok(ProcessSignals { pending: queue(remote, true)? })
}

/// Puts the process's queue back. `remote` must be the leader: the kernel lets only a thread whose id is the target's
/// send a signal with `si_code >= 0` (`do_rt_sigqueueinfo`, kernel/signal.c). Call it last, with every signal that is
/// queued here still blocked while calls are injected.
///
/// # Errors
/// Any [`InjectError`] but a refusal by the kernel, which becomes a warning.
pub fn put_back_process(state: &ProcessSignals, remote: &mut dyn Remote) -> Result<Vec<String>, InjectError> {
    let pid = remote.pid().as_raw() as u64;
    requeue(&state.pending, remote, |remote, number, siginfo| {
        call(remote, Sysno::rt_sigqueueinfo, &[pid, number, siginfo])
    })
}

/// What waits for the thread itself, and its alternate stack. For a thread that is made again.
///
/// # Errors
/// [`InjectError::Io`] when the thread is not a stopped tracee of the calling thread; a refused sigaltstack.
pub fn capture_thread(remote: &mut dyn Remote) -> Result<ThreadSignals, InjectError> {
    Ok(ThreadSignals { pending: queue(remote, false)?, stack: Some(alternate_stack(remote)?) })
}

/// What waits for the thread that a fork is made with: its alternate stack is copied.
///
/// # Errors
/// As for [`capture_thread`].
pub fn capture_leader(remote: &mut dyn Remote) -> Result<ThreadSignals, InjectError> {
    Ok(ThreadSignals { pending: queue(remote, false)?, stack: None })
}

/// Puts a thread's queue and alternate stack back; the calls are injected into that very thread (only then may
/// `si_code` be 0 or more). The injected calls must run off the alternate stack: sigaltstack(2) refuses with EPERM on it.
///
/// # Errors
/// Any [`InjectError`] but a refusal by the kernel, which becomes a warning.
pub fn put_back_thread(state: &ThreadSignals, remote: &mut dyn Remote) -> Result<Vec<String>, InjectError> {
    let mut warnings = Vec::new();
    if let Some(stack) = state.stack {
        // SS_ONSTACK (1) is an answer, never a wish; SS_DISABLE (2) and SS_AUTODISARM stay.
        let bytes = bytes_of(&[stack.base, u64::from(stack.flags & !1), stack.size]);
        let address = argument(remote, &bytes)?;
        if let Err(errno) = refusal(call(remote, Sysno::sigaltstack, &[address, 0]))? {
            warnings.push(format!("the alternate signal stack of thread {}: {errno}", remote.tid()));
        }
    }
    let (pid, tid) = (remote.pid().as_raw() as u64, remote.tid().as_raw() as u64);
    warnings.extend(requeue(&state.pending, remote, |remote, number, siginfo| {
        call(remote, Sysno::rt_tgsigqueueinfo, &[pid, tid, number, siginfo])
    })?);
    Ok(warnings)
}

fn alternate_stack(remote: &mut dyn Remote) -> Result<AlternateStack, InjectError> {
    let scratch = remote.scratch();
    call(remote, Sysno::sigaltstack, &[0, scratch])?;
    let [base, flags, size] = words(&result::<24>(remote, 0)?);
    Ok(AlternateStack { base, flags: flags as u32, size })
}

fn queue(remote: &dyn Remote, shared: bool) -> Result<Vec<PendingSignal>, InjectError> {
    let mut pending = Vec::new();
    loop {
        let mut batch = [[0; raw::SIGINFO_SIZE]; 8];
        let read = raw::peek_siginfo(remote.tid().as_raw(), shared, pending.len() as u64, &mut batch)
            .map_err(|source| trouble("the pending signals", remote, source))?;
        pending.extend(batch[..read].iter().map(|siginfo| PendingSignal::captured(siginfo, remote.pid())));
        if read < batch.len() {
            return Ok(pending);
        }
    }
}

fn requeue(
    pending: &[PendingSignal],
    remote: &mut dyn Remote,
    send: impl Fn(&mut dyn Remote, u64, u64) -> Result<u64, InjectError>,
) -> Result<Vec<String>, InjectError> {
    let mut warnings = Vec::new();
    for signal in pending {
        let address = argument(remote, &signal.siginfo_in(remote.pid()))?;
        if let Err(errno) = refusal(send(remote, signal.number() as u64, address))? {
            warnings.push(format!("pending signal {} (code {}): {errno}", signal.number(), signal.code()));
        }
    }
    Ok(warnings)
}
