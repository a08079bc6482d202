"""What goes over the terminal's line: bytes of a live screen, how soon a key is obeyed, how soon a record is shown.

    python3 scripts/bench/wire.py [--part bytes|keys|screen|all] [--seconds 20] [--keys 60] [--binary PATH]

Each part trains the default network and plays the terminal; moments of the run are the stamps of its journal, whole ms.
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

# Terminals, and bytes/s of others in them, measured elsewhere: a TUI with one chart, and a web service's terminal.
OTHERS = {"80x24": ("5,050-5,871", "2,515-2,663"), "120x40": ("15,440 idle 250", "4,329-4,469"),
          "200x60": ("38,120", "15,483-15,797 idle 0")}
WARM_UP, SETTLE, IDLE = 5.0, 2.0, 5.0  # seconds: before counting, after the pause, and of counting then
SILENCE = 0.015  # seconds without a byte between one frame and the next
PATIENCE, LOST = 15.0, 3  # seconds after which a key counts as lost, and after how many of those no more are pressed
WINDOWS = 10  # of steps, the last ones before a key, tell what a step takes
COMMANDS = {" ": ("pause", "resume"), "c": ("checkpoint",), "e": ("evaluate",)}
KEYS = "ec  c.  c  cc"  # evaluate, and meanwhile checkpoint, pause, go on, checkpoint; the same without, once it is over
DOING = {"validating": "evaluating", "testing": "evaluating", "paused": "paused"}


class Run:
    """A training, the terminal it is shown in, and its journal."""

    def __init__(self, binary, root, size):
        self.runs, self.journal = f"{root}/runs", f"{root}/runs/wire/events.jsonl"
        self.records, self.offset, self.chunks, self.reading = [], 0, [], threading.Event()
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", *map(int, reversed(size.split("x"))), 0, 0))
        env = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "COLORTERM": "", "NO_COLOR": "",
               "XDG_CONFIG_HOME": root, "EPOCHTOP_SOCKET_DIR": root}  # neither colours nor settings of whoever measures count
        command = [binary, "train", "--runs", self.runs, "--name", "wire", "--set", "train.epochs=1000"]
        self.process = subprocess.Popen(command, stdin=self.slave, stdout=self.slave, stderr=self.slave, env=env,
                                        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.reading.set()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        """Takes what the screen writes, while it is to be taken, and when it came. The end of the line is an error."""
        with contextlib.suppress(OSError):
            while self.reading.wait():
                data = os.read(self.master, 65536)
                self.chunks.append((time.time(), data))

    def press(self, key):
        """Presses a key; returns when, in ms since 1970, and how many records were there before."""
        self.tell()
        now = time.time() * 1000
        os.write(self.master, key.encode())
        return now, len(self.records)

    def tell(self):
        """Takes in what the journal has got since."""
        with contextlib.suppress(FileNotFoundError), open(self.journal, "rb") as journal:
            journal.seek(self.offset)
            whole = journal.read().rpartition(b"\n")[0]
            self.offset += len(whole) + 1 if whole else 0
            self.records += map(json.loads, whole.splitlines())

    def wait(self, wanted, since=0, patience=PATIENCE):
        """The first such record after so many others."""
        until = time.time() + patience
        while time.time() < until and self.process.poll() is None:
            self.tell()
            if found := next(filter(wanted, self.records[since:]), None):
                return found
            time.sleep(0.01)
        why = f"not told within {patience:g} s" if self.process.poll() is None else "the screen has ended"
        raise child.Stop(f"{why}; the terminal got {b''.join(data for _, data in self.chunks)[-400:]}")

    def toggle(self, phase):
        """Pauses or goes on, after a random while; returns when the run said so."""
        time.sleep(random.uniform(0.5, 1))
        return self.wait(lambda record: record.get("phase") == phase, self.press(" ")[1])["t_ms"]

    def is_stalled(self):
        """Whether the line to the terminal is full, so that the screen can write no more."""
        return not select.select([], [self.slave], [], 0)[1]

    def stall(self):
        """Stops reading and fills the line: ctrl-l has everything drawn anew, and nobody takes it."""
        self.reading.clear()
        for _ in range(50):
            self.press("\f")
            time.sleep(0.1)

    def leave(self):
        """Leaves as a person would who wants no more of the run: with a checkpoint, and so with status 3."""
        self.reading.set()
        self.press("q")
        time.sleep(0.5)
        self.press("s")
        self.process.wait(30)
        if self.process.returncode != 3 or self.processes():
            print(f"! q and s: the screen ended with {self.process.returncode}, wanted 3; left: {self.processes()}")

    def processes(self):
        """The screen and the trainer, which is in a session of its own: what has the temporary directory as an argument."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as words:
                found += [int(pid)] * (self.runs.encode() in words.read().split(b"\0"))
        return found

    def kill(self):
        """Leaves nothing behind, not even a trainer that was being started."""
        while pids := self.processes():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.slave)


