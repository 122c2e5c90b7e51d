//! Where the bytes of notes are kept: in memory, and when there are many in a file without a name, which is gone when we are.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::rc::Rc;

use nix::fcntl::{FallocateFlags, fallocate};

/// Bytes of notes in memory from which on bytes go to the file.
const IN_MEMORY: u64 = 256 << 20;

/// Bytes that are fewer stay in memory: notes of a call take as much by themselves.
const SMALL: u64 = 256;

/// What notes weigh, and their file.
#[derive(Debug)]
pub(super) struct Store {
    memory: Cell<u64>,
    disk: Cell<u64>,
    /// Bytes that there have been, those that are not kept any more among them.
    all: Cell<u64>,
    /// Where the file ends.
    end: Cell<u64>,
    file: OnceCell<Option<File>>,
    in_memory: u64,
}

impl Default for Store {
    fn default() -> Store {
        Store {
            memory: Cell::default(),
            disk: Cell::default(),
            all: Cell::default(),
            end: Cell::default(),
            file: OnceCell::new(),
            in_memory: IN_MEMORY,
        }
    }
}

impl Store {
    /// Bytes in memory, and in the file.
    pub fn weight(&self) -> (u64, u64) {
        (self.memory.get(), self.disk.get())
    }

    /// How many bytes there have been altogether.
    pub fn all(&self) -> u64 {
        self.all.get()
    }

    /// So many bytes more are in memory.
    pub fn add(&self, bytes: u64) {
        self.all.set(self.all.get() + bytes);
        self.memory.set(self.memory.get() + bytes);
    }

    /// So many bytes less are in memory.
    pub fn remove(&self, bytes: u64) {
        self.memory.set(self.memory.get().saturating_sub(bytes));
    }

    fn file(&self) -> Option<&File> {
        let open = |folder: &str| {
            File::options().read(true).write(true).custom_flags(libc::O_TMPFILE).mode(0o600).open(folder).ok()
        };
        // /tmp may be memory.
        self.file.get_or_init(|| open("/var/tmp").or_else(|| open("/tmp"))).as_ref()
    }

    /// Keeps bytes.
    pub fn keep(self: &Rc<Store>, bytes: Vec<u8>) -> Kept {
        let length = bytes.len() as u64;
        if length >= SMALL && self.memory.get() + length > self.in_memory {
            let at = self.end.get();
            if let Some(file) = self.file()
                && file.write_all_at(&bytes, at).is_ok()
            {
                self.end.set(at + length);
                self.disk.set(self.disk.get() + length);
                self.all.set(self.all.get() + length);
                return Kept { place: Place::File { at, length }, store: Rc::clone(self) };
            }
        }
        self.add(length);
        Kept { place: Place::Memory(bytes), store: Rc::clone(self) }
    }
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    File { at: u64, length: u64 },
}

/// Bytes that are kept as long as this lives.
#[derive(Debug)]
pub(super) struct Kept {
    place: Place,
    store: Rc<Store>,
}

impl Kept {
    /// The bytes; fewer than were kept if the file cannot be read.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match &self.place {
            Place::Memory(bytes) => Cow::Borrowed(bytes),
            Place::File { at, length } => {
                #[allow(clippy::cast_possible_truncation)]
                let mut bytes = vec![0u8; *length as usize];
                let read = self.store.file().is_some_and(|file| file.read_exact_at(&mut bytes, *at).is_ok());
                if !read {
                    tracing::warn!("notes cannot be read from their file");
                    bytes.clear();
                }
                Cow::Owned(bytes)
            }
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        match &self.place {
            Place::Memory(bytes) => self.store.remove(bytes.len() as u64),
            Place::File { at, length } => {
                self.store.disk.set(self.store.disk.get().saturating_sub(*length));
                if let Some(file) = self.store.file() {
                    let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
                    // Where the file system has no holes the file stays as long as it was.
                    fallocate(file.as_fd(), hole, at.cast_signed(), length.cast_signed()).ok();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_for_memory_is_in_a_file() {
        let store = Rc::new(Store { in_memory: 1000, ..Store::default() });
        let kept: Vec<Kept> = (0..4u8).map(|fill| store.keep(vec![fill; 400])).collect();
        assert_eq!(store.weight(), (800, 800));
        for (fill, kept) in (0..).zip(&kept) {
            assert_eq!(kept.bytes()[..], [fill; 400]);
        }
        // Small ones are not worth it.
        let small = store.keep(vec![9; 250]);
        assert_eq!((small.bytes()[..].len(), store.weight().0), (250, 1050));
        drop((kept, small));
        assert_eq!((store.weight(), store.all()), ((0, 0), 1850));
    }
}
