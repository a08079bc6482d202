"""Cuts the power while small trainings write to an ext4 file system, and checks that every reported result is still there.

    sudo python3 scripts/faults/power.py [--binary PATH] [--cuts 30] [--seed 1]

Each training writes to a file system of its own on a loop device. At a random moment during the training, or up to 30 s
after its end, the kernel shuts the file system down as a power failure would (EXT4_IOC_SHUTDOWN without flushing its
log): everything that has not been flushed to the disk is lost. The file system is mounted again, and the run must have
what had been reported by then: epochs, checkpoints, the test accuracy, the outcome. Then the run is resumed, and its last
checkpoint must have the weights of an undisturbed run. Needs root, a Linux kernel with ext4 and loop devices, and no GPU.
"""

import argparse
import fcntl
import hashlib
import json
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXT4_IOC_SHUTDOWN, NOLOGFLUSH = 0x8004587D, 2
IMAGE_MB = 128
AFTER_END = 30  # seconds
SETTINGS = ["data.name=shapes", "data.valid=100", "model.channels=[8,16]", "train.epochs=12", "train.batch_size=20", "train.device=cpu",
            "train.threads=1", "train.precision=f32", "eval.bootstrap=100", "checkpoint.keep=100", "checkpoint.every_minutes=0"]
COMPLETE = ("config.toml", "run.json", "events.jsonl", "epochs.csv", "eval.json", "predictions.csv", "log.txt")


def write_data(place):
    """600 training and 200 test images of 20x24 in three classes, as IDX files."""
    source = random.Random(7)
    for prefix, count in (("train", 600), ("t10k", 200)):
        pixels, labels = bytearray(), bytearray()
        for i in range(count):
            label = i % 3
            y0, x0 = source.randrange(4, 16), source.randrange(4, 20)
            inside = (lambda y, x: abs(y - y0) < 2, lambda y, x: abs(x - x0) < 2, lambda y, x: (y - y0) ** 2 + (x - x0) ** 2 < 17)[label]
            labels.append(label)
            pixels += bytes(source.randrange(40) + (215 if inside(y, x) else 0) for y in range(20) for x in range(24))
        (place / f"{prefix}-images-idx3-ubyte").write_bytes(struct.pack(">HBBIII", 0, 8, 3, count, 20, 24) + pixels)
        (place / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, count) + labels)