@contextlib.contextmanager
def training(args, size="120x40"):
    """A run whose first epoch is under way, and which is gone afterwards."""
    with tempfile.TemporaryDirectory() as root:
        run = Run(args.binary, root, size)
        try:
            run.wait(lambda record: record["event"] == "steps", patience=60)
            yield run
            run.leave()
        finally:
            run.kill()


def spread(numbers, digits=0):
    """Median, 99th percentile and maximum as columns: the smallest numbers that so large a share is not above."""
    ranks = [max(0, math.ceil(len(numbers) * share) - 1) for share in (0.5, 0.99, 1)]
    return "".join(f"{sorted(numbers)[rank] if numbers else math.nan:>8,.{digits}f}" for rank in ranks)


def frames(chunks):
    """When each frame began to arrive, and its bytes."""
    whole, last = [], -math.inf
    for moment, data in chunks:
        if moment - last >= SILENCE:
            whole.append((moment, bytearray()))
        whole[-1][1].extend(data)
        last = moment
    return whole


def listen(run, seconds):
    """The sizes of the frames from now on."""
    before = len(run.chunks)
    time.sleep(seconds)
    return [len(data) for _, data in frames(run.chunks[before:])]


def measure_bytes(args):
    """A row for each size of the terminal: a run on its overview, then the same paused."""
    print(f"\nBYTES of the overview while it trains ({args.seconds:g} s), and paused ({IDLE:g} s; wanted: 0)\n"
          f"{'':8} {'':>7} {'':>8}  {'bytes/frame':>22} {'paused':>7}   others, bytes/s, measured elsewhere\n{'size':<8} "
          f"{'bytes/s':>7} {'frames/s':>8} {'median':>7}{'99 %':>8}{'max':>8} {'bytes':>7}   burn 0.22 TUI   W&B LEET 0.31")
    for size, (burn, leet) in OTHERS.items():
        with training(args, size) as run:
            time.sleep(WARM_UP)
            sizes = listen(run, args.seconds)
            run.toggle("paused")
            time.sleep(SETTLE)
            print(f"{size:<8} {sum(sizes) / args.seconds:>7,.0f} {len(sizes) / args.seconds:>8.1f}{spread(sizes)} "
                  f"{sum(listen(run, IDLE)):>7,}   {burn:<15} {leet}", flush=True)


def press_keys(run, count):
    """Presses keys at random moments, each after the acknowledgement of the one before; returns moment and answer."""
    pressed = []
    for key in KEYS * math.ceil(count / (len(KEYS) - 1)):
        if key == ".":
            run.wait(lambda _: doing_at(run.records, math.inf) == "training", -1, 60)
            continue
        time.sleep(random.uniform(0.1, 0.7) * (0.4 if doing_at(run.records, math.inf) == "evaluating" else 1))
        (moment, since), answer = run.press(key), None
        with contextlib.suppress(child.Stop):
            answer = run.wait(lambda record: record["event"] == "acknowledged" and record["command"] in COMMANDS[key]
                              and record["answer"]["is"] == "accepted", since)
        pressed.append((moment, answer))
        if [answer for _, answer in pressed].count(None) == LOST:
            break
        if key == "e":
            run.wait(lambda record: record.get("phase") in DOING, since)
    return pressed


def doing_at(records, moment):
    """What the run was doing at a moment."""
    phases = [record["phase"] for record in records if record["event"] == "phase" and record["t_ms"] <= moment]
    return DOING.get(phases[-1], "training")


