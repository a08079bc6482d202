"""Measures packing: JPEG files to 224 pixels, images/s, against PyTorch's DataLoader and the decoders alone.

    python3 scripts/bench/packing.py [--images 20000] [--rounds 3] [--dir DIR] [--binary PATH]

Makes JPEG files of 500x375 pixels (quality 90, smooth shapes and noise, as detailed as photographs) in ten class
directories, once, below DIR. Each round measures, starting with a different one: `epochtop data pack` with all cores and
with one; DataLoader with 2 workers, torchvision's ImageFolder, Resize and PILToTensor; Pillow and simplejpeg on one thread.
Prints medians, the ratios that the first asks for, and the peak memory of packing half and all images.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import child
import env
import machine

PACKAGES = ["torchvision==0.26.0", "pillow", "simplejpeg"]
HERE = pathlib.Path(__file__).resolve().parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "epochtop-bench-jpeg")
    parser.add_argument("--binary", default=str(HERE.parents[1] / "target" / "release" / "epochtop"))
    return parser.parse_args()


def python_side(interpreter, *words):
    """The number that a part of packing_side.py prints."""
    done = subprocess.run([interpreter, "-B", str(HERE / "packing_side.py"), *map(str, words)],
                          capture_output=True, text=True)
    if done.returncode:
        raise child.Stop(f"packing_side.py {words[0]}: {child.last_line(done.stderr)}")
    return float(done.stdout.split()[-1])


def pack(binary, data, cores, count):
    """(images/s, peak memory in MB) of packing into an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        command = ["taskset", "-c", cores, binary, "data", "pack", str(data), "--set", "data.size=224",
                   "--set", f"data.cache_dir={cache}"]
        start = time.monotonic()
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(running.pid, 0)
        seconds = time.monotonic() - start
    if status:
        raise child.Stop(f"data pack ended with status {status}")
    return count / seconds, usage.ru_maxrss / 1024


def main():
    args = arguments()
    interpreter = env.python()
    if subprocess.run([interpreter, "-c", "import torchvision, PIL, simplejpeg"], capture_output=True).returncode:
        env.call([interpreter, "-m", "pip", "install", "--no-deps", *PACKAGES], "see pip's message above")
    python_side(interpreter, "make", args.dir, args.images)
    some = min(args.images, 2000)
    cores = f"0-{machine.cores() - 1}"
    memory = []

    def packing(where):
        speed, peak = pack(args.binary, args.dir, where, args.images)
        memory.append(peak)
        return speed

    sides = {
        "epochtop data pack, all cores": lambda: packing(cores),
        "epochtop data pack, one core": lambda: packing("0"),
        "DataLoader, 2 workers, torchvision": lambda: python_side(interpreter, "loader", args.dir, 2),
        "Pillow decode and resize, one thread": lambda: python_side(interpreter, "pillow", args.dir, some),
        "simplejpeg decode, one thread": lambda: python_side(interpreter, "simplejpeg", args.dir, some),
    }
    found = {name: [] for name in sides}
    order = list(sides)
    for turn in range(args.rounds):
        for name in order[turn % len(order):] + order[:turn % len(order)]:
            found[name].append(sides[name]())
            print(f"round {turn + 1} of {args.rounds}, {name}: {found[name][-1]:,.0f} images/s", flush=True)
    print()
    median = {name: statistics.median(values) for name, values in found.items()}
    for name, values in found.items():
        print(f"{name:<40} {median[name]:>8,.0f} images/s  ({min(values):,.0f} to {max(values):,.0f})")
    all_cores, one_core, loader = (median[name] for name in order[:3])
    print(f"\nto the DataLoader: {all_cores / loader:.2f} (at least 1.5 wanted)")
    print(f"to cores x one core: {all_cores / one_core / machine.cores():.2f} (at least 0.80 wanted)")
    print(f"peak memory of packing: {min(memory):,.0f} to {max(memory):,.0f} MB")
    print(f"machine: {machine.cpu_model()}, {machine.cores()} cores")


if __name__ == "__main__":
    try:
        main()
    except child.Stop as stop:
        sys.exit(f"error: {stop}")
