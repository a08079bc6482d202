"""epochtop's side: the release binary, which the caller has built."""

import os
import pathlib

import child

OVERRIDE = "EPOCHTOP_BENCH_BINARY"
PRECISIONS = {"ours-f32": "f32", "ours-auto": "auto"}


def binary():
    """The program to measure."""
    root = pathlib.Path(__file__).resolve().parents[2]
    path = pathlib.Path(os.environ.get(OVERRIDE) or root / "target" / "release" / "epochtop")
    if not path.is_file():
        raise child.Stop(f"{path}: no such file: build it with `cargo build --release`, or name one in {OVERRIDE}")
    return str(path)


def speed(variant, network, args):
    """One measurement."""
    options = ["--network", network, "--precision", PRECISIONS[variant], "--threads", str(args.threads)]
    return child.speed([binary(), "bench", *options, "--device", args.device, "--json"], args.seconds)


def losses(network, folder):
    """Trains the steps of the loss check and leaves weights and batches in the folder."""
    return child.losses([binary(), "bench", "--network", network, "--precision", "f32", "--losses", folder])
