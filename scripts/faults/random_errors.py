"""Trains on a file system that fails operations at random, and checks that nothing is wrong or missing without a word.

    sudo python3 scripts/faults/random_errors.py --binary EPOCHTOP --faultfs FAULTFS --data DIR [--runs 200] [--seed 1] [--work DIR]

FAULTFS mounts a directory as a FUSE file system that fails the operations which $FAULTS_FILE names, a line for each rule: operation, part of
the path, probability, error number, greatest number of failures (-1: no limit). It writes a line to $FAULTS_LOG for each failure. DIR has four
small IDX files. Mounting needs root, so this is not part of `make test`. Each run is one of: completed unchanged; completed, with what is missing
reported; ended with an error and resumed to identical weights; refused at the start. Anything else is a failure, printed with
its seed.
"""

import argparse
import collections
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time

OPERATIONS = ["write", "write", "write", "short", "create", "fsync", "rename", "unlink", "mkdir", "rmdir", "truncate", "fsyncdir", "open"]
FILES = ["*", "*", "events.jsonl", "epochs.csv", "run.json", "eval.json", "predictions.csv", "config.toml", "checkpoints", "tb/",
         "MANIFEST.json", "model.safetensors", "optim.safetensors", "state.json", "LATEST", "BEST", "log.txt", "evals"]
ERRORS = {"ENOSPC": 28, "EIO": 5, "EDQUOT": 122}


def rules(seed):
    """The faults of a run."""
    rng = random.Random(seed)
    lines = [f"seed {seed}"]
    for _ in range(rng.choice([1, 1, 2, 3])):
        hits = rng.choice([1, 3, 20, -1])
        lines.append(f"{rng.choice(OPERATIONS)} {rng.choice(FILES)} {rng.choice([0.02, 0.1, 0.5, 1])} "
                     f"{rng.choice(list(ERRORS.values()))} {hits}")
    return "\n".join(lines) + "\n"


