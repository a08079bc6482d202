//! What is asked of the run.

use crate::event::Command;
use crate::link;
use crate::tui::action::Action;
use crate::tui::app::{App, Control, Wanted};
use crate::tui::msg::Effect;
use crate::tui::prompt;

/// Asks the trainer, if there is one that can still answer.
pub(super) fn ask(app: &mut App, command: Command) -> Vec<Effect> {
    if let Some(words) = refusal(app) {
        app.notify(words);
        return Vec::new();
    }
    let request = link::request(command);
    app.remember(request);
    vec![Effect::Send(request)]
}

/// Why nothing can be asked of the run from here, if so.
fn refusal(app: &App) -> Option<String> {
    let words = match () {
        () if !app.live => "this is a replay: there is no trainer to ask",
        () if app.run.outcome.is_some() => "the run has ended: nothing to ask of it",
        () if !app.connected => "the connection to the run is gone",
        () if app.control == Control::Watches => {
            "opened with --read-only: this screen only watches"
        }
        () if app.control == Control::MayAsk => {
            let key = app.settings.keymap.first(Action::Control);
            let key = key.map_or_else(String::new, |key| format!(": {key} takes over too"));
            return Some(format!("another screen steers this run{key}"));
        }
        () => return None,
    };
    Some(words.to_owned())
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

/// Opens the box for a number, where there is a run to ask.
pub(super) fn prompt(app: &mut App, wanted: Wanted) {
    match refusal(app) {
        Some(words) => app.notify(words),
        None => prompt::open(app, wanted),
    }
}
