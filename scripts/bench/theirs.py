"""PyTorch's side, in the environment of env.py."""

import pathlib

import child

VARIANTS = ("eager", "channels-last", "channels-last-bf16", "compiled-bf16")
SCRIPT = str(pathlib.Path(__file__).resolve().with_name("pytorch_side.py"))


def speed(variant, network, args, python):
    """One measurement."""
    options = ["--network", network, "--variant", variant, "--threads", str(args.threads), "--device", args.device]
    return child.speed([python, "-B", SCRIPT, *options], args.seconds)


def losses(network, folder, python):
    """Trains the steps that epochtop left in the folder."""
    return child.losses([python, "-B", SCRIPT, "--network", network, "--losses", folder])
