//! A terminal given back when the process aborts, as C++ code does on an exception nobody catches: no panic hook runs then.
//!
//! Only a screen in the trainer's own process (`--in-process`) can be hit by it. All `unsafe` of the face is here: the
//! registration of a signal handler, which does three system calls and touches nothing that a lock guards.

#![expect(
    unsafe_code,
    reason = "a handler for SIGABRT: signal-hook's safe ones only set a flag, and nobody would look at it any more"
)]

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Once;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, tcsetattr};
use signal_hook::consts::SIGABRT;

use super::Tty;
use super::session::LEAVE;

/// The terminal's descriptor; -1 while no screen is up.
static FD: AtomicI32 = AtomicI32::new(-1);
/// How the terminal was. Each is leaked, for a handler may be reading it.
static BEFORE: AtomicPtr<Termios> = AtomicPtr::new(std::ptr::null_mut());

/// From now on an abort gives this terminal back. The descriptor must stay open until [`disarm`].
pub(super) fn arm(tty: &Tty, before: &Termios) {
    static ONCE: Once = Once::new();
    BEFORE.store(Box::into_raw(Box::new(before.clone())), Ordering::Release);
    FD.store(tty.0.as_raw_fd(), Ordering::Release);
    ONCE.call_once(|| {
        // SAFETY: the handler is async-signal-safe: it loads atomics and makes system calls, and neither allocates nor
        // takes a lock. abort(3) ends the process after it has returned.
        let _ = unsafe { signal_hook::low_level::register(SIGABRT, give_back) };
    });
}

/// No screen is up any more.
pub(super) fn disarm() {
    FD.store(-1, Ordering::Release);
}

/// What the handler does.
pub(super) fn give_back() {
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
