//! Commands to the run.

use crate::event::Command;
use crate::link;
use crate::tui::action::Action;
use crate::tui::app::{App, Control, Wanted};
use crate::tui::msg::Effect;
use crate::tui::prompt;

/// Sends a command to the trainer. If that is not possible, a notice explains why.
pub(super) fn ask(app: &mut App, command: Command) -> Vec<Effect> {
    if let Some(reason) = refusal(app) {
        app.notify(reason);
        return Vec::new();
    }
    let request = link::request(command);
    app.remember(request);
    vec![Effect::Send(request)]
}

/// Why commands cannot be sent from this screen, if so.
fn refusal(app: &App) -> Option<String> {
    let text = match () {
        () if !app.live => "this is a replay: commands are unavailable",
        () if app.run.outcome.is_some() => "run has ended; command unavailable",
        () if !app.connected => "lost contact with the trainer",
        () if app.control == Control::ReadOnly => {
            "read-only: the screen was opened with --read-only"
        }
        () if app.control == Control::CanRequest => {
            let key = app.settings.keymap.first(Action::Control);
            let key = key.map_or_else(String::new, |key| format!("; {key}: take control too"));
            return Some(format!("another screen has control{key}"));
        }
        () => return None,
    };
    Some(text.to_owned())
}

/// Multiplies the base learning rate.
pub(super) fn scale_rate(app: &mut App, factor: f64) -> Vec<Effect> {
    if let Some(lr) = app.wanted_lr() {
        ask(app, Command::SetLearningRate { lr: lr * factor })
    } else {
        app.notify("the learning rate is not known yet".to_owned());
        Vec::new()
    }
}

/// Opens the prompt for a number. If commands cannot be sent, a notice explains why.
pub(super) fn prompt(app: &mut App, wanted: Wanted) {
    match refusal(app) {
        Some(reason) => app.notify(reason),
        None => prompt::open(app, wanted),
    }
}
