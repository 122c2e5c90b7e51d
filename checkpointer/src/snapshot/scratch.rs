//! Arguments and results of injected calls, by way of the process's scratch memory.

use std::fs;
use std::io;

use nix::errno::Errno;
use syscalls::Sysno;

use crate::inject::{InjectError, Remote};

/// Makes a call whose arguments are all numbers.
pub(crate) fn call(remote: &mut dyn Remote, number: Sysno, arguments: &[u64]) -> Result<u64, InjectError> {
    let mut six = [0; 6];
    six[..arguments.len()].copy_from_slice(arguments);
    remote.call(number, six)
}

/// Reads `N` bytes of the scratch memory, `offset` bytes into it.
pub(crate) fn result<const N: usize>(remote: &dyn Remote, offset: u64) -> Result<[u8; N], InjectError> {
    let mut bytes = [0; N];
    remote.read(remote.scratch() + offset, &mut bytes)?;
    Ok(bytes)
}

/// Puts bytes at the start of the scratch memory and returns their address there.
pub(crate) fn argument(remote: &dyn Remote, bytes: &[u8]) -> Result<u64, InjectError> {
    remote.write(remote.scratch(), bytes)?;
    Ok(remote.scratch())
}

/// The 64-bit numbers in `bytes`.
pub(crate) fn words<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    words
}

/// 64-bit numbers as bytes.
pub(crate) fn bytes_of(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Names what was being done to which process.
pub(crate) fn trouble(what: &'static str, remote: &dyn Remote, source: impl Into<io::Error>) -> InjectError {
    InjectError::Io { what, pid: remote.pid().as_raw(), source: source.into() }
}

/// A text file of /proc, `None` when this kernel has none of that name.
pub(crate) fn proc_text(remote: &dyn Remote, what: &'static str, name: &str) -> Result<Option<String>, InjectError> {
    match fs::read(format!("/proc/{}/{name}", remote.pid())) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(trouble(what, remote, error)),
    }
}

/// The errno of a refused call; other troubles stay errors.
pub(crate) fn refusal(result: Result<u64, InjectError>) -> Result<Result<u64, Errno>, InjectError> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(InjectError::Call { errno, .. }) => Ok(Err(errno)),
        Err(error) => Err(error),
    }
}
