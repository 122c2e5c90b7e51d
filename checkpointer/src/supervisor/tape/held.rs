//! What descriptors of a recorded process stand for, kept by us, so that it can be given again.

use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use nix::unistd::{Whence, lseek};

/// An open file description, or where one can be kept. One for all numbers that stand for it, as far as that is known.
#[derive(Debug)]
pub(super) struct Slot {
    kept: RefCell<Option<OwnedFd>>,
    /// Somebody at the other end waits for it to be closed: it is kept only while the process that has it does not run.
    fleeting: bool,
}

/// A shared slot.
pub(super) type Held = Rc<Slot>;

impl Slot {
    /// Keeps what is given, if it may be kept.
    pub fn new(file: OwnedFd, fleeting: bool) -> Held {
        Rc::new(Slot { kept: RefCell::new((!fleeting).then_some(file)), fleeting })
    }

    /// Whether it waits to be filled when its process stops being the newest.
    pub fn is_open(&self) -> bool {
        self.fleeting && self.kept.borrow().is_none()
    }

    /// Whether somebody waits for it to be closed.
    pub fn is_fleeting(&self) -> bool {
        self.fleeting
    }

    /// Keeps what its process leaves.
    pub fn fill(&self, file: OwnedFd) {
        *self.kept.borrow_mut() = Some(file);
    }

    /// Whether it is a device that never keeps anybody waiting: /dev/null, /dev/zero, /dev/urandom (admin-guide/devices.txt).
    pub fn is_endless(&self) -> bool {
        let kept = self.kept.borrow();
        let Some(Ok(stat)) = kept.as_ref().map(nix::sys::stat::fstat) else { return false };
        stat.st_mode & libc::S_IFMT == libc::S_IFCHR
            && libc::major(stat.st_rdev) == 1
            && matches!(libc::minor(stat.st_rdev), 3 | 5 | 9)
    }

    /// A process runs that has it.
    pub fn release(&self) {
        if self.fleeting {
            *self.kept.borrow_mut() = None;
        }
    }

    /// A duplicate of what is kept.
    pub fn duplicate(&self) -> Option<OwnedFd> {
        self.kept.borrow().as_ref()?.try_clone().ok()
    }

    /// Where it stands, if it is a file.
    pub fn offset(&self) -> Option<i64> {
        lseek(self.kept.borrow().as_ref()?.as_fd(), 0, Whence::SeekCur).ok()
    }

    /// Lets it stand there.
    pub fn set_offset(&self, at: i64) {
        if let Some(file) = self.kept.borrow().as_ref()
            && let Err(error) = lseek(file.as_fd(), at, Whence::SeekSet)
        {
            tracing::warn!("an offset cannot be set: {error}");
        }
    }
}

/// Lets files stand where they stood.
pub(super) fn set_offsets(offsets: &[(Held, i64)]) {
    for (file, at) in offsets {
        file.set_offset(*at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> OwnedFd {
        std::fs::File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn what_somebody_waits_for_is_kept_only_in_between() {
        let slot = Slot::new(file(), true);
        assert!(slot.is_open() && slot.duplicate().is_none());
        slot.fill(file());
        assert!(!slot.is_open() && slot.duplicate().is_some());
        slot.release();
        assert!(slot.duplicate().is_none());
        let slot = Slot::new(file(), false);
        slot.release();
        assert!(slot.duplicate().is_some());
    }
}
