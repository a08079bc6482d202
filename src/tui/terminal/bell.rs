//! Telling somebody who looks elsewhere: the terminal's bell, and a notification of the desktop (OSC 9).
//!
//! Both go out through the thread that writes frames, between two of them. Neither asks the terminal anything: one that
//! knows no OSC 9 passes it over. Inside tmux the bell arrives, an OSC 9 does not.

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::config::NotifyConfig;
use crate::tui::text::{clean, fit};

/// Bytes that may wait for a stalled line; what comes then is dropped.
const WAITING: usize = 4;
/// Columns of a notification.
const WIDTH: usize = 200;

/// The way to the terminal for what is no frame.
#[derive(Debug, Clone)]
pub(in crate::tui) struct Bell(Sender<Vec<u8>>);

impl Bell {
    /// A bell, and what is to be written for it.
    pub(super) fn new() -> (Self, Receiver<Vec<u8>>) {
        let (sender, rings) = bounded(WAITING);
        (Self(sender), rings)
    }

    /// Rings as configured.
    pub(in crate::tui) fn ring(&self, notify: &NotifyConfig, text: &str) {
        let bytes = bytes(notify, text);
        if !bytes.is_empty() {
            let _ = self.0.try_send(bytes);
        }
    }
}

/// `BEL`, and `ESC ] 9 ; text BEL`.
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
    fn a_notification_is_what_was_asked_for_and_holds_no_control_characters() {
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
