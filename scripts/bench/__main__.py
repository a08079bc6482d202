"""Trains the same networks in PyTorch and in epochtop, in turn, and prints how fast each is.

    python3 scripts/bench [--rounds 5] [--seconds 8] [--networks textbook,default]
                          [--variants eager,channels-last,channels-last-bf16,compiled-bf16,ours-f32,ours-auto]
                          [--threads N] [--device cpu|cuda] [--json FILE]

Build epochtop first (`cargo build --release`); torch comes by pip into ~/.cache/epochtop/bench-venv. The environment
variables EPOCHTOP_BENCH_PYTHON and EPOCHTOP_BENCH_BINARY name others. First both sides must show the same losses of
the same 20 steps; then each round runs each variant once, in another order, so that what the machine does besides
falls on all. compiled-bf16 needs g++. Ends with 1 when the losses differ or epochtop failed; a ratio that falls short
is printed as such and is no failure.
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
    """Reads a list of names that must be among the known ones."""

    def parse(text):
        names = list(dict.fromkeys(text.split(",")))
        odd = [name for name in names if name not in known]
        if odd:
            raise argparse.ArgumentTypeError(f"{', '.join(map(repr, odd))}: expected some of {','.join(known)}")
        return names

    return parse


def positive(kind):
    """Reads a number above 0."""

    def parse(text):
        number = kind(text)
        if not 0 < number < float("inf"):
            raise argparse.ArgumentTypeError(f"{text}: expected a number above 0")
        return number

    return parse


def arguments():
    """What is asked for."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=positive(int), default=5, help="default: 5")
    parser.add_argument("--seconds", type=positive(float), default=8, help="of each measurement; default: 8")
    parser.add_argument("--networks", type=names_from(NETWORKS), default=list(NETWORKS), help=",".join(NETWORKS))
    parser.add_argument("--variants", type=names_from(VARIANTS), default=list(VARIANTS), help=",".join(VARIANTS))
    parser.add_argument("--threads", type=positive(int), default=machine.cores(), help="default: one for each core")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--json", metavar="FILE", help="write all measurements there")
    return parser.parse_args()


def measure(variant, network, args, python):
    """One measurement of either side."""
    if variant in ours.PRECISIONS:
        return ours.speed(variant, network, args)
    return theirs.speed(variant, network, args, python)


def say(text):
    """Progress, beside the tables."""
    print(text, file=sys.stderr, flush=True)


def play_round(number, network, args, python):
    """Each variant once, beginning with another one each round: the first finds the machine cool, the last warm."""
    shift = number % len(args.variants)
    results = {}
    for variant in args.variants[shift:] + args.variants[:shift]:
        busy = machine.busy_share()
        result = results[variant] = {**measure(variant, network, args, python), "busy_before": busy}
        told = f"failed: {result['failed']}" if "failed" in result else f"{result['images_per_second']:,.0f} images/s"
        say(f"{network}, round {number + 1} of {args.rounds}, {variant}: {told}{busy_words(busy)}")
    return results


def busy_words(busy):
    """A warning where something else is running."""
    return f"; {busy:.0%} of the machine was busy before it" if busy > machine.BUSY else ""


def play(network, args, python):
    """The loss check and all rounds of one network."""
    losses = None
    if any(variant in ours.PRECISIONS for variant in args.variants):
        losses = loss_check.check(network, python)
        say(f"{network}: the losses of {len(losses['ours'])} steps agree to {losses['max_relative_difference']:.1e}")
    rounds = [play_round(number, network, args, python) for number in range(args.rounds)]
    return {"losses": losses, "rounds": rounds, "verdicts": report.verdicts(rounds)}


def main():
    """Measures, prints, and writes down."""
    args = arguments()
    if any(variant in ours.PRECISIONS for variant in args.variants):
        ours.binary()  # before minutes are spent on PyTorch
    python = env.python()
    networks = {}
    for network in args.networks:
        networks[network] = play(network, args, python)
        print(report.network(network, networks[network], args.variants), end="\n\n", flush=True)
    answers = [(name, answer) for result in networks.values() for found in result["rounds"]
               for name, answer in found.items()]
    measured_on = machine.describe(args, [answer for _, answer in answers])
    print(machine.words(measured_on))
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
        sys.exit("\nbench: interrupted; nothing was written")
