"""Trains the same networks in PyTorch and in epochtop and prints the throughput of each.

    python3 scripts/bench [--rounds 5] [--seconds 8] [--networks textbook,default]
                          [--variants eager,channels-last,channels-last-bf16,compiled-bf16,ours-f32,ours-auto]
                          [--threads N] [--device cpu|cuda] [--json FILE]

Build epochtop first (`cargo build --release`). torch is installed with pip into ~/.cache/epochtop/bench-venv. The
environment variables EPOCHTOP_BENCH_PYTHON and EPOCHTOP_BENCH_BINARY select another Python or binary. First, both sides
must compute the same losses for the same 20 steps. Then each round runs each variant once, starting with a different
one, so that other load on the machine affects all variants alike. compiled-bf16 needs g++. The exit status is 1 if the
losses differ or epochtop failed. A ratio below its target is reported but does not change the exit status.
"""

import argparse
import json
import sys

import child
import env
import loss_check
import machine
import ours
import report
import theirs

VARIANTS = (*theirs.VARIANTS, *ours.PRECISIONS)
NETWORKS = ("textbook", "default")


def names_from(known):
    """Returns an argument type: a comma-separated list of known names."""

    def parse(text):
        names = list(dict.fromkeys(text.split(",")))
        odd = [name for name in names if name not in known]
        if odd:
            raise argparse.ArgumentTypeError(f"unknown {', '.join(map(repr, odd))}: expected any of {','.join(known)}")
        return names

    return parse


def positive(kind):
    """Returns an argument type: a finite number above 0."""

    def parse(text):
        number = kind(text)
        if not 0 < number < float("inf"):
            raise argparse.ArgumentTypeError(f"{text}: expected a number above 0")
        return number

    return parse


def arguments():
    """Parses the command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=positive(int), default=5, help="default: 5")
    parser.add_argument("--seconds", type=positive(float), default=8, help="per measurement; default: 8")
    parser.add_argument("--networks", type=names_from(NETWORKS), default=list(NETWORKS), help=",".join(NETWORKS))
    parser.add_argument("--variants", type=names_from(VARIANTS), default=list(VARIANTS), help=",".join(VARIANTS))
    parser.add_argument("--threads", type=positive(int), default=machine.cores(), help="default: one per core")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--json", metavar="FILE", help="write all measurements to this file")
    return parser.parse_args()


def measure(variant, network, args, python):
    """Measures one variant of epochtop or PyTorch."""
    if variant in ours.PRECISIONS:
        return ours.speed(variant, network, args)
    return theirs.speed(variant, network, args, python)


def log(text):
    """Prints progress to stderr; stdout is for the tables."""
    print(text, file=sys.stderr, flush=True)


def play_round(number, network, args, python):
    """Measures each variant once. The first variant runs on a cooler machine than the last, so each round starts with a
    different one."""
    shift = number % len(args.variants)
    results = {}
    for variant in args.variants[shift:] + args.variants[:shift]:
        busy = machine.busy_share()
        result = results[variant] = {**measure(variant, network, args, python), "busy_before": busy}
        text = f"failed: {result['failed']}" if "failed" in result else f"{result['images_per_second']:,.0f} images/s"
        log(f"{network}, round {number + 1} of {args.rounds}, {variant}: {text}{busy_warning(busy)}")
    return results


def busy_warning(busy):
    """A warning if other processes used the machine, else an empty string."""
    return f"; other processes used {busy:.0%} of the machine" if busy > machine.BUSY else ""


def play(network, args, python):
    """Runs the loss check and all rounds of one network."""
    losses = None
    if any(variant in ours.PRECISIONS for variant in args.variants):
        losses = loss_check.check(network, python)
        log(f"{network}: the losses of {len(losses['ours'])} steps agree to {losses['max_relative_difference']:.1e}")
    rounds = [play_round(number, network, args, python) for number in range(args.rounds)]
    return {"losses": losses, "rounds": rounds, "verdicts": report.verdicts(rounds)}


def main():
    """Measures all networks, prints the tables, and writes the JSON file."""
    args = arguments()
    if any(variant in ours.PRECISIONS for variant in args.variants):
        ours.binary()  # fail early if it is missing: PyTorch takes minutes
    python = env.python()
    networks = {}
    for network in args.networks:
        networks[network] = play(network, args, python)
        print(report.network(network, networks[network], args.variants), end="\n\n", flush=True)
    answers = [(name, answer) for result in networks.values() for found in result["rounds"]
               for name, answer in found.items()]
    measured_on = machine.describe(args, [answer for _, answer in answers])
    print(machine.summary(measured_on))
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"machine": measured_on, "seconds": args.seconds, "networks": networks}, file, indent=1)
    return int(any(name in ours.PRECISIONS and "failed" in answer for name, answer in answers))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except child.Stop as stop:
        sys.exit(f"bench: {stop}")
    except OSError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit("\nbench: interrupted; no results written")
