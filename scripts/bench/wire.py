"""Measures the terminal output in bytes/s and the latency of keys and events.

    python3 scripts/bench/wire.py [--part bytes|keys|screen|all] [--seconds 20] [--keys 60] [--binary PATH]

Each part trains the default network and acts as its terminal. Event times are the timestamps of the journal, in ms.
"""

import argparse
import contextlib
import fcntl
import json
import math
import os
import pty
import random
import re
import select
import signal
import statistics
import struct
import subprocess
import tempfile
import termios
import threading
import time

import child
import ours

# Terminal sizes, and the bytes/s of two other programs at that size, measured separately: burn and W&B LEET.
OTHERS = {"80x24": ("5,050-5,871", "2,515-2,663"), "120x40": ("15,440 idle 250", "4,329-4,469"),
          "200x60": ("38,120", "15,483-15,797 idle 0")}
WARM_UP, SETTLE, IDLE = 5.0, 2.0, 5.0  # seconds: before measuring, after pausing, and of measuring while paused
SILENCE = 0.015  # seconds without a byte that separate two frames
PATIENCE, LOST = 15.0, 3  # seconds after which a key counts as lost; number of lost keys after which the part stops
WINDOWS = 10  # number of windows of steps before a key press from which the duration of a step is taken
COMMANDS = {" ": ("pause", "resume"), "c": ("checkpoint",), "e": ("evaluate_split",)}
KEYS = "ec  c.  c  cc"  # evaluate; during it checkpoint, pause, resume, checkpoint; after it (".") the same
DOING = {"validating": "evaluating", "testing": "evaluating", "paused": "paused"}


