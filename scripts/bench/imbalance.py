#!/usr/bin/env python3
"""Natural order, balanced sampling and class weights on an image folder with uneven classes, at equal epochs.

    scripts/bench/imbalance.py DATA [--epochs 25] [--seeds 3] [--runs DIR] [--set KEY=VALUE]...

Trains each of the three with each seed and prints, for the test split, the mean over the seeds of each measure and, in
brackets, the mean of the lower and of the upper ends of its 95 % intervals; then the F1 of each class, and which differences
to natural order the paired bootstrap of the first seed can distinguish.
"""
import argparse, json, pathlib, statistics, subprocess, tempfile

PROGRAM = pathlib.Path(__file__).resolve().parents[2] / "target/release/epochtop"
METHODS = {
    "natural": [],
    "balanced sampling": ["--set", "data.sampling=balanced"],
    "class weights": ["--set", "train.class_weights=balanced"],
}
MEASURES = {
    "accuracy": ("accuracy",),
    "balanced accuracy": ("balanced_accuracy",),
    "macro-F1": ("macro_f1",),
    "ECE": ("ece", "uncalibrated"),
    "ECE, calibrated": ("ece", "calibrated"),
}


def train(args, method, seed, runs):
    name = f"{method.replace(' ', '-')}-{seed}"
    command = [PROGRAM, "train", "--headless", "--runs", runs, "--name", name, "--data", args.data]
    for value in [f"train.epochs={args.epochs}", f"train.seed={seed}", *args.set]:
        command += ["--set", value]
    subprocess.run(command + METHODS[method], check=True, stdout=subprocess.DEVNULL)
    return json.loads((runs / name / "eval.json").read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=pathlib.Path)
    args = parser.parse_args()
    runs = args.runs or pathlib.Path(tempfile.mkdtemp())
    runs.mkdir(parents=True, exist_ok=True)
    # Alternating, so that a change of the machine affects all of them.
    results = {method: [] for method in METHODS}
    for seed in range(1, args.seeds + 1):
        for method, found in results.items():
            found.append(train(args, method, seed, runs))

    print(f"{'':<28}" + "".join(f"{method:>24}" for method in METHODS))
    for title, path in MEASURES.items():
        cells = []
        for found in results.values():
            values = []
            for value in found:
                for key in path:
                    value = value[key]
                values.append((value["value"], *value["ci95"]))
            value, low, high = (statistics.fmean(column) for column in zip(*values))
            cells.append(f"{value:.3f} [{low:.3f}, {high:.3f}]")
        print(f"{title:<28}" + "".join(f"{cell:>24}" for cell in cells))
    print("F1 of each class (test images)")
    first = next(iter(results.values()))[0]["classes"]
    for label, about in enumerate(first):
        cells = []
        for found in results.values():
            values = [(one["classes"][label]["f1"]["value"], *(one["classes"][label]["f1"]["ci95"] or (0, 0))) for one in found]
            value, low, high = (statistics.fmean(column) for column in zip(*values))
            cells.append(f"{value:.3f} [{low:.3f}, {high:.3f}]")
        title = f"  {about['name']} ({about['support']})"
        print(f"{title:<28}" + "".join(f"{cell:>24}" for cell in cells))
    for method in list(METHODS)[1:]:
        pair = ["natural-1", f"{method.replace(' ', '-')}-1"]
        print(f"\n{method} minus natural, seed 1", flush=True)
        compared = subprocess.run([PROGRAM, "eval", "--runs", runs, *pair], capture_output=True, text=True, check=True)
        print(compared.stdout[compared.stdout.index("B minus A") :])


main()
