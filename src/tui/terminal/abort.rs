//! Restores the terminal when the process aborts, as C++ code does on an uncaught exception. No panic hook runs then.
//!
//! This can only happen to a screen in the trainer's process (`--in-process`). All `unsafe` code of the interface is
//! here: the registration of a signal handler, which makes three system calls and takes no lock.

#![expect(
    unsafe_code,
    reason = "a handler for SIGABRT: the safe handlers of signal-hook only set a flag, which nothing would check"
)]

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Once;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, tcsetattr};
use signal_hook::consts::SIGABRT;

use super::Tty;
use super::session::LEAVE;

/// The descriptor of the terminal; -1 while no screen is open.
static FD: AtomicI32 = AtomicI32::new(-1);
/// The settings to restore. Each value is leaked, as a handler may be reading it.
static BEFORE: AtomicPtr<Termios> = AtomicPtr::new(std::ptr::null_mut());

/// Restores this terminal to `before` if the process aborts. The descriptor must stay open until [`disarm`].
pub(super) fn arm(tty: &Tty, before: &Termios) {
    static ONCE: Once = Once::new();
    BEFORE.store(Box::into_raw(Box::new(before.clone())), Ordering::Release);
    FD.store(tty.0.as_raw_fd(), Ordering::Release);
    ONCE.call_once(|| {
        // SAFETY: the handler is async-signal-safe: it loads atomics and makes system calls, and neither allocates nor
        // takes a lock. abort(3) ends the process after it has returned.
        let _ = unsafe { signal_hook::low_level::register(SIGABRT, restore) };
    });
}

/// Disables the handler: no screen is open any more.
pub(super) fn disarm() {
    FD.store(-1, Ordering::Release);
}

/// The signal handler: restores the terminal.
pub(super) fn restore() {
    let fd = FD.swap(-1, Ordering::AcqRel);
    let before = BEFORE.load(Ordering::Acquire);
    if fd < 0 || before.is_null() {
        return;
    }
    // SAFETY: the descriptor is open while FD names it, and what BEFORE points to is never freed.
    let (tty, before) = unsafe { (BorrowedFd::borrow_raw(fd), &*before) };
    let mut fds = [PollFd::from_borrowed_fd(tty, PollFlags::OUT)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    if poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0) {
        let _ = rustix::io::write(tty, LEAVE);
    }
    let _ = tcsetattr(tty, OptionalActions::Now, before);
}
