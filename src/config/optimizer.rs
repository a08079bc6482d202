//! The optimizers: how each one uses the keys of `[optim]`, and which values are usual for it.

use serde::{Deserialize, Serialize};

use super::OptimConfig;

/// The optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimName {
    /// Adam with decoupled weight decay.
    Adamw,
    /// Adam with weight decay added to the gradient.
    Adam,
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// Orthogonalized momentum for weight matrices (Jordan et al. 2024), AdamW for the other parameters.
    #[default]
    Muon,
    /// Steps along the sign of an interpolated momentum (Chen et al. 2023), with decoupled weight decay.
    Lion,
}

/// The properties in which optimizers differ, apart from their arithmetic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptimTraits {
    /// The value in the configuration file.
    pub name: &'static str,
    /// What the step length depends on.
    pub step: StepLength,
    /// What `weight_decay` is applied to.
    pub decay: Decay,
    /// The use of `beta1` and `beta2`.
    pub betas: Betas,
    /// Whether the optimizer uses `momentum` and `nesterov`.
    pub momentum: bool,
    /// Whether it updates the weights of inner layers as matrices instead of element by element.
    pub matrices: bool,
}

/// What the step length depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StepLength {
    /// Only the learning rate; with its usual range.
    Rate(f64, f64),
    /// The learning rate and the gradient.
    Gradient,
}

/// What weight decay is applied to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Decay {
    /// The weights; with the usual range of `weight_decay`.
    Decoupled(f64, f64),
    /// The gradient.
    Coupled,
}

/// The use of `beta1` and `beta2`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Betas {
    /// Not used.
    Unused,
    /// Decays of the running means of the gradient and of its square. The step is divided by the root of the latter
    /// plus `eps`.
    Moments,
    /// `beta1`: weight of the momentum, relative to the gradient, in a step. `beta2`: decay of the momentum; with its
    /// usual range.
    Momentum(f64, f64),
}

impl OptimName {
    /// The properties of this optimizer.
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
    /// Warnings about valid but probably unintended values, one sentence each.
    pub(super) fn advice(&self) -> Vec<String> {
        let traits = self.name.traits();
        let mut advice = self.without_effect();
        let mut warn = |applies: bool, key: &str, value: f64, message: String| {
            if applies {
                advice.push(format!("optim.{key} = {value}: {message}"));
            }
        };
        let name = traits.name;
        if let StepLength::Rate(low, high) = traits.step {
            let message = format!(
                "large for {name} because its steps do not shrink with the gradient; {low} to {high} is usual"
            );
            warn(self.lr > high, "lr", self.lr, message);
        }
        let decay = self.weight_decay;
        match (traits.decay, traits.step) {
            (Decay::Coupled, StepLength::Rate(..)) => {
                let message = format!(
                    "{name} adds weight decay to the gradient, so weights with large gradients hardly decay; \
                     adamw decouples it"
                );
                warn(decay > 0.0, "weight_decay", decay, message);
            }
            (Decay::Decoupled(low, high), _) => {
                let message = format!(
                    "small for {name} because it is multiplied by the learning rate; {low} to {high} is usual"
                );
                warn(decay < low, "weight_decay", decay, message);
            }
            (Decay::Coupled, StepLength::Gradient) => {}
        }
        let erased = self.lr * decay;
        let message = "weight decay alone sets the weights to zero in one step".to_owned();
        warn(erased >= 1.0, "lr × optim.weight_decay", erased, message);
        match traits.betas {
            // The condition of Adam's convergence analysis (Kingma and Ba 2015, theorem 4.1): β1² < √β2.
            Betas::Moments => {
                let message = format!(
                    "large relative to optim.beta2 = {}: steps may grow without bound",
                    self.beta2
                );
                let applies = self.beta1 * self.beta1 >= self.beta2.sqrt();
                warn(applies, "beta1", self.beta1, message);
            }
            Betas::Momentum(low, high) => {
                let steps = 1.0 / (1.0 - self.beta2);
                let message = format!(
                    "the momentum of {name} averages over about {steps:.0} steps; {low} to {high} is usual"
                );
                let applies = !(low..=high).contains(&self.beta2);
                warn(applies, "beta2", self.beta2, message);
            }
            Betas::Unused => {}
        }
        let message = "the target is mostly noise; 0.05 to 0.2 is usual".to_owned();
        let smoothing = self.label_smoothing;
        warn(smoothing > 0.3, "label_smoothing", smoothing, message);
        advice
    }

    /// Warnings about keys that differ from their defaults but are not used by the optimizer.
    fn without_effect(&self) -> Vec<String> {
        let (traits, default) = (self.name.traits(), Self::default());
        let (uses_betas, uses_eps) = match traits.betas {
            Betas::Unused => (false, false),
            Betas::Momentum(..) => (true, false),
            Betas::Moments => (true, true),
        };
        let mut advice: Vec<String> = [
            ("momentum", traits.momentum, self.momentum, default.momentum),
            ("beta1", uses_betas, self.beta1, default.beta1),
            ("beta2", uses_betas, self.beta2, default.beta2),
            ("eps", uses_eps, self.eps, default.eps),
        ]
        .into_iter()
        .filter(|(_, uses, value, default)| !uses && value != default)
        .map(|(key, _, value, _)| {
            let name = traits.name;
            format!("optim.{key} = {value}: has no effect because {name} does not use it")
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

    /// All optimizers, parsed from serde's error for an unknown one, which lists them.
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
        let parse = |word: String| toml::Value::from(word).try_into().unwrap();
        words.into_iter().map(parse).collect()
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
    fn config_toml_explains_every_optimizer() {
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
                advice(name, |c| c.weight_decay = 0.0).contains("small for"),
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
            let unused = advice(name, |c| (c.momentum, c.eps) = (0.9, 1e-7));
            assert_eq!(
                unused.contains("momentum = 0.9: has no effect"),
                matches!(name, Adam | Adamw)
            );
            assert_eq!(
                unused.contains("eps = 0.0000001: has no effect"),
                name == Sgd
            );
            let no_momentum = advice(name, |c| c.momentum = 0.0);
            assert_eq!(
                no_momentum.contains("optim.nesterov = true"),
                matches!(name, Sgd | Muon)
            );
        }
    }

    #[test]
    fn lion_warns_about_the_default_rate_decay_and_beta2() {
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
