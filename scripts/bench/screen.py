"""What the screen costs: images/s of the same training with nobody watching, with a screen, and with a screen whose
terminal has stopped reading, in alternating segments; and the CPU time of everything that is not training.

    python3 scripts/bench/screen.py [--segments 20] [--seconds 5] [--size 120x40]

Two trainings run at once, one headless and one in a terminal, and all but the one that is measured is held with SIGSTOP:
so segments can alternate without a start between them. The numbers come from the runs' own journals.
"""

import argparse
import fcntl
import json
import os
import pathlib
import pty
import signal
import statistics
import struct
import subprocess
import tempfile
import termios
import threading
import time

import ours
import stats

STATES = ("absent", "attached", "stalled")
SETTLE = 1.0  # seconds at the start of a segment that are not counted: what was held has to come back into the caches
TICK = os.sysconf("SC_CLK_TCK")


class Run:
    """A training, its journal, and whether its terminal is read."""

    def __init__(self, runs, name, size=None):
        self.journal = pathlib.Path(runs) / name / "events.jsonl"
        self.reading, self.master = threading.Event(), None
        command = [ours.binary(), "train", "--runs", runs, "--name", name, "--set", "train.epochs=1000"]
        if size is None:
            self.process = subprocess.Popen([*command, "--headless"], stdout=subprocess.DEVNULL)
        else:
            self.master, slave = pty.openpty()
            columns, rows = map(int, size.split("x"))
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            env = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
            self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env,
                                            start_new_session=True)
            os.close(slave)
            threading.Thread(target=self.read, daemon=True).start()
        self.reading.set()

    def read(self):
        """Takes what the screen writes, while it is to be taken."""
        while True:
            self.reading.wait()
            try:
                if not os.read(self.master, 65536):
                    return
            except OSError:
                return

    def hold(self, held):
        os.kill(self.process.pid, signal.SIGSTOP if held else signal.SIGCONT)

    def rate(self, start, end):
        """Images/s of the windows of steps that were told between two moments."""
        images = millis = 0
        for line in self.journal.read_text().splitlines():
            if '"event":"steps"' not in line:
                continue
            record = json.loads(line)
            if start <= record["t_ms"] / 1000 <= end:
                images, millis = images + record["images"], millis + record["millis"]
        return images / millis * 1000 if millis else float("nan")

    def watchers_cpu(self):
        """Seconds of CPU that threads other than the trainer's have used. OpenMP's threads have its name."""
        ticks = 0
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            name, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
            if name != "trainer":
                ticks += sum(map(int, rest.split()[11:13]))
        return ticks / TICK


def wait_for_steps(run):
    """Until the first epoch is under way."""
    for _ in range(600):
        if run.journal.exists() and '"event":"steps"' in run.journal.read_text():
            return
        time.sleep(0.1)
    raise SystemExit(f"{run.journal}: no step was told within a minute")


def measure(args, runs):
    """Images/s of each segment by state, and the watchers' share of the machine while a screen was attached."""
    absent = Run(runs, "absent")
    wait_for_steps(absent)
    absent.hold(True)
    shown = Run(runs, "shown", args.size)
    wait_for_steps(shown)
    shown.hold(True)
    rates, cpu, wall = {state: [] for state in STATES}, 0.0, 0.0
    try:
        for turn in range(args.segments):
            for state in STATES[turn % 3:] + STATES[: turn % 3]:
                run = absent if state == "absent" else shown
                (run.reading.clear if state == "stalled" else run.reading.set)()
                run.hold(False)
                time.sleep(SETTLE)
                before, start = run.watchers_cpu(), time.time()
                time.sleep(args.seconds)
                end = time.time()
                if state == "attached":
                    cpu, wall = cpu + run.watchers_cpu() - before, wall + end - start
                run.hold(True)
                rates[state].append(run.rate(start, end))
    finally:
        for run in (absent, shown):
            run.process.kill()
    return rates, cpu / (wall * len(os.sched_getaffinity(0)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--size", default="120x40")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as runs:
        rates, share = measure(args, runs)
    print(f"{'screen':<10} {'images/s':>9}  of absent, with 95 % interval ({args.segments} segments of {args.seconds:g} s each)")
    for state in STATES:
        line = f"{state:<10} {statistics.median(rates[state]):>9.0f}"
        if state != "absent":
            ratio = stats.paired_ratio(rates[state], rates["absent"])
            line += f"  {ratio['ratio']:.4f} [{ratio['low']:.4f}, {ratio['high']:.4f}]"
        print(line)
    print(f"screen and hub use {share * 100:.2f} % of the machine's CPU time (wanted: at most 1 %)")


if __name__ == "__main__":
    main()
