"""Runs the measurements of PyTorch, in the environment of env.py."""

import pathlib

import child

VARIANTS = ("eager", "channels-last", "channels-last-bf16", "compiled-bf16")
SCRIPT = str(pathlib.Path(__file__).resolve().with_name("pytorch_side.py"))


def speed(variant, network, args, python):
    """Measures one variant."""
    options = ["--network", network, "--variant", variant, "--threads", str(args.threads), "--device", args.device]
    return child.speed([python, "-B", SCRIPT, *options], args.seconds)


def losses(network, folder, python):
    """Runs the steps of the loss check with the weights and batches that epochtop saved in the folder."""
    return child.losses([python, "-B", SCRIPT, "--network", network, "--losses", folder])
