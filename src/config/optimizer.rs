//! The optimizers by name: what each does with the keys of `[optim]`, and which values are usual for it.

use serde::{Deserialize, Serialize};

use super::OptimConfig;

/// An optimizer by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimName {
    /// Adam with decoupled weight decay.
    Adamw,
    /// Adam, weight decay added to the gradient.
    Adam,
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// Momentum with orthogonal steps for matrices (Jordan et al. 2024), AdamW for the rest.
    #[default]
    Muon,
    /// The sign of an interpolated momentum (Chen et al. 2023), decoupled weight decay.
    Lion,
}

/// What distinguishes an optimizer from the others, but for its arithmetic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptimTraits {
    /// The word of the configuration.
    pub name: &'static str,
    /// What the length of a step depends on.
    pub step: StepLength,
    /// What `weight_decay` is applied to.
    pub decay: Decay,
    /// What `beta1` and `beta2` are used for.
    pub betas: Betas,
    /// Whether it reads `momentum` and `nesterov`.
    pub momentum: bool,
    /// Whether it updates weights of inner layers as matrices, not element by element.
    pub matrices: bool,
}

/// What the length of a step depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StepLength {
    /// On the learning rate alone, for which there is a usual range.
    Rate(f64, f64),
    /// On the gradient too.
    Gradient,
}

/// What weight decay is applied to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decay {
    /// The weights themselves; its usual range.
    Decoupled(f64, f64),
    /// The gradient.
    Coupled,
}

/// What `beta1` and `beta2` are used for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Betas {
    /// Nothing.
    Unused,
    /// Decay of the running means of the gradient and of its square, whose root, plus `eps`, divides the step.
    Moments,
    /// Weight of the momentum against the gradient in a step, and decay of the momentum; usual range of the latter.
    Momentum(f64, f64),
}

impl OptimName {
    /// What distinguishes it from the others.
    pub fn traits(self) -> OptimTraits {
        let adamw = OptimTraits {
            name: "adamw",
            step: StepLength::Rate(0.0005, 0.02),
            decay: Decay::Decoupled(0.01, 0.1),
            betas: Betas::Moments,
            momentum: false,
            matrices: false,
        };
        match self {
            Self::Adamw => adamw,
            Self::Adam => OptimTraits {
                name: "adam",
                decay: Decay::Coupled,
                ..adamw
            },
            Self::Sgd => OptimTraits {
                name: "sgd",
                step: StepLength::Gradient,
                decay: Decay::Coupled,
                betas: Betas::Unused,
                momentum: true,
                matrices: false,
            },
            Self::Muon => OptimTraits {
                name: "muon",
                momentum: true,
                matrices: true,
                ..adamw
            },
            // Chen et al. 2023, section 5: rates 3 to 10 times smaller than AdamW's, decay larger by the same factor.
            Self::Lion => OptimTraits {
                name: "lion",
                step: StepLength::Rate(0.0001, 0.002),
                decay: Decay::Decoupled(0.1, 1.0),
                betas: Betas::Momentum(0.95, 0.995),
                ..adamw
            },
        }
    }
}

impl OptimConfig {
    /// Advice on values that are accepted but seldom meant, one sentence each.
    pub(super) fn advice(&self) -> Vec<String> {
        let traits = self.name.traits();
        let mut advice = self.without_effect();
        let mut say = |applies: bool, key: &str, value: f64, words: String| {
            if applies {
                advice.push(format!("optim.{key} = {value}: {words}"));
            }
        };
        let name = traits.name;
        if let StepLength::Rate(low, high) = traits.step {
            let words = format!(
                "large for {name}, whose steps do not shrink with the gradient; {low} to {high} is usual"
            );
            say(self.lr > high, "lr", self.lr, words);
        }
        let decay = self.weight_decay;
        match (traits.decay, traits.step) {
            (Decay::Coupled, StepLength::Rate(..)) => {
                let words = format!(
                    "{name} adds it to the gradient, where it is coupled with the step size and hardly decays weights with \
                     large gradients; adamw decouples it"
                );
                say(decay > 0.0, "weight_decay", decay, words);
            }
            (Decay::Decoupled(low, high), _) => {
                let words = format!(
                    "little for {name}, whose decay is multiplied by the learning rate; {low} to {high} is usual"
                );
                say(decay < low, "weight_decay", decay, words);
            }
            (Decay::Coupled, StepLength::Gradient) => {}
        }
        let erased = self.lr * decay;
        let words = "the decay alone erases the weights in one step".to_owned();
        say(erased >= 1.0, "lr × optim.weight_decay", erased, words);
        match traits.betas {
            // The condition of Adam's convergence analysis (Kingma and Ba 2015, theorem 4.1): β1² < √β2.
            Betas::Moments => {
                let words = format!(
                    "large beside optim.beta2 = {}: steps may grow without bound",
                    self.beta2
                );
                let applies = self.beta1 * self.beta1 >= self.beta2.sqrt();
                say(applies, "beta1", self.beta1, words);
            }
            Betas::Momentum(low, high) => {
                let steps = 1.0 / (1.0 - self.beta2);
                let words = format!(
                    "{name}'s momentum averages about {steps:.0} steps; {low} to {high} is usual"
                );
                let applies = !(low..=high).contains(&self.beta2);
                say(applies, "beta2", self.beta2, words);
            }
            Betas::Unused => {}
        }
        let words = "the target is mostly noise; 0.05 to 0.2 is usual".to_owned();
        let smoothing = self.label_smoothing;
        say(smoothing > 0.3, "label_smoothing", smoothing, words);
        advice
    }

