//! The prompt for a number, and the command for the run that results from it.

use super::app::{App, Popup, Prompt, Wanted};
use super::keymap::Key;
use crate::event::{Command, check_epochs, check_lr};

/// Maximum number of characters; no valid number is longer.
const MAX_LEN: usize = 16;

/// The outcome of a key press in a prompt.
pub(super) enum PromptOutcome {
    /// No command: the prompt stays open or was closed.
    Nothing,
    /// The number was confirmed: this command is to be sent to the run.
    Submit(Command),
}

impl Wanted {
    /// The title of the prompt.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::LearningRate => "Base learning rate",
            Self::Epochs => "Total epochs",
        }
    }

    /// The valid input, for the prompt and its errors.
    pub(super) fn rule(self) -> &'static str {
        match self {
            Self::LearningRate => "a number, or x and a factor: 3e-4, x0.5",
            Self::Epochs => "a whole number, at least the current epoch",
        }
    }

    /// The current value, if it is known.
    pub(super) fn now(self, app: &App) -> Option<String> {
        match self {
            Self::LearningRate => app.wanted_lr().map(|lr| format!("{lr:e}")),
            Self::Epochs => (app.run.epochs > 0).then(|| app.run.epochs.to_string()),
        }
    }

    fn command(self, app: &App, typed: &str) -> Result<Command, String> {
        let expected = || format!("expected {}", self.rule());
        match self {
            Self::LearningRate => {
                let factor = typed.strip_prefix(['x', '*']);
                let number: f64 = factor.unwrap_or(typed).parse().map_err(|_| expected())?;
                let lr = match factor {
                    Some(_) => {
                        app.wanted_lr()
                            .ok_or("the learning rate is not known yet")?
                            * number
                    }
                    None => number,
                };
                check_lr(lr).map(|lr| Command::SetLearningRate { lr })
            }
            Self::Epochs => {
                let epochs = typed.parse().map_err(|_| expected())?;
                check_epochs(epochs, app.run.epoch).map(|epochs| Command::SetEpochs { epochs })
            }
        }
    }
}

/// Opens the prompt.
pub(super) fn open(app: &mut App, wanted: Wanted) {
    app.ui.popup = Some(Popup::Prompt(Prompt {
        wanted,
        typed: String::new(),
        problem: None,
    }));
}

/// Handles a key press while the prompt is open. `leave`: the key is bound to an action that closes popups.
pub(super) fn press(app: &mut App, key: Key, leave: bool) -> PromptOutcome {
    let Some(Popup::Prompt(mut prompt)) = app.ui.popup.take() else {
        return PromptOutcome::Nothing;
    };
    if key.is_enter() {
        if prompt.typed.is_empty() {
            return PromptOutcome::Nothing;
        }
        match prompt.wanted.command(app, &prompt.typed) {
            Ok(command) => return PromptOutcome::Submit(command),
            Err(problem) => prompt.problem = Some(problem),
        }
    } else if key.is_erase() {
        prompt.typed.pop();
        prompt.problem = None;
    } else if let Some(c) = key.plain().filter(|c| is_part(*c)) {
        add(&mut prompt, c);
    } else if leave {
        return PromptOutcome::Nothing;
    }
    app.ui.popup = Some(Popup::Prompt(prompt));
    PromptOutcome::Nothing
}

/// Inserts text into the prompt, without the characters that cannot be part of a number.
pub(super) fn insert(prompt: &mut Prompt, text: &str) {
    let parts = text.chars().filter(|c| is_part(*c));
    parts.for_each(|c| add(prompt, c));
}

fn is_part(c: char) -> bool {
    c.is_ascii_digit() || "xe.-+*".contains(c)
}

fn add(prompt: &mut Prompt, c: char) {
    if prompt.typed.len() < MAX_LEN {
        prompt.typed.push(c);
    }
    prompt.problem = None;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::F64;
    use crate::tui::app::Settings;

    #[test]
    fn numbers_and_factors_parse_and_invalid_input_is_an_error() {
        let mut app = App::new(Settings::default(), true);
        app.run.base_lr = Some(F64(1e-3));
        app.run.epoch = 3;
        let lr = |typed: &str| Wanted::LearningRate.command(&app, typed);
        assert_eq!(lr("3e-4"), Ok(Command::SetLearningRate { lr: 3e-4 }));
        assert_eq!(lr("x0.5"), Ok(Command::SetLearningRate { lr: 5e-4 }));
        for typed in ["", "x", "e"] {
            assert!(
                lr(typed).is_err_and(|e| e.starts_with("expected a number")),
                "{typed}"
            );
        }
        for typed in ["0", "-1", "1e999", "3e-44", "x1e40", "nan"] {
            assert!(
                lr(typed).is_err_and(|e| e.contains("between 1e-10 and 1e30")),
                "{typed}"
            );
        }
        let epochs = |typed: &str| Wanted::Epochs.command(&app, typed);
        assert_eq!(epochs("12"), Ok(Command::SetEpochs { epochs: 12 }));
        for typed in ["2", "1.5", "99999999999"] {
            assert!(epochs(typed).is_err(), "{typed}");
        }
    }
}
