//! Notifications: the terminal bell, and desktop notifications (OSC 9).
//!
//! Both are written by the thread that writes frames, between two frames. A terminal without support for OSC 9 ignores
//! it. Inside tmux the bell works, but OSC 9 does not.

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::config::NotifyConfig;
use crate::tui::text::{clean, fit};

/// Maximum number of notifications that wait for a stalled connection; further ones are dropped.
const QUEUE_LEN: usize = 4;
/// Maximum width of a notification, columns.
const WIDTH: usize = 200;

/// Sends notifications to the terminal.
#[derive(Debug, Clone)]
pub(in crate::tui) struct Bell(Sender<Vec<u8>>);

impl Bell {
    /// A bell, and the receiver of the bytes to write to the terminal.
    pub(super) fn new() -> (Self, Receiver<Vec<u8>>) {
        let (sender, rings) = bounded(QUEUE_LEN);
        (Self(sender), rings)
    }

    /// Sends a notification by the configured means.
    pub(in crate::tui) fn ring(&self, notify: &NotifyConfig, text: &str) {
        let bytes = bytes(notify, text);
        if !bytes.is_empty() {
            let _ = self.0.try_send(bytes);
        }
    }
}

/// The bytes of a notification: `ESC ] 9 ; text BEL` and `BEL`, as configured.
fn bytes(notify: &NotifyConfig, text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    if notify.osc9 {
        let text = fit(&clean(text), WIDTH, "...");
        bytes.extend_from_slice(format!("\x1b]9;{text}\x07").as_bytes());
    }
    if notify.bell {
        bytes.push(7);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifications_are_as_configured_without_control_characters() {
        let mut notify = NotifyConfig::default();
        assert_eq!(bytes(&notify, "done"), b"");
        notify.bell = true;
        assert_eq!(bytes(&notify, "done"), b"\x07");
        notify.osc9 = true;
        assert_eq!(
            bytes(&notify, "epochtop a\x1b]0;b\x07c\n\x07\u{9c}d"),
            b"\x1b]9;epochtop ac d\x07\x07"
        );
        notify.bell = false;
        let long = bytes(&notify, &"x".repeat(10_000));
        assert!(long.len() < 300 && long.ends_with(b"...\x07"));
    }
}