class Run:
    """A training run, its terminal, and its journal."""

    def __init__(self, binary, root, size):
        self.runs, self.journal = f"{root}/runs", f"{root}/runs/wire/events.jsonl"
        self.records, self.offset, self.chunks, self.reading = [], 0, [], threading.Event()
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", *map(int, reversed(size.split("x"))), 0, 0))
        env = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "COLORTERM": "", "NO_COLOR": "",
               "XDG_CONFIG_HOME": root, "EPOCHTOP_SOCKET_DIR": root}  # ignore the colours and settings of the user
        command = [binary, "train", "--runs", self.runs, "--name", "wire", "--set", "train.epochs=1000"]
        self.process = subprocess.Popen(command, stdin=self.slave, stdout=self.slave, stderr=self.slave, env=env,
                                        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.reading.set()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        """Stores each chunk that the screen writes, with its time, while `reading` is set, until the terminal closes."""
        with contextlib.suppress(OSError):
            while self.reading.wait():
                data = os.read(self.master, 65536)
                self.chunks.append((time.time(), data))

    def press(self, key):
        """Presses a key; returns the time in ms since 1970 and the number of records before it."""
        self.load()
        now = time.time() * 1000
        os.write(self.master, key.encode())
        return now, len(self.records)

    def load(self):
        """Reads the new records of the journal."""
        with contextlib.suppress(FileNotFoundError), open(self.journal, "rb") as journal:
            journal.seek(self.offset)
            lines = journal.read().rpartition(b"\n")[0]  # without an incomplete last line
            self.offset += len(lines) + 1 if lines else 0
            self.records += map(json.loads, lines.splitlines())

    def wait(self, wanted, since=0, patience=PATIENCE):
        """Waits for the first record after the first `since` ones for which `wanted` is true."""
        until = time.time() + patience
        while time.time() < until and self.process.poll() is None:
            self.load()
            if found := next(filter(wanted, self.records[since:]), None):
                return found
            time.sleep(0.01)
        why = f"no such record within {patience:g} s" if self.process.poll() is None else "the screen has ended"
        raise child.Stop(f"{why}; last output of the screen: {b''.join(data for _, data in self.chunks)[-400:]}")

    def toggle(self, phase):
        """Pauses or resumes after a random delay; returns the timestamp of the phase record, in ms."""
        time.sleep(random.uniform(0.5, 1))
        return self.wait(lambda record: record.get("phase") == phase, self.press(" ")[1])["t_ms"]

    def is_stalled(self):
        """Whether the buffer of the terminal is full, so that the screen cannot write."""
        return not select.select([], [self.slave], [], 0)[1]

    def stall(self):
        """Stops reading and fills the buffer of the terminal: each ctrl-l redraws the complete screen."""
        self.reading.clear()
        for _ in range(50):
            self.press("\f")
            time.sleep(0.1)

    def leave(self):
        """Stops the run with q and s, as a user would: it saves a checkpoint and ends with status 3."""
        self.reading.set()
        self.press("q")
        time.sleep(0.5)
        self.press("s")
        self.process.wait(30)
        if self.process.returncode != 3 or self.processes():
            print(f"! after q and s: status {self.process.returncode}, expected 3; still running: {self.processes()}")

    def processes(self):
        """The pids of the screen and the trainer: all processes with the runs directory as an argument."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as words:
                found += [int(pid)] * (self.runs.encode() in words.read().split(b"\0"))
        return found

    def kill(self):
        """Kills all processes of the run, including a trainer that is just starting."""
        while pids := self.processes():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.slave)


@contextlib.contextmanager
def training(args, size="120x40"):
    """A run that has logged its first steps; it is stopped and removed afterwards."""
    with tempfile.TemporaryDirectory() as root:
        run = Run(args.binary, root, size)
        try:
            run.wait(lambda record: record["event"] == "steps", patience=60)
            yield run
            run.leave()
        finally:
            run.kill()


def spread(numbers, digits=0):
    """Median, 99th percentile and maximum as columns (nearest rank: no interpolation)."""
    ranks = [max(0, math.ceil(len(numbers) * share) - 1) for share in (0.5, 0.99, 1)]
    return "".join(f"{sorted(numbers)[rank] if numbers else math.nan:>8,.{digits}f}" for rank in ranks)


def frames(chunks):
    """The arrival time and the bytes of each frame; frames are separated by SILENCE."""
    found, last = [], -math.inf
    for moment, data in chunks:
        if moment - last >= SILENCE:
            found.append((moment, bytearray()))
        found[-1][1].extend(data)
        last = moment
    return found


def listen(run, seconds):
    """The sizes in bytes of the frames of the next seconds."""
    before = len(run.chunks)
    time.sleep(seconds)
    return [len(data) for _, data in frames(run.chunks[before:])]


def measure_bytes(args):
    """Prints a row per terminal size: bytes of the overview page while training, then while paused."""
    print(f"\nBYTES of the overview page while training ({args.seconds:g} s) and paused ({IDLE:g} s; target: 0)\n"
          f"{'':8} {'':>7} {'':>8}  {'bytes/frame':>22} {'paused':>7}   others, bytes/s, measured separately\n{'size':<8} "
          f"{'bytes/s':>7} {'frames/s':>8} {'median':>7}{'99 %':>8}{'max':>8} {'bytes':>7}   burn 0.22 TUI   W&B LEET 0.31")
    for size, (burn, leet) in OTHERS.items():
        with training(args, size) as run:
            time.sleep(WARM_UP)
            sizes = listen(run, args.seconds)
            run.toggle("paused")
            time.sleep(SETTLE)
            print(f"{size:<8} {sum(sizes) / args.seconds:>7,.0f} {len(sizes) / args.seconds:>8.1f}{spread(sizes)} "
                  f"{sum(listen(run, IDLE)):>7,}   {burn:<15} {leet}", flush=True)


def name_of(command):
    """The name of a command: one with arguments is an object with the name as its key."""
    return command if isinstance(command, str) else next(iter(command))


def press_keys(run, count):
    """Presses keys at random times, each after the previous acknowledgement; returns (time, record) pairs."""
    pressed = []
    for key in KEYS * math.ceil(count / (len(KEYS) - 1)):
        if key == ".":
            run.wait(lambda _: doing_at(run.records, math.inf) == "training", -1, 60)
            continue
        time.sleep(random.uniform(0.1, 0.7) * (0.4 if doing_at(run.records, math.inf) == "evaluating" else 1))
        (moment, since), answer = run.press(key), None
        with contextlib.suppress(child.Stop):
            answer = run.wait(lambda record: record["event"] == "acknowledged" and name_of(record["command"]) in COMMANDS[key]
                              and record["answer"]["is"] == "accepted", since)
        pressed.append((moment, answer))
        if [answer for _, answer in pressed].count(None) == LOST:
            break
        if key == "e":
            run.wait(lambda record: record.get("phase") in DOING, since)
    return pressed


def doing_at(records, moment):
    """The activity of the run at a time: training, evaluating or paused."""
    phases = [record["phase"] for record in records if record["event"] == "phase" and record["t_ms"] <= moment]
    return DOING.get(phases[-1], "training")


def unit_at(records, moment, doing):
    """The median duration in ms of the steps before that time, or of an evaluation batch."""
    if doing == "training":
        windows = [record for record in records if record["event"] == "steps" and record["t_ms"] <= moment][-WINDOWS:]
        return statistics.median(record["millis"] / len(record["loss"]) for record in windows)
    progress = [record for record in records if record["event"] == "eval_progress"]
    return statistics.median(b["t_ms"] - a["t_ms"] for a, b in zip(progress, progress[1:]) if a["done"] < b["done"])


def print_keys(terminal, records, pressed):
    """Prints a row per activity of the run. Timestamps are rounded down, so they are 0.5 ms early on average."""
    for doing in ("training", "evaluating", "paused"):
        those = [(moment, answer) for moment, answer in pressed if doing_at(records, moment) == doing]
        delays = [max(0.0, answer["t_ms"] + 0.5 - moment) for moment, answer in those if answer]
        units = [unit_at(records, moment, doing) for moment, answer in those if answer and doing != "paused"]
        row = f"{terminal:<8} {doing:<10} {len(those):>4} {len(those) - len(delays):>4}{spread(delays, 1)}"
        if units:
            row += f" {statistics.median(units):>8.1f}{spread([delay / unit for delay, unit in zip(delays, units)], 2)}"
        print(row, flush=True)


def measure_keys(args):
    """Measures the latency from key press to acknowledgement, first with a reading, then with a stalled terminal."""
    print("\nKEYS: latency from key press to acknowledgement, by activity of the run; unit: step or evaluation batch\n"
          f"{'':8} {'':10} {'':>4} {'':>4}{'ms':>24} {'unit':>8}{'units':>24}\n{'terminal':<8} {'run':<10} {'keys':>4} "
          f"{'lost':>4}{'median':>8}{'99 %':>8}{'max':>8} {'ms':>8}{'median':>8}{'99 %':>8}{'max':>8}")
    with training(args) as run:
        pressed = press_keys(run, args.keys)
        print_keys("read", run.records, pressed)
        run.stall()
        began, taken = time.time(), len(run.chunks)
        print_keys("stalled", run.records, late := press_keys(run, args.keys))
        always = "" if run.is_stalled() and len(run.chunks) == taken else "! not always "
        print(f"{always}stalled for {time.time() - began:.0f} s;", end=" ")
        time.sleep(SETTLE)  # let the last command finish
        run.load()
        answers = [record["answer"]["is"] for record in run.records if record["event"] == "acknowledged"]
        print(len(pressed + late), "keys:", *(f"{answers.count(how)} {how}" for how in ("accepted", "done", "refused")))


def shown(chunks, word):
    """The times, in ms since 1970, of the frames whose first row contains the word. A frame has only the cells that
    change (from `pausing` to `paused` only `ed`), so this reconstructs the row as a terminal would."""
    cells, row, column, moments = {}, 1, 1, []
    for moment, data in frames(chunks):
        for numbers, letter, char in re.findall(r"\x1b\[([0-9;?]*)([A-Za-z])|([^\x1b])", data.decode(errors="replace")):
            if letter == "H":
                row, column = map(int, (numbers or "1;1").split(";"))
            elif letter == "J":
                cells.clear()
            elif char:
                cells[row, column] = char
            column += int(numbers or 1) if letter == "C" else len(char)
        moments += [moment * 1000] * (word in "".join(cells[at] for at in sorted(cells) if at[0] == 1))
    return moments


def measure_screen(args):
    """Measures the latency from the timestamp of a record to the arrival of the frame that shows it."""
    with training(args) as run:
        pauses = [(run.toggle("paused"), run.toggle("training")) for _ in range(max(1, args.keys // 2))]
        moments = shown(run.chunks[:], "paused")
    delays = [next((moment - since for moment in moments if since <= moment < until), math.inf) for since, until in pauses]
    print("\nEVENT TO SCREEN: from the timestamp of `paused` to the first bytes of its frame, ms\n  pauses unshown  "
          f"median    99 %     max\n{len(delays):>8}{delays.count(math.inf):>8}{spread(delays, 1)}", flush=True)


def main():
    parts = {"bytes": measure_bytes, "keys": measure_keys, "screen": measure_screen}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=(*parts, "all"), default="all")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--keys", type=int, default=60)
    parser.add_argument("--binary", help="the program to measure [default: the release binary]")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: parser.exit(143))  # so that the training is stopped too
    print(f"python3 scripts/bench/wire.py --part {args.part} --seconds {args.seconds:g} --keys {args.keys}", flush=True)
    try:
        args.binary = os.path.abspath(args.binary or ours.binary())
        for part in parts if args.part == "all" else [args.part]:
            parts[part](args)
    except child.Stop as stop:
        raise SystemExit(f"wire.py: {stop}") from None


if __name__ == "__main__":
    main()