class Disk:
    """An ext4 file system in a file."""

    def __init__(self, place):
        self.image, self.path = place / "disk", place / "mounted"
        self.path.mkdir()

    def format(self):
        self.image.unlink(missing_ok=True)
        self.image.touch()
        os.truncate(self.image, IMAGE_MB << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", self.image], check=True)
        self.mount()

    def mount(self):
        subprocess.run(["mount", "-o", "loop", self.image, self.path], check=True)

    def unmount(self):
        for _ in range(100):
            if subprocess.run(["umount", self.path], stderr=subprocess.DEVNULL).returncode == 0:
                return
            time.sleep(0.1)
        sys.exit(f"{self.path}: cannot be unmounted")

    def cut(self):
        handle = os.open(self.path, os.O_RDONLY)
        fcntl.ioctl(handle, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        os.close(handle)


class Training:
    """A training process; its lines are read as they are printed."""

    def __init__(self, binary, args):
        self.lines = []
        self.process = subprocess.Popen([binary, "train", "--headless", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True)
        # `extend` adds each line as soon as it is read.
        self.reader.start()

    def wait(self):
        code = self.process.wait()
        self.reader.join()
        return code


def weights(run):
    """The last checkpoint of a run and the hash of its weights."""
    last = max((run / "checkpoints").glob("step-*"), default=None)
    return last and (last.name, hashlib.sha256((last / "model.safetensors").read_bytes()).hexdigest())


def missing(binary, run, lines, code):
    """What had been reported and is not in a run directory."""
    lost = []
    text = lambda name: (run / name).read_text(errors="replace") if (run / name).exists() else ""
    records = []
    for line in text("events.jsonl").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            pass  # The last line of a process that was killed; the next one continues on a new line.
    epochs = {record["epoch"] for record in records if record["event"] == "epoch_finished"}
    tests = [record for record in records if record["event"] == "eval_finished" and record["split"] == "test"]
    for line in lines:
        if match := re.match(r"epoch +(\d+)/", line):
            if int(match[1]) not in epochs:
                lost.append(f"epoch {match[1]}")
        elif match := re.match(r"checkpoint (\S+) \(", line):
            if not (run / match[1] / "MANIFEST.json").exists():
                lost.append(match[1])
        elif line.startswith("test (") and not tests:
            lost.append("the test accuracy in the journal")
    ended = any(re.match(r"completed after \d+ epochs", line) for line in lines)
    if ended or code == 0:
        outcome = json.loads(text("run.json") or "{}").get("outcome")
        if outcome != "completed":
            lost.append(f"the outcome (it is {outcome})")
        lost += [name for name in COMPLETE[:-1] if not text(name).strip()]
        if len(text("epochs.csv").splitlines()) != 13:
            lost.append("rows of epochs.csv")
    if code == 0:
        unlogged = [line for line in lines if line not in text("log.txt") and not line.startswith("run ")]
        if unlogged:
            lost.append(f"{len(unlogged)} lines of log.txt")
    if (run / "checkpoints").exists():
        verified = subprocess.run([binary, "checkpoints", str(run), "--verify"], capture_output=True, text=True)
        if verified.returncode:
            lost.append(f"checkpoints: {verified.stdout}{verified.stderr}")
    return lost


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=ROOT / "target/release/epochtop")
    parser.add_argument("--cuts", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    if "EPOCHTOP_POWER" not in os.environ:
        # Mounted for this process alone: a copy of the mount in another namespace would keep the old file system in use.
        os.environ["EPOCHTOP_POWER"] = "1"
        os.execvp("unshare", ["unshare", "-m", sys.executable, "-B", *sys.argv])
    binary = pathlib.Path(options.binary).resolve()
    source = random.Random(options.seed)
    print(f"{binary}: {options.cuts} power cuts, seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        data = scratch / "data"
        data.mkdir()
        write_data(data)
        sets = [word for key in [*SETTINGS, f"data.dir={data}"] for word in ("--set", key)]
        disk = Disk(scratch)
        disk.format()
        began = time.monotonic()
        undisturbed = Training(binary, ["--runs", str(disk.path), "--name", "one", *sets])
        if undisturbed.wait() != 0:
            sys.exit("the undisturbed training failed:\n" + "".join(undisturbed.lines))
        duration = time.monotonic() - began
        expected = weights(disk.path / "one")
        disk.unmount()
        totals = {"during": [0, 0, 0, 0], "after": [0, 0, 0, 0]}
        print("cut  moment              reported  missing  then")
        for cut in range(1, options.cuts + 1):
            disk.format()
            run = disk.path / "one"
            training = Training(binary, ["--runs", str(disk.path), "--name", "one", *sets])
            after = cut % 2 == 0
            if after:
                training.wait()
                wait = source.uniform(0, AFTER_END) if cut % 4 == 0 else source.uniform(0, 1)
            else:
                wait = source.uniform(0, duration)
            time.sleep(wait)
            code, lines = training.process.poll(), list(training.lines)
            disk.cut()
            training.process.kill()
            training.wait()
            disk.unmount()
            disk.mount()
            lost = missing(binary, run, lines, code) if lines else []
            then = "the run did not exist yet"
            if run.exists():
                resumed = Training(binary, ["--resume", str(run)])
                code_then = resumed.wait()
                again = "".join(resumed.lines)
                wrong = missing(binary, run, [], 0) + ["the weights"] * (weights(run) != expected)
                if code_then == 2 and "nothing to do" in again:
                    then = "complete"
                else:
                    then = "resumed, identical" if code_then == 0 else f"exit code {code_then}: {again}"
                then = f"WRONG: {', '.join(wrong)}" if wrong else then
            disk.unmount()
            results = sum(bool(re.match(r"epoch |checkpoint |test \(|completed after", line)) for line in lines)
            moment = f"{wait:5.2f} s {'after the end' if after else 'in training'}"
            print(f"{cut:3}  {moment:<20} {results:7}  {len(lost):7}  {then}", flush=True)
            for what in lost:
                print(f"     missing: {what}", flush=True)
            total = totals["after" if after else "during"]
            for at, count in enumerate((1, results, len(lost), then.startswith(("WRONG", "exit")))):
                total[at] += count
    for moment, (cuts, results, lost, wrong) in totals.items():
        print(f"{moment} the training: {cuts} cuts, {results} reported results, {lost} missing, {wrong} not resumed to the same weights")
    sys.exit(any(total[2] or total[3] for total in totals.values()))


if __name__ == "__main__":
    main()
