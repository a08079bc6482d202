"""What watching costs: images/s of the same training with nobody watching, with a screen, with a screen whose terminal has
stopped reading, and with clients that come and go at its socket, in alternating segments; and the CPU time of everything
that is not training, and the memory of the run that was watched.

    python3 scripts/bench/screen.py [--segments 20] [--seconds 5] [--size 120x40]

Two trainings run at once, one headless and one with a screen, and all but the one that is measured is held with SIGSTOP:
so segments can alternate without a start between them. The numbers come from the runs' own journals.
"""

import argparse
import fcntl
import json
import os
import pathlib
import pty
import signal
import socket
import statistics
import struct
import subprocess
import tempfile
import termios
import threading
import time

import ours
import stats

STATES = ("absent", "attached", "stalled", "hammered")
VISITS = 50  # connections a second: a third say nothing, a third talk nonsense, a third read the whole picture
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

    @property
    def meta(self):
        return json.loads((self.journal.parent / "run.json").read_text())

    @property
    def trainer(self):
        """The process that trains; with a screen, it is not the one that was started."""
        return self.meta["pid"]

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
        os.kill(self.trainer, signal.SIGSTOP if held else signal.SIGCONT)

    def kill(self):
        for pid in {self.trainer, self.process.pid}:
            os.kill(pid, signal.SIGKILL)

    def memory(self):
        """Resident megabytes of the process that trains."""
        status = pathlib.Path(f"/proc/{self.trainer}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

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
        """Seconds of CPU of the screen, and of the trainer's threads that do not train. OpenMP's have the trainer's name."""
        ticks = 0
        for pid in {self.trainer, self.process.pid}:
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                name, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
                if not name.startswith("trainer"):
                    ticks += sum(map(int, rest.split()[11:13]))
        return ticks / TICK


HELLO = json.dumps({"magic": "epochtop", "major": 1, "minor": 0, "epochtop": "", "role": "watcher", "who": "bench"}).encode()


def visit(path, manner):
    """One client: it comes, does as it likes, and goes."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        try:
            client.connect(path)
            if manner == 1:
                client.sendall(b"\xff" * 64)
            elif manner == 2:
                client.sendall(struct.pack("<IB", len(HELLO) + 1, 1) + HELLO)
                for _ in range(2):  # the hello and the picture
                    length = struct.unpack("<I", client.recv(4, socket.MSG_WAITALL))[0]
                    client.recv(length, socket.MSG_WAITALL)
        except (OSError, struct.error):
            return 1
    return 0


def hammer(path, stop, failures):
    """Visits until told to stop."""
    manner = 0
    while not stop.is_set():
        failures.append(visit(path, manner % 3))
        manner += 1
        time.sleep(1 / VISITS)


def wait_for_steps(run):
    """Until the first epoch is under way."""
    for _ in range(600):
        if run.journal.exists() and '"event":"steps"' in run.journal.read_text():
            return
        time.sleep(0.1)
    raise SystemExit(f"{run.journal}: no step was told within a minute")


def measure(args, runs):
    """Images/s of each segment by state, the watchers' share of the machine while a screen was attached, memory before and
    after, and what became of the visits."""
    absent = Run(runs, "absent")
    wait_for_steps(absent)
    absent.hold(True)
    shown = Run(runs, "shown", args.size)
    wait_for_steps(shown)
    time.sleep(5)
    before_all = shown.memory()
    shown.hold(True)
    rates, cpu, wall, failures = {state: [] for state in STATES}, 0.0, 0.0, []
    try:
        for turn in range(args.segments):
            first = turn % len(STATES)
            for state in STATES[first:] + STATES[:first]:
                run = shown if state in ("attached", "stalled") else absent
                (run.reading.clear if state == "stalled" else run.reading.set)()
                run.hold(False)
                stop = threading.Event()
                if state == "hammered":
                    threading.Thread(target=hammer, args=(run.meta["socket"], stop, failures), daemon=True).start()
                time.sleep(SETTLE)
                before, start = run.watchers_cpu(), time.time()
                time.sleep(args.seconds)
                end = time.time()
                stop.set()
                if state == "attached":
                    cpu, wall = cpu + run.watchers_cpu() - before, wall + end - start
                run.hold(True)
                rates[state].append(run.rate(start, end))
        memory = [(before_all, shown.memory()), (None, absent.memory())]
    finally:
        for run in (absent, shown):
            run.kill()
    return rates, cpu / (wall * len(os.sched_getaffinity(0))), memory, failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--size", default="120x40")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as runs:
        rates, share, memory, failures = measure(args, runs)
    print(f"{'screen':<10} {'images/s':>9}  of absent, with 95 % interval ({args.segments} segments of {args.seconds:g} s each)")
    for state in STATES:
        line = f"{state:<10} {statistics.median(rates[state]):>9.0f}"
        if state != "absent":
            ratio = stats.paired_ratio(rates[state], rates["absent"])
            line += f"  {ratio['ratio']:.4f} [{ratio['low']:.4f}, {ratio['high']:.4f}]"
        print(line)
    print(f"screen, socket and hub use {share * 100:.2f} % of the machine's CPU time (wanted: at most 1 %)")
    (early, late), (_, visited) = memory
    print(f"memory of the watched trainer {early:.0f} MB after 5 s, {late:.0f} MB at the end; of the visited one {visited:.0f} MB")
    print(f"{len(failures)} visits, {sum(failures)} not answered as they should be")


if __name__ == "__main__":
    main()
