"""Measures the training speed beside other processes: images/s alone, beside busy processes, and with fewer cores.

    python3 scripts/bench/share.py [--rounds 4] [--seconds 6] [--networks textbook,default] [--states alone,one,two,...]
                                   [--binary NAME=PATH ...] [--variants eager,channels-last-bf16]

Alternates the binaries (default: the release binary of this clone; name another to compare with, such as
`--binary old=/tmp/epochtop --binary new=target/release/epochtop`) and, if named, variants of PyTorch. Each round runs
each of them once in each state, starting with a different one. Prints medians, the ratio to the same program alone, and
the ratio to the first program in the same state. The number of threads is left to each program. The state `quota` needs
the right to create a control group; it is left out without it.
"""

import argparse
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time

import child
import env
import machine
import ours
import theirs

BUSY = "while True: pass"
# A second of work, then a second of sleep.
COMES_AND_GOES = """import time
while True:
    end = time.monotonic() + 1
    while time.monotonic() < end: pass
    time.sleep(1)"""
GROUPS = pathlib.Path("/sys/fs/cgroup")
UNIFIED = (GROUPS / "cgroup.controllers").exists()  # version 2 of control groups
GROUP = (GROUPS if UNIFIED else GROUPS / "cpu") / f"epochtop-bench-{os.getpid()}"


class State:
    """What else runs on the machine, and on which cores the measured program may run."""

    def __init__(self, title, others=(), prefix=(), quota=None):
        self.title, self.others, self.prefix, self.quota = title, others, prefix, quota

    def command(self, command):
        """The command to run in this state."""
        if self.quota is None:
            return [*self.prefix, *command]
        # The shell enters the control group, then becomes the program.
        make_group(self.quota)
        return ["sh", "-c", f'echo $$ > "{GROUP}/cgroup.procs" && exec "$@"', "sh", *command]


STATES = {
    "alone": State("alone"),
    "one": State("beside one busy process", [BUSY]),
    "two": State("beside two busy processes", [BUSY, BUSY]),
    "visits": State("beside one that comes and goes", [COMES_AND_GOES]),
    "core": State("taskset -c 0", prefix=["taskset", "-c", "0"]),
    "core-one": State("taskset -c 0, beside one busy process", [BUSY], ["taskset", "-c", "0"]),
    "quota": State("cgroup quota of 1.5 cores", quota=1.5),
}


def make_group(cores):
    """Creates the control group with this quota, unless it exists."""
    if GROUP.exists():
        return
    if UNIFIED:
        (GROUPS / "cgroup.subtree_control").write_text("+cpu")
    GROUP.mkdir()
    quota, period = int(cores * 100_000), 100_000
    if UNIFIED:
        (GROUP / "cpu.max").write_text(f"{quota} {period}")
    else:
        (GROUP / "cpu.cfs_period_us").write_text(str(period))
        (GROUP / "cpu.cfs_quota_us").write_text(str(quota))


def has_groups():
    """Whether a quota can be set; says why not."""
    try:
        make_group(1.5)
    except OSError as error:
        print(f"share: no state `quota`: {error}", file=sys.stderr)
        return False
    return True


class Others:
    """The other processes, while the program is measured."""

    def __init__(self, state):
        self.processes = [subprocess.Popen([*state.prefix, sys.executable, "-c", code]) for code in state.others]

    def __enter__(self):
        time.sleep(0.2 if self.processes else 0)

    def __exit__(self, *_):
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
            process.wait()


def programs(args):
    """The command of each program for a network: binaries of epochtop, then variants of PyTorch."""
    binaries = dict(text.split("=", 1) for text in args.binary) if args.binary else {"ours": ours.binary()}
    found = {name: lambda network, path=path: [path, *ours.command(network, ["train.precision=auto"])[1:]]
             for name, path in binaries.items()}
    python = env.python() if args.variants else None
    for variant in args.variants:
        found[variant] = lambda network, variant=variant: [
            python, "-B", theirs.SCRIPT, "--network", network, "--variant", variant, "--threads",
            str(machine.cores()), "--device", "cpu"]
    return found


def measure(args, network, commands):
    """Images/s of each program in each state, a list over rounds; None where it failed."""
    rates = {(state, name): [] for state in args.states for name in commands}
    names = list(commands)
    for number in range(args.rounds):
        for state in args.states:
            shift = number % len(names)
            for name in names[shift:] + names[:shift]:
                with Others(STATES[state]):
                    result = child.speed(STATES[state].command(commands[name](network)), args.seconds)
                rates[state, name].append(result.get("images_per_second"))
                text = result.get("failed") or f"{result['images_per_second']:,.0f} images/s"
                print(f"{network}, round {number + 1} of {args.rounds}, {STATES[state].title}, {name}: {text}",
                      file=sys.stderr, flush=True)
    return rates


def median(rates):
    """The median of the rounds that did not fail; NaN without any."""
    known = [rate for rate in rates if rate]
    return statistics.median(known) if known else float("nan")


def report(network, states, names, rates):
    """Prints the table of a network."""
    print(f"{network}\n{'':<38} " + "  ".join(f"{name:>12}      /alone  /{names[0]}" for name in names))
    for state in states:
        cells = []
        for name in names:
            rate = median(rates[state, name])
            alone = median(rates.get(("alone", name), []))
            cells.append(f"{rate:>12,.0f}      {rate / alone:>6.2f}  {rate / median(rates[state, names[0]]):>{len(names[0]) + 1}.3f}")
        print(f"{STATES[state].title:<38} " + "  ".join(cells), flush=True)
    print()


def main():
    """Measures all networks and prints their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--networks", type=lambda text: text.split(","), default=["textbook", "default"])
    parser.add_argument("--states", type=lambda text: text.split(","), default=list(STATES))
    parser.add_argument("--binary", action="append", metavar="NAME=PATH")
    parser.add_argument("--variants", type=lambda text: text.split(","), default=[])
    args = parser.parse_args()
    if "quota" in args.states and not has_groups():
        args.states.remove("quota")
    try:
        commands = programs(args)
        for network in args.networks:
            report(network, args.states, list(commands), measure(args, network, commands))
    finally:
        if GROUP.exists():
            GROUP.rmdir()  # its processes have ended
    print(f"machine: {machine.cpu_model()}, {machine.cores()} cores; medians of {args.rounds} rounds of {args.seconds:g} s")


if __name__ == "__main__":
    try:
        main()
    except child.Stop as stop:
        sys.exit(f"share: {stop}")
