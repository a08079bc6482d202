"""Measures the cost of monitoring a training run: images/s with and without clients, CPU time, memory.

Alternating segments of the same training have no client, an attached screen, a screen whose terminal has stopped reading,
or clients that connect and disconnect continually.

    python3 scripts/bench/screen.py [--segments 20] [--seconds 5] [--size 120x40]

One process trains throughout while screens attach and detach. Two processes with the same configuration would differ in
speed by several per cent, more than the cost of a screen. The throughput is read from the journal of the run.
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
VISITS = 50  # connections per second: a third send nothing, a third send invalid bytes, a third read the full snapshot
SETTLE = 1.5  # seconds at the start of a segment that are not measured, while the screen starts
TICK = os.sysconf("SC_CLK_TCK")


class Run:
    """A detached training run."""

    def __init__(self, runs):
        self.journal = pathlib.Path(runs) / "watched" / "events.jsonl"
        subprocess.run([ours.binary(), "train", "--detach", "--runs", runs, "--name", "watched",
                        "--set", "train.epochs=1000"], check=True, stdout=subprocess.DEVNULL)
        self.meta = json.loads((self.journal.parent / "run.json").read_text())

    def rate(self, start, end):
        """Images/s of the windows of steps that were logged between two times, in seconds since 1970."""
        images = millis = 0
        for line in self.journal.read_text().splitlines():
            if '"event":"steps"' not in line:
                continue
            record = json.loads(line)
            if start <= record["t_ms"] / 1000 <= end:
                images, millis = images + record["images"], millis + record["millis"]
        return images / millis * 1000 if millis else float("nan")

    def memory(self):
        """Resident memory of the trainer, in MiB."""
        status = pathlib.Path(f"/proc/{self.meta['pid']}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


class Screen:
    """A screen attached in a pseudo-terminal, whose output is read or not."""

    def __init__(self, run, size, reading):
        self.master, slave = pty.openpty()
        columns, rows = map(int, size.split("x"))
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        env = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        command = [ours.binary(), "attach", "--socket", run.meta["socket"]]
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True)
        os.close(slave)
        if reading:
            threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            while os.read(self.master, 65536):
                pass
        except OSError:
            pass

    def leave(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)


def watchers_cpu(run, screen):
    """CPU seconds of the screen and of the trainer's threads that do not train. OpenMP threads are named trainer."""
    ticks = 0
    for pid in (run.meta["pid"], screen.process.pid):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            try:
                name, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
            except OSError:  # the thread has ended meanwhile, for example that of a client
                continue
            if not name.startswith("trainer"):
                ticks += sum(map(int, rest.split()[11:13]))
    return ticks / TICK


HELLO = json.dumps({"magic": "epochtop", "major": 2, "minor": 0, "epochtop": "", "role": "watcher", "who": "bench"}).encode()


def visit(path, manner):
    """Connects, behaves as the manner says (0: silent, 1: invalid bytes, 2: reads the snapshot), and disconnects.

    Returns 1 if the connection failed, else 0.
    """
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        try:
            client.connect(path)
            if manner == 1:
                client.sendall(b"\xff" * 64)
            elif manner == 2:
                client.sendall(struct.pack("<IB", len(HELLO) + 1, 1) + HELLO)
                for _ in range(2):  # the hello and the snapshot
                    length = struct.unpack("<I", client.recv(4, socket.MSG_WAITALL))[0]
                    client.recv(length, socket.MSG_WAITALL)
        except (OSError, struct.error):
            return 1
    return 0


def hammer(path, stop, failures):
    """Connects repeatedly until `stop` is set."""
    manner = 0
    while not stop.is_set():
        failures.append(visit(path, manner % 3))
        manner += 1
        time.sleep(1 / VISITS)


def wait_for_steps(run):
    """Waits until the first steps are logged."""
    for _ in range(600):
        if '"event":"steps"' in run.journal.read_text():
            return
        time.sleep(0.1)
    raise SystemExit(f"{run.journal}: no step was logged within a minute")


def segment(run, state, args, failures):
    """Images/s in this state, and the CPU seconds of the monitoring threads if a screen is running."""
    screen = Screen(run, args.size, state == "attached") if state in ("attached", "stalled") else None
    stop, cpu = threading.Event(), 0.0
    if state == "hammered":
        threading.Thread(target=hammer, args=(run.meta["socket"], stop, failures), daemon=True).start()
    time.sleep(SETTLE)
    before, start = watchers_cpu(run, screen) if screen else 0, time.time()
    time.sleep(args.seconds)
    end = time.time()
    stop.set()
    if screen:
        cpu = watchers_cpu(run, screen) - before
        screen.leave()
    return run.rate(start, end), cpu


def measure(args, runs):
    """Images/s of each segment by state, the CPU share of monitoring while a screen was attached, the trainer's memory
    after each turn, and the result of each client connection."""
    run = Run(runs)
    rates, cpu, failures = {state: [] for state in STATES}, 0.0, []
    try:
        wait_for_steps(run)
        time.sleep(15)
        memory = [run.memory()]
        for turn in range(args.segments):
            first = turn % len(STATES)
            for state in STATES[first:] + STATES[:first]:
                rate, used = segment(run, state, args, failures)
                rates[state].append(rate)
                cpu += used if state == "attached" else 0
            memory.append(run.memory())
    finally:
        os.kill(run.meta["pid"], signal.SIGKILL)
    share = cpu / (args.seconds * args.segments * len(os.sched_getaffinity(0)))
    return rates, share, memory, failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--size", default="120x40")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as runs:
        rates, share, memory, failures = measure(args, runs)
    print(f"{'screen':<10} {'images/s':>9}  ratio to absent [95 % CI] ({args.segments} segments of {args.seconds:g} s)")
    for state in STATES:
        line = f"{state:<10} {statistics.median(rates[state]):>9.0f}"
        if state != "absent":
            ratio = stats.paired_ratio(rates[state], rates["absent"])
            line += f"  {ratio['ratio']:.4f} [{ratio['low']:.4f}, {ratio['high']:.4f}]"
        print(line)
    print(f"screen, socket and hub use {share * 100:.2f} % of the machine's CPU time (target: at most 1 %)")
    half = memory[len(memory) // 2]
    print(f"memory of the trainer, MiB: {memory[0]:.0f} at the start, {half:.0f} half-way, {memory[-1]:.0f} at the end")
    print(f"{len(failures)} client connections, {sum(failures)} failed")


if __name__ == "__main__":
    main()
