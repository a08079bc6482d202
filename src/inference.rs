//! A trained network taken up again from its checkpoint: to be evaluated, or to name what is in an image.
//!
//! Nothing is trained here, and no gradient is kept. `epochtop eval` brings the data it was trained with, `epochtop predict`
//! any image file, which `image` makes into what the network expects.

mod image;

use std::path::Path;

use fs_err as fs;
use tch::{CModule, Device, Kind, Tensor};

use crate::checkpoint::{State, decode, verify_bytes};
use crate::data::{Dataset, Images, Resident};
use crate::event::{DatasetInfo, Split};
use crate::model::{Network, Plan, Weights, to_vec};
use crate::report::Predictions;

pub use image::{Expected, InputImage, read_image};

/// What `state.json` may say, as the reader of data allows it.
const LARGEST: u32 = 4096;
const MOST_CLASSES: usize = 4096;

/// A network as a checkpoint holds it.
#[derive(Debug)]
pub struct Trained {
    network: Network,
    weights: Weights,
    device: Device,
    /// Channels, height and width of an image.
    image: (i64, i64, i64),
}

impl Trained {
    /// Reads the weights of a checkpoint into the network of its configuration.
    ///
    /// # Errors
    /// The file and what is wrong with it: not there, damaged, or of another network.
    pub fn load(
        checkpoint: &Path,
        config: &crate::config::ModelConfig,
        dataset: &DatasetInfo,
        device: Device,
    ) -> Result<Self, String> {
        let plan = Plan::of(config, dataset)?;
        let path = checkpoint.join("model.safetensors");
        let bytes = fs::read(&path).map_err(|error| error.to_string())?;
        let wrong = |what: String| format!("{}: {what}", path.display());
        let tensors = decode(&bytes).map_err(|what| wrong(format!("no safetensors: {what}")))?;
        let weights = Weights::from_named(&plan, &tensors, device)
            .map_err(|error| wrong(format!("{error}: these are the weights of another network")))?;
        let whole = verify_bytes(checkpoint, "model.safetensors", &bytes);
        whole.map_err(|flaw| format!("{}: {flaw}", checkpoint.display()))?;
        Ok(Self {
            network: Network::new(plan),
            weights,
            device,
            image: (
                dataset.channels.into(),
                dataset.height.into(),
                dataset.width.into(),
            ),
        })
    }

    /// Writes the network as TorchScript: an evaluation in f32, traced with libtorch's own layers. It takes normalised images
    /// (N, C, H, W), any number of them, and gives logits (N, classes).
    ///
    /// # Errors
    /// What libtorch says, or the file.
    pub fn write_torchscript(&self, path: &Path) -> Result<(), String> {
        let words = |error: tch::TchError| {
            let text = error.to_string();
            format!(
                "{}: {}",
                path.display(),
                text.lines().next().unwrap_or(&text)
            )
        };
        // Written beside, then renamed: whoever loads it finds all of it.
        let temporary = path.with_extension("pt.tmp");
        let _guard = tch::no_grad_guard();
        let plain = Network::plain(self.network.plan.clone());
        let weights = self.weights.snapshot();
        let weights = Weights {
            flat: weights.flat.detach(),
            ..weights
        };
        let example = Tensor::zeros(
            [2, self.image.0, self.image.1, self.image.2],
            (Kind::Float, self.device),
        );
        let mut forward = |inputs: &[Tensor]| {
            let images = inputs.first().map(|images| plain.logits(&weights, images));
            images.into_iter().collect::<Vec<_>>()
        };
        let module = CModule::create_by_tracing("Classifier", "forward", &[example], &mut forward)
            .map_err(words)?;
        module.save(&temporary).map_err(words)?;
        fs::rename(&temporary, path).map_err(|error| error.to_string())
    }

    /// The logits of a split, `batch` images at a time; `progress` is told images done and in all.
    ///
    /// # Errors
    /// When there is nothing to evaluate.
    pub fn predict(
        &self,
        dataset: &Dataset,
        split: Split,
        batch: i64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Predictions, String> {
        let images = match split {
            Split::Train => &dataset.train,
            Split::Valid => &dataset.valid,
            Split::Test => &dataset.test,
        };
        if images.labels.is_empty() {
            return Err(format!(
                "the {} split is empty: nothing to evaluate",
                split.name()
            ));
        }
        Ok(Predictions {
            split,
            logits: self.logits(images, &dataset.info, batch, progress)?,
            labels: images.labels.iter().map(|&label| label.into()).collect(),
            classes: dataset.info.classes.len(),
        })
    }

    /// The logits of images of the data's shape, row-major.
    pub fn logits(
        &self,
        images: &Images,
        info: &DatasetInfo,
        batch: i64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Vec<f32>, String> {
        let resident = Resident::new(images, info, self.device).map_err(|error| error.0)?;
        let _guard = tch::no_grad_guard();
        let mut logits = Vec::new();
        let (mut start, total) = (0, resident.len());
        while start < total {
            let count = batch.max(1).min(total - start);
            let images = resident.run(start, count);
            logits.extend(to_vec(&self.network.logits(&self.weights, &images)));
            start += count;
            progress(start as u64, total as u64);
        }
        if logits.len() != total as usize * info.classes.len() {
            return Err(format!(
                "{} logits for {total} images of {} classes",
                logits.len(),
                info.classes.len()
            ));
        }
        Ok(logits)
    }
}

/// What a checkpoint says of itself, with the data it was made for.
///
/// # Errors
/// The file and what is wrong with it. A checkpoint of an early version does not tell its data.
pub fn read_state(checkpoint: &Path) -> Result<State, String> {
    let state = crate::checkpoint::read_state(checkpoint).map_err(|error| error.to_string())?;
    if state.dataset.classes.is_empty() {
        return Err(format!(
            "{}: does not tell sizes and class names of its data: it was written by an early version; train again",
            checkpoint.join("state.json").display()
        ));
    }
    let wrong = |what: String| {
        let file = checkpoint.join("state.json");
        Err(format!("{}: {what}", file.display()))
    };
    let DatasetInfo {
        channels,
        height,
        width,
        ..
    } = state.dataset;
    let side = 1..=LARGEST;
    if !side.contains(&height) || !side.contains(&width) || !(1..=4).contains(&channels) {
        return wrong(format!(
            "images of {channels}×{height}×{width}; expected 1 to 4 channels, sides of 1 to {LARGEST}"
        ));
    }
    if state.dataset.classes.len() > MOST_CLASSES {
        return wrong(format!(
            "{} classes, at most {MOST_CLASSES}",
            state.dataset.classes.len()
        ));
    }
    if let Some((t, _)) = state.temperature.filter(|(t, _)| !(1e-3..=1e3).contains(t)) {
        return wrong(format!("a temperature of {t}; expected 0.001 to 1000"));
    }
    Ok(state)
}
