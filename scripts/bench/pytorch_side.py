"""The PyTorch side of the comparison: measures one variant of one network and prints a JSON object.

    PYTHON pytorch_side.py --network textbook|default --variant VARIANT --threads N --seconds S --device cpu|cuda
    PYTHON pytorch_side.py --network textbook|default --losses DIR

PYTHON needs torch. --losses also needs safetensors; it starts from the weights and batches that epochtop saved in DIR.
"""

import time

BEGAN = time.time()  # default for --t0; taken before the slow imports

import argparse  # noqa: E402
import json  # noqa: E402
import pathlib  # noqa: E402
import resource  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402

import torch  # noqa: E402

IMPORTED = time.time()

import pytorch_data  # noqa: E402
import pytorch_network  # noqa: E402
import pytorch_training  # noqa: E402


def arguments():
    """Parses the command line."""
    parser = argparse.ArgumentParser(description="Trains a network in PyTorch and prints the throughput as JSON.")
    parser.add_argument("--network", choices=("textbook", "default"), required=True)
    parser.add_argument("--variant", choices=pytorch_training.VARIANTS, default="eager")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--data", default="", help="directory of the IDX files; default: those that epochtop searches")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--losses", help="print the losses of the steps saved in this directory instead")
    parser.add_argument("--t0", type=float, default=BEGAN, help="start time of the process, in seconds since 1970")
    return parser.parse_args()


def speed(args):
    """Trains for args.seconds and returns throughput, start-up time and peak memory."""
    torch.manual_seed(1)
    data = pytorch_data.Resident(args.data, args.device)
    batches = data.batches(args.batch, flips=args.network == "default")
    loaded = time.time()
    network = pytorch_network.Network(residual=args.network == "default")
    trainer = pytorch_training.Trainer(network, args.variant, args.device)
    built = time.time()
    trainer.step(*next(batches)).item()
    stepped = time.time()
    pytorch_training.warm_up(trainer, batches)
    rate, segments, steps = pytorch_training.timed(trainer, batches, args.batch, args.seconds, args.device)
    marks = [args.t0, IMPORTED, loaded, built, stepped]
    parts = [after - before for before, after in zip(marks, marks[1:])]
    return {
        "variant": args.variant,
        "network": args.network,
        "images_per_second": rate,
        "segments": segments,
        "startup_seconds": stepped - args.t0,
        "startup_parts": dict(zip(("import", "data", "model", "first_step"), parts)),
        "compile_seconds": parts[-1] if args.variant.startswith("compiled") else 0.0,
        "optimizer_ms": pytorch_training.optimizer_ms(trainer, next(batches), args.device),
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "steps": steps,
        "threads": args.threads,
        "torch": torch.__version__,
    }


def losses(args):
    """The losses of f32 steps with the given weights, batches and learning rates."""
    from safetensors.torch import load_file  # imported here because the speed measurement does not need it

    source = pathlib.Path(args.losses)
    meta = json.loads((source / "meta.json").read_text())
    images = pytorch_data.as_tensor((source / "images.u8").read_bytes()).view(meta["steps"], meta["batch"], 1, 28, 28)
    labels = pytorch_data.as_tensor((source / "labels.u8").read_bytes()).view(meta["steps"], meta["batch"]).long()
    network = pytorch_network.Network(residual=args.network == "default")
    pytorch_network.load(network, load_file(source / "init.safetensors"), source / "init.safetensors")
    trainer = pytorch_training.Trainer(network, "eager", args.device)
    found = []
    for batch, targets, rate in zip(images, labels, meta["lr"]):
        for group in trainer.optimizer.param_groups:
            group["lr"] = rate
        found.append(trainer.step(pytorch_data.normalise(batch.to(args.device)), targets.to(args.device)).item())
    return {"losses": found}


def main():
    """Prints the result, or {"failed": reason} with a traceback on stderr."""
    args = arguments()
    torch.set_num_threads(args.threads)
    try:
        if args.device == "cuda" and not torch.cuda.is_available():
            raise RuntimeError(f"torch {torch.__version__} sees no CUDA device; use --device cpu")
        found = losses(args) if args.losses else speed(args)
    except Exception as error:  # any error: the parent process reports it in the row of the variant
        traceback.print_exc()
        reason = next(iter(str(error).strip().splitlines()), "")
        print(json.dumps({"failed": f"{type(error).__name__}: {reason}"}))
        return 1
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
