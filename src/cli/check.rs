//! `config check`: no problem, and what is still worth knowing.

use super::code;
use super::print::say;
use crate::config::Loaded;

/// Says that the configuration holds, and warns of what is legal but rarely meant.
pub(super) fn report(loaded: &Loaded) -> u8 {
    for warning in loaded.config.warnings() {
        say(&format!("warning: {warning}"));
    }
    say("the configuration is good");
    code::COMPLETED
}
