//! Writable MAP_SHARED memory: anonymous, memfd, System V and file-backed. Fork shares it between all copies, so what the
//! live process does to it would be seen in a checkpoint; the contents are saved at capture and written back.
//!
//! What is saved of memory without a file of its own are the pages that exist, whatever the protection now (a read-only
//! mapping can be made writable). Of a regular file only what is mapped writable is saved, all of it, and it is written
//! back to the file. Memory that other processes map too changes under them.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};
use syscalls::Sysno;

use super::maps::{self, Mapping, PAGE};
use super::scratch::{call, refusal};
use crate::inject::{InjectError, Remote, SCRATCH_SIZE};

/// Pages of a regular file that are saved at most for one mapping; 1 GiB.
const FILE_PAGES: u64 = 1 << 18;

/// The saved contents of one mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Saved {
    start: u64,
    end: u64,
    protection: i32,
    is_file: bool,
    name: String,
    /// Pages that are not all zeros, by index.
    pages: BTreeMap<u64, Vec<u8>>,
}

/// The saved contents of all shared writable memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedMemory {
    saved: Vec<Saved>,
    lost: Vec<String>,
}

/// Saves the contents. Injects nothing when there is no shared memory.
///
/// # Errors
/// Any trouble with the process.
pub fn capture(remote: &mut dyn Remote) -> Result<SharedMemory, InjectError> {
    let mut state = SharedMemory::default();
    for mapping in maps::shared(remote)? {
        let Some(is_file) = kind(&mapping, &mut state.lost) else { continue };
        let mut saved = Saved {
            start: mapping.start,
            end: mapping.end,
            protection: mapping.protection,
            is_file,
            name: mapping.name,
            pages: BTreeMap::new(),
        };
        for index in candidates(&saved, remote)? {
            let mut page = vec![0; PAGE as usize];
            // Behind the end of a file there is no page, and reading it fails.
            if remote.read(saved.start + index * PAGE, &mut page).is_ok() && page.iter().any(|byte| *byte != 0) {
                saved.pages.insert(index, page);
            }
        }
        if is_file && (saved.end - saved.start) / PAGE > FILE_PAGES {
            state.lost.push(format!("shared mapping of {}: only pages in memory were saved", saved.name));
        }
        state.saved.push(saved);
    }
    Ok(state)
}

/// Writes back every page that differs now.
///
/// # Errors
/// Any trouble with the process; pages that cannot be written become a warning.
pub fn put_back(state: &SharedMemory, remote: &mut dyn Remote) -> Result<Vec<String>, InjectError> {
    let mut warnings = state.lost.clone();
    for saved in &state.saved {
        let mut indices = candidates(saved, remote)?;
        indices.extend(saved.pages.keys());
        indices.sort_unstable();
        indices.dedup();
        let mut lost = 0;
        let mut opened = saved.protection & libc::PROT_WRITE != 0;
        for index in indices {
            let address = saved.start + index * PAGE;
            let wanted = saved.pages.get(&index);
            let mut page = vec![0; PAGE as usize];
            let same = match (remote.read(address, &mut page), wanted) {
                (Ok(()), Some(wanted)) => page == *wanted,
                (Ok(()), None) => page.iter().all(|byte| *byte == 0),
                // Behind the end of a file that was cut shorter since.
                (Err(_), wanted) => wanted.is_none(),
            };
            if same {
                continue;
            }
            if !opened {
                // FOLL_FORCE writes to read-only memory only where it is private (check_vma_flags, mm/gup.c).
                protect(saved, saved.protection | libc::PROT_WRITE, remote)?;
                opened = true;
            }
            let zeros = [0; PAGE as usize];
            if remote.write(address, wanted.map_or(&zeros[..], Vec::as_slice)).is_err() {
                lost += 1;
            }
        }
        if opened && saved.protection & libc::PROT_WRITE == 0 {
            protect(saved, saved.protection, remote)?;
        }
        if lost > 0 {
            warnings.push(format!("{lost} pages of the shared memory {} could not be written", saved.name));
        }
    }
    Ok(warnings)
}

fn protect(saved: &Saved, protection: i32, remote: &mut dyn Remote) -> Result<(), InjectError> {
    call(remote, Sysno::mprotect, &[saved.start, saved.end - saved.start, protection as u64]).map(|_| ())
}

/// Whether what is in a shared mapping is carried.
pub(crate) fn is_carried(mapping: &Mapping) -> bool {
    kind(mapping, &mut Vec::new()).is_some()
}

/// Whether a shared mapping is worth saving, and then whether it belongs to a regular file.
fn kind(mapping: &Mapping, lost: &mut Vec<String>) -> Option<bool> {
    let name = mapping.name.as_str();
    // shmem's kernel-internal mount gives these names; a file cannot have one, because its name is an absolute path.
    let is_memory = name == "/dev/zero (deleted)"
        || name.starts_with("/memfd:")
        || name.starts_with("/SYSV")
        || name.starts_with("/anon_hugepage");
    if is_memory {
        return Some(false);
    }
    if !mapping.writable {
        return None;
    }
    if name.starts_with('/') && !name.starts_with("/dev/") || name.starts_with("/dev/shm/") {
        return Some(true);
    }
    lost.push(format!("the shared device memory {name} at {:x} is not carried", mapping.start));
    None
}

/// Indices of the pages that may hold something.
fn candidates(saved: &Saved, remote: &mut dyn Remote) -> Result<Vec<u64>, InjectError> {
    let pages = (saved.end - saved.start) / PAGE;
    // A page that was swapped out is not resident for mincore(2), though it exists.
    let all = if saved.is_file { pages <= FILE_PAGES } else { is_swap_used() };
    if all {
        return Ok((0..pages).collect());
    }
    let mut found = Vec::new();
    let mut first = 0;
    while first < pages {
        let count = (pages - first).min(SCRATCH_SIZE as u64);
        let scratch = remote.scratch();
        // /proc/PID/pagemap would not do: fork copies no page-table entries of shared memory, and it shows only those.
        let asked = call(remote, Sysno::mincore, &[saved.start + first * PAGE, count * PAGE, scratch]);
        if refusal(asked)?.is_err() {
            // The program unmapped a part of it: nothing to write back there.
            return Ok(Vec::new());
        }
        let mut resident = vec![0; count as usize];
        remote.read(scratch, &mut resident)?;
        found.extend((0..count).filter(|index| resident[*index as usize] & 1 != 0).map(|index| first + index));
        first += count;
    }
    Ok(found)
}

/// Whether any swap space is active (one line after the heading for each).
fn is_swap_used() -> bool {
    fs::read_to_string("/proc/swaps").is_ok_and(|listed| listed.lines().count() > 1)
}
