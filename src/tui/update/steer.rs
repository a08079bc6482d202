//! Commands to the run.

use crate::event::Command;
use crate::link;
use crate::tui::action::Action;
use crate::tui::app::{App, Control, Wanted};
use crate::tui::msg::Effect;
use crate::tui::prompt;

/// Sends a command to the trainer. If that is not possible, a notice explains why.
pub(super) fn ask(app: &mut App, command: Command) -> Vec<Effect> {
    if let Some(reason) = refusal(app, command) {
        app.notify(reason);
        return Vec::new();
    }
    let request = link::request(command);
    app.remember(request);
    vec![Effect::Send(request)]
}

/// Why a command cannot be sent from this screen, if so, and what can be done instead.
fn refusal(app: &App, command: Command) -> Option<String> {
    if app.run.outcome.is_some() || !app.live {
        let reason = if app.live {
            "the run has ended"
        } else {
            "this is a replay"
        };
        let info = app.run.info.as_ref();
        let instead = info.and_then(|info| command.after_the_end(&info.run));
        return Some(match instead {
            Some(instead) => format!("{reason}: use `{instead}`"),
            None => format!("{reason}: {} is not possible", command.name()),
        });
    }
    let text = match () {
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
    let command = match wanted {
        Wanted::LearningRate => Command::SetLearningRate { lr: f64::NAN },
        Wanted::Epochs => Command::SetEpochs {
            epochs: app.run.epochs.saturating_add(1),
        },
    };
    match refusal(app, command) {
        Some(reason) => app.notify(reason),
        None => prompt::open(app, wanted),
    }
}