    /// Keys that were changed though the optimizer does not read them.
    fn without_effect(&self) -> Vec<String> {
        let (traits, default) = (self.name.traits(), Self::default());
        let (reads_betas, reads_eps) = match traits.betas {
            Betas::Unused => (false, false),
            Betas::Momentum(..) => (true, false),
            Betas::Moments => (true, true),
        };
        let mut advice: Vec<String> = [
            ("momentum", traits.momentum, self.momentum, default.momentum),
            ("beta1", reads_betas, self.beta1, default.beta1),
            ("beta2", reads_betas, self.beta2, default.beta2),
            ("eps", reads_eps, self.eps, default.eps),
        ]
        .into_iter()
        .filter(|(_, reads, value, default)| !reads && value != default)
        .map(|(key, _, value, _)| {
            let name = traits.name;
            format!("optim.{key} = {value}: has no effect, {name} does not read it")
        })
        .collect();
        if traits.momentum && self.nesterov && self.momentum == 0.0 {
            advice.push("optim.nesterov = true: has no effect with optim.momentum = 0".to_owned());
        }
        advice
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    /// Every optimizer: the words that an unknown one's error lists.
    fn all() -> Vec<OptimName> {
        let error = toml::Value::from("?").try_into::<OptimName>().unwrap_err();
        let words: Vec<String> = error
            .to_string()
            .split('`')
            .skip(3)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        assert!(words.len() >= 4, "{error}");
        let read = |word: String| toml::Value::from(word).try_into().unwrap();
        words.into_iter().map(read).collect()
    }

    fn advice(name: OptimName, change: impl Fn(&mut OptimConfig)) -> String {
        let mut config = OptimConfig {
            name,
            ..OptimConfig::default()
        };
        change(&mut config);
        config.advice().join("\n")
    }

    #[test]
    fn each_optimizer_has_its_own_word_and_config_toml_explains_it() {
        for name in all() {
            let word = name.traits().name;
            assert_eq!(toml::Value::try_from(name).unwrap().as_str(), Some(word));
            assert!(
                super::super::DEFAULT_TOML.contains(&format!("\"{word}\":")),
                "{word}"
            );
        }
    }

    #[test]
    fn advice_depends_on_the_optimizer() {
        use OptimName::{Adam, Adamw, Muon, Sgd};
        for (name, fast, decays) in [
            (Adamw, true, true),
            (Adam, true, false),
            (Sgd, false, false),
            (Muon, true, true),
        ] {
            assert_eq!(
                advice(name, |c| c.lr = 0.03).contains("optim.lr = 0.03"),
                fast
            );
            assert_eq!(
                advice(name, |c| c.weight_decay = 0.0).contains("little for"),
                decays
            );
            assert_eq!(
                advice(name, |_| ()).contains("adamw decouples it"),
                name == Adam
            );
            assert_eq!(
                advice(name, |c| c.beta2 = 0.5).contains("without bound"),
                name != Sgd
            );
            let unread = advice(name, |c| (c.momentum, c.eps) = (0.9, 1e-7));
            assert_eq!(
                unread.contains("momentum = 0.9: has no effect"),
                matches!(name, Adam | Adamw)
            );
            assert_eq!(
                unread.contains("eps = 0.0000001: has no effect"),
                name == Sgd
            );
            let still = advice(name, |c| c.momentum = 0.0);
            assert_eq!(
                still.contains("optim.nesterov = true"),
                matches!(name, Sgd | Muon)
            );
        }
    }

    #[test]
    fn lion_wants_smaller_rates_more_decay_and_a_shorter_memory_than_the_default() {
        let lion = |lr, decay, beta2| {
            advice(OptimName::Lion, |c| {
                (c.lr, c.weight_decay, c.beta2) = (lr, decay, beta2);
            })
        };
        let text = lion(0.008, 0.05, 0.999);
        for part in ["0.0001 to 0.002", "0.1 to 1 is usual", "about 1000 steps"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert_eq!(lion(0.001, 0.3, 0.99), "");
    }
}