def unit_at(records, moment, doing):
    """What a step took then, in ms, or what a batch of an evaluation takes."""
    if doing == "training":
        windows = [record for record in records if record["event"] == "steps" and record["t_ms"] <= moment][-WINDOWS:]
        return statistics.median(record["millis"] / len(record["loss"]) for record in windows)
    told = [record for record in records if record["event"] == "eval_progress"]
    return statistics.median(b["t_ms"] - a["t_ms"] for a, b in zip(told, told[1:]) if a["done"] < b["done"])


def tell_keys(terminal, records, pressed):
    """A row for each thing the run was doing when a key was pressed. A stamp is half a ms early in the mean."""
    for doing in ("training", "evaluating", "paused"):
        those = [(moment, answer) for moment, answer in pressed if doing_at(records, moment) == doing]
        delays = [max(0.0, answer["t_ms"] + 0.5 - moment) for moment, answer in those if answer]
        units = [unit_at(records, moment, doing) for moment, answer in those if answer and doing != "paused"]
        row = f"{terminal:<8} {doing:<10} {len(those):>4} {len(those) - len(delays):>4}{spread(delays, 1)}"
        if units:
            row += f" {statistics.median(units):>8.1f}{spread([delay / unit for delay, unit in zip(delays, units)], 2)}"
        print(row, flush=True)


def measure_keys(args):
    """From the key to the acknowledgement in the journal, with a terminal that is read and one that is not."""
    print("\nKEYS from the press to the acknowledgement, by what the run was doing; unit: a step, or an evaluation's batch\n"
          f"{'':8} {'':10} {'':>4} {'':>4}{'ms':>24} {'unit':>8}{'units':>24}\n{'terminal':<8} {'run':<10} {'keys':>4} "
          f"{'lost':>4}{'median':>8}{'99 %':>8}{'max':>8} {'ms':>8}{'median':>8}{'99 %':>8}{'max':>8}")
    with training(args) as run:
        pressed = press_keys(run, args.keys)
        tell_keys("read", run.records, pressed)
        run.stall()
        began, taken = time.time(), len(run.chunks)
        tell_keys("stalled", run.records, late := press_keys(run, args.keys))
        always = "" if run.is_stalled() and len(run.chunks) == taken else "! not always "
        print(f"{always}stalled for {time.time() - began:.0f} s;", end=" ")
        time.sleep(SETTLE)  # what was asked last is carried out
        run.tell()
        answers = [record["answer"]["is"] for record in run.records if record["event"] == "acknowledged"]
        print(len(pressed + late), "keys:", *(f"{answers.count(how)} {how}" for how in ("accepted", "done", "refused")))


def shown(chunks, word):
    """When a frame came whose first row says the word, in ms since 1970. Only cells that change are sent, and after
    `pausing` these are `ed` for `paused`: so the row is drawn here as a terminal would."""
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
    """From a record's stamp to the arrival of the frame that shows it."""
    with training(args) as run:
        pauses = [(run.toggle("paused"), run.toggle("training")) for _ in range(max(1, args.keys // 2))]
        moments = shown(run.chunks[:], "paused")
    delays = [next((moment - since for moment in moments if since <= moment < until), math.inf) for since, until in pauses]
    print("\nEVENT TO SCREEN from the stamp of `paused` to the first bytes of the frame that shows it, ms\n  pauses unshown  "
          f"median    99 %     max\n{len(delays):>8}{delays.count(math.inf):>8}{spread(delays, 1)}", flush=True)


def main():
    parts = {"bytes": measure_bytes, "keys": measure_keys, "screen": measure_screen}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=(*parts, "all"), default="all")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--keys", type=int, default=60)
    parser.add_argument("--binary", help="the program to measure [default: the release binary]")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: parser.exit(143))  # or a training would be left behind
    print(f"python3 scripts/bench/wire.py --part {args.part} --seconds {args.seconds:g} --keys {args.keys}", flush=True)
    try:
        args.binary = os.path.abspath(args.binary or ours.binary())
        for part in parts if args.part == "all" else [args.part]:
            parts[part](args)
    except child.Stop as stop:
        raise SystemExit(f"wire.py: {stop}") from None


if __name__ == "__main__":
    main()
