//! Warnings about values that are valid but probably not intended. They are shown by `config check` and in the header
//! of the screen, and are recorded in the journal.

use super::{ClassWeights, Config, Head, Sampling};

/// A warning if a number of validation images is small.
pub fn few_valid(valid: usize) -> Option<String> {
    // Half width of the normal-approximation interval of a proportion in the worst case, p = 1/2.
    let points = 98.0 / (valid.max(1) as f64).sqrt();
    (valid < 500).then(|| {
        format!(
            "data.valid = {valid}: with so few validation images the accuracy interval is about ±{points:.0} points"
        )
    })
}

impl Config {
    /// Warnings about valid but probably unintended values, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        [
            self.data_advice(),
            self.model_advice(),
            self.length_advice(),
            self.optim.advice(),
        ]
        .concat()
    }

    fn data_advice(&self) -> Vec<String> {
        let data = &self.data;
        let mut advice = Vec::new();
        if data.augment.shift > 4 {
            advice.push(format!(
                "data.augment.shift = {}: shifts over 4 px are strong for 28×28 images; 1 or 2 is usual",
                data.augment.shift
            ));
        }
        if data.augment.rotate > 15.0 {
            advice.push(format!(
                "data.augment.rotate = {}: stronger than natural variation; 5 to 15 degrees is usual",
                data.augment.rotate
            ));
        }
        // With 0, the number depends on the data, so the warning is given when they are read.
        advice.extend(few_valid(data.valid).filter(|_| data.valid > 0));
        if data.train_limit > 0 && (data.train_limit as u64) < self.train.batch_size.max(0) as u64 {
            advice.push(format!(
                "data.train_limit = {}: fewer images than one batch ({})",
                data.train_limit, self.train.batch_size
            ));
        }
        if data.sampling == Sampling::Balanced && self.train.class_weights != ClassWeights::None {
            advice.push(
                "data.sampling = \"balanced\" and train.class_weights: both raise the influence of rare classes; use one of \
                 them"
                    .to_owned(),
            );
        }
        advice
    }

    fn model_advice(&self) -> Vec<String> {
        let model = &self.model;
        let mut advice = Vec::new();
        if model.head == Head::Gap && model.hidden != Self::default().model.hidden {
            advice.push(format!(
                "model.hidden = {}: has no effect because the gap head has no hidden layer",
                model.hidden
            ));
        }
        if model.dropout > 0.5 {
            advice.push(format!(
                "model.dropout = {}: drops more than half of the features; 0.2 to 0.5 is usual",
                model.dropout
            ));
        }
        advice
    }

    fn length_advice(&self) -> Vec<String> {
        let epochs = self.train.epochs;
        let mut advice = Vec::new();
        if self.optim.warmup_epochs >= f64::from(epochs) {
            advice.push(format!(
                "optim.warmup_epochs = {}: the warm-up lasts the entire run of {epochs} epochs; 5 to 10 % is usual",
                self.optim.warmup_epochs
            ));
        }
        let uses_ema = self.train.ema > 0.0;
        if uses_ema && 1.0 / (1.0 - self.train.ema) > 50_000.0 {
            advice.push(format!(
                "train.ema = {}: averages over more steps than most runs have; 0.99 to 0.9999 is usual",
                self.train.ema
            ));
        }
        if self.checkpoint.every_epochs > epochs {
            advice.push(format!(
                "checkpoint.every_epochs = {}: the run has only {epochs} epochs, so no epoch before the last ends with a checkpoint",
                self.checkpoint.every_epochs
            ));
        }
        advice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_give_no_warning() {
        assert_eq!(Config::default().warnings(), Vec::<String>::new());
    }

    #[test]
    fn each_rule_gives_its_warning() {
        let mut config = Config::default();
        config.train.epochs = 12;
        config.data.augment.shift = 5;
        config.data.valid = 100;
        config.data.train_limit = 10;
        config.model.hidden = 64;
        config.model.dropout = 0.6;
        config.optim.warmup_epochs = 12.0;
        config.checkpoint.every_epochs = 13;
        config.optim.lr = 30.0;
        config.optim.beta2 = 0.5;
        config.optim.label_smoothing = 0.4;
        let text = config.warnings().join("\n");
        for key in [
            "shift = 5",
            "valid = 100",
            "±10 points",
            "train_limit = 10",
            "hidden = 64",
            "dropout = 0.6",
            "warmup_epochs = 12",
        ] {
            assert!(text.contains(key), "{key} in\n{text}");
        }
        for key in [
            "every_epochs = 13",
            "optim.lr = 30",
            "weight_decay = 1.5",
            "beta1 = 0.9",
            "label_smoothing = 0.4",
        ] {
            assert!(text.contains(key), "{key} in\n{text}");
        }
    }
}
