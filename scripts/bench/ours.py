"""Runs the measurements of epochtop, with the release binary, which must already be built."""

import os
import pathlib

import child

OVERRIDE = "EPOCHTOP_BENCH_BINARY"
# Settings that both sides use: batches of 256, and no augmentation except flips, which the textbook preset disables.
PLAIN = ("train.batch_size=256", "train.accumulate=1", "train.ema=0", "data.augment.shift=0", "data.augment.rotate=0",
         "data.augment.scale=0", "data.augment.shear=0", "data.augment.erase=0", "model.channels=[32,64,128]",
         "model.dropout=0", "optim.lr=0.004", "optim.weight_decay=0.05", "optim.name=adamw", "optim.clip_norm=1",
         "optim.label_smoothing=0.1")
PRECISIONS = {"ours-f32": "f32", "ours-auto": "auto"}


def binary():
    """The path of the epochtop binary to measure."""
    root = pathlib.Path(__file__).resolve().parents[2]
    path = pathlib.Path(os.environ.get(OVERRIDE) or root / "target" / "release" / "epochtop")
    if not path.is_file():
        raise child.Stop(f"{path}: no such file: build it with `cargo build --release`, or set {OVERRIDE} to a binary")
    return str(path)


def speed(variant, network, args):
    """Measures one variant."""
    sets = [f"train.precision={PRECISIONS[variant]}", f"train.threads={args.threads}", f"train.device={args.device}"]
    return child.speed(command(network, sets), args.seconds)


def losses(network, folder):
    """Runs the steps of the loss check and saves the initial weights and the batches in the folder."""
    sets = ["train.precision=f32", "train.device=cpu", "data.augment.flip=false"]
    return child.losses([*command(network, sets), "--losses", folder])


def command(network, sets):
    """The benchmark command with the settings that both sides use, independent of the defaults of the presets."""
    preset = ["--preset", "textbook"] if network == "textbook" else []
    sets = [*sets, *PLAIN]
    return [binary(), "bench", *preset, *(word for one in sets for word in ("--set", one))]
