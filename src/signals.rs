//! Ctrl-C and window changes as a descriptor to wait for, and the terminal given back when a signal ends fred.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::{flag, low_level};

/// Ctrl-C and window changes. A signal first sets its flag, then wakes the descriptor.
pub struct Signals {
    wake: UnixStream,
    interrupted: Arc<AtomicBool>,
    resized: Arc<AtomicBool>,
}

impl Signals {
    /// Takes SIGINT and SIGWINCH over for the rest of the process.
    ///
    /// # Errors
    /// The kernel gives no descriptor or no handler.
    pub fn install() -> io::Result<Self> {
        let (wake, sender) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        sender.set_nonblocking(true)?;
        let signals = Self { wake, interrupted: Arc::default(), resized: Arc::default() };
        for (signal, seen) in [(SIGINT, &signals.interrupted), (SIGWINCH, &signals.resized)] {
            flag::register(signal, Arc::clone(seen))?;
            low_level::pipe::register(signal, sender.try_clone()?)?;
        }
        Ok(signals)
    }

    /// Whether Ctrl-C was pressed since the last call.
    pub fn interrupted(&mut self) -> bool {
        // First the pipe, then the flag: a signal in between wakes once too often, never too seldom.
        let mut drain = [0; 64];
        while matches!(self.wake.read(&mut drain), Ok(n) if n > 0) {}
        self.interrupted.swap(false, Ordering::SeqCst)
    }

    /// Whether the window changed since the last call.
    pub fn resized(&self) -> bool {
        self.resized.swap(false, Ordering::SeqCst)
    }

    /// Readable when there is something new.
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

static AT_START: Mutex<Option<Termios>> = Mutex::new(None);

/// From now on, SIGTERM, SIGHUP and a panic give the terminal back as it is now.
///
/// # Errors
/// The handlers cannot be installed.
pub fn guard_terminal() -> io::Result<()> {
    *AT_START.lock().unwrap_or_else(PoisonError::into_inner) = tcgetattr(io::stdin()).ok();
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGHUP])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            restore_terminal();
            let _ = low_level::emulate_default_handler(signal);
        }
    })?;
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore_terminal();
        print(panic);
    }));
    Ok(())
}

fn restore_terminal() {
    if let Some(modes) = &*AT_START.lock().unwrap_or_else(PoisonError::into_inner) {
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, modes);
    }
}
