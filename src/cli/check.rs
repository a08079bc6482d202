//! `config check`: reports a valid configuration and its warnings.

use super::code;
use super::print::print_line;
use crate::config::Loaded;

/// Prints warnings for settings that are valid but probably unintended, then confirms that the configuration is valid.
pub(super) fn report(loaded: &Loaded) -> u8 {
    for warning in loaded.config.warnings() {
        print_line(&format!("warning: {warning}"));
    }
    print_line("the configuration is valid");
    code::COMPLETED
}