class Tester:
    """Trains on the mounted file system and classifies what happened."""

    def __init__(self, args):
        self.args = args
        self.work = pathlib.Path(args.work)
        self.back, self.mount, self.rules = (self.work / name for name in ("back", "mount", "rules"))
        shutil.rmtree(self.work, ignore_errors=True)
        for path in (self.back, self.mount):
            path.mkdir(parents=True)
        self.rules.write_text("")
        env = {**os.environ, "FAULTS_FILE": str(self.rules), "FAULTS_LOG": str(self.work / "faults.log")}
        subprocess.run([args.faultfs, str(self.back), str(self.mount), "-o", "allow_other"], env=env, check=True)
        self.reference = None

    def close(self):
        subprocess.run(["umount", "-l", str(self.mount)], check=False)

    def faults(self, text):
        self.rules.write_text(text)
        # The file is read again when its time of modification changes.
        os.utime(self.rules, ns=(time.time_ns(), time.time_ns()))

    def epochtop(self, *words, limit=120):
        env = {**os.environ, "XDG_CONFIG_HOME": "/nonexistent", "EPOCHTOP_SOCKET_DIR": str(self.work)}
        try:
            done = subprocess.run([self.args.binary, *words], env=env, capture_output=True, text=True, timeout=limit,
                                  stdin=subprocess.DEVNULL, errors="replace")
        except subprocess.TimeoutExpired as error:
            return 124, str(error.stdout) + str(error.stderr)
        return done.returncode, done.stdout + done.stderr

    def train(self, name):
        sets = [f"data.dir={self.args.data}", "data.name=mine", "data.valid=100", "train.threads=1", "model.channels=[8,8]",
                "train.batch_size=64", "train.epochs=4", "checkpoint.every_steps=7", "checkpoint.keep=2", "eval.bootstrap=100",
                "train.ema=0"]
        return self.epochtop("train", "--headless", "--name", name, "--runs", str(self.mount),
                             *(word for one in sets for word in ("--set", one)))

    def seen(self, name):
        """What a run directory has: the results by name."""
        run = self.back / name
        found = {}
        try:
            steps = sorted((run / "checkpoints").glob("step-*"))
            found["weights"] = hashlib.sha256((steps[-1] / "model.safetensors").read_bytes()).hexdigest() if steps else None
            found["newest"] = steps[-1].name if steps else None
        except OSError as error:
            found["weights"] = str(error)
        try:
            meta = json.loads((run / "run.json").read_text())
            found["outcome"] = meta.get("outcome")
        except (OSError, ValueError):
            found["outcome"] = None
        try:
            report = json.loads((run / "eval.json").read_text())
            found["eval"] = json.dumps(report.get("test", report).get("accuracy", None)) if isinstance(report, dict) else None
        except (OSError, ValueError):
            found["eval"] = None
        try:
            found["rows"] = len((run / "epochs.csv").read_text().splitlines()) - 1
        except OSError:
            found["rows"] = None
        try:
            found["predictions"] = len((run / "predictions.csv").read_bytes())
        except OSError:
            found["predictions"] = None
        try:
            found["config"] = len((run / "config.toml").read_bytes()) > 0
        except OSError:
            found["config"] = None
        seqs, torn = [], 0
        try:
            for line in (run / "events.jsonl").read_bytes().split(b"\n"):
                if line:
                    try:
                        seqs.append(json.loads(line)["seq"])
                    except (ValueError, KeyError):
                        torn += 1
        except OSError:
            pass
        found["gaps"] = sum(1 for a, b in zip(seqs, seqs[1:]) if b > a + 1) + (1 if seqs and seqs[0] > 1 else 0)
        found["torn"] = torn
        return found

    @staticmethod
    def result(output):
        """The line with the measures of the test set."""
        lines = [line for line in output.splitlines() if line.startswith("test (")]
        return re.sub(r"\s+in [\d.]+ s.*", "", lines[-1]) if lines else None

    def one(self, seed):
        """Runs a seed: its class, and what to print."""
        name = f"r{seed}"
        if self.mount.stat().st_dev == self.work.stat().st_dev:
            sys.exit(f"{self.mount}: not mounted any more")
        self.faults(rules(seed) if seed else "")
        (self.work / "faults.log").write_text("")
        code, output = self.train(name)
        hits = len((self.work / "faults.log").read_text().splitlines())
        self.faults("")
        reported = [line for line in output.splitlines() if re.search(r"\b(warning|error)\b|not written|incomplete", line)]
        seen = self.seen(name)
        if not seed:
            self.usual = set(reported)
            if code:
                sys.exit(f"the run without faults failed: {output}")
            self.reference = {**seen, "line": self.result(output)}
            return "reference", f"{code} {self.reference}"
        want = self.reference
        reported = [line for line in reported if line not in self.usual]
        keys = ("weights", "outcome", "eval", "rows", "predictions", "config", "gaps", "torn")
        missing = [key for key in keys if seen.get(key) != want[key]]
        detail = f"exit {code}, {hits} faults, differs: {missing or 'nothing'}; {reported[:2]}"
        if code == 124:
            return "HANGS", detail
        line = self.result(output)
        if line is not None and line != want["line"]:
            return "WRONG result", f"{detail}: {line}"
        if seen["outcome"] == "completed" or code == 0:
            if not missing:
                return "completed unchanged", detail
            # Weights may lack the newest checkpoint; a whole one is never wrong.
            if not reported:
                return "MISSING silently", detail
            return "completed, missing part reported", detail
        if not (self.back / name).exists():
            return ("refused at the start" if reported and code else "MISSING silently"), detail
        if not reported and code == 0:
            return "MISSING silently", detail
        again, text = self.epochtop("train", "--headless", "--resume", str(self.mount / name))
        now, line = self.seen(name), self.result(text)
        same = now["weights"] == want["weights"] and (line == want["line"])
        if again == 0 and same:
            return "resumed identical", detail
        return "NOT RESUMED", f"{detail}; resume {again}: {text[-400:]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--faultfs", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", default="/tmp/epochtop-faults")
    args = parser.parse_args()
    tester = Tester(args)
    counts = collections.Counter()
    try:
        print(*tester.one(0))
        for seed in range(args.seed, args.seed + args.runs):
            kind, detail = tester.one(seed)
            counts[kind] += 1
            print(f"seed {seed}: {kind}: {detail}", flush=True)
            if kind[0].islower():
                shutil.rmtree(tester.back / f"r{seed}", ignore_errors=True)
    finally:
        tester.close()
    print(f"seeds {args.seed} to {args.seed + args.runs - 1}")
    for kind, count in counts.most_common():
        print(f"{count:>5}  {kind}")
    sys.exit(any(kind[0].isupper() for kind in counts))


if __name__ == "__main__":
    main()
